"""Local days as columns: kind of day, length in slots and the clock time of each slot."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas import period

WEEKDAY: Final = 0
WEEKEND: Final = 1
HOLIDAY: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Consecutive local days, oldest first.

    Attributes
    ----------
    weekday : shape (d,), local weekday, Monday 0
    weekend : shape (d,), True on the calendar's weekend days
    holiday : shape (d,), True on holidays, whatever their weekday
    length : shape (d,), slots in the day: fewer or more where clocks change
    month : shape (d,), month of the local day, January 1; None where it isn't known
    clock : shape (d, n), local time of day of each slot, counted in slots from 00:00;
        -1 at or past the day's length

    Raises
    ------
    ValueError
        if shapes differ, or a length and the clock disagree.
    """

    weekday: NDArray[np.int8]
    weekend: NDArray[np.bool_]
    holiday: NDArray[np.bool_]
    length: NDArray[np.int32]
    clock: NDArray[np.int16]
    month: NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        shape = self.weekday.shape
        if len(shape) != 1 or any(
            column.shape != shape for column in (self.weekend, self.holiday, self.length)
        ):
            raise ValueError("days: weekday, weekend, holiday and length have one entry a day")
        if self.clock.ndim != 2 or self.clock.shape[:1] != shape:
            raise ValueError(f"days: clock is {self.clock.shape}, not ({len(self)}, slots)")
        if not np.array_equal((self.clock >= 0).sum(axis=1), self.length):
            raise ValueError("days: clock has a time for each slot of the day's length, else -1")

    def __len__(self) -> int:
        return len(self.weekday)

    @property
    def exists(self) -> NDArray[np.bool_]:
        """Shape (d, n), False at the padding past a day's length."""
        return np.asarray(self.clock >= 0)

    @property
    def kind(self) -> NDArray[np.int8]:
        """Shape (d,), WEEKDAY, WEEKEND or HOLIDAY; a holiday's weekday doesn't matter."""
        kind = np.where(self.weekend, WEEKEND, WEEKDAY)
        return np.where(self.holiday, HOLIDAY, kind).astype(np.int8)


def of(
    first: date,
    count: int,
    zone: ZoneInfo,
    interval_seconds: int,
    *,
    weekend: AbstractSet[int],
    holidays: AbstractSet[date] = frozenset(),
) -> Days:
    """Lay out consecutive local days of a time zone.

    Parameters
    ----------
    first : first local day
    count : number of days, at least 1
    zone : time zone of the usage points
    interval_seconds : length of a slot [s]
    weekend : the calendar's weekend, Monday 0 (Kuwait: {4, 5})
    holidays : the calendar's holidays

    Returns
    -------
    ``Days`` as wide as the longest of them, so 96 columns where no clock goes back
    """
    dates = [first + timedelta(days=offset) for offset in range(count)]
    clocks = [_clock(day, zone, interval_seconds) for day in dates]
    length = np.array([len(clock) for clock in clocks], dtype=np.int32)
    clock = np.full((count, int(length.max())), -1, dtype=np.int16)
    for row, times in zip(clock, clocks, strict=True):
        row[: len(times)] = times
    weekday = np.array([day.weekday() for day in dates], dtype=np.int8)
    return Days(
        weekday=weekday,
        weekend=np.isin(weekday, list(weekend)),
        holiday=np.array([day in holidays for day in dates], dtype=np.bool_),
        length=length,
        clock=clock,
        month=np.array([day.month for day in dates], dtype=np.int8),
    )


def _clock(day: date, zone: ZoneInfo, interval_seconds: int) -> list[int]:
    whole = period.local_day(day, zone)
    starts = (
        (whole.start + timedelta(seconds=interval_seconds * slot)).astimezone(zone)
        for slot in range(period.slots(whole, interval_seconds))
    )
    return [
        (start.hour * 3600 + start.minute * 60 + start.second) // interval_seconds
        for start in starts
    ]


def likeness(table: Days, like: Literal["kind", "weekday", "any"]) -> NDArray[np.int8]:
    """Give each day a number that it shares with the days that are like it.

    Parameters
    ----------
    table : d days
    like : ``kind`` compares weekday, weekend and holiday; ``weekday`` compares the weekday, with
        all holidays as one more; ``any`` compares nothing

    Returns
    -------
    shape (d,)
    """
    if like == "any":
        return np.zeros(len(table), dtype=np.int8)
    if like == "kind":
        return table.kind
    return np.where(table.holiday, 7, table.weekday).astype(np.int8)
