"""Sums of intervals by time-of-use period, and how many of them are actual, estimated, missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.profile import KINDS, Profile


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Energy or volume of n channels in p time-of-use periods.

    Attributes
    ----------
    values : shape (n, p) [scaled unit]
    counts : shape (n, p, 5), intervals by ``QualityClass``; slots where nothing was installed
        are in none
    """

    values: NDArray[np.int64]
    counts: NDArray[np.int64]


def by_period(profile: Profile, period_of_slot: NDArray[np.uint8], periods: int) -> Sums:
    """Sum the intervals of each time-of-use period.

    Parameters
    ----------
    period_of_slot : shape (s,), numbers below ``periods``; all 0 gives the total
    """
    begins = np.flatnonzero(np.diff(period_of_slot, prepend=periods))
    # A day has a handful of periods: sums of runs first, then a few columns instead of thousands.
    runs = np.add.reduceat(profile.values, begins, axis=1, dtype=np.int64)
    member = period_of_slot[begins][:, None] == np.arange(periods)
    return Sums(runs @ member.astype(np.int64), _counts(profile, period_of_slot, periods))


def _counts(profile: Profile, period_of_slot: NDArray[np.uint8], periods: int) -> NDArray[np.int64]:
    """Count slots by period and quality class, shape (n, p, 5)."""
    rows, slots = profile.kind.shape
    width = periods * (KINDS + 1)
    # Most slots are actual: the others are counted, and these are the rest of all.
    other = np.flatnonzero(profile.kind != 0)
    row, slot = np.divmod(other, slots) if len(other) else (other, other)
    key = row * width + period_of_slot[slot].astype(np.int64) * (KINDS + 1)
    key += profile.kind[row, slot]
    found = np.bincount(key, minlength=rows * width).reshape(rows, periods, KINDS + 1)
    found[:, :, 0] = np.bincount(period_of_slot, minlength=periods) - found.sum(axis=2)
    return np.asarray(found[:, :, :KINDS], np.int64)
