"""Planned edits are made at once, or wait as proposals until another person approves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from mdm import billed_days, readings, worklist, worklist_people
from mdm.editing import Plan, Slots
from mdm.worklist_days import WorklistError
from schemas import statements
from schemas.database import Connection
from schemas.period import Period

_SQL = statements.load("mdm", "editing.sql")
_WORKLIST = statements.load("mdm", "worklist.sql")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one person may change at once without another; a value beyond either has to wait.

    Attributes
    ----------
    intervals : that change
    amount : without its sign [the reading type's display unit: kWh, m³ …]
    """

    intervals: int
    amount: Decimal

    def exceeded(self, plans: Sequence[Plan]) -> str | None:
        """Say what goes beyond them, None if nothing does. What is done at once counts together."""
        changed = sum(len(plan.changes) for plan in plans)
        if changed > self.intervals:
            return f"{changed} intervals, at most {self.intervals} without a second person"
        totals: dict[str, Decimal] = {}
        for plan in plans:
            kind = plan.channel.reading_type
            totals[kind] = totals.get(kind, Decimal(0)) + plan.amount
        for kind, amount in totals.items():
            if amount > self.amount:
                return f"{amount} of {kind}, at most {self.amount} without a second person"
        return None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of plans: days with a new version, and numbers of proposals that wait."""

    days: int
    proposals: tuple[int, ...]
    why: str | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An edit that waits, or was decided."""

    id: int
    channel_id: int
    usage_point: str
    reading_type: str
    proposed_at: datetime
    person: str
    reason: str
    moments: list[datetime]
    values: list[int]
    quality: list[int]
    days: list[datetime]
    versions: list[int]
    amount: Decimal
    after_billing: bool
    restores: bool
    approved: bool | None
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None

    def slots(self) -> Slots:
        """Give what it would write."""
        pairs = zip(self.values, self.quality, strict=True)
        return dict(zip(self.moments, pairs, strict=True))


def carry(
    connection: Connection,
    plans: Sequence[Plan],
    *,
    person: str,
    reason: str,
    limits: Limits,
    now: datetime,
    after_billing: bool = False,
) -> Done:
    """Make planned edits; together beyond the limits, all of them wait for another person.

    Parameters
    ----------
    after_billing : whether days may change that were billed

    Raises
    ------
    WorklistError
        if a day was billed, or person or reason is empty; then nothing is changed.
    """
    worklist.need(person, reason)
    for plan in plans:
        if plan.billed and not after_billing:
            raise WorklistError(f"{plan.billed[0]}; {billed_days.ADVICE}")
    why = limits.exceeded(plans)
    days, waiting = 0, []
    for plan in plans:
        if why:
            waiting.append(
                _propose(connection, plan, (person, reason, now), after_billing=after_billing)
            )
        else:
            days += _write(
                connection, plan.channel_id, plan.slots(), (person, reason, now),
                restores=plan.restores,
            )  # fmt: skip
    return Done(days, tuple(waiting), why)


def proposals(connection: Connection, *, everything: bool = False) -> list[Proposal]:
    """List proposals that wait, or all, oldest first."""
    rows = connection.execute(_SQL["proposals"], {"number": None, "all": everything})
    return [Proposal(*row) for row in rows]


def approve(connection: Connection, number: int, *, person: str, reason: str, now: datetime) -> int:
    """Make a proposed edit as the second person; give how many days changed.

    Raises
    ------
    WorklistError
        if there is none, it was decided, its own author approves it, or a day has a newer version;
        then nothing is changed.
    """
    worklist.need(person, reason)
    found = _waiting(connection, number)
    if found.person.strip().casefold() == person.strip().casefold():
        raise WorklistError(
            f"edit {number} was proposed by {found.person}: another must approve it"
        )
    readings.lock(connection, [found.channel_id])
    limits = {"channel": found.channel_id, "days": found.days}
    rows = connection.execute(_SQL["newest_versions"], limits)
    newest: dict[datetime, int] = {row[0]: row[1] for row in rows}
    for day, version in zip(found.days, found.versions, strict=True):
        if newest.get(day) != version:
            raise WorklistError(
                f"edit {number}: the day of {day:%Y-%m-%d %H:%M} UTC has changed since it was "
                "proposed; refuse it and propose it anew"
            )
    if not found.after_billing:
        _refuse_billed(connection, found)
    both = f"{found.reason} (approved by {person}: {reason})"
    _decide(connection, number, (person, reason, now), approved=True)
    return _write(
        connection, found.channel_id, found.slots(), (found.person, both, now),
        restores=found.restores,
    )  # fmt: skip


