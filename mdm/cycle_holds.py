"""The worklist of bills: what is held or was rejected, why, since when, whose it is; decisions.

Every decision is a person's, with a reason, and stands for ever beside the set; only the set's
state moves. What the invoicing system rejected stands in the same list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from mdm.cycle import CycleError
from mdm.cycle_gates import GATES
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle_holds.sql")

REASONS: Final = {
    **GATES,
    "rejected": "The invoicing system rejected it, and says why.",
    "refused": "A person rejected it, and says why.",
}
"""Why something is in the worklist: its gates, and the two ways to be rejected."""


@dataclass(frozen=True, slots=True)
class Item:
    """A usage point's determinant set that waits for a person.

    Attributes
    ----------
    id : of the determinant set
    state : held or rejected
    since : when it was computed, or rejected
    gates, details : why it is here, out of ``REASONS``, and the figures that say so
    value, unit : its consumption; None where there is none
    """

    id: int
    billing_group: str
    starts_on: date
    ends_on: date
    usage_point: str
    sector: str
    time_zone: str
    version: int
    state: str
    since: datetime
    gates: tuple[str, ...]
    details: tuple[str, ...]
    assigned_to: str | None
    value: Decimal | None
    unit: str | None

    @property
    def reasons(self) -> tuple[tuple[str, str], ...]:
        """Gates with their details."""
        return tuple(zip(self.gates, self.details, strict=True))


class Cause(NamedTuple):
    """How many sets are held by a gate or rejected, and since when the oldest."""

    gate: str
    sets: int
    oldest: datetime


class Event(NamedTuple):
    """What a person did with a set."""

    happened_at: datetime
    kind: str
    person: str
    assignee: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of them: by group, first day of the cycle, usage point, reason and person."""

    billing_group: str | None = None
    starts_on: date | None = None
    usage_point: str | None = None
    gate: str | None = None
    assigned_to: str | None = None


_EVERYTHING: Final = Wanted()


def items(
    connection: Connection,
    wanted: Wanted = _EVERYTHING,
    *,
    ids: Sequence[int] | None = None,
    states: Sequence[str] = ("held", "rejected"),
    limit: int | None = None,
    offset: int = 0,
) -> list[Item]:
    """List what waits for a person, oldest cycle and longest waiting first.

    Parameters
    ----------
    states : others than held and rejected are what was decided and may be taken back
    """
    rows = connection.execute(
        _SQL["items"],
        {
            "billing_group": wanted.billing_group,
            "starts_on": wanted.starts_on,
            "usage_point": wanted.usage_point,
            "gate": wanted.gate,
            "assigned_to": wanted.assigned_to,
            "ids": None if ids is None else list(ids),
            "states": list(states),
            "limit": limit,
            "offset": offset,
        },
    )
    found = ([*row[:10], tuple(row[10]), tuple(row[11]), *row[12:]] for row in rows)
    return [Item(*fields) for fields in found]


def causes(connection: Connection, billing_group: str | None = None) -> list[Cause]:
    """Count what waits for a person by reason, the most frequent first; a set has one or more."""
    rows = connection.execute(_SQL["causes"], {"billing_group": billing_group})
    return [Cause(*row) for row in rows]


def history(connection: Connection, number: int) -> list[Event]:
    """List what people did with a set, oldest first."""
    return [Event(*row) for row in connection.execute(_SQL["history"], {"set": number})]


def assign(
    connection: Connection, ids: Sequence[int], assignee: str | None, *, person: str, now: datetime
) -> None:
    """Give sets to somebody, None for nobody.

    Raises
    ------
    CycleError
        if one of them waits for nobody; then nothing is changed.
    """
    if not person.strip():
        raise CycleError("who assigns must be named")
    _taken(connection, ids, ("held", "rejected"), "assigned")
    _event(connection, ids, "assigned", person=person, now=now, assignee=assignee)


def release(
    connection: Connection, ids: Sequence[int], *, person: str, reason: str, now: datetime
) -> None:
    """Have sets billed as they are.

    Raises
    ------
    CycleError
        if one is neither held nor rejected, or person or reason is empty; then nothing is changed.
    """
    _need(person, reason)
    _taken(connection, ids, ("held", "rejected"), "released")
    fields = {"ids": list(ids), "person": person, "reason": reason, "now": now}
    connection.execute(_SQL["add_releases"], fields)
    connection.execute(_SQL["move"], {"ids": list(ids), "state": "released"})


def reject(
    connection: Connection, ids: Sequence[int], *, person: str, reason: str, now: datetime
) -> None:
    """Have sets not billed as they are; new data make new versions all the same.

    Raises
    ------
    CycleError
        if one is not held, or person or reason is empty; then nothing is changed.
    """
    _need(person, reason)
    _taken(connection, ids, ("held",), "rejected")
    _event(connection, ids, "rejected", person=person, reason=reason, now=now)
    connection.execute(_SQL["move"], {"ids": list(ids), "state": "rejected"})


def undo(
    connection: Connection, ids: Sequence[int], *, person: str, reason: str, now: datetime
) -> None:
    """Take decisions back: what was released and has not gone out, or rejected, is held again.

    Raises
    ------
    CycleError
        if one has gone out or no person decided it, or person or reason is empty; then nothing is
        changed.
    """
    _need(person, reason)
    for found in _taken(connection, ids, ("released", "rejected"), "undone"):
        if found.state == "rejected" and found.decided != "rejected":
            raise CycleError(
                f"{found}: the invoicing system rejected it, which nobody here can undo; "
                "release it, or have its data put right"
            )
    _event(connection, ids, "undone", person=person, reason=reason, now=now)
    connection.execute(_SQL["move"], {"ids": list(ids), "state": "held"})


class _Taken(NamedTuple):
    """A set that is about to be decided, locked until the transaction ends."""

    id: int
    state: str
    usage_point: str
    billing_group: str
    starts_on: date
    decided: str | None

    def __str__(self) -> str:
        return (
            f"{self.usage_point} in cycle {self.billing_group} from {self.starts_on} "
            f"(no. {self.id}, {self.state})"
        )


def _taken(
    connection: Connection, ids: Sequence[int], states: Sequence[str], to_be: str
) -> list[_Taken]:
    """Lock sets that are to be decided; refuse all if one is in another state."""
    rows = connection.execute(_SQL["take"], {"ids": list(ids)})
    found = [_Taken(*row) for row in rows]
    if gone := sorted(set(ids) - {one.id for one in found}):
        raise CycleError(f"there is no held usage point {gone[0]}; see `miqyas bill holds list`")
    for one in found:
        if one.state not in states:
            raise CycleError(f"{one} cannot be {to_be}: only what is {' or '.join(states)} can")
    return found


def _event(
    connection: Connection,
    ids: Sequence[int],
    kind: str,
    *,
    person: str,
    now: datetime,
    reason: str = "",
    assignee: str | None = None,
) -> None:
    fields = {"kind": kind, "now": now, "person": person, "assignee": assignee, "reason": reason}
    connection.execute(_SQL["add_events"], {"ids": list(ids), **fields})


def _need(person: str, reason: str) -> None:
    if not person.strip() or not reason.strip():
        raise CycleError("a decision needs a person and a reason")
