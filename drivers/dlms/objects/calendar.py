"""Activity calendar, class 20: the calendar in force and the passive one.

References
----------
IEC 62056-6-2:2021, 4.5.5 (Activity calendar).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from drivers.activity_calendar import (
    ActivityCalendar,
    CalendarState,
    DayAction,
    DayProfile,
    Season,
    WeekProfile,
)
from drivers.dlms import axdr, clock_time
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks, dates
from drivers.dlms.steps import Step
from drivers.errors import MeterRefused, RemoteProtocolError
from schemas.obis import Obis

_ACTIVE, _PASSIVE = (2, 3, 4, 5), (6, 7, 8, 9)
_ACTIVATE_AT: Final = 10
_ACTIVATE: Final = 1
_MOST: Final = 100
_MOST_ACTIONS: Final = 255
_UNSIGNED, _LONG_UNSIGNED, _INTEGER = 17, 18, 15


def read(
    association: Association, calendar: Attribute, deviation: int | None
) -> Step[CalendarState]:
    """Read both calendars, and when the passive one comes into force.

    Parameters
    ----------
    deviation : of a meter that does not write its own, from local time to UTC [min]

    Raises
    ------
    RemoteProtocolError
        if they are not built as the standard says.
    """
    values = yield from checks.read(association, calendar, (*_ACTIVE, *_PASSIVE, _ACTIVATE_AT))
    active, passive = decode(*values[:4]), decode(*values[4:8])
    return CalendarState(active, passive, _moment(values[8], deviation))


def write(
    association: Association,
    calendar: Attribute,
    wanted: ActivityCalendar,
    script: Obis,
) -> Step[None]:
    """Write the passive calendar and read it back.

    Parameters
    ----------
    wanted : checked by ``drivers.activity_calendar.checked``
    script : the meter's table of tariff scripts

    Raises
    ------
    MeterRefused
        if the meter takes it and then shows another one.
    """
    for index, octets in zip(_PASSIVE, encode(wanted, script), strict=True):
        yield from association.set(replace(calendar, index=index), octets)
    shown = decode(*(yield from checks.read(association, calendar, _PASSIVE)))
    if shown != wanted:
        raise MeterRefused(
            f"the meter took calendar {wanted.name} and shows another passive one, {shown.name}; "
            "it was not activated: does the meter take as many seasons, weeks, days and actions?"
        )


def activate(
    association: Association, calendar: Attribute, at: datetime | None, deviation: int
) -> Step[None]:
    """Bring the passive calendar into force, at once or at a time.

    Parameters
    ----------
    deviation : that the time is written with, from local time to UTC [min]
    """
    if at is None:
        method = replace(calendar, index=_ACTIVATE)
        yield from association.action(method, axdr.encode_number(_INTEGER, 0))
        return
    octets = axdr.encode_octet_string(clock_time.encode(at, deviation))
    yield from association.set(replace(calendar, index=_ACTIVATE_AT), octets)


def encode(calendar: ActivityCalendar, script: Obis) -> tuple[bytes, bytes, bytes, bytes]:
    """Write name, seasons, weeks and days, each as the value of its attribute."""
    return (
        axdr.encode_octet_string(_octets(calendar.name)),
        axdr.encode_sequence(axdr.ARRAY, *map(_season, calendar.seasons)),
        axdr.encode_sequence(axdr.ARRAY, *map(_week, calendar.weeks)),
        axdr.encode_sequence(axdr.ARRAY, *(_day(day, script) for day in calendar.days)),
    )


def decode(
    name: axdr.Value, seasons: axdr.Value, weeks: axdr.Value, days: axdr.Value
) -> ActivityCalendar:
    """Read the values of the four attributes.

    Raises
    ------
    RemoteProtocolError
        if they are no calendar.
    """
    try:
        return ActivityCalendar(
            _text(name),
            tuple(_season_of(one) for one in checks.array(seasons, "seasons", _MOST)),
            tuple(_week_of(one) for one in checks.array(weeks, "weeks", _MOST)),
            tuple(_day_of(one) for one in checks.array(days, "days", _MOST)),
        )
    except ValueError as error:
        raise RemoteProtocolError(f"the meter's calendar is none: {error}") from None


def _season(season: Season) -> bytes:
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(_octets(season.name)),
        axdr.encode_octet_string(dates.encode_date_time(season.start, season.at)),
        axdr.encode_octet_string(_octets(season.week)),
    )


def _season_of(value: axdr.Value) -> Season:
    name, start, week = checks.parts(value, "season", bytes, bytes, bytes)
    date, moment = dates.decode_date_time(start)
    return Season(_text(name), date, _text(week), moment)


def _week(week: WeekProfile) -> bytes:
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(_octets(week.name)),
        *(axdr.encode_number(_UNSIGNED, day) for day in week.days),
    )


def _week_of(value: axdr.Value) -> WeekProfile:
    name, *days = checks.parts(value, "week", bytes, *[int] * 7)
    monday, tuesday, wednesday, thursday, friday, saturday, sunday = days
    return WeekProfile(
        _text(name), (monday, tuesday, wednesday, thursday, friday, saturday, sunday)
    )


def _day(day: DayProfile, script: Obis) -> bytes:
    actions = (
        axdr.encode_sequence(
            axdr.STRUCTURE,
            axdr.encode_octet_string(dates.encode_time(action.at)),
            axdr.encode_octet_string(bytes(script)),
            axdr.encode_number(_LONG_UNSIGNED, action.tariff),
        )
        for action in day.actions
    )
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_number(_UNSIGNED, day.number),
        axdr.encode_sequence(axdr.ARRAY, *actions),
    )


def _day_of(value: axdr.Value) -> DayProfile:
    number, schedule = checks.parts(value, "day", int, list)
    actions = []
    for entry in checks.array(schedule, "day's actions", _MOST_ACTIONS):
        start, _script, tariff = checks.parts(entry, "day's action", bytes, bytes, int)
        actions.append(DayAction(dates.decode_time(start), tariff))
    return DayProfile(number, tuple(sorted(actions, key=lambda action: action.at)))


def _moment(value: axdr.Value, deviation: int | None) -> datetime | None:
    """Give when the passive calendar comes into force; an open or long past date means never."""
    if not isinstance(value, bytes) or not value:
        return None
    try:
        moment = clock_time.decode(value).utc(deviation)
    except RemoteProtocolError:
        return None
    return None if moment is None else moment.astimezone(UTC)


def _octets(name: str) -> bytes:
    # Names are octets: meters use any of the 256.
    return name.encode("latin-1")


def _text(name: axdr.Value) -> str:
    if not isinstance(name, bytes | str):
        raise RemoteProtocolError(f"{name!r} is no name in a calendar")
    return name if isinstance(name, str) else name.decode("latin-1")
