"""The first half of a run: every rule of the set, and what each failure calls for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation import consistency, failures, standing
from validation.condition import ALWAYS
from validation.dials import DialSteps
from validation.failures import Failures
from validation.finding import Action, Severity
from validation.matrix import Cube
from validation.reads import ReadSteps
from validation.ruleset import RuleSet, RuleUse
from validation.views import (
    Changed,
    Curves,
    DayMatrix,
    DayTotals,
    Marked,
    SpanTotals,
    Timeline,
    Views,
)


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What the rules found.

    Attributes
    ----------
    failures : one table a rule
    estimate : flat indices of the cells to fill, missing or set aside, ascending
    suspect : flat indices of the cells to mark, ascending
    sound : shape (c, d), True where a day is measured in full and failed nothing that matters
    """

    failures: tuple[Failures, ...]
    estimate: NDArray[np.int64]
    suspect: NDArray[np.int64]
    sound: NDArray[np.bool_]


def check(cube: Cube, views: Views, rule_set: RuleSet) -> Checked:
    """Run every rule of a set over the target days.

    A day that fails a rule of severity ``terminate`` is left alone: no other rule looks at it,
    nothing in it is estimated, and its values are suspect.
    """
    uses = [use for use in rule_set.rules if use.rule.view is not ReadSteps]
    ending = [use for use in uses if use.response.severity is Severity.TERMINATE]
    others = [use for use in uses if use.response.severity is not Severity.TERMINATE]
    found = [_failures(use, cube, views, rule_set, cube.target) for use in ending]
    ended = _touched(found, cube) & cube.target
    live = cube.target & ~ended
    first = [use for use in others if not use.when.only_if]
    found += [_failures(use, cube, views, rule_set, live) for use in first]
    for use in others:
        if use.when.only_if:
            named = [each for each in found if each.name == use.when.only_if]
            found.append(_failures(use, cube, views, rule_set, live & _touched(named, cube)))
    found = _by_rule(found)

    estimate = _union([each.cells(Action.ESTIMATE) for each in found])
    doubted = [each.cells(Action.SUSPECT) for each in found]
    suspect = _doubtful(_union([*doubted, _cells_of(ended, cube)]), cube, estimate)
    slots = cube.shape[2]
    sound = views.totals.sound & ~_touched(
        [each.only(each.severity >= Severity.ISSUE) for each in found], cube
    )
    for cells in (estimate, suspect):
        sound.ravel()[cells // slots] = False
    return Checked(
        failures=tuple(failures.stretched(each, slots) for each in found),
        estimate=estimate,
        suspect=suspect,
        sound=sound,
    )


def _by_rule(found: Sequence[Failures]) -> list[Failures]:
    """Put what one rule found with different parameters together."""
    by_name: dict[str, list[Failures]] = {}
    for each in found:
        by_name.setdefault(each.name, []).append(each)
    return [parts[0] if len(parts) == 1 else failures.distinct(parts) for parts in by_name.values()]


def _failures(
    use: RuleUse, cube: Cube, views: Views, rule_set: RuleSet, live: NDArray[np.bool_]
) -> Failures:
    view = {
        DayMatrix: views.days,
        Timeline: views.timeline,
        DayTotals: views.totals,
        Curves: views.curves,
        SpanTotals: views.spans,
        DialSteps: views.dials,
        Marked: views.marked,
        Changed: views.changed,
    }[use.rule.view]
    if use.when != ALWAYS:
        live = live & use.when.of(cube, views)
        if not live.any():
            return failures.none(use.rule.name)
    found = failures.located(use.rule(view, **use.parameters), use, cube, views)
    if not len(found.first):
        return found
    found = failures.unsettled(failures.in_days(found, live, cube.shape[2]), cube)
    if use.rule.view is DialSteps:
        # Several registers of a channel may fail at the same time.
        found = failures.distinct([found])
    if use.by_register:
        allowed = margin(views.spans, rule_set)
        found = failures.judged_by_registers(found, use, cube, views, allowed)
    return found


def margin(spans: SpanTotals, rule_set: RuleSet) -> NDArray[np.float64]:
    """Give the difference that the rule set's sum check allows, shape (s,) [scaled unit]."""
    sum_check = rule_set.use("sum_check")
    allowed: dict[str, Any] = dict(sum_check.parameters) if sum_check else {}
    return consistency.margin(spans.energy, **allowed)


def _touched(found: Sequence[Failures], cube: Cube) -> NDArray[np.bool_]:
    """Give the days that failures touch, shape (c, d)."""
    edges = np.zeros(cube.target.size + 1, dtype=np.int64)
    for each in found:
        np.add.at(edges, each.first // cube.shape[2], 1)
        np.add.at(edges, each.last // cube.shape[2] + 1, -1)
    return np.cumsum(edges[:-1]).reshape(cube.target.shape) > 0


def _cells_of(days: NDArray[np.bool_], cube: Cube) -> NDArray[np.int64]:
    slots = cube.shape[2]
    return (np.flatnonzero(days)[:, None] * slots + np.arange(slots)).ravel()


def _doubtful(
    cells: NDArray[np.int64], cube: Cube, estimate: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Keep the cells of target days that have a value and about which nobody has decided."""
    uses = standing.table()[cube.quality.ravel()[cells]]
    open_ = uses & (standing.PRESENT | standing.SETTLED) == standing.PRESENT
    open_ &= cube.target.ravel()[cells // cube.shape[2]]
    open_ &= cube.days.exists.ravel()[cells % cube.days.clock.size]
    return np.setdiff1d(cells[open_], estimate, assume_unique=True)


def _union(cells: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    every = [each for each in cells if len(each)]
    if not every:
        return np.empty(0, dtype=np.int64)
    # Sorted first: numpy's own unique hashes integers, which takes five times as long.
    union = np.sort(np.concatenate(every)) if len(every) > 1 else np.sort(every[0])
    return np.asarray(union[np.diff(union, prepend=-1) != 0])
