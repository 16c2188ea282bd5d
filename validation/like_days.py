"""Estimation from days that are like the one with the gap."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import days
from validation.days import Days
from validation.estimator import Estimates, estimator
from validation.work import Work


@estimator(
    source="Itron Enterprise Edition, Historical estimation",
    quality=quality.ESTIMATED_LIKE_DAY,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="too few sound like days",
)
def like_day(
    work: Work,
    cells: NDArray[np.int64],
    *,
    count: int,
    fewest: int,
    like: Literal["kind", "weekday"],
    within_days: int,
) -> Estimates:
    """Fill each slot with the mean of the same local time on the nearest sound like days.

    Nearest by days apart, before or after; of two equally near the earlier one. A day is sound
    if it was measured in full, has no outage and failed nothing in this run. Where a clock change
    took the time of day out of a like day, the others decide. Rounded half up.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    count : like days to average
    fewest : like days below which it declines
    like : days are alike by kind (weekday, weekend, holiday) or by weekday (holidays apart)
    within_days : how far to look, before and after [days]
    """
    return mean(work, _like(work, cells, count, like, within_days), fewest)


def usual(
    work: Work,
    cells: NDArray[np.int64],
    *,
    count: int,
    fewest: int,
    like: Literal["kind", "weekday", "any"],
    within_days: int,
) -> NDArray[np.float64]:
    """Give what ``like_day`` would fill in, unrounded; shape (k,), NaN where it can't.

    Parameters
    ----------
    work, cells, count, fewest, like, within_days : as in ``like_day``
    """
    picked, number = _sums(work, _like(work, cells, count, like, within_days))
    return np.where(number >= max(fewest, 1), picked / np.maximum(number, 1), np.nan)


def _like(
    work: Work,
    cells: NDArray[np.int64],
    count: int,
    like: Literal["kind", "weekday", "any"],
    within_days: int,
) -> NDArray[np.int64]:
    """Give the cells of the same local time on the nearest like days, shape (k, m), -1 for none."""
    day, which = np.unique(cells // work.slots, return_inverse=True)
    nearest = _nearest(work, day, days.likeness(work.days, like), count, within_days)
    return same_time(work, cells, nearest[which])


def same_time(work: Work, cells: NDArray[np.int64], source: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the cells of other days at the same local time, shape (k, m), -1 for none.

    Parameters
    ----------
    cells : shape (k,)
    source : shape (k, m), flattened (channel, day) indices, -1 for none
    """
    clock = work.days.clock.ravel()[cells % work.stride]
    slot = _slot_at(work.days)[np.maximum(source, 0) % len(work.days), clock[:, None]]
    return np.where((source >= 0) & (slot >= 0), source * work.slots + slot, -1)


def mean(work: Work, others: NDArray[np.int64], fewest: int) -> Estimates:
    """Average the cells of each row, rounded half up; at least ``fewest`` must be there.

    Parameters
    ----------
    others : shape (k, m), flat cell indices, -1 for none
    """
    total, number = _sums(work, others)
    filled = number >= max(fewest, 1)
    parts = np.maximum(number, 1)
    average = (2 * total + parts) // (2 * parts)
    return Estimates(filled, np.where(filled, average, 0))


def _sums(work: Work, others: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the sum of each row's cells and how many there are, shape (k,) each."""
    usable = others >= 0
    picked = np.where(usable, work.values[np.maximum(others, 0)], 0)
    return picked.sum(axis=1, dtype=np.int64), usable.sum(axis=1)


def within(
    rows: NDArray[np.int64], total: int, reach: int, amounts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Add the amounts of a channel's days at most so far from each of some days, shape (g,).

    Parameters
    ----------
    rows : shape (g,), flattened (channel, day) indices
    total : days of a channel
    reach : how far, before and after [days]
    amounts : shape (c·d,)
    """
    until = np.concatenate([[0], np.cumsum(amounts)])
    first = rows - rows % total
    start, end = np.maximum(rows - reach, first), np.minimum(rows + reach + 1, first + total)
    return np.asarray(until[end] - until[start])


def _nearest(
    work: Work, day: NDArray[np.int64], key: NDArray[np.int8], count: int, within: int
) -> NDArray[np.int64]:
    """Give flattened (channel, day) indices of like days, shape (g, count), -1 for none."""
    total = len(work.days)
    inside = day % total
    sound = work.sound.ravel()
    found = np.full((len(day), count), -1, dtype=np.int64)
    number = np.zeros(len(day), dtype=np.int64)
    seeking = np.arange(len(day))
    for distance in range(1, min(within, total - 1) + 1):
        for offset in (-distance, distance):
            other = inside[seeking] + offset
            there = (other >= 0) & (other < total)
            candidate = np.where(there, day[seeking] + offset, day[seeking])
            same = key[candidate % total] == key[inside[seeking]]
            good = seeking[there & same & sound[candidate] & (number[seeking] < count)]
            found[good, number[good]] = day[good] + offset
            number[good] += 1
        seeking = seeking[number[seeking] < count]
        if not len(seeking):
            break
    return found


def _slot_at(table: Days) -> NDArray[np.int64]:
    """Give each day's first slot at each clock time, shape (d, times), -1 for none."""
    times = int(table.clock.max()) + 1
    slot_at = np.full((len(table), times), -1, dtype=np.int64)
    day, slot = np.nonzero(table.clock >= 0)
    # Written from the last slot to the first: where the clock went back, the first hour counts.
    slot_at[day[::-1], table.clock[day, slot][::-1]] = slot[::-1]
    return slot_at
