"""Highest demand over blocks and over a moving window, with its time.

Demand is energy over a window ÷ the window's length. A window in which an interval is missing, or
in which nothing was installed, says nothing of demand and is left out.

References
----------
Schneider Electric, PowerLogic ION9000 user manual, "Timed block demand", "Rolling block demand".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.profile import KINDS, OUTSIDE, Profile
from schemas.quality import QualityClass

# Below any sum of int32 intervals that a period can hold.
_NOTHING: Final = np.iinfo(np.int64).min
_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """The window of highest demand of n channels; the earliest, where several are equal.

    Attributes
    ----------
    window_seconds : length of the window [s]
    energy : shape (n,), energy or volume in the window [scaled unit]; 0 where none is found
    slot : shape (n,), first slot of the window
    found : shape (n,), whether there is a window without a missing interval
    counts : shape (n, 5), intervals of the window by ``QualityClass``
    """

    window_seconds: int
    energy: NDArray[np.int64]
    slot: NDArray[np.int64]
    found: NDArray[np.bool_]
    counts: NDArray[np.int64]


def rolling(profile: Profile, running: NDArray[Any], window_seconds: int) -> Peaks | None:
    """Find the highest window that may begin at any slot and lies inside the period.

    Parameters
    ----------
    running : ``profile.running()``, made once for all windows
    window_seconds : [s]

    Returns
    -------
    None if the window is not a whole number of the profile's intervals
    """
    width, rest = divmod(window_seconds, profile.interval_seconds)
    if rest or not 0 < width <= profile.slots:
        return None
    return _peaks(profile, running, np.arange(profile.slots - width + 1), width)


def block(profile: Profile, running: NDArray[Any], window_seconds: int) -> Peaks | None:
    """Find the highest of the blocks that begin at local midnight and follow each other.

    Where clocks change by less than a block, the day's last, shorter block is left out.

    Returns
    -------
    None if the block is not a whole number of the profile's intervals
    """
    width, rest = divmod(window_seconds, profile.interval_seconds)
    if rest or not 0 < width <= profile.slots:
        return None
    days = zip(profile.midnights[:-1], profile.midnights[1:], strict=True)
    begins = np.concatenate([np.arange(first, end - width + 1, width) for first, end in days])
    return _peaks(profile, running, begins, width) if len(begins) else None


def _peaks(profile: Profile, running: NDArray[Any], begins: NDArray[np.int64], width: int) -> Peaks:
    """Find the highest of the windows of ``width`` slots that begin at ``begins``, ascending."""
    rows = len(running)
    highest, best = np.zeros(rows, np.int64), np.zeros(rows, np.intp)
    # Some channels at a time: their sums stay in the cache.
    for first in range(0, rows, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        highest[part], best[part] = _highest(profile.kind[part], running[part], begins, width)
    found = highest != _NOTHING
    slot = begins[best]
    return Peaks(
        window_seconds=width * profile.interval_seconds,
        energy=np.where(found, highest, 0),
        slot=slot,
        found=found,
        counts=_counts(profile, slot, width),
    )


def _highest(
    kind: NDArray[np.uint8], running: NDArray[Any], begins: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Give the highest window's sum of some channels, and which window it is."""
    sums = _differences(running, begins, width)
    nothing = np.iinfo(sums.dtype).min
    unknown = (kind == QualityClass.MISSING) | (kind == OUTSIDE)
    holed = np.flatnonzero(unknown.any(axis=1))
    if len(holed):
        holes = np.zeros((len(holed), running.shape[1]), np.int64)
        np.cumsum(unknown[holed], axis=1, out=holes[:, 1:])
        part = sums[holed]
        part[_differences(holes, begins, width) > 0] = nothing
        sums[holed] = part
    best = sums.argmax(axis=1)
    highest = sums[np.arange(len(sums)), best].astype(np.int64)
    return np.where(highest == nothing, _NOTHING, highest), best


def _differences(running: NDArray[Any], begins: NDArray[np.int64], width: int) -> NDArray[Any]:
    """Give each window's sum, shape (n, windows)."""
    if len(begins) == running.shape[1] - width:
        # Every slot begins a window: two views instead of two copies.
        return np.asarray(running[:, width:] - running[:, :-width])
    if len(begins) * width == running.shape[1] - 1 and (np.diff(begins) == width).all():
        # Blocks without a gap end where others begin.
        return np.diff(running[:, ::width], axis=1)
    return np.asarray(running[:, begins + width] - running[:, begins])


def _counts(profile: Profile, slot: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Count the chosen windows' intervals by quality class, shape (n, 5)."""
    rows = np.arange(len(slot))[:, None]
    kind = profile.kind[rows, slot[:, None] + np.arange(width)]
    return np.asarray((kind[:, :, None] == np.arange(KINDS)).sum(axis=1), np.int64)
