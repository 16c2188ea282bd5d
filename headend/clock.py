"""Which time it is: the machine's, or a demonstration's own while one is in force."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "clock.sql")


def now(connection: Connection) -> datetime:
    """Tell the time, aware, UTC."""
    return simulated(connection) or datetime.now(UTC)


def simulated(connection: Connection) -> datetime | None:
    """Give the simulated time in force; None while the machine's counts."""
    row = connection.execute(_SQL["simulated_now"]).fetchone()
    return row[0].astimezone(UTC) if row else None


def simulate(connection: Connection, moment: datetime) -> None:
    """Put a simulated time in force, or move it."""
    connection.execute(_SQL["simulate"], {"now": moment})
