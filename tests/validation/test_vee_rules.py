"""Each rule against numbers worked by hand from the source it names, or a slow plain reference."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import date
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import validation
from schemas import quality
from tests.validation.vee_cubes import cube, seen
from validation import completeness, consistency, plausibility, runs, views
from validation.rule import Mask, Rule
from validation.rules import RULES
from validation.views import DayMatrix


def slots(mask: Mask) -> list[int]:
    """Give the failing slots of a single row."""
    return np.flatnonzero(mask.fails).tolist()


def block(values: NDArray[Any], present: NDArray[np.bool_] | None = None) -> DayMatrix:
    nowhere = np.zeros(values.shape, dtype=np.bool_)
    return DayMatrix(
        values=values,
        present=~nowhere if present is None else present,
        expected=~nowhere,
        one_way=np.ones(len(values), dtype=np.bool_),
        duplicate=nowhere,
        misfit=nowhere,
        outage=None,
        interval_seconds=3600,
    )


def test_every_rule_that_is_written_is_in_the_table() -> None:
    modules = [
        importlib.import_module(f"validation.{each.name}")
        for each in pkgutil.iter_modules(validation.__path__)
    ]
    written = {
        each.name: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, Rule)
    }
    assert written == RULES
    assert all(each.source for each in RULES.values())


def test_gap_marks_what_is_missing_and_counts_it() -> None:
    found = completeness.gap(seen([1, None, 2, None, None, 3]).days)
    assert slots(found) == [1, 3, 4]
    assert found.observed.tolist() == [3, 3, 3]


def test_the_padding_of_a_short_day_is_no_gap() -> None:
    # London's clocks go forward on 2026-03-29 and back on 2026-10-25.
    short = cube([[[1] * 24, [1] * 23]], first=date(2026, 3, 28), zone=_london())
    assert short.shape == (1, 2, 24)
    assert slots(completeness.gap(views.of(short).days)) == []


def _london() -> Any:
    return ZoneInfo("Europe/London")


def test_duplicate_and_interval_size_mark_the_slots_that_intake_named() -> None:
    marked = np.zeros((1, 1, 24), dtype=np.bool_)
    marked[0, 0, [2, 3]] = True
    there = seen([1, 2, 3, None], duplicate=marked, misfit=marked)
    assert slots(completeness.duplicate(there.days)) == [2]
    assert slots(completeness.interval_size(there.days)) == [2]
    assert completeness.interval_size(there.days).limit.tolist() == [3600]


def test_negative_is_for_channels_that_count_one_way() -> None:
    assert slots(plausibility.negative(seen([5, -1, 0, -3]).days)) == [1, 3]
    assert slots(plausibility.negative(seen([5, -1, 0, -3], one_way=False).days)) == []


@pytest.mark.parametrize(
    ("highest", "fails"),
    # Oracle: 100 * (highest - third) / third > tolerance; third 100, 180 %: up to 280 passes.
    [(280, False), (281, True)],
)
def test_spike_compares_the_highest_with_the_third_highest(highest: int, fails: bool) -> None:
    row = [60, 90, highest, 100, 110] + [50] * 19
    found = plausibility.spike(seen(row).days, tolerance=1.8, minimum_per_hour=0)
    assert slots(found) == ([2] if fails else [])
    assert found.limit.tolist() == ([280] if fails else [])
    assert found.observed.tolist() == ([highest] if fails else [])


def test_spike_needs_its_minimum_whatever_the_interval() -> None:
    row = [10] * 20 + [900] + [10] * 75
    quarter_hours = seen(row, interval_seconds=900).days
    assert slots(plausibility.spike(quarter_hours, tolerance=1.8, minimum_per_hour=3599)) == [20]
    assert slots(plausibility.spike(quarter_hours, tolerance=1.8, minimum_per_hour=3600)) == []


def test_spike_marks_both_of_two_but_not_three_of_a_kind() -> None:
    two, three = [10] * 22 + [500, 400], [10] * 21 + [500, 400, 400]
    assert slots(plausibility.spike(seen(two).days, tolerance=1.8, minimum_per_hour=0)) == [22, 23]
    assert slots(plausibility.spike(seen(three).days, tolerance=1.8, minimum_per_hour=0)) == []


def test_spike_says_nothing_of_a_day_with_two_values() -> None:
    lonely = seen([None] * 22 + [1, 500]).days
    assert slots(plausibility.spike(lonely, tolerance=1.8, minimum_per_hour=0)) == []


@given(
    hnp.arrays(
        np.int32, st.tuples(st.integers(1, 4), st.integers(1, 101)), elements=st.integers(-9, 90)
    ),
    st.floats(0, 3),
    st.integers(0, 60),
    st.randoms(use_true_random=False),
)
def test_spike_finds_what_plain_sorting_finds(
    values: NDArray[np.int32], tolerance: float, minimum: int, random: Any
) -> None:
    present = np.array([[random.random() < 0.8 for _ in row] for row in values])
    values = np.where(present, values, 0).astype(np.int32)
    found = plausibility.spike(
        block(values, present), tolerance=tolerance, minimum_per_hour=minimum
    )
    for row, there, fails in zip(values, present, found.fails, strict=True):
        ordered = sorted(row[there].tolist())
        limit = max(max(ordered[-3], 0) * (1 + tolerance), minimum) if len(ordered) > 2 else np.inf
        assert fails.tolist() == ((row > limit) & there).tolist()


def test_a_day_is_high_or_low_against_the_mean_of_its_other_like_days() -> None:
    # Sunday … Thursday 24, 24, 24, 24, 97 Wh: for Thursday the others' mean is 1 an hour.
    rows = [[[1] * 24] * 4 + [[4] * 23 + [5]]]
    found = plausibility.high_low(
        views.of(cube(rows)).totals, high=4, low=0, minimum=0, fewest=4, like="kind"
    )
    assert np.argwhere(found.fails).tolist() == [[0, 4]]
    assert found.observed.tolist() == [97 / 24]
    assert found.limit.tolist() == [4]


def test_high_low_needs_a_history_and_a_minimum() -> None:
    rows = [[[1] * 24] * 4 + [[5] * 24]]
    totals = views.of(cube(rows)).totals

    def fails(*, minimum: float, fewest: int) -> bool:
        found = plausibility.high_low(
            totals, high=4, low=0, minimum=minimum, fewest=fewest, like="kind"
        )
        return bool(found.fails.any())

    assert fails(minimum=119, fewest=4)
    assert not fails(minimum=120, fewest=4)
    assert not fails(minimum=119, fewest=5)


def test_a_low_day_is_low_only_if_the_history_is_worth_it() -> None:
    totals = views.of(cube([[[10] * 24] * 3 + [[0] * 24]])).totals
    low = {"high": 9.0, "low": 0.1, "fewest": 3, "like": "kind"}
    found = plausibility.high_low(totals, minimum=239, **low)
    assert np.argwhere(found.fails).tolist() == [[0, 3]]
    assert found.limit.tolist() == [1]
    assert not plausibility.high_low(totals, minimum=240, **low).fails.any()


def test_history_leaves_out_other_kinds_of_days_and_days_that_are_not_whole() -> None:
    # Sunday … Thursday, then a Friday and a Saturday of ten times as much.
    rows = [[[1] * 24] * 3 + [[None] + [90] * 23, [90] * 24] + [[10] * 24] * 2]
    given_ = cube(rows, codes={(0, 4, 3): quality.POWER_DOWN})
    found = plausibility.high_low(
        views.of(given_).totals, high=4, low=0, minimum=0, fewest=1, like="kind"
    )
    assert np.argwhere(found.fails).tolist() == [[0, 4]]
    assert found.limit.tolist() == [4]


# OpenSTEF's own test table of its flatline checker: hourly values, threshold 180 minutes.
@pytest.mark.parametrize(
    ("row", "zero", "nonzero"),
    [
        ([0, 0, 0, 0], True, False),
        ([2, 2, 2, 2], False, True),
        ([0, 0, 0, None], True, False),
        ([1, 0, 0, None], False, False),
    ],
)
def test_flat_lines(row: list[int | None], zero: bool, nonzero: bool) -> None:
    line = seen([*row, *([None] * 20)]).timeline
    assert bool(slots(plausibility.zero_run(line, hours=3))) is zero
    assert bool(slots(plausibility.stuck(line, hours=3))) is nonzero


def test_runs_go_on_over_midnight_and_stop_at_a_missing_slot() -> None:
    night = [[5] * 22 + [0, 0], [0, 0] + [6] * 10 + [None] + [6] * 11]
    line = views.of(cube([night])).timeline
    found = plausibility.zero_run(line, hours=4)
    assert slots(found) == [22, 23, 24, 25]
    assert found.observed.tolist() == [4] * 4
    assert slots(plausibility.stuck(line, hours=11)) == [*range(22), *range(37, 48)]
    assert slots(plausibility.stuck(line, hours=12)) == list(range(22))


def test_runs_bridge_the_padding_of_a_short_day() -> None:
    short = cube([[[3] * 21 + [0, 0], [0, 0] + [3] * 22]], first=date(2026, 3, 29), zone=_london())
    line = views.of(short).timeline
    assert slots(plausibility.zero_run(line, hours=4)) == [21, 22, 23, 24]


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 30))), st.integers(1, 8))
def test_long_runs_are_those_that_grouping_finds(mask: NDArray[np.bool_], least: int) -> None:
    cells, length = runs.at_least(mask, least)
    expected = []
    for number, row in enumerate(mask):
        column = 0
        for value, group in groupby(row.tolist()):
            size = len(list(group))
            if value and size >= least:
                start = number * mask.shape[1] + column
                expected += [(cell, size) for cell in range(start, start + size)]
            column += size
    assert list(zip(cells.tolist(), length.tolist(), strict=True)) == expected


def test_sum_check_holds_intervals_against_the_register() -> None:
    # Oracle: the difference is held against the tolerance; equal to it passes.
    two_days = cube([[[10] * 24, [10] * 24]], spans=[(0, 0, 24, 238), (0, 24, 48, 240)])
    spans = views.of(two_days).spans
    assert slots(consistency.sum_check(spans, tolerance=1, relative=0)) == [0]
    assert slots(consistency.sum_check(spans, tolerance=2, relative=0)) == []
    assert slots(consistency.sum_check(spans, tolerance=0, relative=0.01)) == []
    assert slots(consistency.sum_check(spans, tolerance=0, relative=0.008)) == [0]
    found = consistency.sum_check(spans, tolerance=1, relative=0)
    assert (found.observed.tolist(), found.limit.tolist()) == ([240], [238])


def test_spans_begin_and_end_anywhere_and_pass_where_a_value_is_missing() -> None:
    rows = [[[1] * 24, [2] * 24], [[None] + [3] * 23, [4] * 24]]
    spans = [(0, 5, 30, 31), (0, 30, 48, 36), (1, 0, 10, 99), (1, 12, 48, 132)]
    totals = views.of(cube(rows, spans=spans)).spans
    assert totals.total.tolist() == [19 + 12, 36, 27, 36 + 96]
    assert totals.absent.tolist() == [0, 0, 1, 0]
    assert slots(consistency.sum_check(totals, tolerance=0, relative=0)) == []
