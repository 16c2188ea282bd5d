"""How far estimates of hidden values are off, against the last value and pandas' interpolate.

Gaps lie anywhere in the curves, across midnight too. Each is a channel of its own: 35 days before
it, as a validation run has them, and, if ``later``, as many after it. The shipped rule set runs
over the days with the gap as the record would have it run; every estimator alone fills the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.false_alarms import ZONE, Curve
from schemas import quality
from validation import days, engine, matrix, scorecard, views
from validation.checking import Checked
from validation.filling import prepared
from validation.matrix import Cube, Spans
from validation.ruleset import EstimatorUse, RuleSet

SLOTS: Final = (1, 2, 4, 8, 24, 48, 96)
LAST: Final = "last value"
PANDAS: Final = "pandas interpolate"
SHIPPED: Final = "shipped order"
WITH_REGISTER: Final = "shipped order, with registers"
# As a validation run has them (mdm.intake_shares.HISTORY).
_HISTORY: Final = 35
# Gaps of one slot that are tried at least, and of any length at most.
_GAPS: Final = 1200
_FEWEST: Final = 300


@dataclass(frozen=True)
class Error:
    """How far one method is off in gaps of one length.

    Attributes
    ----------
    curve, slots, later : which gaps; ``later`` where the days after them are known
    method : how they were filled
    filled : part of the hidden values that it could fill [1]
    mae : mean of \\|estimate - truth\\| over these [Wh]
    share : the same over their mean [1]
    gaps : how many
    """

    curve: str
    slots: int
    later: bool
    method: str
    filled: float
    mae: float
    share: float
    gaps: int


@dataclass(slots=True)
class _Sum:
    asked: int = 0
    filled: int = 0
    error: int = 0
    truth: int = 0

    def add(self, estimate: NDArray[np.float64], truth: NDArray[np.int64]) -> None:
        """Count estimates, NaN where there is none."""
        there = ~np.isnan(estimate)
        rounded = np.floor(estimate[there] + 0.5).astype(np.int64)
        self.asked += len(truth)
        self.filled += int(np.count_nonzero(there))
        self.error += int(np.abs(rounded - truth[there]).sum())
        self.truth += int(np.abs(truth[there]).sum())


def errors(curve: Curve, rule_set: RuleSet, slots: int, *, later: bool) -> list[Error]:
    """Measure every method on gaps of one length in a curve."""
    sums: dict[str, _Sum] = {}
    gaps = 0
    for hidden in _windows(curve, slots, later=later):
        gaps += len(hidden.cube.values)
        for method, estimate in _estimates(hidden, rule_set, alone=not later):
            sums.setdefault(method, _Sum()).add(estimate, hidden.truth)
    return [
        Error(
            curve.name,
            slots,
            later,
            method,
            each.filled / each.asked,
            each.error / each.filled,
            each.error / each.truth,
            gaps,
        )
        for method, each in sums.items()
        if each.filled
    ]


@dataclass(frozen=True, eq=False)
class _Hidden:
    """Gaps of which each is a channel; ``cells`` are flat, ``truth`` is what was there."""

    cube: Cube
    cells: NDArray[np.int64]
    truth: NDArray[np.int64]
    registers: Spans


def _windows(curve: Curve, slots: int, *, later: bool) -> Iterator[_Hidden]:
    """Cut out the days around each gap; those that begin on one weekday go together."""
    count, width = curve.values.shape
    after = _HISTORY if later else 0
    last = (count - after) * width - slots
    stride = max(1, (last - _HISTORY * width) // (_GAPS if slots == 1 else _FEWEST))
    # A stride that is no part of a day meets every time of day.
    stride += stride > 1 and np.gcd(stride, width) > 1
    start = np.arange(_HISTORY * width, last + 1, stride)
    first, until = start // width, (start + slots - 1) // width
    key = first % 7 * 100 + until - first
    for each in np.unique(key).tolist():
        mine = key == each
        span = int(each % 100) + 1
        yield _hidden(curve, start[mine], slots, (span, after))


def _hidden(curve: Curve, start: NDArray[np.int64], slots: int, reach: tuple[int, int]) -> _Hidden:
    width, (span, after) = curve.values.shape[1], reach
    length = _HISTORY + span + after
    first = start // width - _HISTORY
    values = curve.values[first[:, None] + np.arange(length)]
    place = start - first * width
    cells = (np.arange(len(start)) * length * width + place)[:, None] + np.arange(slots)
    truth = values.ravel()[cells.ravel()].astype(np.int64)
    registers = _registers(values, span)
    values.ravel()[cells], codes = 0, np.zeros(values.shape, np.int16)
    codes.ravel()[cells] = quality.MISSING
    target = np.zeros(values.shape[:2], np.bool_)
    target[:, _HISTORY : _HISTORY + span] = True
    cube = Cube(
        values=values,
        quality=codes,
        target=target,
        days=days.of(
            curve.first + timedelta(days=int(first[0])),
            length,
            ZONE,
            curve.interval_seconds,
            weekend={5, 6},
        ),
        interval_seconds=curve.interval_seconds,
        one_way=np.ones(len(start), np.bool_),
        spans=matrix.no_spans(),
    )
    return _Hidden(cube, cells.ravel(), truth, registers)


def _registers(values: NDArray[np.int32], span: int) -> Spans:
    """Give what registers read at midnight say of the days with a gap."""
    channels, _, width = values.shape
    row, day = np.indices((channels, span)).reshape(2, -1)
    begin = (_HISTORY + day) * width
    energy = values[row, _HISTORY + day].sum(axis=1, dtype=np.int64)
    first, end, channel = (each.astype(np.int32) for each in (begin, begin + width, row))
    return matrix.spans(channel, first, end, energy)


def _estimates(
    hidden: _Hidden, rule_set: RuleSet, *, alone: bool
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    cube, cells = hidden.cube, hidden.cells
    for method, spans in ((SHIPPED, cube.spans), (WITH_REGISTER, hidden.registers)):
        done = engine.run(replace(cube, spans=spans), rule_set)
        there = quality.classes(done.quality.ravel()[cells]) != quality.QualityClass.MISSING
        yield method, np.where(there, done.values.ravel()[cells], np.nan)
    lines = cube.values.reshape(len(cube.values), -1).T.astype(np.float64)
    known = (cube.quality.reshape(len(cube.values), -1) != quality.MISSING).T
    # The days with the gap and one before them are all that the baselines look at.
    near = slice((_HISTORY - 1) * cube.shape[2], None)
    lines = np.where(known, lines, np.nan)[near]
    channel, at = np.divmod(cells, known.shape[0])
    for method, filled in zip((LAST, PANDAS), scorecard.naive(lines), strict=True):
        yield method, filled[at - near.start, channel]
    if alone:
        yield from _alone(cube, cells)


def _alone(cube: Cube, cells: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Have each estimator of the candidates fill the gaps by itself."""
    seen = views.of(cube)
    none = np.empty(0, np.int64)
    work = prepared(cube, seen, Checked((), cells, none, seen.totals.sound))
    for name, use in _candidates():
        found = use.estimator(work, cells, **use.parameters)
        yield name, np.where(found.filled, found.values, np.nan)


@cache
def _candidates() -> Sequence[tuple[str, EstimatorUse]]:
    uses = scorecard.candidates()
    return list(zip(scorecard.labels(uses), uses, strict=True))
