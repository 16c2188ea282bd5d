"""Failures: a rule's mask placed on the cube, with what the rule set says about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from validation import runs, standing
from validation.dials import DialSteps
from validation.finding import Action, Findings
from validation.matrix import Cube
from validation.rule import Mask, Verdict
from validation.rules import RULES
from validation.ruleset import RuleUse
from validation.views import Changed, Curves, DayMatrix, DayTotals, Marked, Timeline, Views
from validation.work import span_of, sums_by

NOT_ESTIMATED: Final = "not_estimated"
SCALING_REFUSED: Final = "scaling_refused"
ESTIMATE_FAILS: Final = "estimate_fails"
NAMES: Final = (*RULES, NOT_ESTIMATED, SCALING_REFUSED, ESTIMATE_FAILS)
"""Every name a finding can have: the rules, and what the engine itself reports."""


@dataclass(frozen=True, slots=True, eq=False)
class Failures:
    """Stretches of cells that failed one rule, one row a stretch.

    Attributes
    ----------
    name : of the rule
    first, last : shape (k,), flat indices of the first and last cell
    observed, limit : shape (k,), as in ``Mask``
    severity, action : shape (k,)
    """

    name: str
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    observed: NDArray[np.float64]
    limit: NDArray[np.float64]
    severity: NDArray[np.int8]
    action: NDArray[np.int8]

    def only(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Failures:
        """Give some rows: a mask of shape (k,), or their numbers."""
        columns = ("first", "last", "observed", "limit", "severity", "action")
        return replace(self, **{name: getattr(self, name)[keep] for name in columns})

    def cells(self, action: Action | None = None) -> NDArray[np.int64]:
        """Give every cell of the stretches, or of those with one action."""
        chosen = slice(None) if action is None else self.action == action
        first, last = self.first[chosen], self.last[chosen]
        length = last - first + 1
        start = np.repeat(first - np.cumsum(length) + length, length)
        return start + np.arange(length.sum())


def located(mask: Mask, use: RuleUse, cube: Cube, views: Views) -> Failures:
    """Place a mask on the cube's cells; stretches of target days only."""
    _, days, slots = cube.shape
    first = last = mask.cells
    if use.rule.view is DayMatrix:
        first = last = views.rows[mask.cells // slots] * slots + mask.cells % slots
    elif use.rule.view is Timeline:
        width = len(views.axis)
        first = last = (mask.cells // width) * days * slots + views.axis[mask.cells % width]
    elif use.rule.view is DialSteps:
        first, last = views.dials.first[mask.cells], views.dials.last[mask.cells]
    elif use.rule.view in (Marked, Changed):
        view = views.marked if use.rule.view is Marked else views.changed
        first = last = view.cells[mask.cells]
    elif use.rule.view in (DayTotals, Curves):
        first = mask.cells * slots
        last = first + cube.days.length[mask.cells % days] - 1
    else:
        first = cube.spans.channel[mask.cells].astype(np.int64) * days * slots
        first, last = (
            first + cube.spans.start[mask.cells],
            first + cube.spans.end[mask.cells] - 1,
        )
    count = len(mask.cells)
    return Failures(
        name=use.rule.name,
        first=first,
        last=last,
        observed=mask.observed,
        limit=mask.limit,
        severity=np.full(count, use.response.severity, dtype=np.int8),
        action=np.full(count, use.response.action, dtype=np.int8),
    )


def none(name: str) -> Failures:
    """Give a rule's failures where it has none."""
    cells, figures = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    codes = np.empty(0, dtype=np.int8)
    return Failures(name, cells, cells, figures, figures, codes, codes)


def distinct(failures: Sequence[Failures]) -> Failures:
    """Put failures of one rule together; of those that begin at the same cell the worst stays."""
    columns = ("first", "last", "observed", "limit", "severity", "action")
    every = Failures(
        failures[0].name,
        *(np.concatenate([getattr(each, name) for each in failures]) for name in columns),
    )
    order = np.lexsort((-every.last, -every.action, -every.severity, every.first))
    every = every.only(order)
    return every.only(np.diff(every.first, prepend=-1) != 0)


def in_days(failures: Failures, chosen: NDArray[np.bool_], slots: int) -> Failures:
    """Keep the stretches that touch a chosen day, shape (c, d)."""
    before = np.concatenate([[0], np.cumsum(chosen.ravel())])
    first, last = failures.first // slots, failures.last // slots
    return failures.only(before[last + 1] > before[first])


def unsettled(failures: Failures, cube: Cube) -> Failures:
    """Drop single cells about which a person has decided."""
    uses = standing.table()[cube.quality.ravel()[failures.first]]
    settled = (uses & standing.SETTLED != 0) & (failures.first == failures.last)
    return failures.only(~settled)


def judged_by_registers(
    failures: Failures,
    use: RuleUse,
    cube: Cube,
    views: Views,
    margin: NDArray[np.float64],
) -> Failures:
    r"""Answer failures of single cells by what the register of their span says.

    With e = Σx - R, and l = Σ failing - e what the register leaves for the failing values: it
    agrees where every value is there and \|e\| is in the margin. It explains them where e is above
    the margin, l is not negative and, if every value is there, no more than the sum of their
    limits. It disagrees where every value is there, \|e\| is above the margin, it doesn't explain
    them, and l is not negative: other values in their place could make the sum right.

    Parameters
    ----------
    failures : of one rule, one cell a row
    use : the rule with its responses
    cube, views : what is validated
    margin : shape (s,), the difference that the sum check allows [scaled unit]
    """
    stride = cube.shape[1] * cube.shape[2]
    base = cube.spans.channel.astype(np.int64) * stride
    span = span_of(base + cube.spans.start, base + cube.spans.end, failures.first)
    if not np.any(span >= 0):
        return failures
    totals = views.spans
    excess, whole = totals.total - totals.energy, totals.absent == 0
    values = views.values.ravel()[failures.first].astype(np.int64)
    left = sums_by(span, values, len(excess)) - excess
    explains = np.zeros(len(excess), dtype=np.bool_)
    if Verdict.EXPLAINS in use.rule.registers:
        room = sums_by(span, np.floor(failures.limit).astype(np.int64), len(excess))
        explains = (excess > margin) & (left >= 0) & ((left <= room) | ~whole)
    agrees = whole & (np.abs(excess) <= margin)
    said = {
        Verdict.AGREES: agrees,
        Verdict.EXPLAINS: explains,
        Verdict.DISAGREES: whole & ~agrees & ~explains & (left >= 0),
    }
    severity, action = failures.severity.copy(), failures.action.copy()
    for verdict, response in use.by_register.items():
        where = (span >= 0) & said[verdict][span]
        severity[where], action[where] = response.severity, response.action
    return replace(failures, severity=severity, action=action)


def stretched(failures: Failures, slots: int) -> Failures:
    """Join neighbouring cells of a day that got the same answer; the worst one speaks for all."""
    if not len(failures.first):
        return failures
    same_answer = failures.severity.astype(np.int64) * len(Action) + failures.action
    found = runs.of_cells(failures.first, failures.first // slots * 16 + same_answer)
    order = np.lexsort((-np.abs(failures.observed - failures.limit), found.run))
    worst = order[found.first]
    return replace(
        failures.only(found.first),
        last=failures.last[found.last],
        observed=failures.observed[worst],
        limit=failures.limit[worst],
    )


def table(failures: Sequence[Failures], cube: Cube) -> Findings:
    """Put all failures in one table, in the order that ``Findings`` promises."""
    _, days, slots = cube.shape
    count = [len(each.first) for each in failures]
    rule = np.repeat([NAMES.index(each.name) for each in failures], count).astype(np.int16)
    first, last, observed, limit, severity, action = (
        np.concatenate([getattr(each, column) for each in failures])
        for column in ("first", "last", "observed", "limit", "severity", "action")
    )
    order = np.lexsort((rule, last, first))
    first, last = first[order], last[order]
    last_day = last // slots % days
    # A register span may end at a day's padding; its last slot is the day's last real one.
    last_slot = np.minimum(last % slots, cube.days.length[last_day] - 1)
    return Findings(
        names=NAMES,
        channel=(first // (days * slots)).astype(np.int32),
        rule=rule[order],
        severity=severity[order],
        action=action[order],
        day=(first // slots % days).astype(np.int32),
        first_slot=(first % slots).astype(np.int32),
        last_day=last_day.astype(np.int32),
        last_slot=last_slot.astype(np.int32),
        observed=observed[order],
        limit=limit[order],
    )
