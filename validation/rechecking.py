"""Re-validation: the rules look once more, at the estimates, and what fails is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from validation import checking, dials, misreads, views
from validation.dials import DialSteps
from validation.failures import ESTIMATE_FAILS, Failures
from validation.finding import Action, Severity
from validation.matrix import Cube, Spans
from validation.rules import RULES
from validation.ruleset import RuleSet
from validation.views import SpanTotals

# These judge what came in and how, not how likely a value is; an estimate may lie on a line.
_APART: Final = frozenset(
    {
        *("gap", "duplicate", "interval_size", "collapsed_hour", "prolonged_estimation"),
        *("interpolated", "future", "other_unit", "other_multiplier", "device_mark", "replacement"),
        "grade",
    }
)


def failing(cube: Cube, cells: NDArray[np.int64], rule_set: RuleSet) -> Failures:
    """Run a set's rules over filled channels; give the stretches of estimates that fail one.

    Parameters
    ----------
    cube : values and qualities after estimation and scaling
    cells : shape (k,), flat indices of the estimates of this run, ascending
    rule_set : its rules; failures of severity issue or more count

    Returns
    -------
    stretches, each once whatever number of rules it fails; observed and limit as the rule has it
    """
    _, days, slots = cube.shape
    stride = days * slots
    channels, which = np.unique(cells // stride, return_inverse=True)
    some = _channels(cube, channels)
    seen = views.of(some)
    rules = tuple(use for use in rule_set.rules if use.rule.name not in _APART)
    reduced = replace(rule_set, rules=rules)
    if rule_set.use("register_misread"):
        some, seen = misreads.joined(some, seen, checking.margin(seen.spans, rule_set))
    mine = which * stride + cells % stride
    found = [
        each.only((each.severity >= Severity.ISSUE) & _holds(each, mine))
        for each in checking.check(some, seen, reduced).failures
        if RULES[each.name].view not in {SpanTotals, DialSteps}
    ]
    return _once(found, channels, stride)


def _holds(each: Failures, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which stretches have one of the cells in them."""
    before = np.searchsorted(cells, each.first)
    return np.asarray(np.searchsorted(cells, each.last, side="right") > before)


def _once(found: Sequence[Failures], channels: NDArray[np.int64], stride: int) -> Failures:
    none = np.empty(0, dtype=np.int64)

    def column(name: str) -> NDArray[np.generic]:
        return np.concatenate([none, *(getattr(each, name) for each in found)])

    def placed(name: str) -> NDArray[np.int64]:
        local = column(name).astype(np.int64)
        return np.asarray(channels[local // stride] * stride + local % stride)

    first, last = placed("first"), placed("last")
    kept = np.unique(np.stack([first, last]), axis=1, return_index=True)[1] if len(first) else none
    return Failures(
        name=ESTIMATE_FAILS,
        first=first[kept],
        last=last[kept],
        observed=column("observed").astype(np.float64)[kept],
        limit=column("limit").astype(np.float64)[kept],
        severity=np.full(len(kept), Severity.ISSUE, dtype=np.int8),
        action=np.full(len(kept), Action.NOTE, dtype=np.int8),
    )


def _channels(cube: Cube, rows: NDArray[np.int64]) -> Cube:
    """Give some channels of a cube, without the marks of how their values came."""
    spans = cube.spans
    mine = np.isin(spans.channel, rows)
    return replace(
        cube,
        values=cube.values[rows],
        quality=cube.quality[rows],
        target=cube.target[rows],
        one_way=cube.one_way[rows],
        spans=Spans(
            np.searchsorted(rows, spans.channel[mine]).astype(np.int32),
            spans.start[mine],
            spans.end[mine],
            spans.energy[mine],
        ),
        sibling=None,
        check=None,
        reading_type=None if cube.reading_type is None else cube.reading_type[rows],
        sector=None if cube.sector is None else cube.sector[rows],
        dials=dials.no_steps(),
        references=None,
        delivered=None,
        programme=None,
        duplicate=None,
        misfit=None,
        outside=None if cube.outside is None else cube.outside[rows],
        outage=None if cube.outage is None else cube.outage[rows],
    )
