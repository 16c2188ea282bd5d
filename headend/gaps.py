"""Which intervals of a meter are missing, and which of them to ask for now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np

from schemas import quality
from schemas.period import Period, floor
from schemas.reading import IntervalBlock


def expected(
    installed: Iterable[Period], *, now: datetime, horizon: timedelta, interval_seconds: int
) -> list[Period]:
    """Give the periods in which a meter must have intervals.

    Parameters
    ----------
    installed : when the meter was installed; the end of the last one may lie ahead
    now : the last interval that is complete by now is the last one expected
    horizon : how far back meters are asked
    interval_seconds : length of an interval [s]
    """
    window = Period(floor(now - horizon, interval_seconds), floor(now, interval_seconds))
    shared = (stretch.intersection(window) for stretch in installed)
    return union(stretch for stretch in shared if stretch)


def union(periods: Iterable[Period]) -> list[Period]:
    """Join periods that touch or overlap; give what remains, oldest first."""
    joined: list[Period] = []
    for period in sorted(periods):
        if not period:
            continue
        if joined and period.start <= joined[-1].end:
            joined[-1] = Period(joined[-1].start, max(joined[-1].end, period.end))
        else:
            joined.append(period)
    return joined


def missing(
    wanted: Iterable[Period], covered: Iterable[Period], interval_seconds: int
) -> list[Period]:
    """Give the whole intervals of the wanted periods that nothing covers, oldest first.

    A meter whose intervals lie off the grid leaves slivers at the edges; they are no intervals.
    """
    have = union(covered)
    holes = (hole for period in union(wanted) for hole in _without(period, have))
    whole = (_whole(hole, interval_seconds) for hole in holes)
    return [period for period in whole if period is not None]


def requests(
    periods: Sequence[Period], *, longest: timedelta, most: int
) -> tuple[list[Period], bool]:
    """Cut missing periods into requests, oldest first; tell whether some are left for later.

    Parameters
    ----------
    longest : longest stretch of one request; what breaks off costs no more than this
    most : most requests in one session
    """
    cut: list[Period] = []
    for period in periods:
        start = period.start
        while start < period.end:
            if len(cut) == most:
                return cut, True
            end = min(start + longest, period.end)
            cut.append(Period(start, end))
            start = end
    return cut, False


def absent(
    asked: Period,
    blocks: Sequence[IntervalBlock],
    *,
    reading_types: Iterable[str],
    interval_seconds: int,
    settled: datetime,
) -> list[IntervalBlock]:
    """Give blocks of MISSING for the slots that a meter, asked for them, does not have.

    Parameters
    ----------
    asked : period that the meter has answered completely
    blocks : its answer
    reading_types : what the meter is known to store, beside what the answer has
    interval_seconds : length of an interval [s]
    settled : slots from here on may still come, unless the meter has given a later one already:
        a clock that is behind has not finished them
    """
    slots = int(asked.duration.total_seconds()) // interval_seconds
    if not slots:
        return []
    newest = max((block.period.end for block in blocks), default=asked.start)
    final = _slot(min(max(newest, settled), asked.end), asked, interval_seconds)
    names = sorted({*reading_types, *(block.reading_type for block in blocks)})
    made: list[IntervalBlock] = []
    for name in names:
        have = np.zeros(slots, dtype=bool)
        for block in (block for block in blocks if block.reading_type == name):
            first = (block.start - asked.start).total_seconds()
            places = (first + np.arange(len(block)) * block.interval_seconds) // interval_seconds
            places = places[(places >= 0) & (places < slots)].astype(np.int64)
            have[places] = True
        have[final:] = True
        made += _missing_blocks(name, asked.start, ~have, interval_seconds)
    return made


def _missing_blocks(
    name: str, start: datetime, lacking: np.ndarray, interval_seconds: int
) -> list[IntervalBlock]:
    """Make a block of every run of slots that lack."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], lacking, [False])).astype(np.int8)))
    return [
        IntervalBlock(
            name,
            start + timedelta(seconds=interval_seconds * first),
            interval_seconds,
            np.zeros(end - first, np.int64),
            np.full(end - first, quality.MISSING, np.int16),
            "asked for, and the meter has none",
        )
        for first, end in edges.reshape(-1, 2).tolist()
    ]


def _slot(moment: datetime, asked: Period, interval_seconds: int) -> int:
    return max(0, int((moment - asked.start).total_seconds()) // interval_seconds)


def _without(period: Period, have: Sequence[Period]) -> list[Period]:
    """Take covered stretches, sorted and disjoint, out of a period."""
    holes: list[Period] = []
    start = period.start
    for stretch in have:
        if stretch.end <= start or stretch.start >= period.end:
            continue
        if stretch.start > start:
            holes.append(Period(start, stretch.start))
        start = max(start, stretch.end)
    if start < period.end:
        holes.append(Period(start, period.end))
    return holes


def _whole(period: Period, interval_seconds: int) -> Period | None:
    """Shrink a period to the whole intervals of the grid in it."""
    start = floor(period.start, interval_seconds)
    if start < period.start:
        start += timedelta(seconds=interval_seconds)
    end = floor(period.end, interval_seconds)
    return Period(start, end) if start < end else None
