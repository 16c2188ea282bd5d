"""Dates and times with parts left open, as schedules and calendars of meters have them.

References
----------
IEC 62056-6-2:2021, 4.1.6.1 (Date and time formats).
"""

from __future__ import annotations

from datetime import time
from typing import Final

from drivers.activity_calendar import DatePattern, Month
from drivers.errors import RemoteProtocolError

_OPEN: Final = 0xFF
_OPEN_YEAR: Final = 0xFFFF
# Special values of the month and of the day.
_MONTHS: Final[dict[int, Month]] = {_OPEN: None, 0xFD: "dst_ends", 0xFE: "dst_begins"}
_DAYS: Final = {_OPEN: None, 0xFD: -2, 0xFE: -1}
_TO_MONTH: Final = {meaning: octet for octet, meaning in _MONTHS.items()}
_TO_DAY: Final = {meaning: octet for octet, meaning in _DAYS.items()}
# Hundredths, deviation and clock status, all left open.
_NO_ZONE: Final = bytes.fromhex("ff8000ff")


def encode_date(date: DatePattern) -> bytes:
    """Write five octets: year, month, day of month, day of week."""
    month = _TO_MONTH.get(date.month, date.month)
    day = _TO_DAY.get(date.day, date.day)
    year = _OPEN_YEAR if date.year is None else date.year
    return year.to_bytes(2) + bytes((_octet(month), _octet(day), date.weekday or _OPEN))


def decode_date(octets: bytes) -> DatePattern:
    """Read five octets.

    Raises
    ------
    RemoteProtocolError
        if they are no date.
    """
    if len(octets) != 5:
        raise RemoteProtocolError(f"a date has 5 octets, not {len(octets)}")
    year, (month, day, weekday) = int.from_bytes(octets[:2]), octets[2:]
    try:
        return DatePattern(
            None if year == _OPEN_YEAR else year,
            _MONTHS.get(month, month),
            _DAYS.get(day, day),
            None if weekday == _OPEN else weekday,
        )
    except ValueError as error:
        raise RemoteProtocolError(f"{octets.hex()} is no date: {error}") from None


def encode_time(moment: time) -> bytes:
    """Write four octets: hour, minute, second, hundredths."""
    return bytes((moment.hour, moment.minute, moment.second, 0))


def decode_time(octets: bytes) -> time:
    """Read four octets; what is left open is zero.

    Raises
    ------
    RemoteProtocolError
        if they are no time.
    """
    if len(octets) != 4:
        raise RemoteProtocolError(f"a time has 4 octets, not {len(octets)}")
    hour, minute, second = (0 if part == _OPEN else part for part in octets[:3])
    try:
        return time(hour, minute, second)
    except ValueError:
        raise RemoteProtocolError(f"{octets.hex()} is no time of the day") from None


def encode_date_time(date: DatePattern, moment: time) -> bytes:
    """Write twelve octets, by the meter's own clock: the deviation is left open."""
    return encode_date(date) + encode_time(moment)[:3] + _NO_ZONE


def decode_date_time(octets: bytes) -> tuple[DatePattern, time]:
    """Read twelve octets; the deviation is passed over.

    Raises
    ------
    RemoteProtocolError
        if they are no date and time.
    """
    if len(octets) != 12:
        raise RemoteProtocolError(f"a date-time has 12 octets, not {len(octets)}")
    return decode_date(octets[:5]), decode_time(octets[5:9])


def _octet(part: object) -> int:
    return part if isinstance(part, int) else _OPEN
