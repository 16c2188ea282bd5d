"""The light way in: which usage points need few days around those that came, and whether it was so.

Most days are as usual. What the long history says of such a day is known without reading it: no
rule that looks far back can fire, and no estimate is taken from there. Those usage points are laid
out with a day or some before the first that came, those of which that is not certain with the whole
history. Whichever way a day comes in, its findings, estimates and versions are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.intake import Work
from mdm.intake_channels import Channels
from mdm.readings_stretch import Stretches
from validation.condition import Condition
from validation.reads import ReadSteps
from validation.ruleset import EstimatorUse, RuleSet
from validation.views import DayMatrix, SpanTotals

# Days before the first that came: the one before is often validated again, and needs one too.
MARGINS: Final = (2,)
# These look at more than a day or a register's span, and what follows knows what they need.
_KNOWN: Final = frozenset(
    (
        "zero_run", "short_zero_run", "stuck", "high_low", "collapsed_hour",
        "register_decrease", "register_rollover", "register_limit", "tou_sum_check",
        "other_unit", "other_multiplier", "device_mark",
    )
)  # fmt: skip
# These look no further than the days beside a gap, within these limits.
_NEAR: Final = frozenset(("zero", "linear", "weighted_average"))
_LIMITS: Final = {"limit_hours": 20.0, "within_days": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """What a light share knows of its channels.

    Attributes
    ----------
    stretches : of all its channels that have one
    first : first day that came for its usage points, counted from the work's first
    margin : which of ``MARGINS`` the layout has before that
    """

    stretches: Stretches
    first: int
    margin: int = 0


def able(rule_sets: Sequence[RuleSet]) -> bool:
    """Tell whether what rule sets need of the history is known here."""
    return all(_able(each) for each in rule_sets)


def _able(rule_set: RuleSet) -> bool:
    for use in rule_set.rules:
        local = use.rule.view in (DayMatrix, SpanTotals, ReadSteps) or use.rule.name in _KNOWN
        if not local or not _known(use.when):
            return False
    return not rule_set.check_estimates


def _known(when: Condition) -> bool:
    """Tell whether the day alone says if a rule applies, or whether there was ever any use."""
    return not when.only_if and when.above_per_day in (None, 0)


def near(rule_set: RuleSet) -> RuleSet:
    """Give a rule set with the first estimators only: those that look no further than a day.

    What these fill, the whole set fills alike.
    """
    return replace(rule_set, estimators=tuple(takewhile(_is_near, rule_set.estimators)))


def _is_near(use: EstimatorUse) -> bool:
    given = {name: float(str(use.parameters.get(name, 0))) for name in _LIMITS}
    return use.estimator.name in _NEAR and all(given[name] <= _LIMITS[name] for name in _LIMITS)


def groups(
    stretches: Stretches, work: Work, channels: Channels, points: NDArray[np.int32], start: int
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Choose usage points that may go the light way, by the first day that came for them.

    Parameters
    ----------
    stretches, channels : of the usage points
    points : those with something in the record, ascending
    start : where the whole history would begin [s]

    Yields
    ------
    first touched day, counted from the work's first, and the usage points
    """
    mine = np.isin(channels.usage_point, points)
    row = stretches.rows_of(channels.id[mine])
    known = row >= 0
    if not known.any():
        return
    clear = known.copy()
    clear[known] = stretches.clear_from[row[known]] <= start
    place = np.searchsorted(points, channels.usage_point[mine])
    able_ = np.zeros(len(points), np.bool_)
    able_[place] = True
    able_[place[~clear]] = False
    first, edge = (
        _first(points, work.usage_point, work.day),
        _first(points, work.edge_usage_point, work.edge_day),
    )
    able_ &= (first < _NEVER) & (edge >= first - 1)
    for day in readings_columns.distinct(first[able_]).tolist():
        yield day, points[able_ & (first == day)]


_NEVER: Final = np.iinfo(np.int32).max


def _first(
    points: NDArray[np.int32], usage_point: NDArray[Any], day: NDArray[Any]
) -> NDArray[np.int64]:
    """Give the first day of each usage point, ``_NEVER`` where it has none."""
    first = np.full(len(points), _NEVER, np.int64)
    known = np.isin(usage_point, points)
    np.minimum.at(first, np.searchsorted(points, usage_point[known]), day[known])
    return first
