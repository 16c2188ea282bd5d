"""What one usage point's intervals say: sums, peaks and counts over all its channels.

A usage point has one channel, seldom two: where a meter was exchanged for one with another
interval length. Whole profiles are computed at once (``Figures``); a ``Supply`` picks the rows of
one usage point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.determinants import demand, energy
from mdm.determinants.demand import Peaks
from mdm.determinants.determinant import Counts
from mdm.determinants.energy import Sums
from mdm.determinants.profile import OUTSIDE, Profile
from schemas.quality import QualityClass


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Everything that is computed from one profile.

    ``block`` and ``rolling`` are by window length [s]; None where intervals do not fit in it.
    """

    profile: Profile
    running: NDArray[Any]
    sums: Sums
    block: Mapping[int, Peaks | None]
    rolling: Mapping[int, Peaks | None]


class Peak(NamedTuple):
    """The highest window: energy in it [scaled unit], its bounds [s], its intervals by quality."""

    energy: int
    starts_at: int
    ends_at: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Supply:
    """One usage point's intervals: rows of profiles."""

    rows: Sequence[tuple[Figures, int]]

    @property
    def total(self) -> int:
        """Sum of all intervals [scaled unit]."""
        return sum(int(figures.sums.values[row].sum()) for figures, row in self.rows)

    @property
    def counts(self) -> Counts:
        """All intervals by quality."""
        return _counts(figures.sums.counts[row].sum(axis=0) for figures, row in self.rows)

    @property
    def elapsed_seconds(self) -> int:
        """Time in which intervals are expected [s]."""
        return sum(
            int(figures.sums.counts[row].sum()) * figures.profile.interval_seconds
            for figures, row in self.rows
        )

    @property
    def overlapping(self) -> bool:
        """Whether two channels have intervals of the same time."""
        if len(self.rows) < 2:
            return False
        step = math.gcd(*(figures.profile.interval_seconds for figures, _ in self.rows))
        known = []
        for figures, row in self.rows:
            kind, seconds = figures.profile.kind[row], figures.profile.interval_seconds
            there = (kind != QualityClass.MISSING) & (kind != OUTSIDE)
            known.append(np.repeat(there, seconds // step))
        return bool((np.sum(known, axis=0) > 1).any())

    def by_period(self, number: int) -> tuple[int, Counts]:
        """Sum of the intervals of one time-of-use period [scaled unit], and their qualities."""
        value = sum(int(figures.sums.values[row, number]) for figures, row in self.rows)
        return value, _counts(figures.sums.counts[row, number] for figures, row in self.rows)

    def peak(self, which: str, window_seconds: int) -> Peak | str:
        """Give the highest ``block`` or ``rolling`` window, or why there is none."""
        found: list[Peak] = []
        for figures, row in self.rows:
            peaks: Peaks | None = getattr(figures, which)[window_seconds]
            if peaks is None:
                seconds = figures.profile.interval_seconds
                return f"intervals of {seconds} s do not fill a window of {window_seconds} s"
            if peaks.found[row]:
                starts_at = figures.profile.moment(int(peaks.slot[row]))
                counts = Counts(*map(int, peaks.counts[row]))
                energy_ = int(peaks.energy[row])
                found.append(Peak(energy_, starts_at, starts_at + window_seconds, counts))
        if not found:
            return f"no window of {window_seconds} s is without a missing interval"
        return max(found, key=lambda peak: (peak.energy, -peak.starts_at))

    def bridge(self, since: int, until: int) -> int | None:
        """Sum the intervals from one moment to another [s]; None if they do not cover it.

        Raises
        ------
        ValueError
            if the figures were put together from days, which do not have them.
        """
        total = 0
        for figures, row in self.rows:
            profile = figures.profile
            if not profile.slots:
                raise ValueError("sums of days say nothing of single intervals")
            first, off = divmod(since - profile.starts_at, profile.interval_seconds)
            end, off_too = divmod(until - profile.starts_at, profile.interval_seconds)
            kinds = profile.kind[row, first:end]
            if off or off_too or (kinds == QualityClass.MISSING).any():
                return None
            total += int(figures.running[row, end] - figures.running[row, first])
        return total if self.rows else None


def figures(
    profile: Profile,
    period_of_slot: NDArray[np.uint8],
    periods: int,
    *,
    block: Sequence[int],
    rolling: Sequence[int],
) -> Figures:
    """Compute everything for all channels of a profile.

    Parameters
    ----------
    period_of_slot : shape (s,), time-of-use period of each slot, numbers below ``periods``
    block, rolling : window lengths [s]
    """
    running = profile.running()
    return Figures(
        profile=profile,
        running=running,
        sums=energy.by_period(profile, period_of_slot, periods),
        block={w: demand.block(profile, running, w) for w in block},
        rolling={w: demand.rolling(profile, running, w) for w in rolling},
    )


def repeated(one: Figures, channel_id: Sequence[int]) -> Figures:
    """Give channels the figures of one that is as they are."""

    def rows(column: NDArray[Any]) -> NDArray[Any]:
        return np.broadcast_to(column, (len(channel_id), *column.shape[1:]))

    def peaks(of: Mapping[int, Peaks | None]) -> dict[int, Peaks | None]:
        return {
            window: each
            and Peaks(window, *map(rows, (each.energy, each.slot, each.found, each.counts)))
            for window, each in of.items()
        }

    load = one.profile
    return Figures(
        profile=replace(
            load,
            channel_id=np.array(channel_id, np.int32),
            values=rows(load.values),
            kind=rows(load.kind),
        ),
        running=rows(one.running),
        sums=Sums(rows(one.sums.values), rows(one.sums.counts)),
        block=peaks(one.block),
        rolling=peaks(one.rolling),
    )


def _counts(rows: Iterable[NDArray[np.int64]]) -> Counts:
    """Add counts of several channels."""
    total = np.zeros(len(Counts._fields), np.int64)
    for row in rows:
        total += row
    return Counts(*map(int, total))
