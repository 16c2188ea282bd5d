"""Runs that last: cells of a time line that share something for so many hours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from validation import runs
from validation.rule import Mask
from validation.views import Timeline


def lasting(line: Timeline, members: NDArray[np.bool_], hours: float, heads: int = 0) -> Mask:
    """Mark runs of at least so many hours; observed is the whole run's length [h].

    Parameters
    ----------
    line : days of channels in a row, shape (c, t)
    members : shape (c, t), True where a cell is like those before it
    hours : shortest run that fails [h]
    heads : cells before the first member that belong to the run: of k equal values k - 1 equal
        the one before, so 1
    """
    least = max(int(np.ceil(hours * 3600 / line.interval_seconds)), heads + 1)
    cells, length = runs.at_least(members, least - heads)
    if heads and len(cells):
        cells, length = _headed(cells, length, heads)
    fails = np.zeros(members.shape, dtype=np.bool_)
    fails.ravel()[cells] = True
    observed = length * line.interval_seconds / 3600
    return Mask(fails, cells, observed, np.full(len(cells), float(hours)))


def _headed(
    cells: NDArray[np.int64], length: NDArray[np.int64], heads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    head = np.flatnonzero(np.diff(cells, prepend=-2) != 1)
    before = [cells[head] - back for back in range(1, heads + 1)]
    cells, length = (
        np.concatenate([cells, *before]),
        np.concatenate([length, *[length[head]] * heads]) + heads,
    )
    # Two runs may share a head; the longer one speaks for it.
    order = np.lexsort((-length, cells))
    cells, length = cells[order], length[order]
    first = np.diff(cells, prepend=-1) != 0
    return cells[first], length[first]
