"""How many of the intervals that meters owe have been read."""

from __future__ import annotations

from dataclasses import dataclass

from headend.coverage import SAMPLED
from schemas import statements
from schemas.database import Connection
from schemas.period import Period

_SQL = statements.load("headend", "read_rate.sql")


@dataclass(frozen=True, slots=True)
class ReadRate:
    """Intervals that were due in a period, and how many of them were read."""

    due: int
    read: int

    @property
    def percent(self) -> float | None:
        """Share that was read [%]; None where nothing was due."""
        return 100 * self.read / self.due if self.due else None


def read_rate(connection: Connection, period: Period) -> ReadRate:
    """Count the intervals of a period that installed meters owe, and those that were read.

    An interval counts as read if the raw store has a value of any reading type for it; "the meter
    has none" is no value. Meters without a memory owe a register sample in each interval.
    """
    row = connection.execute(
        _SQL["read_rate"],
        {"start": period.start, "end": period.end, "sampled": list(SAMPLED)},
    ).fetchone()
    due, read = row or (0, 0)
    return ReadRate(int(due), int(read))
