"""Which time it is: the machine's, or a demonstration's own while one is in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "clock.sql")


class ClockError(ValueError):
    """A time that must not be put in force; the message says why."""


def now(connection: Connection) -> datetime:
    """Tell the time, aware, UTC."""
    return simulated(connection) or datetime.now(UTC)


def simulated(connection: Connection) -> datetime | None:
    """Give the simulated time in force; None while the machine's counts."""
    row = connection.execute(_SQL["simulated_now"]).fetchone()
    return row[0].astimezone(UTC) if row else None


def pretend(connection: Connection, moment: datetime, *, end_devices: Sequence[str]) -> None:
    """Put a simulated fleet's time in force, in a database that has its end devices only.

    Raises
    ------
    ClockError
        if the registry has an end device that is not among these: it may be a real one.
    """
    row = connection.execute(_SQL["other_end_device"], {"end_devices": list(end_devices)})
    other = row.fetchone()
    if other:
        raise ClockError(
            f"end device {other[0]!r} of the registry is none of the fleet's: a simulated time "
            "would spoil what is known of it. What to do: use another database"
        )
    simulate(connection, moment)


def resume(connection: Connection) -> None:
    """Put the machine's time in force again."""
    connection.execute(_SQL["resume"])


def simulate(connection: Connection, moment: datetime) -> None:
    """Put a simulated time in force, or move it."""
    connection.execute(_SQL["simulate"], {"now": moment})
