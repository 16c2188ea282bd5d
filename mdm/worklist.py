"""The worklist: findings that wait for a person, and what a person can do about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import billed_days, readings, readings_columns, vee, worklist_days
from mdm.intake_layout import Weeks
from mdm.vee import Report
from mdm.worklist_days import WorklistError
from schemas import quality, statements
from schemas.database import Connection
from schemas.period import Period, local_day
from schemas.quality import QualityClass
from schemas.reading import BlockTable
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "worklist.sql")
_INT32: Final = np.iinfo(np.int32)

State = Literal["open", "accepted", "edited", "resolved", "superseded"]
Severity = Literal["info", "issue", "terminate"]


@dataclass(frozen=True, slots=True)
class Item:
    """A finding with where it is; the stretch from ``starts_at`` to ``ends_at`` is half-open."""

    id: int
    channel_id: int
    usage_point: str
    reading_type: str
    interval_seconds: int
    time_zone: str
    day: datetime
    starts_at: datetime
    ends_at: datetime
    rule: str
    severity: Severity
    action: str
    observed: float | None
    limit: float | None
    found_at: datetime
    state: State
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    billing_group: str
    assigned_to: str | None
    held_until: datetime | None

    @property
    def local_date(self) -> date:
        """The local day in which it starts."""
        return self.day.astimezone(ZoneInfo(self.time_zone)).date()

    def overdue(self, after: Mapping[str, timedelta], now: datetime) -> bool:
        """Tell whether it has waited too long for its severity; what is held has not."""
        held = self.held_until is not None and self.held_until > now
        return self.state == "open" and not held and now - self.found_at > after[self.severity]


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one cause: how many, at how many usage points, from when to when.

    ``oldest`` is when the first of them was found.
    """

    rule: str
    severity: Severity
    action: str
    findings: int
    usage_points: int
    first: datetime
    last: datetime
    oldest: datetime


def findings(
    connection: Connection,
    *,
    state: State | None = "open",
    rule: str | None = None,
    severity: Severity | None = None,
    usage_point: str | None = None,
    billing_group: str | None = None,
    assigned_to: str | None = None,
    period: Period | None = None,
    number: int | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Item]:
    """List findings, issues before mere information, then the oldest first.

    Parameters
    ----------
    state, rule, severity, usage_point, billing_group, assigned_to, number : only those; None for
        any
    period : only those that reach into it
    """
    rows = connection.execute(
        _SQL["findings"],
        {
            "state": state,
            "rule": rule,
            "severity": severity,
            "usage_point": usage_point,
            "billing_group": billing_group,
            "assigned_to": assigned_to,
            "number": number,
            "start": period.start if period else None,
            "end": period.end if period else None,
            "limit": limit,
            "offset": offset,
        },
    )
    return [Item(*row) for row in rows]


def groups(
    connection: Connection, *, state: State = "open", usage_point: str | None = None
) -> list[Group]:
    """Count findings by cause, issues before mere information, then the most frequent first."""
    rows = connection.execute(_SQL["groups"], {"state": state, "usage_point": usage_point})
    return [Group(*row) for row in rows]


def severities(connection: Connection) -> dict[str, int]:
    """Count what is open by severity."""
    return {row[0]: row[1] for row in connection.execute(_SQL["severities"])}


def accept(
    connection: Connection,
    ids: Sequence[int],
    *,
    person: str,
    reason: str,
    now: datetime,
    after_billing: bool = False,
) -> int:
    """Accept what validation found: doubted values stand from now on; give how many days changed.

    Estimates stay estimates, and what is missing stays missing.

    Parameters
    ----------
    after_billing : whether days may change that were billed

    Raises
    ------
    WorklistError
        if a finding is gone or not open, a day was billed, or person or reason is empty; then
        nothing is changed.
    """
    need(person, reason)
    channels = sorted({each.channel_id for each in named(connection, ids)})
    # Usage points first, as validation runs do; what is open is known for sure only then.
    readings.lock(connection, channels)
    chosen = open_findings(connection, ids)
    start = min(each.day for each in chosen)
    end = max(each.ends_at for each in chosen)
    before = readings.current(connection, channels, Period(start, end), origins=True)
    inside = np.zeros(before.values.shape, np.bool_)
    for each in chosen:
        inside |= worklist_days.inside(before, each.channel_id, each.starts_at, each.ends_at)
    doubted = inside & (quality.classes(before.quality) == QualityClass.QUESTIONABLE)
    made = _record(
        connection,
        before,
        before.values,
        np.where(doubted, np.int16(quality.ACCEPTED), before.quality),
        ("accept", person, reason, now),
        after_billing=after_billing,
    )
    decided = {"state": "accepted", "person": person, "reason": reason, "now": now}
    connection.execute(_SQL["decide"], {"ids": [each.id for each in chosen], **decided})
    return made


