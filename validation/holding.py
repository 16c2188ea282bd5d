"""Estimation from a gap's own edges: zero under an outage, or the last value going on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import interpolation, runs
from validation.estimator import Estimates, estimator
from validation.work import Work


@estimator(
    source="CPUC PSWG, July 1998: outage on both sides; AEMO substitution type 19, zero",
    quality=quality.ESTIMATED_ZERO,
    scaled=quality.ESTIMATED_SCALED,
    declines="no outage covers it",
)
def zero(work: Work, cells: NDArray[np.int64], *, between_outages: bool) -> Estimates:
    """Fill with 0 what an outage covers, and nothing else.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    between_outages : whether a gap is covered too where the values before and after it both say
        that power was down
    """
    covered = np.zeros(len(cells), dtype=np.bool_)
    if work.outage is not None:
        covered |= work.outage[cells]
    # To look for the code is a tenth of the work of finding the gaps, and most often all of it.
    if between_outages and np.any(work.quality == quality.POWER_DOWN):
        position = work.position(work.gaps)
        channel = work.gaps // work.stride
        found = runs.of_cells(position, channel)
        channel = channel[found.first]
        down = _is_down(work, channel, position[found.first] - 1)
        down &= _is_down(work, channel, position[found.last] + 1)
        covered |= down[found.run[np.searchsorted(work.gaps, cells)]]
    return Estimates(covered, np.zeros(len(cells), dtype=np.int64))


def _is_down(
    work: Work, channel: NDArray[np.int64], position: NDArray[np.int64]
) -> NDArray[np.bool_]:
    inside = (position >= 0) & (position < len(work.axis))
    cell = work.cell(channel, np.where(inside, position, 0))
    return np.asarray(inside & (work.quality[cell] == quality.POWER_DOWN))


@estimator(
    source="BO4E Messwertstatuszusatz Z93, hold last value (Haltewert)",
    quality=quality.ESTIMATED_HOLD,
    scaled=quality.ESTIMATED_SCALED,
    declines="no good value before it, or the gap is too long",
)
def hold(work: Work, cells: NDArray[np.int64], *, limit_hours: float) -> Estimates:
    """Go on with the good value before the gap.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    limit_hours : longest gap [h]; it is counted as in ``linear``
    """
    position = work.position(work.gaps)
    found = runs.of_cells(position, work.gaps // work.stride)
    channel = work.gaps[found.first] // work.stride
    last = interpolation.anchor(work, channel, position[found.first] - 1, -1, 1)
    last[found.length * work.interval_seconds > limit_hours * 3600] = -1
    source = last[found.run[np.searchsorted(work.gaps, cells)]]
    values = np.where(source >= 0, work.values[source].astype(np.int64), 0)
    return Estimates(source >= 0, values)
