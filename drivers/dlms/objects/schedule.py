"""Single action schedule, class 22: a script run at a time.

References
----------
IEC 62056-6-2:2021, 4.5.7 (Single action schedule), 4.5.2 (Script table).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from drivers.activity_calendar import DatePattern
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks, dates
from drivers.dlms.steps import Step
from drivers.errors import MeterRefused, RemoteProtocolError
from schemas.obis import Obis

_SCRIPT, _TIMES = 2, 4
_LONG_UNSIGNED: Final = 18
_MOST_TIMES: Final = 64


def write(
    association: Association,
    schedule: Attribute,
    script: tuple[Obis, int],
    at: datetime,
    deviation: int,
) -> Step[None]:
    """Have a script run at one moment, and read that back.

    Parameters
    ----------
    script : its table, and its number there
    deviation : of the meter's local time now, to UTC [min]: a schedule is by the meter's own clock.
        Where clocks change between now and then, the script runs an hour off.

    Raises
    ------
    MeterRefused
        if the meter takes it and then shows another time.
    """
    (present,) = yield from checks.read(association, schedule, (_SCRIPT,))
    if present != (bytes(script[0]), script[1]):
        yield from association.set(replace(schedule, index=_SCRIPT), _script(*script))
    yield from association.set(replace(schedule, index=_TIMES), _times(at, deviation))
    shown = yield from read(association, schedule, deviation)
    if shown != [at.astimezone(UTC).replace(microsecond=0)]:
        raise MeterRefused(f"the meter took the time {at} for {schedule.name} and shows {shown}")


def read(association: Association, schedule: Attribute, deviation: int) -> Step[list[datetime]]:
    """Read when the script runs: moments only, no pattern that comes again.

    Raises
    ------
    RemoteProtocolError
        if that is not built as the standard says.
    """
    (times,) = yield from checks.read(association, schedule, (_TIMES,))
    found = []
    for entry in checks.array(times, "execution times", _MOST_TIMES):
        moment, date = checks.parts(entry, "execution time", bytes, bytes)
        day = dates.decode_date(date)
        if day.year and isinstance(day.month, int) and day.day and day.day > 0:
            at = dates.decode_time(moment)
            found.append(_moment(day.year, day.month, day.day, deviation) + _since_midnight(at))
    return found


def _script(table: Obis, number: int) -> bytes:
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(bytes(table)),
        axdr.encode_number(_LONG_UNSIGNED, number),
    )


def _times(at: datetime, deviation: int) -> bytes:
    local = at.astimezone(UTC) - timedelta(minutes=deviation)
    date = DatePattern(local.year, local.month, local.day)
    entry = axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(dates.encode_time(local.time())),
        axdr.encode_octet_string(dates.encode_date(date)),
    )
    return axdr.encode_sequence(axdr.ARRAY, entry)


def _moment(year: int, month: int, day: int, deviation: int) -> datetime:
    try:
        return datetime(year, month, day, tzinfo=UTC) + timedelta(minutes=deviation)
    except ValueError:
        raise RemoteProtocolError(f"{year}-{month}-{day} is no date of a schedule") from None


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
