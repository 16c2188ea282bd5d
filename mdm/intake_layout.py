"""Where moments lie on the grid of consecutive local days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas.period import local_day
from validation import days
from validation.days import Days

NOWHERE: Final = -1
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Week:
    """A country's rest: weekend days (Monday 0) and holidays."""

    weekend: frozenset[int] = frozenset({5, 6})
    holidays: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Weeks:
    """Which week is kept in which time zone; ``otherwise`` in all that are not named."""

    by_zone: Mapping[str, Week] = field(default_factory=dict)
    otherwise: Week = Week()

    def of(self, zone: str) -> Week:
        """Give a time zone's week."""
        return self.by_zone.get(zone, self.otherwise)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Consecutive local days of one time zone on a grid of equal slots.

    Attributes
    ----------
    first : first local day
    interval_seconds : length of a slot [s]
    bounds : shape (d + 1,), int64, start of each day and the end of the last [s since 1970 UTC]
    days : the d days
    """

    first: date
    interval_seconds: int
    bounds: NDArray[np.int64]
    days: Days

    @property
    def count(self) -> int:
        """Days."""
        return len(self.bounds) - 1

    @property
    def width(self) -> int:
        """Slots of the longest day."""
        return int(self.days.clock.shape[1])

    def part(self, start: int, end: int) -> Layout:
        """Give the days from ``start`` to the one before ``end``, as wide as all."""
        chosen = slice(start, end)
        return Layout(
            first=self.first + timedelta(days=start),
            interval_seconds=self.interval_seconds,
            bounds=self.bounds[start : end + 1],
            days=Days(
                self.days.weekday[chosen],
                self.days.weekend[chosen],
                self.days.holiday[chosen],
                self.days.length[chosen],
                self.days.clock[chosen],
                None if self.days.month is None else self.days.month[chosen],
            ),
        )

    def day_of(self, moment: NDArray[Any]) -> NDArray[np.intp]:
        """Give the day that each moment [s] lies in, NOWHERE outside; shape as ``moment``."""
        day = np.searchsorted(self.bounds, moment, side="right") - 1
        return np.where(day < self.count, day, NOWHERE)

    def snapped(
        self, moment: NDArray[np.int64], tolerance: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Move moments to the nearest grid point within a tolerance.

        Parameters
        ----------
        moment : shape (k,) [s]
        tolerance : largest move [s]

        Returns
        -------
        moved moments, those too far from any grid point down to the one before; and how far each
        was after (positive) or before its nearest grid point [s]
        """
        step = self.interval_seconds
        # Local midnight is on the grid; all midnights of a zone are, unless clocks change by less.
        rest = (moment - self.bounds[0]) % step
        off = np.where(rest > step // 2, rest - step, rest)
        return np.where(np.abs(off) <= tolerance, moment - off, moment - rest), off

    def cell(self, moment: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give day × width + slot of moments on the grid, NOWHERE outside the days."""
        day = self.day_of(moment)
        slot = (moment - self.bounds[day]) // self.interval_seconds
        return np.where(day == NOWHERE, NOWHERE, day * self.width + slot)

    def moment(self, day: NDArray[Any], slot: NDArray[Any]) -> NDArray[np.int64]:
        """Give when slots begin [s]; a slot may be the one after a day's last."""
        return np.asarray(self.bounds[day] + slot.astype(np.int64) * self.interval_seconds)


@lru_cache(maxsize=32)
def of(first: date, count: int, zone: str, interval_seconds: int, week: Week) -> Layout:
    """Lay out consecutive local days; parameters as in ``Layout``."""
    place = ZoneInfo(zone)
    starts = [local_day(first + timedelta(days=n), place).start for n in range(count + 1)]
    return Layout(
        first=first,
        interval_seconds=interval_seconds,
        bounds=np.array([int(start.timestamp()) for start in starts], np.int64),
        days=days.of(
            first, count, place, interval_seconds, weekend=week.weekend, holidays=week.holidays
        ),
    )


def local_date(moment: datetime, zone: str) -> date:
    """Give the local date at a moment."""
    return moment.astimezone(ZoneInfo(zone)).date()


def spread(
    mask: NDArray[np.bool_], layout: Layout, days: tuple[int, int]
) -> NDArray[np.bool_] | None:
    """Give a mask of some days as one of all; None where nothing is marked."""
    if not mask.any():
        return None
    whole = np.zeros((len(mask), layout.count, layout.width), np.bool_)
    whole[:, days[0] : days[1]] = padded(mask, layout.part(*days))
    return whole


def padded(lines: NDArray[_T], layout: Layout, padding: int = 0) -> NDArray[_T]:
    """Give time lines as days of equal width, shape (c, d, n)."""
    shape = (len(lines), layout.count, layout.width)
    if lines.shape[1] == layout.count * layout.width:
        return lines.reshape(shape)
    whole = np.full(shape, padding, lines.dtype)
    whole[:, layout.days.exists] = lines
    return whole
