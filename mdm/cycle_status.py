"""What a person asks of a cycle: how far it is, what is held and why, what was corrected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from mdm.cycle import Cycle, CycleError, cycles
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle.sql")


Phase = Literal["open", "waiting", "closed"]
"""Of a cycle: not over yet; over, and more data are waited for; nothing is waited for any more."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Consumption of a cycle in one unit, of the newest version of every usage point."""

    commodity: str
    unit: str
    billed: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Status:
    """How far a cycle is.

    Attributes
    ----------
    usage_points : of the billing group
    absent : of these, without determinants: not run yet, or reported as a problem by the run
    waiting, held, ready, released, exported, billed, rejected : by the state of the newest version
    corrections : raised in the cycle
    """

    cycle: Cycle
    usage_points: int
    absent: int
    waiting: int
    held: int
    ready: int
    released: int
    exported: int
    billed: int
    rejected: int
    corrections: int
    sums: tuple[Sum, ...]


@dataclass(frozen=True, slots=True)
class HeldUsagePoint:
    """A usage point that waits for a person, with one reason; ``gate`` may be ``rejected``."""

    determinant_set_id: int
    usage_point: str
    sector: str
    version: int
    state: str
    since: datetime
    gate: str
    detail: str


@dataclass(frozen=True, slots=True)
class CorrectedFigure:
    """A determinant that changed after it was billed.

    ``old_estimated`` and ``new_estimated`` count the estimates that it was made from: fewer now
    make the correction a true-up.
    """

    usage_point: str
    old_version: int
    new_version: int
    state: str
    raised_at: datetime
    name: str
    reading_type: str
    part: str
    unit: str
    old: Decimal | None
    new: Decimal | None
    difference: Decimal
    old_estimated: int
    new_estimated: int


def chosen(connection: Connection, billing_group: str, first: date) -> Cycle:
    """Give a group's cycle that begins on a day.

    Raises
    ------
    CycleError
        if there is none.
    """
    found = cycles(connection, billing_group=billing_group, starts_on=first)
    if not found:
        raise CycleError(
            f"billing group {billing_group!r} has no cycle from {first}; see `miqyas bill status`"
        )
    return found[0]


def status(connection: Connection, cycle: Cycle) -> Status:
    """Tell how far a cycle is."""
    key = {"cycle": cycle.id}
    states: dict[str, int] = {row[0]: row[1] for row in connection.execute(_SQL["states"], key)}
    names = ("waiting", "held", "ready", "released", "exported", "billed", "rejected")
    (counted,) = connection.execute(_SQL["usage_points"], {"billing_group": cycle.billing_group})
    points: int = counted[0]
    corrections = connection.execute(_SQL["correction_count"], key).fetchone()
    return Status(
        cycle=cycle,
        usage_points=points,
        absent=points - sum(states.values()),
        **{name: states.get(name, 0) for name in names},
        corrections=corrections[0] if corrections else 0,
        sums=tuple(
            Sum(commodity, unit, billed or Decimal(0), total or Decimal(0))
            for unit, commodity, billed, total in connection.execute(_SQL["sums"], key)
        ),
    )


def phase(cycle: Cycle, zone: ZoneInfo, now: datetime) -> Phase:
    """Tell which phase a cycle is in, by the clock of a time zone."""
    if now < cycle.period(zone).end:
        return "open"
    return "waiting" if now < cycle.deadline(zone) else "closed"


def zone(connection: Connection, billing_group: str | None = None) -> ZoneInfo:
    """Give the time zone of most usage points of a billing group, or of all; UTC without any."""
    row = connection.execute(_SQL["zone"], {"billing_group": billing_group}).fetchone()
    return ZoneInfo(row[0] if row else "UTC")


def holds(connection: Connection, cycle: Cycle) -> list[HeldUsagePoint]:
    """List what is held or was rejected, one line a reason, by usage point."""
    rows = connection.execute(_SQL["holds"], {"cycle": cycle.id})
    return [HeldUsagePoint(*row) for row in rows]


def corrections(connection: Connection, cycle: Cycle) -> list[CorrectedFigure]:
    """List every figure that changed after it was billed, oldest correction first."""
    rows = connection.execute(_SQL["corrections"], {"cycle": cycle.id})
    return [CorrectedFigure(*row) for row in rows]
