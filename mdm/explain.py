"""Any final interval explains itself: what was read, which rules, which estimate, scaled how, who.

What a validation run made is computed again, with the rule set word by word as it was, from what
was known when it ran: readings, the record, other flows, profiles and temperatures. What is a sum
is computed again from the versions that it names. So an explanation is no story that was written
down: it is a proof, or it says that it fails.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np

from mdm import explain_virtual, intake, intake_cube, intake_shares, vee_weeks
from mdm.explain_virtual import Input
from mdm.intake_cube import Intake
from mdm.intake_layout import Weeks
from schemas import quality, reading_type, statements
from schemas.database import Connection
from schemas.period import Period, local_day
from schemas.quality import QualityClass
from validation import engine, ruleset
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "explain.sql")
_MICRO = Decimal(1_000_000)


class ExplainError(ValueError):
    """There is nothing to explain; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    """The interval in one version of its day.

    ``value`` is in the reading type's scaled unit, after the multiplier; None where it is missing.
    ``rule_set`` and ``rule_set_digest`` are those of the run that made it, ``person`` and
    ``reason`` those of an edit or an acceptance. ``made_at`` is when the interval first became so,
    ``recorded_at`` when its day did.
    """

    number: int
    recorded_at: datetime
    value: int | None
    quality: int
    kind: Literal["vee", "edit", "accept", "virtual"]
    rule_set: str | None
    rule_set_digest: str | None
    software: str
    person: str | None
    reason: str | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Raw:
    """A value that was read for the interval, before the multiplier; None where it was missing."""

    starts_at: datetime
    interval_seconds: int
    value: int | None
    quality: int
    source: str
    collected_at: datetime
    session_id: int | None


@dataclass(frozen=True, slots=True)
class Dial:
    """A register reading beside the interval, before the multiplier [scaled unit]."""

    read_at: datetime
    value: int
    quality: int
    source: str
    collected_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A finding that reaches over the interval."""

    id: int
    rule: str
    severity: str
    action: str
    observed: float | None
    limit: float | None
    starts_at: datetime
    ends_at: datetime
    state: str
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """The interval computed again.

    Attributes
    ----------
    value, quality : what came out
    same : whether that is what the record has
    estimate : the value before it was brought to the register's difference; None where it was read
    factor : value ÷ estimate, to 6 places; None where there is no estimate, or it is 0
    register : reading type of the tariff register that it was brought to; None for the total
    beneath : of a sum, days of other virtual channels that were computed again with it
    differing : of these, what came out otherwise than the record has it, in words
    """

    value: int | None
    quality: int
    same: bool
    estimate: int | None
    factor: Decimal | None
    register: str | None = None
    beneath: int = 0
    differing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """One final interval of a usage point, and all that it comes from.

    ``proof`` is None where a person made the value, or what it was made of is not kept. ``inputs``
    are what an interval of a virtual channel is the sum of. ``waiting`` says that something came
    for it that no run has looked at yet.
    """

    usage_point: str
    end_device: str | None
    multiplier: Decimal | None
    reading_type: str
    starts_at: datetime
    interval_seconds: int
    time_zone: str
    versions: tuple[Version, ...]
    raw: tuple[Raw, ...]
    dials: tuple[Dial, ...]
    findings: tuple[Found, ...]
    proof: Proof | None
    inputs: tuple[Input, ...] = ()
    waiting: bool = False

    @property
    def final(self) -> Version:
        """The version that counts."""
        return self.versions[-1]

    @property
    def ends_at(self) -> datetime:
        """The interval's end."""
        return self.starts_at + timedelta(seconds=self.interval_seconds)


def explain(
    connection: Connection,
    name: str,
    moment: datetime,
    *,
    now: datetime,
    weeks: Weeks | None = None,
) -> list[Explanation]:
    """Explain the intervals of all channels of a usage point or end device in which a moment lies.

    The caller's transaction can write nothing from here on.

    Parameters
    ----------
    name : usage point, or the end device that was installed then
    moment : aware

    Raises
    ------
    ExplainError
        if there is no such place, or the record has nothing of that moment.
    """
    connection.execute("SET TRANSACTION READ ONLY")
    row = connection.execute(_SQL["place"], {"name": name, "moment": moment}).fetchone()
    if row is None:
        raise ExplainError(
            f"no usage point is named {name!r}, and no end device of that name was installed at "
            f"{moment:%Y-%m-%d %H:%M %z}; see `miqyas import registry`"
        )
    point, mrid, zone, _ = row
    limits = {"usage_point": point, "moment": moment}
    device = connection.execute(_SQL["installed"], limits).fetchone()
    rows = connection.execute(_SQL["versions"], limits).fetchall()
    # Where the time zone was corrected, a moment may lie in two days; the newest day counts.
    channels = {row[0]: row[3] for row in sorted(rows, key=lambda row: row[6])}
    found = [
        _explained(
            connection,
            [row for row in rows if row[0] == channel and row[3] == start],
            (mrid, zone, device),
        )
        for channel, start in sorted(channels.items())
    ]
    if not found:
        raise ExplainError(
            f"the record has no interval of {mrid} at {moment:%Y-%m-%d %H:%M %z}; "
            "if it has been read, run `miqyas vee run`"
        )
    days = dict(sorted(channels.items()))
    known = weeks or vee_weeks.shipped()
    return [
        replace(
            each,
            proof=_sum(connection, each, channel, day)
            if each.final.kind == "virtual"
            else _proof(connection, each, point, now, known),
            waiting=explain_virtual.waiting(connection, channel, moment),
        )
        for each, (channel, day) in zip(found, days.items(), strict=True)
    ]


