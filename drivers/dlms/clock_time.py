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
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.errors import RemoteProtocolError

SIZE: Final = 12
UNSPECIFIED: Final = -0x8000
_LARGEST_DEVIATION: Final = 14 * 60
# Python's calendar, less a year at either end for the deviation; 0xFFFF is a wildcard.
_FIRST_YEAR, _LAST_YEAR = 2, 9998

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
    if deviation != UNSPECIFIED and abs(deviation) > _LARGEST_DEVIATION:
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


def encode(moment: datetime, deviation: int = 0) -> bytes:
    """Write a moment as local time with a deviation [min].

    Parameters
    ----------
    moment : aware
    deviation : from local time to UTC [min]
    """
    local = moment.astimezone(UTC) - timedelta(minutes=deviation)
    return b"".join(
        (
            local.year.to_bytes(2),
            bytes((local.month, local.day, local.isoweekday())),
            bytes((local.hour, local.minute, local.second, local.microsecond // 10_000)),
            deviation.to_bytes(2, signed=True),
            b"\x00",
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
    wide = octets.astype(np.int64)
    year, month, day = (wide[:, 0] << 8) | wide[:, 1], wide[:, 2], wide[:, 3]
    known = (year >= _FIRST_YEAR) & (year <= _LAST_YEAR)
    months = (np.where(known, year, 1970) - 1970) * 12 + month - 1
    first = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    length = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
    clock = np.where(wide[:, 5:8] == 0xFF, 0, wide[:, 5:8])
    known &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)
    known &= (clock < (24, 60, 60)).all(axis=1)
    deviation = ((wide[:, 9] ^ 0x80) - 0x80) * 256 + wide[:, 10]
    is_open = deviation == UNSPECIFIED
    known &= is_open | (np.abs(deviation) <= _LARGEST_DEVIATION)
    known &= ~is_open | (assumed_deviation is not None)
    deviation = np.where(is_open, assumed_deviation or 0, deviation)
    seconds = (first + day - 1) * 86_400 + clock @ (3600, 60, 1) + deviation * 60
    status = np.where(octets[:, 11] == NO_STATUS, 0, octets[:, 11]).astype(np.uint8)
    return np.where(known, seconds, 0), known, status


def _given(part: int) -> int:
    """Give a part of the time of day; all ones mean that the meter leaves it open."""
    return 0 if part == 0xFF else part
