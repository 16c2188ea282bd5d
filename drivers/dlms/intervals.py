"""Interval blocks from a load profile's columns: stamps of interval ends become equal stretches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.period import Period
from schemas.reading import IntervalBlock


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One channel's values, a row each.

    Attributes
    ----------
    reading_type : name in ``reading_types.csv``
    rows : those that have a time and a value, shape (m,), indices
    values : shape (n,) [scaled unit]
    quality : shape (n,)
    """

    reading_type: str
    rows: NDArray[np.intp]
    values: NDArray[np.int64]
    quality: NDArray[np.int16]


def cut(
    ends: NDArray[np.int64], rows: NDArray[np.intp], period: Period, interval_seconds: int
) -> list[NDArray[np.intp]]:
    """Cut a profile's rows into stretches of equal intervals, oldest first.

    Stamps stay as the meter wrote them. A stretch ends where the next stamp is not one interval
    later. A stamp that is there again goes into another stretch, so that nothing is lost and the
    first row in the meter's order is in the first one.

    Parameters
    ----------
    ends : interval ends, shape (n,), in the meter's order [s since 1970-01-01 UTC]
    rows : which of them have a value, shape (m,)
    period : intervals that start elsewhere are left out
    interval_seconds : length of each interval [s]

    Returns
    -------
    for each stretch its rows, as indices into ``ends``
    """
    starts = ends[rows] - interval_seconds
    first, end = (int(moment.timestamp()) for moment in (period.start, period.end))
    inside = (starts >= first) & (starts < end)
    rows, starts = rows[inside], starts[inside]
    if not len(rows):
        return []
    steps = np.diff(starts)
    if (steps > 0).all():
        return np.split(rows, np.flatnonzero(steps != interval_seconds) + 1)
    turn = _turns(starts)
    order = np.lexsort((starts, turn))
    breaks = (np.diff(starts[order]) != interval_seconds) | (np.diff(turn[order]) != 0)
    pieces = np.split(rows[order], np.flatnonzero(breaks) + 1)
    return sorted(pieces, key=lambda piece: int(ends[piece[0]]))


def differenced(
    register: Series, reading_type: str, moments: NDArray[np.int64], interval_seconds: int
) -> Series:
    """Give a register's steps from row to row, as the values of the later rows.

    A row has one if the register was there exactly one interval earlier and has not run backwards
    since: whoever knows at which value it starts again has its readings, too.

    Parameters
    ----------
    reading_type : of the steps
    moments : of the rows, shape (n,) [s since 1970-01-01 UTC]
    """
    # Of a moment that is there twice the first row counts.
    ordered, first = np.unique(moments[register.rows], return_index=True)
    rows = register.rows[first]
    before, after = rows[:-1], rows[1:]
    steps = register.values[after] - register.values[before]
    kept = (np.diff(ordered) == interval_seconds) & (steps >= 0)
    before, after = before[kept], after[kept]
    values = np.zeros_like(register.values)
    values[after] = steps[kept]
    codes = register.quality.copy()
    doubtful = np.isin(codes[before], (quality.METER_DOUBTS, quality.OVERFLOW))
    codes[after] = np.where(doubtful, codes[before], codes[after])
    return Series(reading_type, np.sort(after), values, codes)


def _turns(starts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Count for each row the earlier rows of the same stamp."""
    order = np.argsort(starts, kind="stable")
    ordered = starts[order]
    place = np.arange(len(starts))
    is_first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    turns = np.empty_like(place)
    turns[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
    return turns


def block(
    channel: Series, rows: NDArray[np.intp], start: datetime, interval_seconds: int
) -> IntervalBlock:
    """Make a block of a stretch of a channel's rows."""
    codes = channel.quality[rows]
    return IntervalBlock(
        reading_type=channel.reading_type,
        start=start,
        interval_seconds=interval_seconds,
        values=channel.values[rows],
        quality=codes if (codes != quality.VALID).any() else None,
    )
