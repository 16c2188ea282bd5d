"""Which rule set validates which days of which channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.intake_cube import Intake
from schemas import reading_type
from validation import ruleset
from validation.ruleset import RuleSet


def by_rule_set(
    part: Intake, commodity: str, rule_sets: Sequence[RuleSet]
) -> Iterator[tuple[RuleSet, Intake]]:
    """Part target days by the rule set of the channel and its version in force on the day."""
    known = rule_sets or ruleset.shipped()
    for name, rows in _names(part, commodity, known).items():
        target = part.cube.target & rows[:, None]
        wanted = np.flatnonzero(target.any(axis=0)).tolist()
        in_force = {
            n: ruleset.select(known, name, part.layout.first + timedelta(days=n)) for n in wanted
        }
        for rule_set in {each.digest: each for each in in_force.values()}.values():
            mine = np.zeros(part.layout.count, np.bool_)
            mine[[n for n, each in in_force.items() if each.digest == rule_set.digest]] = True
            yield rule_set, replace(part, cube=replace(part.cube, target=target & mine))


def _names(part: Intake, commodity: str, known: Sequence[RuleSet]) -> dict[str, NDArray[np.bool_]]:
    """Name each channel's rule set: export has one of its own, where it is among the known."""
    own = f"{commodity}_export"
    kinds = readings_columns.distinct(part.channels.reading_type)
    exports = [n for n in kinds.tolist() if reading_type.of_id(n).export]
    export = np.isin(part.channels.reading_type, exports)
    if not export.any() or own not in {each.name for each in known}:
        return {commodity: np.ones(len(part.channels), np.bool_)}
    return {commodity: ~export, own: export}
