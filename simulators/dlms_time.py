"""COSEM date-times of the simulated meters (IEC 62056-6-2, clause 4.1.6.1).

Local time with its deviation: UTC = local + deviation [minutes].
"""

from __future__ import annotations

import calendar
from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulators.dlms_codec import Malformed
from simulators.meter import Seconds

DST: Final = 0x80
"""Bit of the clock status: daylight saving is active."""

_UNKNOWN: Final = -0x8000


def date_times(stamps: Seconds, zone: str) -> NDArray[np.uint8]:
    """Write moments as COSEM date-times in a zone's local time.

    Parameters
    ----------
    stamps : shape (n,) [Unix s]

    Returns
    -------
    shape (n, 12)
    """
    offsets, saving = _offsets(stamps, ZoneInfo(zone))
    local = stamps + offsets
    days, second = np.divmod(local, 86_400)
    dates = days.astype("datetime64[D]")
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    months = dates.astype("datetime64[M]")
    deviations = -offsets // 60
    columns = (
        *(years >> 8, years & 0xFF, months.astype(np.int64) % 12 + 1),
        (dates - months.astype("datetime64[D]")).astype(np.int64) + 1,
        (days + 3) % 7 + 1,
        *(second // 3600, second // 60 % 60, second % 60, np.zeros_like(second)),
        *((deviations >> 8) & 0xFF, deviations & 0xFF, saving * DST),
    )
    return np.stack(columns, axis=1).astype(np.uint8)


@cache
def grid(start: int, end: int, step: int, zone: str) -> NDArray[np.uint8]:
    """Write the date-times of a whole grid, both ends included; the same for many meters."""
    written = date_times(np.arange(start, end + 1, step, dtype=np.int64), zone)
    written.setflags(write=False)
    return written


def moment(octets: bytes, zone: str) -> int:
    """Read a date-time of a request; what is left open counts as the smallest, local if need be.

    Returns
    -------
    Unix s

    Raises
    ------
    Malformed
        if it names no day.
    """
    if len(octets) != 12:
        raise Malformed(f"a date-time has 12 octets, not {len(octets)}")
    year = int.from_bytes(octets[:2], "big")
    hour, minute, second = (0 if part == 0xFF else part for part in octets[5:8])
    deviation = int.from_bytes(octets[9:11], "big", signed=True)
    try:
        local = datetime(year, octets[2], octets[3], hour, minute, second)  # noqa: DTZ001
    except ValueError as wrong:
        raise Malformed(f"date-time {octets.hex()}: {wrong}") from wrong
    if deviation == _UNKNOWN:
        return int(local.replace(tzinfo=ZoneInfo(zone)).timestamp())
    return calendar.timegm(local.timetuple()) + deviation * 60


def _offsets(stamps: Seconds, zone: ZoneInfo) -> tuple[Seconds, Seconds]:
    """Give the offset from UTC [s] and whether daylight saving is on, for each stamp."""
    local = [datetime.fromtimestamp(stamp, zone) for stamp in stamps.tolist()]
    offsets = [_seconds(at.utcoffset()) for at in local]
    saving = [bool(at.dst()) for at in local]
    return np.array(offsets, dtype=np.int64), np.array(saving, dtype=np.int64)


def _seconds(offset: object) -> int:
    return int(offset.total_seconds()) if hasattr(offset, "total_seconds") else 0
