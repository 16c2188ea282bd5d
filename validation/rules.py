"""The table of rules: what stands here can stand in a rule set."""

from __future__ import annotations

from typing import Final

from validation import (
    comparison,
    completeness,
    consistency,
    delivery,
    grading,
    limits,
    plausibility,
    reads,
    registers,
    siblings,
    spikes,
)
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
        completeness.inactive_use,
        completeness.collapsed_hour,
        completeness.prolonged_estimation,
        spikes.spike_mean,
        spikes.spike_neighbours,
        spikes.hampel,
        spikes.tukey,
        spikes.consecutive_change,
        limits.demand_limit,
        limits.peak_change,
        limits.condition_run,
        limits.interpolated,
        limits.sentinel,
        limits.night_zero,
        registers.register_limit,
        registers.register_change,
        registers.register_decrease,
        registers.register_rollover,
        registers.tou_sum_check,
        reads.read_high_low,
        reads.read_unchanged,
        reads.read_period,
        reads.read_estimated,
        reads.read_missing,
        siblings.sibling_missing,
        siblings.sibling_zero,
        siblings.check_meter,
        delivery.future,
        delivery.other_unit,
        delivery.other_multiplier,
        delivery.device_mark,
        delivery.replacement,
        comparison.comparison,
        grading.grade,
    )
}
