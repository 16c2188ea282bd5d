"""Scaling: intervals are brought to what the register counted, exact to the last unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from validation.work import Work, sums_by

SOURCE: Final = (
    "Itron Enterprise Edition, interval data scaling; Oracle Utilities MDM, Interval Adjustment "
    "From Scalar; largest-remainder method"
)
_NONE: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """What scaling did.

    Attributes
    ----------
    cells : shape (k,), flat indices of the scaled cells, ascending
    values : shape (k,), their new values [scaled unit]
    spans : shape (s,), True for the spans that were brought to their register's difference
    refused : shape (s,), True for those whose other values leave no room for what is scaled
    """

    cells: NDArray[np.int64]
    values: NDArray[np.int64]
    spans: NDArray[np.bool_]
    refused: NDArray[np.bool_]


def scaled(
    work: Work,
    measured: NDArray[np.int64] = _NONE,
    *,
    intervals: Literal["estimated", "all"],
    negative: Literal["refuse", "allow"],
) -> Scaled:
    r"""Scale the estimates E of each register span so that the span adds up to the register.

    .. math:: x_i' = f · x_i, \quad f = (R - \sum_{i \notin E} x_i) / \sum_{i \in E} x_i

    rounded down, and the units left over go, one each, to the largest remainders, of equal ones
    to the earliest. Estimates that sum to 0 get equal parts. A span with a blank left in it isn't
    scaled; one with f < 0 is refused, or its estimates get the other sign.

    Parameters
    ----------
    work : the record under repair; it is not changed
    measured : cells that may be scaled beside the estimates, if all intervals are; ascending
    intervals : ``estimated`` leaves every measured value alone; ``all`` has ``measured`` in E too,
        and leaves spans alone that add up to the register already
    negative : what becomes of a span whose other values leave less than nothing for E
    """
    registers = work.registers
    count = len(registers.energy)
    filled = work.filled()
    cells = np.union1d(filled, measured) if intervals == "all" else filled
    span = registers.span_of(cells)
    cells, span = cells[span >= 0], span[span >= 0]
    values = work.values[cells].astype(np.int64)
    blank = registers.span_of(work.still_blank())
    eligible = np.zeros(count, dtype=np.bool_)
    eligible[span] = True
    eligible[blank[blank >= 0]] = False

    total = sums_by(span, values, count)
    present = registers.measured + sums_by(
        registers.span_of(filled), work.values[filled].astype(np.int64), count
    )
    target = registers.energy - (present - total)
    if intervals == "all":
        eligible &= target != total
    backwards = _is_backwards(target, total)
    refused = eligible & (np.abs(target) > np.iinfo(work.values.dtype).max)
    if negative == "refuse":
        refused |= eligible & backwards
    done = eligible & ~refused
    chosen = done[span]
    cells, span, values = cells[chosen], span[chosen], values[chosen]
    # Shares have the sign of their weights; turned twice, those of the other sign are exact too.
    turned = np.where(backwards & (total != 0), -1, 1)
    shares = apportioned(values, span, target * turned) * turned[span]
    return Scaled(cells, shares, done, refused)


def _is_backwards(target: NDArray[np.int64], total: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.where(total == 0, target < 0, np.sign(target) * np.sign(total) < 0)


def apportioned(
    weights: NDArray[np.int64], span: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Share each span's target among its cells in proportion to their weights, exactly.

    Parameters
    ----------
    weights : shape (k,), equal parts where a span's sum to 0; their sum has the target's sign
    span : shape (k,), ascending
    target : shape (s,), what each span's shares add up to

    Returns
    -------
    shape (k,), integers: rounded down, then one more for the largest remainders
    """
    total = sums_by(span, weights, len(target))
    even, sign = total[span] == 0, np.where(total < 0, -1, 1)
    weights = np.where(even, 1, weights * sign[span])
    divisor = sums_by(span, weights, len(target))[span]
    share, remainder = _divided(weights, target[span], divisor)
    short = target - sums_by(span, share, len(target))
    order = np.lexsort((-remainder, span))
    rank = np.empty(len(span), dtype=np.int64)
    rank[order] = np.arange(len(span)) - np.searchsorted(span, span, side="left")
    return share + (rank < short[span])


def _divided(
    weights: NDArray[np.int64], target: NDArray[np.int64], divisor: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give target · weights / divisor, rounded down, and the remainders."""
    if not len(weights):
        return weights, weights
    largest = int(np.abs(weights).max()) * int(np.abs(target).max())
    # Python's integers where 64 bits could overflow: slow, exact, and next to never.
    kind = np.int64 if largest < 2**62 else object
    product = weights.astype(kind) * target.astype(kind)
    share = product // divisor.astype(kind)
    return share.astype(np.int64), (product - share * divisor.astype(kind)).astype(np.int64)
