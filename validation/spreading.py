"""Estimation from nothing but the register's difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation.estimator import Estimates, estimator
from validation.work import Work, sums_by


@estimator(
    source="Itron Analytics, flat line",
    quality=quality.ESTIMATED_REGISTER,
    scaled=quality.ESTIMATED_REGISTER,
    declines="no register span to share out",
)
def register(work: Work, cells: NDArray[np.int64]) -> Estimates:
    r"""Spread what the register counted beyond the known intervals evenly over the open ones.

    .. math:: x = \max(R - \sum known, 0) / n

    with the remainder, one unit each, on the earliest. It declines outside of register spans, in
    spans with a blank that isn't to be filled, and where the measured alone exceed the register.
    Where estimates make the known exceed it, the scaling that follows makes room.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    """
    registers = work.registers
    count = len(registers.energy)
    span = registers.span_of(cells)
    values = np.zeros(len(cells), dtype=np.int64)
    inside = np.flatnonzero(span >= 0)
    if not len(inside):
        return Estimates(span >= 0, values)
    estimated, blank = work.filled(), work.still_blank()
    known = registers.measured + sums_by(
        registers.span_of(estimated), work.values[estimated].astype(np.int64), count
    )
    opened = sums_by(span, np.ones_like(cells), count)
    able = opened == sums_by(registers.span_of(blank), np.ones_like(blank), count)
    rest = registers.energy - registers.measured
    able &= (rest >= 0) & (rest <= np.iinfo(work.values.dtype).max)
    inside = inside[able[span[inside]]]
    chosen = span[inside]
    base, remainder = np.divmod(np.maximum(registers.energy - known, 0), np.maximum(opened, 1))
    rank = np.arange(len(chosen)) - np.searchsorted(chosen, chosen, side="left")
    values[inside] = base[chosen] + (rank < remainder[chosen])
    filled = np.zeros(len(cells), dtype=np.bool_)
    filled[inside] = True
    return Estimates(filled, values)
