"""The schedules that the database keeps: added, listed, switched on and off, removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headend import crontab, schedule
from headend.schedule import Schedule
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "schedules.sql")
_YEAR: Final = 366 * 86_400


class ScheduleError(ValueError):
    """A schedule that cannot be; the message says what, where and what to do."""


def add(
    connection: Connection,
    name: str,
    *,
    group: str,
    reads: Sequence[str],
    now: datetime,
    cron: str | None = None,
    interval_seconds: int | None = None,
    time_zone: str = "UTC",
    stagger_seconds: int = 0,
    misfire: str = "once",
    grace_seconds: int = 300,
    enabled: bool = True,
    keep_clock_seconds: int | None = None,
) -> Schedule:
    """Add a schedule; it fires from now on. See ``headend.schedule.Schedule`` for the parameters.

    Raises
    ------
    ScheduleError
        naming the field, its value, and what it should be.
    """
    made = Schedule(
        0, name, group, cron, interval_seconds, time_zone, tuple(dict.fromkeys(reads)),
        stagger_seconds, misfire, grace_seconds, enabled,  # type: ignore[arg-type]  # checked next
        keep_clock_seconds,
    )  # fmt: skip
    _check(made, now)
    if find(connection, name) is not None:
        raise ScheduleError(f"schedule {name!r} exists already; remove it, or use another name")
    row = connection.execute(
        _SQL["add"],
        {
            "name": name, "group": group, "cron": cron, "interval_seconds": interval_seconds,
            "time_zone": time_zone, "reads": list(made.reads), "stagger_seconds": stagger_seconds,
            "misfire": misfire, "grace_seconds": grace_seconds, "enabled": enabled, "now": now,
            "keep_clock_seconds": keep_clock_seconds,
        },
    ).fetchone()  # fmt: skip
    if row is None:
        raise ScheduleError(
            f"schedule {name!r}: there is no group {group!r}; make it first, for example with the"
            " selector protocol=dlms"
        )
    return _schedule(row)


def schedules(connection: Connection) -> list[Schedule]:
    """List all schedules by name."""
    return [_schedule(row) for row in connection.execute(_SQL["schedules"])]


def find(connection: Connection, name: str) -> Schedule | None:
    """Find a schedule by its name."""
    return next((one for one in schedules(connection) if one.name == name), None)


def enable(connection: Connection, name: str, *, enabled: bool, now: datetime) -> None:
    """Switch a schedule on or off; what fell due while it was off stays unread.

    Raises
    ------
    ScheduleError
        if there is none of that name.
    """
    row = {"name": name, "enabled": enabled, "now": now}
    if not connection.execute(_SQL["enable"], row).rowcount:
        raise ScheduleError(_unknown(connection, name))


def remove(connection: Connection, name: str) -> None:
    """Remove a schedule; what it has queued is still read.

    Raises
    ------
    ScheduleError
        if there is none of that name.
    """
    if not connection.execute(_SQL["remove"], {"name": name}).rowcount:
        raise ScheduleError(_unknown(connection, name))


def _unknown(connection: Connection, name: str) -> str:
    names = ", ".join(one.name for one in schedules(connection)) or "none yet"
    return f"there is no schedule {name!r}; there are: {names}"


def _check(made: Schedule, now: datetime) -> None:
    """Refuse what the database would refuse too, in words that help."""
    unknown = [read for read in made.reads if read not in schedule.READS]
    problems = {
        "an empty name": not made.name.strip(),
        f"reads {unknown!r}; choose from {', '.join(schedule.READS)}": unknown or not made.reads,
        "give either a cron expression or an interval, not both": (
            (made.cron is None) == (made.interval_seconds is None)
        ),
        f"interval {made.interval_seconds} s; it must be positive, for example 900": (
            made.interval_seconds is not None and made.interval_seconds <= 0
        ),
        f"misfire {made.misfire!r}; choose from {', '.join(schedule.MISFIRES)}": (
            made.misfire not in schedule.MISFIRES
        ),
        f"interval {made.interval_seconds} s; at most a year, {_YEAR}": (
            (made.interval_seconds or 0) > _YEAR
        ),
        f"stagger and grace are seconds, from 0 to {_YEAR}": not (
            0 <= made.stagger_seconds <= _YEAR and 0 <= made.grace_seconds <= _YEAR
        ),
        "a clock is kept within seconds, 1 or more": (
            made.keep_clock_seconds is not None and made.keep_clock_seconds < 1
        ),
        "a clock can be kept only where the schedule reads it: read clock, too": (
            made.keep_clock_seconds is not None and "clock" not in made.reads
        ),
    }
    for problem, wrong in problems.items():
        if wrong:
            raise ScheduleError(f"schedule {made.name!r}: {problem}")
    try:
        ZoneInfo(made.time_zone)
        never = schedule.following(made, now) is None
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        if isinstance(error, crontab.BadCron):
            raise ScheduleError(f"schedule {made.name!r}: {error}") from error
        raise ScheduleError(
            f"schedule {made.name!r}: no time zone {made.time_zone!r}, for example Asia/Kuwait"
        ) from error
    if never:
        raise ScheduleError(f"schedule {made.name!r}: {made.cron!r} never comes; check its dates")


def _schedule(row: tuple[object, ...]) -> Schedule:
    values = list(row)
    values[6] = tuple(values[6])  # type: ignore[arg-type]  # text[]
    return Schedule(*values)  # type: ignore[arg-type]  # columns in the order of the fields
