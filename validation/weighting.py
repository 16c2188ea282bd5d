"""Estimation from like days and from the values beside the gap, the nearer the heavier."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import interpolation, like_days
from validation.estimator import Estimates, estimator
from validation.work import Work


@estimator(
    source="after Peppanen, Zhang, Grijalva and Reno, IEEE PES ISGT 2016: optimally weighted "
    "average of linear interpolation and historical average",
    quality=quality.ESTIMATED_WEIGHTED,
    scaled=quality.ESTIMATED_SCALED,
    declines="no end point or no like day",
)
def weighted_average(
    work: Work,
    cells: NDArray[np.int64],
    *,
    decay_per_hour: float,
    limit_hours: float,
    count: int,
    fewest: int,
    like: Literal["kind", "weekday", "any"],
    within_days: int,
) -> Estimates:
    r"""Fill each slot with a mean of the straight line across the gap and of its like days.

    .. math:: x = w l + (1 - w) h, \quad w = e^{-\alpha d}

    rounded half up, where l is what ``linear`` has there, h the mean of the same local time on
    the like days, both unrounded, and d how far the nearer end point is [h]. With one end point
    only, l is its value. Needs both: it declines where no end point or too few like days are there.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    decay_per_hour : alpha; 0 is the straight line alone
    limit_hours : longest gap [h], counted as in ``linear``
    count, fewest, within_days : as in ``like_day``
    like : as in ``like_day``, or ``any``: all days are alike
    """
    found, hours = interpolation.gaps(work)
    chosen = np.flatnonzero(hours <= limit_hours)
    ends = np.full((2, len(found.first)), -1, dtype=np.int64)
    ends[:, chosen] = interpolation.anchors(work, found, chosen)
    index = np.searchsorted(work.gaps, cells)
    run = found.run[index]
    fits = hours[run] <= limit_hours
    able = fits & (ends[:, run] >= 0).any(axis=0)

    values = np.zeros(len(cells), dtype=np.int64)
    usual = np.full(len(cells), np.nan)
    usual[able] = like_days.usual(
        work, cells[able], count=count, fewest=fewest, like=like, within_days=within_days
    )
    filled = ~np.isnan(usual)
    step = index - found.first[run] + 1
    line, distance = _line(work, ends[:, run], step, found.length[run] + 1)
    weight = np.exp(-decay_per_hour * distance * (work.interval_seconds / 3600))
    mixed = weight * line + (1 - weight) * np.where(filled, usual, 0)
    values[filled] = np.floor(mixed[filled] + 0.5).astype(np.int64)
    reasons = {
        "gap too long": int(np.count_nonzero(~fits)),
        "no end point": int(np.count_nonzero(fits & ~able)),
        "too few sound like days": int(np.count_nonzero(able & ~filled)),
    }
    return Estimates(filled, values, reasons)


def _line(
    work: Work, ends: NDArray[np.int64], step: NDArray[np.int64], parts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give the straight line's value at each cell, and how many slots off the nearer end is."""
    there = ends >= 0
    left, right = work.values[ends].astype(np.float64)
    left, right = np.where(there[0], left, right), np.where(there[1], right, left)
    far = np.iinfo(np.int64).max
    distance = np.minimum(np.where(there[0], step, far), np.where(there[1], parts - step, far))
    return left + (right - left) * step / parts, np.where(there.any(axis=0), distance, 1)
