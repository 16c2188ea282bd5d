"""Estimation between the good values on both sides of a gap."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import runs
from validation.estimator import Estimates, estimator
from validation.work import Work


@estimator(
    source="Itron Enterprise Edition, linear interpolation; CPUC PSWG: gaps of 2 hours or less; "
    "Oracle Utilities MDM, Interval Interpolation",
    quality=quality.ESTIMATED_LINEAR,
    scaled=quality.ESTIMATED_SCALED_LINEAR,
    declines="no end point",
)
def linear(
    work: Work,
    cells: NDArray[np.int64],
    *,
    limit_hours: float,
    inclusive: bool,
    one_anchor: Literal["flat", "decline"],
    beside_bad: Literal["decline", "next_good"],
) -> Estimates:
    r"""Fill short gaps on the straight line between the values before and after.

    .. math:: x_k = a + (b - a) · k / (n + 1), \quad k = 1 … n

    rounded half up. The gap's length counts every slot in a row without a usable value, days
    outside of the run included; it ends where nothing is expected. An anchor is valid or edited,
    whole and without an outage.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    limit_hours : longest gap [h]
    inclusive : whether a gap of exactly that length is filled (California) or not (Austria)
    one_anchor : with one good side only, fill flat with its value, or decline
    beside_bad : where the neighbour is there and not good, decline that side, or take the next
        good value at most ``limit_hours`` further
    """
    found, hours = gaps(work)
    short = np.flatnonzero(hours <= limit_hours if inclusive else hours < limit_hours)
    reach = 1
    if beside_bad == "next_good":
        reach += int(limit_hours * 3600) // work.interval_seconds
    before, after = anchors(work, found, short, reach)
    both = (before >= 0) & (after >= 0)
    able = both | ((before >= 0) | (after >= 0) if one_anchor == "flat" else False)
    left = np.where(before >= 0, before, after)
    right = np.where(after >= 0, after, before)

    ends = np.full((2, len(found.first)), -1, dtype=np.int64)
    ends[:, short[able]] = left[able], right[able]
    index = np.searchsorted(work.gaps, cells)
    is_short = np.zeros(len(found.first), dtype=np.bool_)
    is_short[short] = True
    reasons = {
        "gap too long": int(np.count_nonzero(~is_short[found.run[index]])),
        "no end point": int(np.count_nonzero((is_short & (ends[0] < 0))[found.run[index]])),
    }
    return replace(_on_lines(work, found, ends, index), reasons=reasons)


def _on_lines(
    work: Work, found: runs.Runs, ends: NDArray[np.int64], index: NDArray[np.int64]
) -> Estimates:
    run = found.run[index]
    filled = ends[0, run] >= 0
    left = work.values[ends[0, run]].astype(np.int64)
    right = work.values[ends[1, run]].astype(np.int64)
    step = index - found.first[run] + 1
    parts = found.length[run] + 1
    values = (2 * (left * parts + (right - left) * step) + parts) // (2 * parts)
    return Estimates(filled, np.where(filled, values, 0))


def gaps(work: Work) -> tuple[runs.Runs, NDArray[np.float64]]:
    """Give the runs among ``work.gaps`` and their lengths, shape (r,) [h].

    A gap's length counts every slot in a row without a usable value, history included.
    """
    found = runs.of_cells(work.position(work.gaps), work.gaps // work.stride)
    return found, found.length * work.interval_seconds / 3600


def anchors(
    work: Work, found: runs.Runs, chosen: NDArray[np.intp], reach: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the nearest good cells before and after some gaps, shape (k,) each, -1 for none.

    Parameters
    ----------
    found : as ``gaps`` gives them
    chosen : shape (k,), which of them
    reach : slots to look at on each side
    """
    first, last = work.gaps[found.first[chosen]], work.gaps[found.last[chosen]]
    channel = first // work.stride
    before = anchor(work, channel, work.position(first) - 1, -1, reach)
    return before, anchor(work, channel, work.position(last) + 1, 1, reach)


def anchor(
    work: Work,
    channel: NDArray[np.int64],
    position: NDArray[np.int64],
    step: int,
    reach: int,
) -> NDArray[np.int64]:
    """Give the nearest good value from a place on, shape (k,), -1 for none.

    Parameters
    ----------
    channel, position : shape (k,), where to begin
    step : 1 onwards, -1 backwards
    reach : slots to look at
    """
    found = np.full(len(channel), -1, dtype=np.int64)
    seeking = np.arange(len(channel))
    for distance in range(reach):
        place = position[seeking] + step * distance
        inside = (place >= 0) & (place < len(work.axis))
        seeking, place = seeking[inside], place[inside]
        cells = work.cell(channel[seeking], place)
        good = work.can_anchor(cells)
        found[seeking[good]] = cells[good]
        seeking = seeking[~good]
    return found
