"""Places samples of meters without a memory on the grid of their intervals. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from schemas import quality
from schemas.period import floor
from schemas.reading import RegisterReading

# A poll of many meters takes some time; a minute of a house's load is nothing of an hour's.
ON_TIME = timedelta(seconds=60)
# Of a short interval no more than this part, whatever is asked for.
_SHORTEST_PART = 20


def place(
    readings: Iterable[RegisterReading], interval_seconds: int, *, on_time: timedelta = ON_TIME
) -> list[RegisterReading]:
    """Put each sample on the nearest grid point, where it is near enough.

    Within ``on_time`` it is on time; up to half an interval late it is placed and marked
    ``LATE_SAMPLE``; any other keeps its own time.

    Parameters
    ----------
    interval_seconds : distance of grid points [s]; the grid has 00:00 UTC
    on_time : the tolerance, before and after; a twentieth of the interval at most
    """
    tolerance = min(on_time, timedelta(seconds=interval_seconds / _SHORTEST_PART))
    return [_place(reading, interval_seconds, tolerance) for reading in readings]


def taken(readings: Iterable[RegisterReading], at: datetime) -> list[RegisterReading]:
    """Give samples the moment at which they were taken."""
    return [replace(reading, read_at=at) for reading in readings]


def _place(reading: RegisterReading, interval_seconds: int, on_time: timedelta) -> RegisterReading:
    before = floor(reading.read_at, interval_seconds)
    after = before + timedelta(seconds=interval_seconds)
    if after - reading.read_at <= on_time:
        return replace(reading, read_at=after)
    late = reading.read_at - before
    if not late:
        return reading
    if late <= on_time:
        return replace(reading, read_at=before)
    if late <= timedelta(seconds=interval_seconds / 2):
        code = quality.LATE_SAMPLE if reading.quality == quality.VALID else reading.quality
        return replace(reading, read_at=before, quality=code)
    return reading
