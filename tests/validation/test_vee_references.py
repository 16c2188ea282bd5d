"""Estimators that need another series: worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas import quality
from tests.validation.vee_cubes import GAP, Row, cube, rule_set
from validation import engine, references
from validation.engine import Outcome
from validation.matrix import References, Series

CHECK = '[[estimators]]\nmethod = "check_meter_value"\n'
BALANCE = '[[estimators]]\nmethod = "virtual_balance"\n'
PROFILE = '[[estimators]]\nmethod = "class_profile"\nwithin_days = 30\nfewest = 1\n'
PROXY = (
    '[[estimators]]\nmethod = "proxy_day"\ncount = 2\nfewest = 1\nlike = "kind"\n'
    "within_days = 30\nwithin_degrees = 5\n"
)


def series(rows: Any, good: Any = True) -> Series:
    values = np.array(rows, dtype=np.int64)
    return Series(values, np.broadcast_to(np.asarray(good, dtype=np.bool_), values.shape))


def filled(rows: Any, estimators: str, beside: References | None, **given: Any) -> Outcome:
    whole = replace(cube(rows, **given), references=beside)
    return engine.run(whole, rule_set(GAP, estimators))


def test_the_check_meters_value_is_taken_where_it_is_good() -> None:
    # Channel 1 is the check meter of channel 0; at 02:00 it had an outage, at 04:00 nothing came.
    check: list[int | None] = [100 + slot for slot in range(24)]
    check[4] = None
    rows = [[[5, None, None, None, None, *[5] * 19]], [check]]
    codes = {(1, 0, 2): quality.POWER_DOWN}
    given = replace(cube(rows, codes=codes), check=np.array([1, -1]))
    outcome = engine.run(given, rule_set(GAP, CHECK))
    assert outcome.values[0, 0, :6].tolist() == [5, 101, 0, 103, 0, 5]
    assert outcome.quality[0, 0, 1:5].tolist() == [
        quality.ESTIMATED_CHECK_METER,
        quality.MISSING,
        quality.ESTIMATED_CHECK_METER,
        quality.MISSING,
    ]
    assert outcome.quality[1, 0, 4] == quality.MISSING
    assert quality.aemo_of(quality.ESTIMATED_CHECK_METER) == "S11"


def test_the_balance_is_what_the_other_flows_leave() -> None:
    # A node's supply of 100 an hour less two neighbours of 30 and 25.
    others = np.full((1, 1, 24), 100 - 30 - 25)
    outcome = filled([[[5, None, *[5] * 22]]], BALANCE, References(balance=series(others)))
    assert outcome.values[0, 0, 1] == 45
    assert outcome.quality[0, 0, 1] == quality.ESTIMATED_BALANCE


def test_a_reference_too_large_for_the_record_is_left_out() -> None:
    beside = References(balance=series(np.full((1, 1, 24), 2**40)))
    assert filled([[[5, None, *[5] * 22]]], BALANCE, beside).counters.left == 1


@pytest.mark.parametrize("estimators", [CHECK, BALANCE, PROFILE, PROXY])
def test_without_a_reference_all_is_left_to_others(estimators: str) -> None:
    for beside in (None, References()):
        outcome = filled([[[5] * 24, [5, None, *[5] * 22]]], estimators, beside)
        assert outcome.counters.left == 1
        (attempt,) = outcome.counters.attempts
        assert (attempt.tried, sum(attempt.declined.values())) == (1, 1)


def test_the_profile_is_brought_to_the_channels_size() -> None:
    # Two days of 10 an hour: 480; the profile has 1 by night and 3 by day there, 96: factor 5.
    shape = [1] * 12 + [3] * 12
    rows: list[list[Row]] = [[[10] * 24, [None] * 24, [10] * 24]]
    outcome = filled(rows, PROFILE, References(profile=series([[shape] * 3])))
    assert outcome.values[0, 1].tolist() == [5] * 12 + [15] * 12
    assert set(outcome.quality[0, 1].tolist()) == {quality.ESTIMATED_PROFILE}
    far = PROFILE.replace("fewest = 1", "fewest = 3")
    assert filled(rows, far, References(profile=series([[shape] * 3]))).counters.left == 24


def test_a_profile_with_holes_is_fitted_on_its_whole_days_only() -> None:
    good = np.ones((1, 3, 24), np.bool_)
    good[0, 0, 3] = False
    rows: list[list[Row]] = [[[900] * 24, [None] * 24, [10] * 24]]
    outcome = filled(rows, PROFILE, References(profile=series([[[2] * 24] * 3], good)))
    assert outcome.values[0, 1].tolist() == [10] * 24


def test_days_of_like_temperature_are_averaged() -> None:
    # The gap is at 40 °C: 41 and 38 are nearest, 30 is too far, an unknown one is near to nothing.
    rows: list[list[Row]] = [[[value] * 24 for value in (100, 200, 300, 900)] + [[None] * 24]]
    warmth = np.array([[30.0, 41.0, 38.0, np.nan, 40.0]])
    outcome = filled(rows, PROXY, References(temperature=warmth))
    assert outcome.values[0, 4].tolist() == [250] * 24
    assert set(outcome.quality[0, 4].tolist()) == {quality.ESTIMATED_PROXY_DAY}
    one = PROXY.replace("count = 2", "count = 1")
    tied = np.array([[44.0, 42.0, 38.0, 60.0, 40.0]])
    assert filled(rows, one, References(temperature=tied)).values[0, 4, 0] == 200
    unknown = np.array([[30.0, 41.0, 38.0, 40.0, np.nan]])
    assert filled(rows, PROXY, References(temperature=unknown)).counters.left == 24


def test_a_day_of_another_kind_is_no_proxy() -> None:
    # Sunday … Saturday: the gap on Friday takes Saturday, however far from it.
    rows: list[list[Row]] = [[[10] * 24] * 5 + [[None] * 24, [70] * 24]]
    warmth = np.array([[40.0] * 6 + [44.0]])
    outcome = filled(rows, PROXY, References(temperature=warmth))
    assert outcome.values[0, 5].tolist() == [70] * 24


def test_other_interval_lengths_are_chopped_and_added_up() -> None:
    # Itron: a half hour is six five-minute parts, equal; whole units, the rest on the earliest.
    values, good = references.regridded(
        np.array([60, 62]), np.array([True, False]), parts=6, into=True
    )
    assert values.tolist() == [10] * 6 + [11, 11, 10, 10, 10, 10]
    assert good.tolist() == [True] * 6 + [False] * 6
    back, known = references.regridded(values, good, parts=6, into=False)
    assert (back.tolist(), known.tolist()) == ([60, 62], [True, False])
    negative, _ = references.regridded(np.array([-7]), np.array([True]), parts=2, into=True)
    assert int(negative.sum()) == -7
