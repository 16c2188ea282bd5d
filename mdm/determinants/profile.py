"""Load profiles: the intervals of many channels over one period, as one matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.period import Period, local_days
from schemas.reading import BlockTable

OUTSIDE: Final = 5
"""Beside the values of ``QualityClass``: nothing was installed, so nothing is expected."""

KINDS: Final = 5
"""How many quality classes are counted: actual, questionable, missing, estimated, edited."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Equal intervals of n channels over one period of whole local days.

    Attributes
    ----------
    channel_id : shape (n,), ascending
    starts_at : start of the first interval [s since 1970-01-01 UTC]
    interval_seconds : length of each interval [s]
    midnights : shape (d + 1,), the slot at which each local day starts, and the end
    values : shape (n, s) [scaled unit]; 0 where nothing is known
    kind : shape (n, s), ``QualityClass`` or ``OUTSIDE``
    """

    channel_id: NDArray[np.int32]
    starts_at: int
    interval_seconds: int
    midnights: NDArray[np.int64]
    values: NDArray[np.int32]
    kind: NDArray[np.uint8]

    @property
    def slots(self) -> int:
        """Intervals in the period."""
        return int(self.values.shape[1])

    def moment(self, slot: int) -> int:
        """Give the start of a slot [s since 1970-01-01 UTC]."""
        return self.starts_at + slot * self.interval_seconds

    def running(self) -> NDArray[Any]:
        """Give sums from the first slot on, shape (n, s + 1), beginning with 0.

        They are as wide as they must be: a month of households fits in 32 bits, which takes half
        of the time and of the memory.
        """
        bounds = (self.values.min(), self.values.max()) if self.values.size else (0, 0)
        most = max(abs(int(bound)) for bound in bounds)
        kind = np.int32 if most * self.slots < np.iinfo(np.int32).max else np.int64
        sums = np.zeros((len(self.values), self.slots + 1), kind)
        np.cumsum(self.values, axis=1, dtype=kind, out=sums[:, 1:])
        return sums


def arrange(
    blocks: BlockTable,
    channel_id: NDArray[Any],
    period: Period,
    zone: ZoneInfo,
    interval_seconds: int,
) -> Profile:
    """Put blocks in their places; what no block covers is missing.

    Parameters
    ----------
    blocks : of channels of one interval length; those of other channels are left out
    channel_id : shape (n,), ascending; the profile's rows
    period : whole local days

    Raises
    ------
    ValueError
        if the period is not a whole number of intervals or a block lies off its grid.
    """
    start, slots = int(period.start.timestamp()), _slots(period, interval_seconds)
    values = np.zeros((len(channel_id), slots), np.int32)
    kind = np.full((len(channel_id), slots), quality.QualityClass.MISSING, np.uint8)
    row = np.searchsorted(channel_id, blocks.channel_id)
    ours = row < len(channel_id)
    ours[ours] = channel_id[row[ours]] == blocks.channel_id[ours]
    # No block has 2**32 intervals: start and length are one number, which sorts ten times as fast.
    shapes = (blocks.starts_at << 32) + blocks.length
    for shape in np.unique(shapes[ours]).tolist():
        begin, length = shape >> 32, shape & 0xFFFF_FFFF
        chosen = np.flatnonzero(ours & (shapes == shape))
        first = _place(begin - start, length, slots, interval_seconds)
        at = row[chosen]
        values[at, first : first + length] = blocks.values[chosen, :length]
        kind[at, first : first + length] = quality.classes(blocks.quality[chosen, :length])
    days = [int(day.start.timestamp()) for _, day in local_days(period, zone)]
    midnights = np.array([*days, int(period.end.timestamp())], np.int64) - start
    return Profile(
        channel_id=np.asarray(channel_id, np.int32),
        starts_at=start,
        interval_seconds=interval_seconds,
        midnights=midnights // interval_seconds,
        values=values,
        kind=kind,
    )


def mark_outside(profile: Profile, row: int, installed: Iterable[tuple[int, int]]) -> None:
    """Expect nothing in the slots that no installation covers whole; what is there stays.

    Parameters
    ----------
    row : of the profile; its kinds are changed in place
    installed : stretches [s since 1970-01-01 UTC] in which a meter was there, oldest first
    """
    expected = np.zeros(profile.slots, np.bool_)
    for starts_at, ends_at in _joined(installed):
        first = -((profile.starts_at - starts_at) // profile.interval_seconds)
        end = (ends_at - profile.starts_at) // profile.interval_seconds
        expected[max(first, 0) : max(end, 0)] = True
    missing = profile.kind[row] == quality.QualityClass.MISSING
    profile.kind[row, missing & ~expected] = OUTSIDE


def _joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join stretches that meet: the slot in which meters are exchanged is expected."""
    joined: list[tuple[int, int]] = []
    for starts_at, ends_at in stretches:
        if joined and joined[-1][1] >= starts_at:
            joined[-1] = (joined[-1][0], max(ends_at, joined[-1][1]))
        else:
            joined.append((starts_at, ends_at))
    return joined


def _slots(period: Period, interval_seconds: int) -> int:
    seconds = int(period.duration.total_seconds())
    if seconds % interval_seconds:
        raise ValueError(f"{period} is not a whole number of intervals of {interval_seconds} s")
    return seconds // interval_seconds


def _place(offset: int, length: int, slots: int, interval_seconds: int) -> int:
    """Give the slot at which a block begins."""
    first, rest = divmod(offset, interval_seconds)
    if rest or first < 0 or first + length > slots:
        raise ValueError(f"block of {length} × {interval_seconds} s at {offset} s is off the grid")
    return first
