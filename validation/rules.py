"""The table of rules: what stands here can stand in a rule set."""

from __future__ import annotations

from typing import Final

from validation import completeness, consistency, plausibility
from validation.rule import Rule

RULES: Final[dict[str, Rule]] = {
    each.name: each
    for each in (
        completeness.gap,
        completeness.duplicate,
        completeness.interval_size,
        plausibility.negative,
        plausibility.spike,
        plausibility.high_low,
        plausibility.zero_run,
        plausibility.short_zero_run,
        plausibility.stuck,
        consistency.sum_check,
        consistency.register_misread,
    )
}
