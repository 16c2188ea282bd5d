"""Estimation from averages over weeks, and from the average day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import days, like_days
from validation.estimator import Estimates, estimator
from validation.work import Work

_WEEKS: Final = 4


@estimator(
    source="AEMO substitution type 15, average like day: the previous 4 weeks",
    quality=quality.ESTIMATED_AVERAGE_DAY,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="nothing was measured at that time in the previous 4 weeks",
)
def average_like_day(work: Work, cells: NDArray[np.int64]) -> Estimates:
    """Fill each slot with the mean of the same weekday and local time in the previous 4 weeks.

    Of those of the four that are there: measured, whole, without an outage, not doubted in this
    run. Holidays are like no weekday, and a weekday like no holiday. Rounded half up.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    """
    weeks = [-7 * week for week in range(1, _WEEKS + 1)]
    return like_days.mean(work, _weekly(work, cells, weeks), fewest=1)


@estimator(
    source="Itron Enterprise Edition, multi-week average",
    quality=quality.ESTIMATED_MULTI_WEEK,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="too few weeks measured at that time",
)
def multi_week(
    work: Work, cells: NDArray[np.int64], *, before: int, after: int, fewest: int
) -> Estimates:
    """Fill each slot with the mean of the same weekday and local time over chosen weeks.

    Only measured, whole, undoubted slots without an outage count; holidays are left out, and a
    holiday itself is left to others. Rounded half up. With one week before it is the German
    reference week (Vergleichswoche).

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    before, after : weeks before and after the day
    fewest : weeks below which it declines
    """
    weeks = [7 * week for week in range(-before, after + 1) if week]
    others = _weekly(work, cells, weeks)
    others[work.days.holiday[cells // work.slots % len(work.days)]] = -1
    return like_days.mean(work, others, fewest)


def _weekly(work: Work, cells: NDArray[np.int64], offsets: Sequence[int]) -> NDArray[np.int64]:
    """Give cells of other weeks that were measured, shape (k, m), -1 for none."""
    day, total = cells // work.slots, len(work.days)
    inside, key = day % total, days.likeness(work.days, "weekday")
    other = inside[:, None] + np.array(offsets, dtype=np.int64)[None, :]
    there = (other >= 0) & (other < total)
    there &= key[other % total] == key[inside][:, None]
    source = np.where(there, day[:, None] - inside[:, None] + other, -1)
    found = like_days.same_time(work, cells, source)
    return np.where((found >= 0) & work.is_measured(found), found, -1)


@estimator(
    source="Itron Enterprise Edition, average daily load; AEMO substitution type 25, ADL",
    quality=quality.ESTIMATED_DAILY_LOAD,
    scaled=quality.ESTIMATED_SCALED,
    declines="too few sound days",
)
def daily_load(work: Work, cells: NDArray[np.int64], *, within_days: int, fewest: int) -> Estimates:
    r"""Spread the channel's average day evenly over the day.

    .. math:: x = ADL / n

    in whole units: the whole day adds up to the ADL, which is rounded half up. The average is over
    the sound days within reach, of any kind.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    within_days : how far to look, before and after [days]
    fewest : sound days below which it declines
    """
    total = len(work.days)
    rows, which = np.unique(cells // work.slots, return_inverse=True)
    of_days = work.values.reshape(-1, work.slots).sum(axis=1, dtype=np.int64)
    sums, counts = (
        like_days.within(rows, total, within_days, np.where(work.sound.ravel(), each, 0))
        for each in (of_days, np.ones_like(of_days))
    )
    parts = np.maximum(counts, 1)
    load = ((2 * sums + parts) // (2 * parts))[which]
    filled = counts[which] >= max(fewest, 1)
    length = work.days.length[rows % total].astype(np.int64)[which]
    slot = cells % work.slots
    values = load * (slot + 1) // length - load * slot // length
    return Estimates(filled, np.where(filled, values, 0))
