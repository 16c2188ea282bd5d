"""Runs of True: stretches of neighbouring slots that share something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Unbroken runs in an ordered list of cells.

    Attributes
    ----------
    first, last : shape (r,), index into the list of each run's first and last cell
    run : shape (k,), which run each cell belongs to
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    run: NDArray[np.int64]

    @property
    def length(self) -> NDArray[np.int64]:
        """Shape (r,), cells in each run."""
        return self.last - self.first + 1


def of_cells(position: NDArray[np.int64], row: NDArray[np.int64]) -> Runs:
    """Find the runs among cells.

    Parameters
    ----------
    position : shape (k,), ascending; neighbours differ by one
    row : shape (k,), a run never crosses from one row to the next
    """
    if not len(position):
        none = np.empty(0, dtype=np.int64)
        return Runs(none, none, none)
    broken = (np.diff(position) != 1) | (np.diff(row) != 0)
    first = np.concatenate([[0], np.flatnonzero(broken) + 1])
    last = np.concatenate([first[1:] - 1, [len(position) - 1]])
    return Runs(first, last, np.repeat(np.arange(len(first)), last - first + 1))


def at_least(mask: NDArray[np.bool_], least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the cells in runs of at least so many along the rows.

    Parameters
    ----------
    mask : shape (r, t)
    least : shortest run that counts, at least 1

    Returns
    -------
    flat indices of the cells, ascending, and the length of each one's run
    """
    rows = np.flatnonzero(np.count_nonzero(mask, axis=1) >= least)
    width = mask.shape[1]
    row, column = np.nonzero(mask[rows])
    runs = of_cells(column, row)
    length = runs.length[runs.run]
    long = length >= least
    return (rows[row] * width + column)[long], length[long]
