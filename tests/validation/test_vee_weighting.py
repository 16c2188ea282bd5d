"""The weighted average of a straight line and like days, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import quality
from tests.validation.vee_cubes import GAP, LIKE_DAY, LINEAR, cube, rule_set
from validation import engine
from validation.engine import Outcome
from validation.matrix import Cube

# e^-(ln 2 · 1 h) is one half: two hours away a value has a quarter of the say.
HALF = 0.6931471805599453


def weighted(
    decay: float = HALF, *, limit: float = 12, count: int = 2, fewest: int = 2, then: str = ""
) -> str:
    return f"""
    [[estimators]]
    method = "weighted_average"
    decay_per_hour = {decay}
    limit_hours = {limit}
    count = {count}
    fewest = {fewest}
    like = "kind"
    within_days = 60
    {then}
    """


def filled(given_: Cube, estimators: str) -> Outcome:
    return engine.run(given_, rule_set(GAP, estimators))


def week(*last: int | None, before: int = 2) -> Cube:
    """Give days of 39 and 41 in turn, and one that begins with some hours and goes on with 40."""
    rows = [[39 + 2 * (n % 2)] * 24 for n in range(before)]
    target = np.zeros((1, before + 1), np.bool_)
    target[0, before] = True
    return cube([[*rows, [*last, *[40] * (24 - len(last))]]], target=target)


def test_the_line_of_the_published_example_meets_the_like_days_by_halves() -> None:
    # W1 (Itron 251957): 75, four missing, 100: the line has 80, 85, 90, 95. The like days' mean is
    # 40. One hour off: half and half, 60 and 67.5; two hours off a quarter of the line: 40 · ¾ +
    # 85 / 4 = 51.25, 40 · ¾ + 90 / 4 = 52.5. Rounded half up.
    outcome = filled(week(75, None, None, None, None, 100), weighted())
    assert outcome.values[0, 2, :6].tolist() == [75, 60, 51, 53, 68, 100]
    assert outcome.quality[0, 2, 1:5].tolist() == [quality.ESTIMATED_WEIGHTED] * 4


def test_with_one_end_point_its_value_fades_into_the_like_days() -> None:
    # From 40 on 23 hours lead to the day's end: 100, then 40 + 60 / 2, 40 + 60 / 4, 40 + 60 / 8 …
    hours = [None] * 4
    outcome = filled(week(*[40] * 19, 100, *hours), weighted())
    assert outcome.values[0, 2, 19:].tolist() == [100, 70, 55, 48, 44]


def test_it_declines_without_like_days_and_in_long_gaps_and_says_why() -> None:
    gap = (75, None, None, 90)
    few = filled(week(*gap), weighted(fewest=3, then=LINEAR))
    assert few.values[0, 2, :4].tolist() == [75, 80, 85, 90]
    assert few.counters.attempts[0].declined == {"too few sound like days": 2}
    long = filled(week(*gap), weighted(limit=1.5, then=LIKE_DAY))
    assert long.values[0, 2, :4].tolist() == [75, 40, 40, 90]
    assert long.counters.attempts[0].declined == {"gap too long": 2}
    alone = filled(cube([[[39] * 24, [41] * 24, [None] * 24]]), weighted(limit=24))
    assert alone.counters.filled == {"weighted_average": 24}
    none = filled(cube([[[None] * 24]]), weighted(limit=24))
    assert none.counters.attempts[0].declined == {"no end point": 24}


def test_scaled_it_has_the_code_of_other_scaled_estimates() -> None:
    given_ = week(75, None, None, None, None, 100)
    spans = cube([[[40] * 24] * 3], spans=[(0, 48, 72, 75 + 464 + 100 + 18 * 40)]).spans
    outcome = filled(replace(given_, spans=spans), weighted())
    # 60, 51.25 … were rounded to 60, 51, 53, 68, 232 together: doubled to fill the register.
    assert outcome.values[0, 2, :6].tolist() == [75, 120, 102, 106, 136, 100]
    assert outcome.quality[0, 2, 1:5].tolist() == [quality.ESTIMATED_SCALED] * 4


@given(
    st.lists(st.integers(0, 900), min_size=24, max_size=24),
    st.integers(1, 12),
    st.integers(1, 10),
)
def test_without_decay_it_is_the_line_and_with_much_the_like_days(
    row: list[int], first: int, length: int
) -> None:
    holed = [None if first <= n < first + length else value for n, value in enumerate(row)]
    line, like = LINEAR.replace("limit_hours = 2", "limit_hours = 12"), LIKE_DAY
    given_ = week(*holed)
    assert np.array_equal(filled(given_, weighted(0)).values, filled(given_, line).values)
    assert np.array_equal(filled(given_, weighted(1e6)).values, filled(given_, like).values)


@pytest.mark.parametrize("decay", [0.1, 2.0])
def test_it_lies_between_the_line_and_the_like_days(decay: float) -> None:
    given_ = week(75, *[None] * 9, 300)
    both = filled(given_, weighted(decay)).values[0, 2, 1:10]
    line = filled(given_, weighted(0)).values[0, 2, 1:10]
    assert ((both >= 40) & (both <= line)).all()


def test_of_any_kind_the_days_beside_are_enough() -> None:
    # Thursday and Saturday, of which Saturday rests in Kuwait, and Friday between them.
    rows = [[[30] * 24, [100, None, 100, *[100] * 21], [50] * 24]]
    target = np.array([[False, True, False]])
    given_ = cube(rows, first=date(2026, 6, 4), target=target)
    beside = weighted(count=2, fewest=1).replace('"kind"', '"any"')
    # One hour off: half of 100 and half of the mean of 30 and 50.
    assert filled(given_, beside).values[0, 1, 1] == 70
    # Friday is like Saturday alone: half of 100 and half of 50.
    assert filled(given_, weighted(count=2, fewest=1)).values[0, 1, 1] == 75
