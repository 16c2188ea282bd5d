"""A meter's own tariff calendar: seasons, weeks, days, and the days that are special.

Values check themselves when they are made and raise ValueError with what to correct. All of them
can be kept as JSON or TOML (``drivers.kept``).

References
----------
IEC 62056-6-2:2021, 4.5.4 (Special days table), 4.5.5 (Activity calendar).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final, Literal

Month = int | Literal["dst_begins", "dst_ends"] | None

_MOST_NAME: Final = 32
_MOST: Final = 100
_MOST_ACTIONS: Final = 48
_MOST_SPECIAL_DAYS: Final = 500
_LAST_DAYS: Final = (-1, -2)


@dataclass(frozen=True, slots=True)
class DatePattern:
    """A date, or every date that fits; None fits all.

    Attributes
    ----------
    month : 1 … 12, or the month in which daylight saving begins or ends
    day : 1 … 31, -1 for the month's last day, -2 for the one before
    weekday : 1 Monday … 7 Sunday
    """

    year: int | None = None
    month: Month = None
    day: int | None = None
    weekday: int | None = None

    def __post_init__(self) -> None:
        if self.year is not None and not 1 <= self.year <= 9999:
            raise ValueError(f"year {self.year} is none of 1 … 9999")
        if isinstance(self.month, int) and not 1 <= self.month <= 12:
            raise ValueError(f"month {self.month} is none of 1 … 12")
        if self.day is not None and self.day not in _LAST_DAYS and not 1 <= self.day <= 31:
            raise ValueError(f"day {self.day} is none of 1 … 31, -1 (last), -2 (last but one)")
        if self.weekday is not None and not 1 <= self.weekday <= 7:
            raise ValueError(f"weekday {self.weekday} is none of 1 (Monday) … 7 (Sunday)")


@dataclass(frozen=True, slots=True)
class DayAction:
    """From a time of the day on, a tariff: the number of a script of the meter's tariff table."""

    at: time
    tariff: int

    def __post_init__(self) -> None:
        if not 0 <= self.tariff <= 0xFFFF:
            raise ValueError(f"tariff {self.tariff} is none of 0 … 65535")
        if self.at.tzinfo is not None or self.at.microsecond:
            raise ValueError(f"{self.at} is not a whole second by the meter's own clock")


@dataclass(frozen=True, slots=True)
class DayProfile:
    """A kind of day: its tariffs by the time of day."""

    number: int
    actions: tuple[DayAction, ...]

    def __post_init__(self) -> None:
        _check_octet("day", self.number)
        times = [action.at for action in self.actions]
        if not 1 <= len(times) <= _MOST_ACTIONS or times != sorted(set(times)):
            raise ValueError(
                f"day {self.number} needs 1 … {_MOST_ACTIONS} actions, each later than the last"
            )


@dataclass(frozen=True, slots=True)
class WeekProfile:
    """A kind of week: the numbers of its days, Monday to Sunday."""

    name: str
    days: tuple[int, int, int, int, int, int, int]

    def __post_init__(self) -> None:
        _check_name("week", self.name)


@dataclass(frozen=True, slots=True)
class Season:
    """A stretch of the year: when it begins, and what its weeks are."""

    name: str
    start: DatePattern
    week: str
    at: time = time(0, 0)

    def __post_init__(self) -> None:
        _check_name("season", self.name)
        _check_name("week", self.week)


@dataclass(frozen=True, slots=True)
class ActivityCalendar:
    """A whole calendar; seasons name weeks, weeks name days, and all that is named must be there.

    Weeks and seasons may be left out together: then day 1 is every day, as some meters have it.
    """

    name: str
    seasons: tuple[Season, ...]
    weeks: tuple[WeekProfile, ...]
    days: tuple[DayProfile, ...]

    def __post_init__(self) -> None:
        _check_name("calendar", self.name)
        for what, found in (("seasons", self.seasons), ("weeks", self.weeks), ("days", self.days)):
            if len(found) > _MOST:
                raise ValueError(f"calendar {self.name}: more than {_MOST} {what}")
        _check_once("season", (season.name for season in self.seasons))
        _check_once("week", (week.name for week in self.weeks))
        _check_once("day", (day.number for day in self.days))


@dataclass(frozen=True, slots=True)
class CalendarState:
    """The calendar that a meter follows, and the one that waits.

    Attributes
    ----------
    activate_at : when the waiting one comes into force; None if no time is set
    """

    active: ActivityCalendar
    passive: ActivityCalendar
    activate_at: datetime | None


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day that follows another day's profile than its weekday's.

    Attributes
    ----------
    index : of the entry in the meter's table, each once
    day : number of the day profile that it follows
    """

    index: int
    date: DatePattern
    day: int

    def __post_init__(self) -> None:
        if not 0 <= self.index <= 0xFFFF:
            raise ValueError(f"special day {self.index}: the index is none of 0 … 65535")
        _check_octet("day", self.day)


def checked(calendar: ActivityCalendar) -> ActivityCalendar:
    """Check what a calendar must have before a meter gets it.

    Raises
    ------
    ValueError
        naming the week or day that is not there, or what is missing.
    """
    weeks = {week.name for week in calendar.weeks}
    days = {day.number for day in calendar.days}
    if not days or bool(calendar.seasons) != bool(calendar.weeks):
        raise ValueError(
            f"calendar {calendar.name} needs days, and seasons with weeks or neither of both"
        )
    for season in calendar.seasons:
        if season.week not in weeks:
            raise ValueError(f"season {season.name} names week {season.week}, which is not there")
    for week in calendar.weeks:
        for day in week.days:
            if day not in days:
                raise ValueError(f"week {week.name} names day {day}, which is not there")
    return calendar


def checked_days(days: Iterable[SpecialDay]) -> tuple[SpecialDay, ...]:
    """Check special days before a meter gets them; give them by their index.

    Raises
    ------
    ValueError
        if an index comes twice, or there are more than 500.
    """
    found = tuple(sorted(days, key=lambda day: day.index))
    _check_once("special day", (day.index for day in found))
    if len(found) > _MOST_SPECIAL_DAYS:
        raise ValueError(f"{len(found)} special days are more than {_MOST_SPECIAL_DAYS}")
    return found


def _check_octet(what: str, number: int) -> None:
    if not 0 <= number <= 0xFF:
        raise ValueError(f"{what} {number} is none of 0 … 255")


def _check_name(what: str, name: str) -> None:
    if len(name.encode("latin-1", errors="replace")) > _MOST_NAME or not _is_latin(name):
        raise ValueError(f"{what} {name!r} is not a name of up to {_MOST_NAME} Latin characters")


def _is_latin(name: str) -> bool:
    return all(ord(character) < 0x100 for character in name)


def _check_once(what: str, names: Iterable[object]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]} is there twice")