def _explained(
    connection: Connection, rows: list[tuple[Any, ...]], place: tuple[str, str, Any]
) -> Explanation:
    mrid, zone, device = place
    channel, kind, seconds, day, slot = rows[0][:5]
    start = day + timedelta(seconds=seconds * slot)
    stretch = {"start": start, "end": start + timedelta(seconds=seconds)}
    raw: list[tuple[Any, ...]] = []
    dials: list[tuple[Any, ...]] = []
    if device is not None:
        mine = {"end_device": device[0], "moment": start}
        raw = connection.execute(_SQL["raw"], {**mine, "reading_type": kind}).fetchall()
        register = reading_type.named(kind).cumulative
        dials = connection.execute(
            _SQL["dials"], {**mine, **stretch, "register": register}
        ).fetchall()
    findings = connection.execute(_SQL["findings"], {"channel": channel, **stretch})
    virtual = any(row[9] == "virtual" for row in rows)
    return Explanation(
        usage_point=mrid,
        end_device=device[1] if device else None,
        multiplier=device[2] if device else None,
        reading_type=kind,
        starts_at=start,
        interval_seconds=seconds,
        time_zone=zone,
        versions=tuple(
            Version(row[5], row[6], _value(row[7], row[8]), row[8], *row[9:]) for row in rows
        ),
        raw=tuple(
            Raw(start, length, _value(value, code), code, *rest)
            for start, length, value, code, *rest in raw
        ),
        dials=tuple(Dial(*one) for one in dials),
        findings=tuple(Found(*one) for one in findings),
        proof=None,
        inputs=explain_virtual.inputs(connection, channel, day, stretch) if virtual else (),
    )


def _value(value: int, code: int) -> int | None:
    return None if quality.class_table()[code] == QualityClass.MISSING else value


def _sum(connection: Connection, told: Explanation, channel: int, day: datetime) -> Proof | None:
    """Compute an interval of a virtual channel again, from the versions that it names."""
    made = explain_virtual.again(connection, channel, day, told.starts_at)
    if made is None:
        return None
    same = (made.value, made.quality) == (told.final.value, told.final.quality)
    same = same and not made.differing
    return Proof(
        made.value, made.quality, same, None, None, beneath=made.beneath, differing=made.differing
    )


def _proof(
    connection: Connection, told: Explanation, point: int, now: datetime, weeks: Weeks
) -> Proof | None:
    """Compute an interval again as the run did that made it; and once without scaling.

    From what was known at that time; where that gives another value, from what is known now: the
    clock that stamps readings may be ahead of the run's.
    """
    rule_set = _rule_set(connection, told.final)
    if rule_set is None:
        return None
    proof = None
    far = any(use.estimator.name == "year_ago" for use in rule_set.estimators)
    for known_at, reach in product(
        (told.final.made_at, None), (0, intake_shares.YEAR) if far else (0,)
    ):
        seen = _Seen(now, known_at, reach, weeks)
        proof = _from(connection, told, point, rule_set, seen)
        if proof is not None and proof.same:
            break
    return proof


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a run is taken to have seen: what was known at a moment, and a year ago too or not."""

    now: datetime
    known_at: datetime | None
    reach: int
    weeks: Weeks


def _from(
    connection: Connection,
    told: Explanation,
    point: int,
    rule_set: RuleSet,
    seen: _Seen,
) -> Proof | None:
    now, weeks = seen.now, seen.weeks
    zone = ZoneInfo(told.time_zone)
    day = local_day(told.starts_at.astimezone(zone).date(), zone)
    taken = intake.seen_days(connection, [point], Period(day.start, day.end), now=now)
    for work in intake.works(taken):
        if work.interval_seconds != told.interval_seconds:
            continue
        past = replace(work, known_at=seen.known_at, reach=seen.reach)
        for part in intake_cube.intakes(connection, past, weeks=weeks, now=now, add_channels=False):
            kinds = part.channels.reading_type == reading_type.named(told.reading_type).id
            for row in np.flatnonzero(kinds).tolist():
                return _again(part, row, told, rule_set)
    return None


def _rule_set(connection: Connection, version: Version) -> RuleSet | None:
    """Give the rule set that made a version, word by word; None if a person or a file did."""
    if version.kind != "vee" or version.rule_set_digest is None:
        return None
    digest = version.rule_set_digest
    row = connection.execute(_SQL["definition"], {"digest": digest}).fetchone()
    if row is not None:
        return ruleset.parse(row[0], f"{version.rule_set}@{digest[:12]}")
    return next((each for each in ruleset.shipped() if each.digest == digest), None)


def _again(part: Intake, row: int, told: Explanation, rule_set: RuleSet) -> Proof:
    layout = part.layout
    second = int(told.starts_at.timestamp())
    day = int(layout.day_of(np.array([second]))[0])
    slot = (second - int(layout.bounds[day])) // layout.interval_seconds
    place = (row, day, slot)
    scaled = engine.run(part.cube, rule_set)
    code = int(scaled.quality[place])
    value = _value(int(scaled.values[place]), code)
    final = told.final
    estimate = factor = None
    if quality.class_table()[code] == QualityClass.ESTIMATED:
        plain = engine.run(part.cube, replace(rule_set, scale_to_register=False))
        estimate = _value(int(plain.values[place]), int(plain.quality[place]))
        if estimate and value is not None:
            factor = (Decimal(value) / Decimal(estimate)).quantize(1 / _MICRO)
    same = (value, code) == (final.value, final.quality)
    cell = int(np.ravel_multi_index(place, part.cube.shape))
    to = scaled.scaled_to[scaled.scaled == cell].tolist()
    register = reading_type.of_id(to[0]).name if to and to[0] else None
    return Proof(value, code, same, estimate, factor, register)
