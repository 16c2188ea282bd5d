"""Each estimator against numbers worked by hand from the source it names, or a plain reference."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import validation
from schemas import quality
from tests.validation.vee_cubes import GAP, LIKE_DAY, LINEAR, REGISTER, Row, cube, rule_set
from validation import days, engine
from validation.engine import Outcome
from validation.estimator import Estimator
from validation.estimators import ESTIMATORS
from validation.matrix import Cube

LONDON = ZoneInfo("Europe/London")


def filled(given_: Cube, estimators: str) -> Outcome:
    return engine.run(given_, rule_set(GAP, estimators))


def by_hour(row: Row, estimators: str = LINEAR) -> list[int]:
    """Fill one day that begins with a row of hours and goes on with sevens."""
    outcome = filled(cube([[[*row, *([7] * (24 - len(row)))]]]), estimators)
    return [int(value) for value in outcome.values[0, 0, : len(row)]]


def with_limit(hours: float, *, inclusive: bool = True) -> str:
    changed = LINEAR.replace("limit_hours = 2", f"limit_hours = {hours}")
    return changed.replace("inclusive = true", f"inclusive = {str(inclusive).lower()}")


def test_every_estimator_that_is_written_is_in_the_table() -> None:
    modules = [
        importlib.import_module(f"validation.{each.name}")
        for each in pkgutil.iter_modules(validation.__path__)
    ]
    written = {
        each.name: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, Estimator)
    }
    assert written == ESTIMATORS
    assert all(each.source for each in ESTIMATORS.values())


def test_linear_as_in_itrons_table() -> None:
    # Itron 251957: 75 at 00:15, four missing, 100 at 01:30; then 104.
    row = [70, 75, None, None, None, None, 100, 104, *([90] * 88)]
    outcome = filled(cube([[row]], interval_seconds=900), LINEAR)
    assert outcome.values[0, 0, :8].tolist() == [70, 75, 80, 85, 90, 95, 100, 104]
    assert outcome.quality[0, 0, :8].tolist() == [0, 0, 301, 301, 301, 301, 0, 0]
    assert outcome.counters.filled == {"linear": 4}


def test_linear_has_a_limit_as_in_itrons_example() -> None:
    # Itron: limit 3 h; 08:00–10:00 is filled, 13:15–17:30 is not.
    row: list[int | None] = [40] * 96
    row[32:40] = [None] * 8
    row[53:70] = [None] * 17
    outcome = filled(cube([[row]], interval_seconds=900), with_limit(3))
    assert outcome.quality[0, 0, 32:40].tolist() == [quality.ESTIMATED_LINEAR] * 8
    assert outcome.quality[0, 0, 53:70].tolist() == [quality.MISSING] * 17
    assert outcome.counters.left == 17


@pytest.mark.parametrize(
    ("row", "expected"),
    # mako's tests of its interpolation, in Wh.
    [
        ([2000, None, 2400], [2000, 2200, 2400]),
        ([2000, None, 4000], [2000, 3000, 4000]),
        ([2000, None, None, 2600], [2000, 2200, 2400, 2600]),
    ],
)
def test_linear_fills_short_gaps(row: Row, expected: list[int]) -> None:
    assert by_hour(row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    # By the formula, rounded half up: 10 + 5·k/3 and 10 - 5·k/2.
    [([10, None, None, 15], [10, 12, 13, 15]), ([10, None, 5], [10, 8, 5])],
)
def test_linear_rounds_half_up(row: Row, expected: list[int]) -> None:
    assert by_hour(row) == expected


@pytest.mark.parametrize(("inclusive", "count"), [(True, 2), (False, 0)])
def test_the_limit_of_two_hours_is_california_inclusive_and_austria_not(
    inclusive: bool, count: int
) -> None:
    given_ = cube([[[5, None, None, 5, *([5] * 20)]]])
    outcome = filled(given_, with_limit(2, inclusive=inclusive))
    assert outcome.counters.filled == {"linear": count}


def test_a_gap_at_the_edge_is_flat_or_left() -> None:
    # mako: [3.0, missing] -> 3.0; Oracle: flat load from the one value there is.
    row = [None, *([3000] * 22), None]
    assert filled(cube([[row]]), LINEAR).values[0, 0].tolist() == [3000] * 24
    declining = LINEAR.replace('one_anchor = "flat"', 'one_anchor = "decline"')
    assert filled(cube([[row]]), declining).counters.left == 2


def test_the_day_before_is_the_anchor_of_a_gap_at_midnight() -> None:
    rows = [[[10] * 24, [None] + [30] * 23]]
    history = np.array([[False, True]])
    outcome = filled(cube(rows, target=history), LINEAR)
    assert outcome.values[0, 1, 0] == 20


def test_a_gap_that_reaches_into_history_counts_in_full_and_only_targets_are_filled() -> None:
    rows = [[[10] * 22 + [None, None], [None] + [30] * 23]]
    target = np.array([[False, True]])
    assert filled(cube(rows, target=target), with_limit(2)).counters.filled == {"linear": 0}
    outcome = filled(cube(rows, target=target), with_limit(3))
    assert outcome.values[0, 1, 0] == 25
    assert outcome.quality[0, 0, 22:].tolist() == [quality.MISSING] * 2


def test_a_gap_over_the_change_of_clocks_is_one_gap() -> None:
    rows = [[[10] * 22 + [None], [None] + [40] * 23]]
    outcome = filled(cube(rows, first=date(2026, 3, 29), zone=LONDON), LINEAR)
    assert outcome.values[0, 0, 22] == 20
    assert outcome.values[0, 1, 0] == 30


@pytest.mark.parametrize("bad", [quality.POWER_DOWN, quality.PARTIAL, quality.METER_DOUBTS])
def test_power_failures_and_doubtful_values_are_no_end_points(bad: int) -> None:
    # CPUC PSWG, July 1998: intervals containing a power failure cannot be used as end points.
    rows, codes = [[[10, 0, None, 30, *([30] * 20)]]], {(0, 0, 1): bad}
    assert filled(cube(rows, codes=codes), LINEAR).values[0, 0, 2] == 30
    strict = LINEAR.replace('"flat"', '"decline"')
    assert filled(cube(rows, codes=codes), strict).counters.left == 1
    further = strict.replace('beside_bad = "decline"', 'beside_bad = "next_good"')
    assert filled(cube(rows, codes=codes), further).values[0, 0, 2] == 20


def test_estimates_of_others_are_no_end_points_and_edits_are() -> None:
    rows = [[[10, 50, None, 30, *([30] * 20)]]]
    strict = LINEAR.replace('"flat"', '"decline"')
    estimated = filled(cube(rows, codes={(0, 0, 1): quality.aemo("S", 14)}), strict)
    assert estimated.counters.left == 1
    edited = filled(cube(rows, codes={(0, 0, 1): quality.EDITED}), strict)
    assert edited.values[0, 0, 2] == 40


def day(value: int) -> list[int]:
    return [value] * 24


def test_like_day_is_the_mean_of_the_three_nearest() -> None:
    # Itron 257138: interval by interval, the mean of the three nearest valid days of like type.
    # Sunday … Thursday, the gap on Wednesday: Tuesday, Thursday and Monday are the nearest.
    rows = [[day(1000), day(10), day(40), [None] * 24, day(70)]]
    outcome = filled(cube(rows), LIKE_DAY)
    assert outcome.values[0, 3].tolist() == [40] * 24
    assert set(outcome.quality[0, 3].tolist()) == {quality.ESTIMATED_LIKE_DAY}


def test_of_two_equally_near_like_days_the_earlier_comes_first() -> None:
    rows = [[day(10), [None] * 24, day(90)]]
    one = LIKE_DAY.replace("count = 3", "count = 1")
    assert filled(cube(rows), one).values[0, 1].tolist() == [10] * 24


def test_like_days_are_whole_and_measured() -> None:
    # Itron: valid reads only, never estimated ones, and no day with a power outage.
    rows = [[day(900), [None, *day(900)[1:]], day(10), [None] * 24, day(900)]]
    codes = {(0, 0, 5): quality.POWER_DOWN, (0, 4, 5): quality.ESTIMATED}
    outcome = filled(cube(rows, codes=codes), LIKE_DAY)
    assert outcome.values[0, 3].tolist() == [10] * 24


def test_weekends_are_like_weekends_and_holidays_like_holidays() -> None:
    # Wednesday … Sunday; Friday and Saturday are Kuwait's weekend, the two ends are holidays.
    first = date(2026, 6, 3)
    rows = [[day(20), day(30), [None] * 24, day(50), [None] * 24]]
    given_ = cube(rows, first=first, holidays=frozenset({first, date(2026, 6, 7)}))
    outcome = filled(given_, LIKE_DAY)
    assert outcome.values[0, 2].tolist() == [50] * 24
    assert outcome.values[0, 4].tolist() == [20] * 24


def test_by_weekday_a_week_is_between_like_days() -> None:
    rows = [[day(number) for number in range(7)] + [[None] * 24]]
    weekly = LIKE_DAY.replace('"kind"', '"weekday"')
    assert filled(cube(rows), weekly).values[0, 7].tolist() == [0] * 24
    short = weekly.replace("within_days = 60", "within_days = 6")
    assert filled(cube(rows), short).counters.left == 24
    several = weekly.replace("fewest = 1", "fewest = 2")
    assert filled(cube(rows), several).counters.left == 24


def test_like_days_are_matched_by_local_time_where_clocks_change() -> None:
    # London, Saturday and Sunday 2026-03-29: at 01:00 clocks go to 02:00. With a weekend of
    # Friday and Saturday, Sunday is like Monday: its eleventh hour is 11:00 local time.
    hours = list(range(100, 124))
    rows = [[[None] * 23, hours]]
    outcome = filled(cube(rows, first=date(2026, 3, 29), zone=LONDON), LIKE_DAY)
    assert outcome.values[0, 0].tolist() == [100, *range(102, 124), 0]
    assert outcome.quality[0, 0, 23] == quality.MISSING

    rows = [[[None] * 25, hours]]
    outcome = filled(cube(rows, first=date(2026, 10, 25), zone=LONDON), LIKE_DAY)
    assert outcome.values[0, 0].tolist() == [100, 101, *range(101, 124)]


def test_a_like_day_without_the_hour_leaves_it_to_the_others() -> None:
    short = [5] * 23
    rows = [[short, [None] * 24, day(20)]]
    outcome = filled(cube(rows, first=date(2026, 3, 29), zone=LONDON), LIKE_DAY)
    assert outcome.values[0, 1].tolist() == [13, 20, *([13] * 22)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_like_day_finds_what_a_plain_search_finds(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    total = 9
    rows = [
        [
            [None] * 24 if random.random() < 0.4 else random.integers(0, 99, 24).tolist()
            for _ in range(total)
        ]
        for _ in range(3)
    ]
    given_ = cube(rows)
    outcome = filled(given_, LIKE_DAY.replace("count = 3", f"count = {count}"))
    kinds = given_.days.kind
    for channel, of_channel in enumerate(rows):
        whole = [number for number, row in enumerate(of_channel) if row[0] is not None]
        for number, row in enumerate(of_channel):
            alike = [other for other in whole if kinds[other] == kinds[number]]
            nearest = sorted(alike, key=lambda other: (abs(other - number), other))[:count]
            if row[0] is None and nearest:
                total_ = np.array([of_channel[other] for other in nearest]).sum(axis=0)
                expected = np.floor(total_ / len(nearest) + 0.5).astype(int).tolist()
                assert outcome.values[channel, number].tolist() == expected


def test_the_register_alone_is_spread_evenly() -> None:
    # Itron Analytics: (register difference - known intervals) / missing; 100 - 30 = 70 over 3.
    rows = [[[10, 10, 10, None, None, None, *([0] * 18)]]]
    outcome = filled(cube(rows, spans=[(0, 0, 24, 100)]), REGISTER)
    assert outcome.values[0, 0, :6].tolist() == [10, 10, 10, 24, 23, 23]
    assert outcome.quality[0, 0, 3:6].tolist() == [quality.ESTIMATED_REGISTER] * 3


def test_the_register_spreads_nothing_that_it_does_not_know() -> None:
    rows = [[[None, None, *([10] * 22)], [None] + [1] * 23]]
    beyond = filled(cube(rows, spans=[(0, 1, 24, 230)]), REGISTER)
    assert beyond.values[0, 0, :2].tolist() == [0, 10]
    assert beyond.counters.left == 2
    exceeded = filled(cube(rows, spans=[(0, 0, 24, 219)]), REGISTER)
    assert exceeded.counters.left == 3
    history = np.array([[False, True]])
    across = filled(cube(rows, spans=[(0, 0, 48, 999)], target=history), REGISTER)
    assert across.counters.left == 1


def test_the_first_estimator_that_can_wins() -> None:
    rows = [[day(8), [2, None, 4, *([None] * 3), *([4] * 18)]]]
    outcome = filled(cube(rows), LINEAR + LIKE_DAY)
    assert outcome.quality[0, 1, :7].tolist() == [0, 301, 0, 302, 302, 302, 0]
    assert outcome.values[0, 1, :7].tolist() == [2, 3, 4, 8, 8, 8, 4]
    swapped = filled(cube(rows), LIKE_DAY + LINEAR)
    assert swapped.values[0, 1, :7].tolist() == [2, 8, 4, 8, 8, 8, 4]


def test_days_are_laid_out_in_local_time() -> None:
    # A 25 h day has 100 quarter hours: 2026-10-25 in Berlin, from 22:00 UTC of the day before.
    table = days.of(
        date(2026, 10, 24), 2, ZoneInfo("Europe/Berlin"), 900, weekend={5, 6}, holidays=set()
    )
    assert table.length.tolist() == [96, 100]
    assert table.clock[1, 8:16].tolist() == [8, 9, 10, 11, 8, 9, 10, 11]
    assert table.clock[0, 96:].tolist() == [-1] * 4
    assert table.weekday.tolist() == [5, 6]
    assert table.kind.tolist() == [days.WEEKEND, days.WEEKEND]
