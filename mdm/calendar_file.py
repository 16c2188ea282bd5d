"""Reading of time-of-use calendars from TOML, with errors that say which entry is wrong."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cache, partial
from importlib import resources
from typing import Any, TypeVar

from mdm.calendar import HOLIDAY, Calendar, CalendarError, Schedule, Season, Version

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Any leap year: a season may name 29 February.
_LEAP_YEAR = 2024

T = TypeVar("T")


@cache
def named(name: str) -> Calendar:
    """Find a calendar that comes with the program.

    Raises
    ------
    CalendarError
        with the known names, if there is none; with the place, if its file is wrong.
    """
    folder = resources.files("mdm").joinpath("calendars")
    known = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if f"{name}.toml" not in known:
        names = ", ".join(file.removesuffix(".toml") for file in known)
        raise CalendarError(f"no calendar {name!r}; known: {names}")
    return parse(folder.joinpath(f"{name}.toml").read_text("utf-8"), f"calendars/{name}.toml")


def parse(text: str, source: str) -> Calendar:
    """Make a calendar of a TOML text.

    Parameters
    ----------
    source : what errors call the text, such as its file's name

    Raises
    ------
    CalendarError
        naming the source, the entry and what it should be.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise CalendarError(f"{source}: {problem}") from problem
    # TOML has dates and JSON has none: from here on a date is its ISO text.
    return restored(json.dumps(content, default=date.isoformat), source)


def restored(definition: str, source: str = "stored calendar") -> Calendar:
    """Make a calendar again from its ``definition``.

    Raises
    ------
    CalendarError
        as ``parse`` does.
    """
    content = json.loads(definition)
    name = _at(f"{source}: name", lambda: str(content["name"]))
    entries = content.get("version")
    versions = [
        _at(f"{source}: version {number}", partial(_version, entry))
        for number, entry in enumerate(entries if isinstance(entries, list) else [], 1)
    ]
    starts = [version.effective_from for version in versions]
    if not starts or starts != sorted(set(starts)):
        raise CalendarError(
            f"{source}: needs versions [[version]] with ascending effective_from, has {starts}"
        )
    return Calendar(
        name=name,
        versions=tuple(versions),
        holidays=_at(f"{source}: holiday", lambda: _holidays(content.get("holiday", []))),
        periods=_unique(p for v in versions for s in v.schedules.values() for p in s.periods),
        definition=json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    )


def _version(entry: Mapping[str, Any]) -> Version:
    seasons = tuple(_season(item) for item in entry["season"])
    _check_seasons(seasons)
    weekday = _weekday_types(entry["day_types"])
    return Version(
        effective_from=date.fromisoformat(entry["effective_from"]),
        weekday=weekday,
        seasons=seasons,
        schedules=_schedules(entry["schedule"], seasons, weekday),
    )


def _season(item: Mapping[str, str]) -> Season:
    return Season(item["name"], _month_day(item["from"]), _month_day(item["until"]))


def _month_day(text: str) -> tuple[int, int]:
    day = date.fromisoformat(f"{_LEAP_YEAR}-{text}")
    return day.month, day.day


def _check_seasons(seasons: tuple[Season, ...]) -> None:
    """Refuse a year that has a day in no season or in two."""
    first = date(_LEAP_YEAR, 1, 1).toordinal()
    for ordinal in range(first, first + 366):
        day = date.fromordinal(ordinal)
        names = [season.name for season in seasons if day in season]
        if len(names) != 1:
            found = " and ".join(names) or "no season"
            raise ValueError(f"{day:%m-%d} must be in one season, is in {found}")


def _weekday_types(entry: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Give every weekday's type, Monday's first."""
    found = [(day, kind) for kind, days in entry.items() for day in days]
    if HOLIDAY in entry:
        raise ValueError(f"day type {HOLIDAY!r} is given by dates, not by weekdays")
    if sorted(day for day, _ in found) != sorted(_WEEKDAYS):
        raise ValueError(f"day_types must name each weekday once: {', '.join(_WEEKDAYS)}")
    types = dict(found)
    return tuple(types[day] for day in _WEEKDAYS)


def _schedules(
    entries: list[Mapping[str, Any]], seasons: tuple[Season, ...], weekday: tuple[str, ...]
) -> dict[tuple[str, str], Schedule]:
    """Read schedules; every season needs one for each day type and for holidays."""
    needed = [(s.name, kind) for s in seasons for kind in (*dict.fromkeys(weekday), HOLIDAY)]
    schedules: dict[tuple[str, str], Schedule] = {}
    for entry in entries:
        for key in ((entry["season"], kind) for kind in entry["days"]):
            if key not in needed or key in schedules:
                raise ValueError(f"schedule for {key[0]}, {key[1]} is unknown or there twice")
            schedules[key] = _schedule(entry["periods"])
    if missing := [key for key in needed if key not in schedules]:
        raise ValueError(f"no schedule for {missing[0][0]}, {missing[0][1]}")
    return schedules


def _schedule(rows: list[list[str]]) -> Schedule:
    starts = tuple(_clock(row[0]) for row in rows)
    if not starts or starts[0] != 0 or list(starts) != sorted(set(starts)):
        raise ValueError('periods must begin at "00:00" and ascend')
    return Schedule(starts, tuple(row[1] for row in rows))


def _clock(text: str) -> int:
    """Read ``HH:MM`` as seconds after midnight."""
    hours, _, minutes = text.partition(":")
    seconds = int(hours) * 3600 + int(minutes) * 60
    if len(text) != 5 or not 0 <= seconds < 86400 or int(minutes) > 59:
        raise ValueError(f"{text!r} is no time of day HH:MM")
    return seconds


def _holidays(entries: list[Mapping[str, Any]]) -> dict[date, str]:
    holidays: dict[date, str] = {}
    for entry in entries:
        for day in map(date.fromisoformat, entry["dates"]):
            if day in holidays:
                raise ValueError(f"{day} is there twice: {holidays[day]} and {entry['name']}")
            holidays[day] = entry["name"]
    return holidays


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _at(place: str, read: Callable[[], T]) -> T:
    """Say where a definition is wrong."""
    try:
        return read()
    except KeyError as problem:
        raise CalendarError(f"{place}: {problem} is missing") from problem
    except (TypeError, ValueError, AttributeError, IndexError) as problem:
        raise CalendarError(f"{place}: {problem}") from problem