def refuse(connection: Connection, number: int, *, person: str, reason: str, now: datetime) -> None:
    """End a proposal without making it; its author may do so too.

    Raises
    ------
    WorklistError
        if there is none, it was decided, or person or reason is empty.
    """
    worklist.need(person, reason)
    _waiting(connection, number)
    _decide(connection, number, (person, reason, now), approved=False)


def _waiting(connection: Connection, number: int) -> Proposal:
    connection.execute(_SQL["lock_proposal"], {"number": number})
    row = connection.execute(_SQL["proposals"], {"number": number, "all": True}).fetchone()
    if row is None:
        raise WorklistError(f"there is no proposed edit {number}; see `miqyas worklist proposals`")
    found = Proposal(*row)
    if found.approved is not None:
        word = "approved" if found.approved else "refused"
        raise WorklistError(f"edit {number} was {word} by {found.decided_by} already")
    return found


def _refuse_billed(connection: Connection, found: Proposal) -> None:
    """Refuse what was billed between proposal and approval."""
    end = max(found.days) + timedelta(seconds=1)
    period = Period(min(found.days), end)
    days = readings.current(connection, [found.channel_id], period)
    billed = [one for one in billed_days.of(connection, days) if one.starts_at in found.days]
    if billed:
        raise WorklistError(f"{billed[0]}; refuse edit {found.id}, and {billed_days.ADVICE}")


def _propose(
    connection: Connection,
    plan: Plan,
    who: tuple[str, str, datetime],
    *,
    after_billing: bool,
) -> int:
    person, reason, now = who
    slots = plan.slots()
    row: Any = connection.execute(
        _SQL["propose"],
        {
            "channel": plan.channel_id,
            "now": now,
            "person": person,
            "reason": reason,
            "moments": list(slots),
            "values": [value for value, _ in slots.values()],
            "quality": [code for _, code in slots.values()],
            "days": [day for day, _ in plan.days],
            "versions": [version for _, version in plan.days],
            "amount": plan.amount,
            "after_billing": after_billing,
            "restores": plan.restores,
        },
    ).fetchone()
    return int(row[0])


def _decide(
    connection: Connection, number: int, who: tuple[str, str, datetime], *, approved: bool
) -> None:
    person, reason, now = who
    decided = {"number": number, "now": now, "approved": approved}
    connection.execute(_SQL["decide_edit"], {**decided, "person": person, "reason": reason})


def _write(
    connection: Connection,
    channel_id: int,
    slots: Slots,
    who: tuple[str, str, datetime],
    *,
    restores: bool,
) -> int:
    person, reason, now = who
    made = worklist.edit(
        connection,
        channel_id,
        {at: value for at, (value, _) in slots.items()},
        codes={at: code for at, (_, code) in slots.items()},
        person=person,
        reason=reason,
        now=now,
        settles=not restores,
        after_billing=True,
    )
    if restores:
        # What was decided by the edit that is taken back waits for somebody again.
        end = max(slots) + timedelta(seconds=1)
        stretch = {"channel": channel_id, "start": min(slots), "end": end}
        ids = [row[0] for row in connection.execute(_WORKLIST["reopen"], stretch)]
        worklist_people.note(connection, ids, "reopened", person=person, reason=reason, now=now)
    return made
