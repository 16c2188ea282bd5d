"""Any final interval explains itself: what was read, which rules, which estimate, scaled how, who.

What a validation run made is computed again, with the rule set word by word as it was, from what
was known when it ran: readings, the record, the registry, check meters, outages, other flows,
profiles and temperatures. What is a sum is computed again from the versions that it names. So an
explanation is no story that was written down: it is a proof, or it says that it fails. What has
changed since is named, and what the same rules would make of it now.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from mdm import explain_again, explain_changes, explain_known, explain_virtual, vee_weeks
from mdm.explain_virtual import Input
from mdm.explanation import Dial, Explanation, Found, Proof, Raw, Version
from mdm.intake_layout import Weeks
from schemas import reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "explain.sql")
_NEWEST: Final = 2**31 - 1
_value = explain_again.value


class ExplainError(ValueError):
    """There is nothing to explain; the message says why and what to do."""


def explain(
    connection: Connection,
    name: str,
    moment: datetime,
    *,
    now: datetime,
    weeks: Weeks | None = None,
    version: int | None = None,
) -> list[Explanation]:
    """Explain the intervals of all channels of a usage point or end device in which a moment lies.

    The caller's transaction can write nothing from here on.

    Parameters
    ----------
    name : usage point, or the end device that was installed then
    moment : aware
    version : of the day; None for the one that counts

    Raises
    ------
    ExplainError
        if there is no such place or version, or the record has nothing of that moment.
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
    rows = connection.execute(_SQL["versions"], limits).fetchall()
    if not rows:
        raise ExplainError(
            f"the record has no interval of {mrid} at {moment:%Y-%m-%d %H:%M %z}; "
            "if it has been read, run `miqyas vee run`"
        )
    # Where the time zone was corrected, a moment may lie in two days; the newest day counts.
    channels = {row[0]: row[3] for row in sorted(rows, key=lambda row: row[6])}
    found = []
    for channel, day in sorted(channels.items()):
        mine = [row for row in rows if row[0] == channel and row[3] == day]
        if version is None or version in {row[5] for row in mine}:
            told = _told(connection, mine, version or _NEWEST, (point, mrid, zone))
            found.append(_proved(connection, told, point, mine[0], (now, weeks)))
    if not found:
        raise ExplainError(f"that day of {mrid} has no version {version}; leave --version away")
    return found


def _proved(
    connection: Connection,
    told: Explanation,
    point: int,
    row: tuple[Any, ...],
    when: tuple[datetime, Weeks | None],
) -> Explanation:
    """Compute an interval again, and see what has changed since."""
    channel, day = row[0], row[3]
    now, weeks = when[0], when[1] or vee_weeks.shipped()
    told = replace(
        told,
        changes=explain_changes.since(connection, told, point),
        waiting=explain_virtual.waiting(connection, channel, told.starts_at),
    )
    if told.final.kind == "virtual":
        return replace(told, proof=_sum(connection, told, channel, day))
    proof = explain_again.proof(connection, told, point, now, weeks)
    if proof is None or not told.changes:
        return replace(told, proof=proof)
    today = explain_again.today(connection, told, point, now, weeks)
    return replace(told, proof=proof, today=today)


def _told(
    connection: Connection, every: list[tuple[Any, ...]], version: int, place: tuple[int, str, str]
) -> Explanation:
    """Gather what there is about an interval, as of one version of its day."""
    point, mrid, zone = place
    rows = [row for row in every if row[5] <= version]
    channel, kind, seconds, day, slot = rows[0][:5]
    start = day + timedelta(seconds=seconds * slot)
    stretch = {"start": start, "end": start + timedelta(seconds=seconds)}
    device = _device(connection, {"usage_point": point, "moment": start}, rows[-1][15])
    raw, dials = _read(connection, device, kind, stretch)
    findings = connection.execute(_SQL["findings"], {"channel": channel, **stretch})
    inputs: tuple[Input, ...] = ()
    if any(row[9] == "virtual" for row in rows):
        inputs = explain_virtual.inputs(connection, channel, day, stretch, version)
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
        raw=raw,
        dials=dials,
        findings=tuple(Found(*one) for one in findings),
        proof=None,
        inputs=inputs,
        superseded=len(every) - len(rows),
    )


def _read(
    connection: Connection,
    device: tuple[Any, ...] | None,
    kind: str,
    stretch: dict[str, datetime],
) -> tuple[tuple[Raw, ...], tuple[Dial, ...]]:
    """Give what was read for an interval, and the register beside it."""
    if device is None:
        return (), ()
    mine = {"end_device": device[0], "moment": stretch["start"]}
    raw = connection.execute(_SQL["raw"], {**mine, "reading_type": kind})
    register = reading_type.named(kind).cumulative
    dials = connection.execute(_SQL["dials"], {**mine, **stretch, "register": register})
    return tuple(
        Raw(start, length, _value(value, code), code, *rest)
        for start, length, value, code, *rest in raw.fetchall()
    ), tuple(Dial(*one) for one in dials.fetchall())


def _sum(connection: Connection, told: Explanation, channel: int, day: datetime) -> Proof | None:
    """Compute an interval of a virtual channel again, from the versions that it names."""
    made = explain_virtual.again(connection, channel, day, told.starts_at, told.final.number)
    if made is None:
        return None
    same = (made.value, made.quality) == (told.final.value, told.final.quality)
    same = same and not made.differing
    return Proof(
        made.value, made.quality, same, None, None, beneath=made.beneath, differing=made.differing
    )


def _device(
    connection: Connection, limits: dict[str, Any], made_at: datetime
) -> tuple[Any, ...] | None:
    """Give what the registry knew to be installed when a version was made, else what it knows."""
    with explain_known.at(connection, made_at):
        then = connection.execute(_SQL["installed"], limits).fetchone()
    return then or connection.execute(_SQL["installed"], limits).fetchone()
