"""One usage point's newest bill: what was computed, how far it has come, what holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "bill.sql")


@dataclass(frozen=True, slots=True)
class Line:
    """A determinant; ``value`` is None where there is none, and ``note`` then says why.

    ``starts_at`` is when a highest demand began; for sums it is the start of the period.
    """

    name: str
    reading_type: str
    part: str
    value: Decimal | None
    unit: str
    starts_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Bill:
    """A usage point in its last cycle; ``holds`` are the details of gates it did not pass.

    ``starts_on`` is in the cycle, ``ends_on`` is not.
    """

    determinant_set_id: int
    billing_group: str
    starts_on: date
    ends_on: date
    version: int
    state: str
    computed_at: datetime
    tariff: str
    holds: tuple[str, ...]
    lines: tuple[Line, ...]


def last(connection: Connection, usage_point_id: int) -> Bill | None:
    """Give the newest version of a usage point's last cycle; None before its first."""
    found = connection.execute(_SQL["last_set"], {"usage_point": usage_point_id}).fetchone()
    if found is None:
        return None
    lines = connection.execute(_SQL["lines"], {"set": found[0]})
    values = [*found[:8], tuple(found[8]), tuple(Line(*line) for line in lines)]
    return Bill(*values)
