"""The table of estimators: what stands here can stand in a rule set."""

from __future__ import annotations

from typing import Final

from validation import interpolation, like_days, spreading
from validation.estimator import Estimator

ESTIMATORS: Final[dict[str, Estimator]] = {
    each.name: each for each in (interpolation.linear, like_days.like_day, spreading.register)
}
