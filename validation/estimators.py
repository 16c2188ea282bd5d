"""The table of estimators: what stands here can stand in a rule set."""

from __future__ import annotations

from typing import Final

from validation import (
    averages,
    holding,
    interpolation,
    like_days,
    lookups,
    references,
    spreading,
    weighting,
)
from validation.estimator import Estimator

ESTIMATORS: Final[dict[str, Estimator]] = {
    each.name: each
    for each in (
        holding.zero,
        interpolation.linear,
        like_days.like_day,
        weighting.weighted_average,
        lookups.two_week,
        lookups.year_ago,
        lookups.nearest_equivalent,
        averages.average_like_day,
        averages.multi_week,
        spreading.register,
        averages.daily_load,
        holding.hold,
        references.check_meter_value,
        references.virtual_balance,
        references.class_profile,
        references.proxy_day,
    )
}
