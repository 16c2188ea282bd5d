"""Half-open stretches of time, local days and the slots inside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_OUT_OF_REACH: Final = "is out of reach; give days from 1900 to 8999"


class PeriodError(ValueError):
    """A day or a stretch of time that cannot be; the message says which."""


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A stretch of time, ``start`` in it and ``end`` not, both aware and in UTC.

    Raises
    ------
    PeriodError
        if a bound has no zone or is out of reach, or the end is before the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise PeriodError(f"period {self.start} … {self.end} needs times with a zone")
        try:
            object.__setattr__(self, "start", self.start.astimezone(UTC))
            object.__setattr__(self, "end", self.end.astimezone(UTC))
        except OverflowError as error:
            raise PeriodError(f"{self.start} … {self.end} {_OUT_OF_REACH}") from error
        if self.end < self.start:
            raise PeriodError(f"period ends ({self.end}) before it starts ({self.start})")

    @property
    def duration(self) -> timedelta:
        """Time from start to end."""
        return self.end - self.start

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __bool__(self) -> bool:
        return self.start < self.end

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} … {self.end:%Y-%m-%d %H:%M} UTC"

    def intersection(self, other: Period) -> Period | None:
        """Give the stretch that both share, None if there is none."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None


def local_day(day: date, zone: ZoneInfo) -> Period:
    """Give a local day's period: 23, 24 or 25 hours where clocks change.

    Raises
    ------
    PeriodError
        if it is one of the first or last that a calendar has.
    """
    try:
        start = datetime.combine(day, time.min, zone)
        end = datetime.combine(day + timedelta(days=1), time.min, zone)
        return Period(start.astimezone(UTC), end.astimezone(UTC))
    except OverflowError as error:
        raise PeriodError(f"the day {day.isoformat()} {_OUT_OF_REACH}") from error


def local_days(period: Period, zone: ZoneInfo) -> Iterator[tuple[date, Period]]:
    """Give every local day that a period touches, whole, oldest first."""
    day = period.start.astimezone(zone).date()
    while (whole := local_day(day, zone)).start < period.end:
        yield day, whole
        day += timedelta(days=1)


def slots(period: Period, interval_seconds: int) -> int:
    """Count the whole intervals in a period."""
    return int(period.duration.total_seconds()) // interval_seconds


def floor(moment: datetime, interval_seconds: int) -> datetime:
    """Give the last grid point at or before a moment, on a grid that has 00:00 UTC of 1970."""
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % interval_seconds, UTC)
