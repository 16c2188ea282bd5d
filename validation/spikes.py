"""Rules about values that stand apart from those around them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from validation.finding import Action
from validation.rule import AGREEMENT, Mask, Verdict, mask, rule
from validation.views import DayMatrix, Timeline

_ANY = frozenset(Action)
# Cells whose neighbours are looked at together: memory stays small whatever the cube's size.
_CELLS: Final = 1 << 17
# What makes a median absolute deviation as wide as a standard deviation of normal values.
_NORMAL: Final = 1.4826


@rule(
    source="mako V04, value above ten times the batch's mean",
    actions=_ANY,
    registers=frozenset(Verdict),
)
def spike_mean(block: DayMatrix, *, factor: float, minimum_per_hour: float) -> Mask:
    r"""Mark values above a multiple of their day's mean.

    .. math:: x > factor · \bar x

    The mean contains the value itself, so a factor at or above the number of slots finds nothing.
    The limit is the highest value that would have passed.

    Parameters
    ----------
    block : days of channels, shape (m, n) [scaled unit]
    factor : times the day's mean above which a value fails [1]
    minimum_per_hour : rate below which nothing is a spike [scaled unit / h]
    """
    minimum = minimum_per_hour * block.interval_seconds / 3600
    count = np.count_nonzero(block.present, axis=1)
    mean = block.values.sum(axis=1, dtype=np.int64) / np.maximum(count, 1)
    limit = np.maximum(factor * np.maximum(mean, 0), minimum)[:, None]
    return mask((block.values > limit) & block.present, block.values, limit)


@rule(
    source="mako quality grades: a value above ten times the median of its neighbours",
    actions=_ANY,
    registers=frozenset(Verdict),
)
def spike_neighbours(
    line: Timeline, *, factor: float, neighbours: int, fewest: int, minimum_per_hour: float
) -> Mask:
    r"""Mark values above a multiple of the median of the slots around them, across midnight too.

    .. math:: x > factor · median(x_{i \pm 1}, …, x_{i \pm neighbours} \ne 0)

    The limit is the highest value that would have passed.

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    factor : times the neighbours' median above which a value fails [1]
    neighbours : slots looked at on each side
    fewest : neighbours other than 0 below which there is nothing to judge by
    minimum_per_hour : rate below which nothing is a spike [scaled unit / h]
    """
    minimum = minimum_per_hour * line.interval_seconds / 3600
    cells = np.flatnonzero(line.values > minimum)
    offsets = np.delete(np.arange(-neighbours, neighbours + 1), neighbours)
    limit = np.full(len(cells), np.inf)
    for part in _parts(cells):
        around, there = _around(line, cells[part], offsets)
        there &= around != 0
        enough = np.count_nonzero(there, axis=1) >= max(fewest, 1)
        limit[part] = np.where(enough, factor * np.maximum(_median(around, there), 0), np.inf)
    limit = np.maximum(limit, minimum)
    return _mask(line, cells, line.values.ravel()[cells], limit, line.values.ravel()[cells] > limit)


@rule(
    source="pvanalytics quality.outliers.hampel; mako, Hampel filter",
    actions=_ANY,
    registers=AGREEMENT,
)
def hampel(line: Timeline, *, neighbours: int, deviations: float, minimum_per_hour: float) -> Mask:
    r"""Mark values far from the median of their window, across midnight too.

    .. math:: |x - m| > deviations · 1.4826 · median|x_w - m|

    Where at least half of the window is one and the same, any deviation is an outlier; at the
    ends of what is known the window is cut. The limit is the end of the allowed range nearest to
    the value.

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    neighbours : slots of the window on each side
    deviations : standard deviations, as the median deviation estimates them, that are allowed [1]
    minimum_per_hour : deviation below which nothing is an outlier [scaled unit / h]
    """
    minimum = minimum_per_hour * line.interval_seconds / 3600
    cells = np.flatnonzero(line.present)
    values = line.values.ravel()[cells]
    limit, fails = np.zeros(len(cells)), np.zeros(len(cells), dtype=np.bool_)
    for part in _parts(cells):
        around, there = _around(line, cells[part], np.arange(-neighbours, neighbours + 1))
        middle = _median(around, there)
        spread = _NORMAL * _median(np.abs(around - middle[:, None]), there)
        allowed = np.maximum(deviations * spread, minimum)
        distance = values[part] - middle
        fails[part] = np.abs(distance) > allowed
        limit[part] = middle + np.sign(distance) * allowed
    return _mask(line, cells, values, limit, fails)


@rule(
    source="pvanalytics quality.outliers.tukey; CalTRACK 2.3.6, three interquartile ranges",
    actions=_ANY,
    registers=AGREEMENT,
)
def tukey(block: DayMatrix, *, ranges: float, minimum_per_hour: float) -> Mask:
    r"""Mark values outside of their day's quartiles by a multiple of the range between these.

    .. math:: x < Q_1 - ranges · (Q_3 - Q_1) \quad or \quad x > Q_3 + ranges · (Q_3 - Q_1)

    Quartiles are interpolated between neighbouring values. The limit is the fence that the value
    is behind.

    Parameters
    ----------
    block : days of channels, shape (m, n) [scaled unit]
    ranges : interquartile ranges that are allowed [1]
    minimum_per_hour : distance from the quartile below which nothing fails [scaled unit / h]
    """
    minimum = minimum_per_hour * block.interval_seconds / 3600
    ordered = np.sort(np.where(block.present, block.values, np.inf), axis=1)
    count = np.count_nonzero(block.present, axis=1)
    first, third = _quantile(ordered, count, 0.25), _quantile(ordered, count, 0.75)
    allowed = np.maximum(ranges * (third - first), minimum)
    low, high = (first - allowed)[:, None], (third + allowed)[:, None]
    above = block.values > high
    fails = (above | (block.values < low)) & block.present
    return mask(fails, block.values, np.where(above, high, low))


@rule(
    source="Itron Enterprise Edition, Demand Tolerance Consecutive Intervals",
    actions=_ANY,
    registers=AGREEMENT,
)
def consecutive_change(line: Timeline, *, tolerance: float, minimum_per_hour: float) -> Mask:
    r"""Mark values that differ too much from the last good one before them, across midnight too.

    .. math:: |x_i - x_{last}| / x_{last} > tolerance

    A value with an outage in it neither fails nor counts as the last good one. Observed is the
    value, the limit the last good one.

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    tolerance : allowed change as a part of the last good value [1]
    minimum_per_hour : change below which nothing fails [scaled unit / h]
    """
    minimum = minimum_per_hour * line.interval_seconds / 3600
    good = line.present.copy()
    good.ravel()[line.broken] = False
    place = np.arange(good.shape[1])
    latest = np.maximum.accumulate(np.where(good, place, -1), axis=1)
    last = np.full(good.shape, -1)
    last[:, 1:] = latest[:, :-1]
    before = np.take_along_axis(line.values, np.maximum(last, 0), axis=1).astype(np.int64)
    change = np.abs(line.values - before)
    fails = good & (last >= 0) & (change > tolerance * np.abs(before)) & (change > minimum)
    return mask(fails, line.values, before)


def _parts(cells: NDArray[np.int64]) -> list[slice]:
    return [slice(first, first + _CELLS) for first in range(0, len(cells), _CELLS)]


def _around(
    line: Timeline, cells: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give the values at offsets from cells, and which of them are there, shape (k, offsets)."""
    width = line.values.shape[1]
    place = (cells % width)[:, None] + offsets
    inside = (place >= 0) & (place < width)
    near = np.where(inside, cells[:, None] + offsets, 0)
    return line.values.ravel()[near].astype(np.float64), line.present.ravel()[near] & inside


def _median(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the median of what is there in each row; 0 where nothing is."""
    ordered = np.sort(np.where(there, values, np.inf), axis=1)
    return _quantile(ordered, np.count_nonzero(there, axis=1), 0.5)


def _quantile(
    ordered: NDArray[np.float64], count: NDArray[np.int64], part: float
) -> NDArray[np.float64]:
    """Interpolate between the first ``count`` of ordered rows; 0 where there are none."""
    place = part * np.maximum(count - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    row = np.arange(len(ordered))
    low, high = ordered[row, below], ordered[row, above]
    low, high = np.where(count > 0, low, 0), np.where(count > 0, high, 0)
    return np.asarray(low + (high - low) * (place - below))


def _mask(
    line: Timeline,
    cells: NDArray[np.int64],
    observed: NDArray[np.int32] | NDArray[np.int64],
    limit: NDArray[np.float64],
    failing: NDArray[np.bool_],
) -> Mask:
    fails = np.zeros(line.values.shape, dtype=np.bool_)
    fails.ravel()[cells[failing]] = True
    return Mask(fails, cells[failing], observed[failing].astype(np.float64), limit[failing])
