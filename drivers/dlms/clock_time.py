"""COSEM date-times: twelve octets with a deviation from UTC, to moments and back.

The deviation is minutes from local time to UTC (UTC = local + deviation) and already has daylight
saving in it. Where a meter leaves it open, nobody but its owner knows the zone: callers say which
deviation to assume, or the time is none.

References
----------
IEC 62056-6-2:2021, 4.1.6.1 (Date and time formats).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.errors import RemoteProtocolError

SIZE: Final = 12
UNSPECIFIED: Final = -0x8000
LARGEST_DEVIATION: Final = 14 * 60
# Python's calendar, less a year at either end for the deviation; 0xFFFF is a wildcard.
_FIRST_YEAR, _LAST_YEAR = 2, 9998
_EPOCH: Final = date(1970, 1, 1).toordinal()

# Bits of the clock status, the last octet.
INVALID: Final = 0x01
DOUBTFUL: Final = 0x02
OTHER_BASE: Final = 0x04
INVALID_STATUS: Final = 0x08
DAYLIGHT_SAVING: Final = 0x80
# An octet of all ones says that the meter keeps no status.
NO_STATUS: Final = 0xFF


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A date-time as a meter wrote it.

    Attributes
    ----------
    local : the meter's wall-clock time, without zone
    deviation : from local to UTC [min], None if the meter leaves it open
    status : bits of the clock status, 0 if the meter keeps none
    """

    local: datetime
    deviation: int | None
    status: int = 0

    def utc(self, assumed_deviation: int | None = None) -> datetime | None:
        """Give the moment, None if the deviation is neither written nor assumed.

        Parameters
        ----------
        assumed_deviation : for a meter that leaves its deviation open [min]
        """
        deviation = assumed_deviation if self.deviation is None else self.deviation
        if deviation is None:
            return None
        return self.local.replace(tzinfo=UTC) + timedelta(minutes=deviation)


def decode(octets: bytes) -> ClockTime:
    """Read twelve octets.

    Raises
    ------
    RemoteProtocolError
        if they are no date and time: another size, wildcards in the date, a 31st of February.
    """
    if len(octets) != SIZE:
        raise RemoteProtocolError(f"a date-time has {SIZE} octets, not {len(octets)}")
    (month, day), (hour, minute, second) = octets[2:4], octets[5:8]
    year = int.from_bytes(octets[:2])
    deviation = int.from_bytes(octets[9:11], signed=True)
    if deviation != UNSPECIFIED and abs(deviation) > LARGEST_DEVIATION:
        raise RemoteProtocolError(f"a deviation of {deviation} minutes from UTC is no time zone")
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise RemoteProtocolError(f"{octets.hex()} is a date-time without a usable year")
    try:
        local = datetime(  # noqa: DTZ001  # local time is what the meter gives
            year, month, day, _given(hour), _given(minute), _given(second)
        )
    except ValueError:
        raise RemoteProtocolError(f"{octets.hex()} is no date and time") from None
    status = 0 if octets[11] == NO_STATUS else octets[11]
    return ClockTime(local, None if deviation == UNSPECIFIED else deviation, status)


def encode(moment: datetime, deviation: int = 0, status: int = 0) -> bytes:
    """Write a moment as local time with a deviation [min].

    Parameters
    ----------
    moment : aware
    deviation : from local time to UTC [min]
    status : bits of the clock status
    """
    local = moment.astimezone(UTC) - timedelta(minutes=deviation)
    return b"".join(
        (
            local.year.to_bytes(2),
            bytes((local.month, local.day, local.isoweekday())),
            bytes((local.hour, local.minute, local.second, local.microsecond // 10_000)),
            deviation.to_bytes(2, signed=True),
            bytes((status,)),
        )
    )


def decode_column(
    octets: NDArray[np.uint8], assumed_deviation: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.uint8]]:
    """Read many date-times at once, by the rules of ``decode``.

    Parameters
    ----------
    octets : shape (n, 12)
    assumed_deviation : for times that leave their deviation open [min]

    Returns
    -------
    moments, shape (n,) [s since 1970-01-01 UTC, 0 where there is none]; whether each is a moment,
    shape (n,); clock status, shape (n,), 0 where the meter keeps none
    """
    if not len(octets):
        return np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.uint8)
    moments = _HOURS.take(octets[:, 5])
    moments += _MINUTES.take(octets[:, 6])
    moments += _SECONDS.take(octets[:, 7])
    known = moments < _NEVER
    status = np.zeros(len(octets), np.uint8)
    dates = octets.take(_DATE_OCTETS, axis=1)
    joined = dates.view(np.uint64)[:, 0]
    # Row after row is of the same day: one date is read for each stretch of them.
    begins = [0, *((joined[1:] != joined[:-1]).nonzero()[0] + 1).tolist(), len(octets)]
    for begin, end in pairwise(begins):
        midnight, is_known, bits = _midnight(dates[begin].tobytes(), assumed_deviation)
        moments[begin:end] += midnight
        if bits:
            status[begin:end] = bits
        if not is_known:
            known[begin:end] = False
    moments *= known
    return moments, known, status


def moment(octets: bytes, assumed_deviation: int | None = None) -> tuple[int, int] | None:
    """Read one date-time as ``decode_column`` does.

    Returns
    -------
    moment [s since 1970-01-01 UTC] and clock status; None where it is no moment
    """
    seconds = int(_HOURS[octets[5]] + _MINUTES[octets[6]] + _SECONDS[octets[7]])
    midnight, is_known, status = _midnight(octets[:4] + octets[9:] + octets[11:], assumed_deviation)
    return (midnight + seconds, status) if is_known and seconds < _NEVER else None


@lru_cache(maxsize=4096)
def _midnight(octets: bytes, assumed_deviation: int | None) -> tuple[int, bool, int]:
    """Give a day's beginning [s since 1970-01-01 UTC], whether it is known, and the clock status.

    Parameters
    ----------
    octets : a date-time's at ``_DATE_OCTETS``
    """
    status = 0 if octets[6] == NO_STATUS else octets[6]
    year = int.from_bytes(octets[:2])
    written = int.from_bytes(octets[4:6], signed=True)
    deviation = assumed_deviation if written == UNSPECIFIED else written
    if written != UNSPECIFIED and abs(written) > LARGEST_DEVIATION:
        deviation = None
    if deviation is None or not _FIRST_YEAR <= year <= _LAST_YEAR:
        return 0, False, status
    try:
        day = date(year, octets[2], octets[3]).toordinal() - _EPOCH
    except ValueError:
        return 0, False, status
    return day * 86400 + deviation * 60, True, status


def _seconds_of(limit: int, each: int) -> NDArray[np.int64]:
    """Give for each octet its seconds of the day as ``_given`` means it, and ``_NEVER`` if none."""
    table = np.full(256, _NEVER, np.int64)
    table[:limit] = np.arange(limit) * each
    table[0xFF] = 0
    return table


# More than any sum of a day's hours, minutes and seconds.
_NEVER: Final = 1 << 20
_HOURS, _MINUTES, _SECONDS = _seconds_of(24, 3600), _seconds_of(60, 60), _seconds_of(60, 1)
# Year, month, day, deviation and status; the last one twice, so that they fill a word.
_DATE_OCTETS: Final = np.array((0, 1, 2, 3, 9, 10, 11, 11))


def _given(part: int) -> int:
    """Give a part of the time of day; all ones mean that the meter leaves it open."""
    return 0 if part == 0xFF else part
