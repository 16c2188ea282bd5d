"""Time-of-use calendars: which tariff period each slot of a local day belongs to.

A calendar is a TOML file in ``mdm/calendars/``, dated; ``docs/billing.md`` describes it. A day
has a season (by its date) and a day type (by its weekday, or ``holiday``); the two choose a
schedule of switching times on the local clock. Where clocks change, an hour that comes twice has
its period twice, and an hour that is left out has none.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas.period import Period, local_day, local_days, slots

HOLIDAY = "holiday"


class CalendarError(ValueError):
    """A calendar's definition is wrong or does not cover a day; the message says where."""


@dataclass(frozen=True, slots=True)
class Season:
    """A part of the year from one month-day to another, both in it; it may span New Year."""

    name: str
    first: tuple[int, int]
    last: tuple[int, int]

    def __contains__(self, day: date) -> bool:
        at = (day.month, day.day)
        if self.first <= self.last:
            return self.first <= at <= self.last
        return at >= self.first or at <= self.last


@dataclass(frozen=True, slots=True)
class Schedule:
    """A day's periods: ``periods[i]`` from ``starts[i]`` [s after local 00:00] on."""

    starts: tuple[int, ...]
    periods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A calendar's rules from a date on; ``weekday`` gives Monday's day type first."""

    effective_from: date
    weekday: tuple[str, ...]
    seasons: tuple[Season, ...]
    schedules: Mapping[tuple[str, str], Schedule]


@dataclass(frozen=True, slots=True)
class Calendar:
    """A named time-of-use calendar.

    Attributes
    ----------
    versions : oldest first
    holidays : name by date; these days have the day type ``holiday``
    periods : every period's name, in the order in which they first stand in the file
    definition : the whole calendar as canonical JSON, from which it can be made again
    """

    name: str
    versions: tuple[Version, ...]
    holidays: Mapping[date, str]
    periods: tuple[str, ...]
    definition: str

    @property
    def digest(self) -> str:
        """SHA-256 of the definition, hexadecimal."""
        return hashlib.sha256(self.definition.encode()).hexdigest()

    def on(self, day: date) -> Version:
        """Give the rules in force on a local day.

        Raises
        ------
        CalendarError
            if the calendar begins later.
        """
        place = bisect_right([version.effective_from for version in self.versions], day)
        if place == 0:
            raise CalendarError(
                f"calendar {self.name} begins on {self.versions[0].effective_from}; "
                f"add a version that covers {day}"
            )
        return self.versions[place - 1]

    def day_type(self, day: date) -> str:
        """Give a local day's type; a holiday goes before the weekday."""
        return HOLIDAY if day in self.holidays else self.on(day).weekday[day.weekday()]

    def schedule(self, day: date) -> Schedule:
        """Give a local day's switching times."""
        version = self.on(day)
        season = next(season for season in version.seasons if day in season)
        return version.schedules[season.name, self.day_type(day)]

    def of_day(self, day: date, zone: ZoneInfo, interval_seconds: int) -> NDArray[np.uint8]:
        """Give the period of every slot of a local day; a slot belongs where it starts.

        Returns
        -------
        shape (slots of that day,), indices into ``periods``

        Raises
        ------
        CalendarError
            if the day is not a whole number of intervals or the calendar begins later.
        """
        schedule = self.schedule(day)
        numbers = np.array([self.periods.index(name) for name in schedule.periods], np.uint8)
        clock = local_seconds(day, zone, interval_seconds)
        return numbers[np.searchsorted(schedule.starts, clock, side="right") - 1]

    def of_period(self, period: Period, zone: ZoneInfo, interval_seconds: int) -> NDArray[np.uint8]:
        """Give the period of every slot of a stretch of whole local days, in order.

        Returns
        -------
        shape (slots of the stretch,), indices into ``periods``

        Raises
        ------
        CalendarError
            as ``of_day`` does, or if the stretch does not begin and end at local midnight.
        """
        days = list(local_days(period, zone))
        if not days or days[0][1].start != period.start or days[-1][1].end != period.end:
            raise CalendarError(f"{period} is not made of whole local days of {zone.key}")
        return np.concatenate([self.of_day(day, zone, interval_seconds) for day, _ in days])


def local_seconds(day: date, zone: ZoneInfo, interval_seconds: int) -> NDArray[np.int64]:
    """Give what the local clock shows at the start of every slot of a local day.

    Returns
    -------
    shape (slots of that day,) [s after 00:00]

    Raises
    ------
    CalendarError
        if the day is not a whole number of intervals.
    """
    whole = local_day(day, zone)
    if whole.duration.total_seconds() % interval_seconds:
        raise CalendarError(f"{day} in {zone.key} is not a whole number of {interval_seconds} s")
    elapsed = np.arange(slots(whole, interval_seconds), dtype=np.int64) * interval_seconds
    midnight = datetime.combine(day, time.min, UTC)
    since_midnight = elapsed + int((whole.start - midnight).total_seconds())
    first, last = _offset(whole.start, zone), _offset(whole.end, zone)
    if first == last and whole.duration == timedelta(days=1):
        return since_midnight + first
    offsets = [_offset(whole.start + timedelta(seconds=int(s)), zone) for s in elapsed]
    return since_midnight + np.array(offsets, np.int64)


def _offset(moment: datetime, zone: ZoneInfo) -> int:
    """Give the seconds that the local clock is ahead of UTC."""
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
