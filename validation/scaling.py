"""Scaling: intervals are brought to what the register counted, exact to the last unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from validation.programme import Programme
from validation.work import Work, sums_by

SOURCE: Final = (
    "Itron Enterprise Edition, interval data scaling; Oracle Utilities MDM, Interval Adjustment "
    "From Scalar; largest-remainder method"
)
_NONE: Final = np.empty(0, dtype=np.int64)


class _Ways(NamedTuple):
    """Whether spans that add up are left alone, the other sign is refused, and what values hold."""

    off_only: bool
    refuse: bool
    largest: int


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """What scaling did.

    Attributes
    ----------
    cells : shape (k,), flat indices of the scaled cells, ascending
    values : shape (k,), their new values [scaled unit]
    register : shape (k,), id of the tariff register that they were brought to, 0 for the total
    spans : shape (s,), True for the spans that were brought to their register's difference
    refused : shape (s,), True for those whose other values leave no room for what is scaled
    tariffs_refused : spans of tariff registers of which the same is true
    tariffs_measured : shape as that, the sum of their other values [scaled unit]
    """

    cells: NDArray[np.int64]
    values: NDArray[np.int64]
    register: NDArray[np.int16]
    spans: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    tariffs_refused: NDArray[np.int64]
    tariffs_measured: NDArray[np.int64]


def scaled(
    work: Work,
    measured: NDArray[np.int64] = _NONE,
    *,
    intervals: Literal["estimated", "all"],
    negative: Literal["refuse", "allow"],
    registers: Literal["tariff", "total"],
) -> Scaled:
    r"""Scale the estimates E of each register span so that the span adds up to the register.

    .. math:: x_i' = f · x_i, \quad f = (R - \sum_{i \notin E} x_i) / \sum_{i \in E} x_i

    rounded down, and the units left over go, one each, to the largest remainders, of equal ones
    to the earliest. Estimates that sum to 0 get equal parts. A span with a blank left in it isn't
    scaled; one with f < 0 is refused, or its estimates get the other sign. Where the meter has
    tariff registers, each is met first, by the slots in which it counts; what none of them brought
    to its difference is scaled to the total.

    Parameters
    ----------
    work : the record under repair; it is not changed
    measured : cells that may be scaled beside the estimates, if all intervals are; ascending
    intervals : ``estimated`` leaves every measured value alone; ``all`` has ``measured`` in E too,
        and leaves spans alone that add up to the register already
    negative : what becomes of a span whose other values leave less than nothing for E
    registers : ``tariff`` meets each tariff register where it can, ``total`` the total's only
    """
    cells = np.union1d(work.filled(), measured) if intervals == "all" else work.filled()
    ways = _Ways(intervals == "all", negative == "refuse", int(np.iinfo(work.values.dtype).max))
    first = _none_scaled()
    if registers == "tariff" and work.programme is not None and len(work.programme):
        first = _to_tariffs(work, work.programme, cells, ways)
        cells = np.setdiff1d(cells, first.cells, assume_unique=True)
    last = _to_totals(work, cells, first, ways)
    both = np.concatenate([first.cells, last.cells])
    order = np.argsort(both)
    return Scaled(
        both[order],
        np.concatenate([first.values, last.values])[order],
        np.concatenate([first.register, last.register])[order],
        last.spans,
        last.refused,
        first.tariffs_refused,
        first.tariffs_measured,
    )


def _none_scaled() -> Scaled:
    nothing = np.empty(0, dtype=np.bool_)
    return Scaled(_NONE, _NONE, _NONE.astype(np.int16), nothing, nothing, _NONE, _NONE)


def _to_tariffs(work: Work, programme: Programme, cells: NDArray[np.int64], ways: _Ways) -> Scaled:
    """Bring the cells in which a tariff register counts to its difference."""
    span = programme.span_of(cells)
    cells, span = cells[span >= 0], span[span >= 0]
    spans, span = np.unique(span, return_inverse=True)
    count, order = len(spans), np.argsort(span, kind="stable")
    cells, span = cells[order], span[order]
    values = work.values[cells].astype(np.int64)
    every, place = programme.members(spans)
    blank = work.is_blank(every)
    there = np.where(blank, 0, work.values[every].astype(np.int64))
    others = sums_by(place, there, count) - sums_by(span, values, count)
    eligible = np.bincount(place[blank], minlength=count) == 0
    target = programme.energy[spans] - others
    done, refused, shares = _brought(values, span, target, eligible, ways)
    chosen = done[span]
    return Scaled(
        cells[chosen],
        shares,
        programme.register[spans][span[chosen]],
        done,
        refused,
        spans[refused],
        others[refused],
    )


def _to_totals(work: Work, cells: NDArray[np.int64], first: Scaled, ways: _Ways) -> Scaled:
    """Bring cells to the total register's difference, beside those that are scaled already."""
    registers = work.registers
    count = len(registers.energy)
    span = registers.span_of(cells)
    cells, span = cells[span >= 0], span[span >= 0]
    values = work.values[cells].astype(np.int64)
    blank = registers.span_of(work.still_blank())
    eligible = np.zeros(count, dtype=np.bool_)
    eligible[span] = True
    eligible[blank[blank >= 0]] = False
    filled = work.filled()
    present = registers.measured + sums_by(
        registers.span_of(filled), work.values[filled].astype(np.int64), count
    )
    moved = first.values - work.values[first.cells]
    present = present + sums_by(registers.span_of(first.cells), moved, count)
    target = registers.energy - (present - sums_by(span, values, count))
    done, refused, shares = _brought(values, span, target, eligible, ways)
    cells = cells[done[span]]
    total = np.zeros(len(cells), dtype=np.int16)
    return Scaled(cells, shares, total, done, refused, _NONE, _NONE)


def _brought(
    values: NDArray[np.int64],
    span: NDArray[np.int64],
    target: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    ways: _Ways,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Share the targets of eligible spans among their values.

    Parameters
    ----------
    span : shape (k,), ascending

    Returns
    -------
    done, refused : shape (s,)
    shares : of the values whose span is done, in their order
    """
    total = sums_by(span, values, len(target))
    if ways.off_only:
        eligible = eligible & (target != total)
    backwards = _is_backwards(target, total)
    refused = eligible & (np.abs(target) > ways.largest)
    if ways.refuse:
        refused |= eligible & backwards
    done = eligible & ~refused
    chosen = done[span]
    span, values = span[chosen], values[chosen]
    # Shares have the sign of their weights; turned twice, those of the other sign are exact too.
    turned = np.where(backwards & (total != 0), -1, 1)
    return done, refused, apportioned(values, span, target * turned) * turned[span]


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