def edit(
    connection: Connection,
    channel_id: int,
    values: Mapping[datetime, int],
    *,
    person: str,
    reason: str,
    now: datetime,
    codes: Mapping[datetime, int] | None = None,
    settles: bool = True,
    after_billing: bool = False,
) -> int:
    """Set values of intervals by hand, each by its start; give how many days changed.

    Open findings that lie wholly in the edited intervals are closed with the edit. Which edits need
    a second person, ``mdm.editing`` knows.

    Parameters
    ----------
    values : after the multiplier [the reading type's scaled unit]
    codes : their qualities; None for EDITED
    settles : whether findings are closed
    after_billing : whether days may change that were billed

    Raises
    ------
    WorklistError
        if the channel, a day or an interval does not exist, a value does not fit the store, a day
        was billed, or person or reason is empty; then nothing is changed.
    """
    need(person, reason)
    if not values:
        raise WorklistError("no values given: name at least one interval by its start")
    channel = worklist_days.channel_of(connection, channel_id)
    readings.lock(connection, [channel_id])
    zone = ZoneInfo(channel.time_zone)
    first, last = (
        local_day(moment.astimezone(zone).date(), zone) for moment in (min(values), max(values))
    )
    before = readings.current(connection, [channel_id], Period(first.start, last.end), origins=True)
    edited, qualities = before.values.copy(), before.quality.copy()
    for moment, value in values.items():
        row, slot = worklist_days.slot(before, channel, moment)
        if not _INT32.min <= value <= _INT32.max:
            raise WorklistError(
                f"{channel}: {value} at {worklist_days.utc(moment)} does not fit into 32 bits"
            )
        edited[row, slot] = value
        qualities[row, slot] = quality.EDITED if codes is None else codes[moment]
    made = _record(
        connection,
        before,
        edited,
        qualities,
        ("edit", person, reason, now),
        after_billing=after_billing,
    )
    if not settles:
        return made
    ids = _covered(connection, channel_id, sorted(values), channel.interval_seconds)
    decided = {"state": "edited", "person": person, "reason": reason, "now": now}
    connection.execute(_SQL["decide"], {"ids": ids, **decided})
    return made


def rerun(
    connection: Connection,
    ids: Sequence[int],
    *,
    now: datetime,
    weeks: Weeks | None = None,
    rule_sets: Sequence[RuleSet] = (),
    over_people: bool = False,
) -> Report:
    """Validate the days of findings again, such as after a change of the rules or the registry.

    Parameters
    ----------
    over_people : whether edited and accepted values give way to what was read

    Raises
    ------
    WorklistError
        if a finding is gone.
    """
    report = Report()
    for each in named(connection, ids):
        report += vee.validate(
            connection,
            [each.usage_point_id],
            Period(each.starts_at, each.ends_at),
            now=now,
            weeks=weeks,
            rule_sets=rule_sets,
            over_people=over_people,
        )
    return report


@dataclass(frozen=True, slots=True)
class Named:
    """A finding as decisions need it."""

    id: int
    channel_id: int
    usage_point_id: int
    usage_point: str
    day: datetime
    starts_at: datetime
    ends_at: datetime
    state: State


def need(person: str, reason: str) -> None:
    """Refuse a decision without a person or a reason."""
    for what, given in (("person", person), ("reason", reason)):
        if not given.strip():
            raise WorklistError(f"a decision needs a {what}: it stands in the record for ever")


def named(connection: Connection, ids: Sequence[int]) -> list[Named]:
    """Give findings by their numbers, whatever their state.

    Raises
    ------
    WorklistError
        if one is gone.
    """
    if not ids:
        raise WorklistError("no findings given: name at least one by its number")
    rows = [Named(*row) for row in connection.execute(_SQL["named_findings"], {"ids": list(ids)})]
    gone = sorted(set(ids) - {each.id for each in rows})
    if gone:
        raise WorklistError(f"there is no finding {', '.join(map(str, gone))}")
    return rows


def open_findings(connection: Connection, ids: Sequence[int]) -> list[Named]:
    """Give findings by their numbers.

    Raises
    ------
    WorklistError
        if one is gone or not open.
    """
    found = named(connection, ids)
    for each in found:
        if each.state != "open":
            raise WorklistError(
                f"finding {each.id} at {each.usage_point} is {each.state}, not open; "
                "list the worklist again"
            )
    return found


def _record(
    connection: Connection,
    before: BlockTable,
    values: NDArray[np.int32],
    codes: NDArray[np.int16],
    who: tuple[Literal["edit", "accept"], str, str, datetime],
    *,
    after_billing: bool,
) -> int:
    kind, person, reason, now = who
    days = readings_columns.with_content(before, values, codes)
    changed = np.flatnonzero(readings.differing(days, before))
    if not len(changed):
        return 0
    found = (
        [] if after_billing else billed_days.of(connection, readings_columns.taken(days, changed))
    )
    if found:
        raise WorklistError(f"{found[0]}; {billed_days.ADVICE}")
    provenance = readings.add_provenance(
        connection, kind, recorded_at=now, person=person, reason=reason
    )
    return readings.record(
        connection, days, provenance_id=provenance, recorded_at=now, previous=before
    )


def _covered(
    connection: Connection, channel_id: int, moments: Sequence[datetime], interval_seconds: int
) -> list[int]:
    """Give open findings whose every slot is among the edited ones."""
    step = timedelta(seconds=interval_seconds)
    limits: dict[str, Any] = {
        "channel": channel_id,
        "start": moments[0],
        "end": moments[-1] + step,
    }
    edited = {int(moment.timestamp()) for moment in moments}
    found = []
    for number, start, end in connection.execute(_SQL["open_in"], limits):
        slots = range(int(start.timestamp()), int(end.timestamp()), interval_seconds)
        if edited.issuperset(slots):
            found.append(number)
    return found
