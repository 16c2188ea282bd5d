"""Interval blocks from a load profile's columns: stamps of interval ends become equal stretches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.period import Period
from schemas.reading import IntervalBlock


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One channel's rows.

    Attributes
    ----------
    reading_type : name in ``reading_types.csv``
    ends : interval ends, shape (n,), in the meter's order [s since 1970-01-01 UTC]
    values : shape (n,) [scaled unit]
    quality : shape (n,)
    """

    reading_type: str
    ends: NDArray[np.int64]
    values: NDArray[np.int64]
    quality: NDArray[np.int16]


def blocks(series: Series, period: Period, interval_seconds: int) -> list[IntervalBlock]:
    """Cut a channel's rows into blocks, oldest first.

    Stamps stay as the meter wrote them. A block ends where the next stamp is not one interval
    later. A stamp that is there again goes into a block of its own, so that nothing is lost and the
    first row in the meter's order is in the first block.

    Parameters
    ----------
    period : intervals that start elsewhere are left out
    interval_seconds : length of each interval [s]
    """
    starts = series.ends - interval_seconds
    first, end = (int(moment.timestamp()) for moment in (period.start, period.end))
    inside = np.flatnonzero((starts >= first) & (starts < end))
    if not len(inside):
        return []
    turn = _turns(starts[inside])
    order = np.lexsort((starts[inside], turn))
    rows, turn = inside[order], turn[order]
    breaks = (np.diff(starts[rows]) != interval_seconds) | (np.diff(turn) != 0)
    pieces = np.split(rows, np.flatnonzero(breaks) + 1)
    return sorted(_made(series, pieces, starts, interval_seconds), key=lambda block: block.start)


def _turns(starts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Count for each row the earlier rows of the same stamp."""
    order = np.argsort(starts, kind="stable")
    ordered = starts[order]
    place = np.arange(len(starts))
    is_first = np.r_[True, ordered[1:] != ordered[:-1]]
    turns = np.empty_like(place)
    turns[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
    return turns


def _made(
    series: Series,
    pieces: list[NDArray[np.intp]],
    starts: NDArray[np.int64],
    interval_seconds: int,
) -> Iterator[IntervalBlock]:
    for rows in pieces:
        codes = series.quality[rows]
        yield IntervalBlock(
            reading_type=series.reading_type,
            start=datetime.fromtimestamp(int(starts[rows[0]]), UTC),
            interval_seconds=interval_seconds,
            values=series.values[rows],
            quality=codes if (codes != quality.VALID).any() else None,
        )
