"""Formulas over statistics, and the grade of a batch: worked by hand from their sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import quality
from tests.validation.vee_cubes import Row, cube, rule_set, seen
from validation import comparison, formula, grading, views
from validation.formula import FormulaError
from validation.parameters import RuleSetError

DAY: list[int | None] = [1, 2, 3, 4] * 6
OF_DAY = {
    # 60 in 24 values: six each of 1, 2, 3 and 4; squares 180 / 24 - 2.5² = 1.25.
    "sum": 60, "min": 1, "max": 4, "average": 2.5, "median": 2.5, "zeros": 0, "count": 24,
    "deviation": 1.25**0.5, "outages": 0,
}  # fmt: skip


def failing(rows: Any, fails_if: str, *, days: int = 3, fewest: int = 1, **given_: Any) -> Any:
    curves = views.of(cube([rows], **given_)).curves
    found = comparison.comparison(curves, fails_if=fails_if, days=days, fewest=fewest)
    return np.flatnonzero(found.fails).tolist(), found.observed.tolist(), found.limit.tolist()


@pytest.mark.parametrize(("name", "value"), OF_DAY.items())
def test_a_statistic_of_the_day(name: str, value: float) -> None:
    fails, observed, limit = failing([DAY], f"{name} >= {value} - 0.000001")
    assert fails == [0]
    assert observed == pytest.approx([value])
    assert limit == pytest.approx([value - 1e-6])
    assert failing([DAY], f"{name} > {value} + 0.000001")[0] == []


@pytest.mark.parametrize(
    ("name", "value"),
    # Of the two sound days before the last one: 24 ones and twelve each of 0 and 5: 84 in 48
    # values, squares 24 + 300 = 324: 324 / 48 - 1.75² = 3.6875.
    [("sum", 84), ("min", 0), ("max", 5), ("average", 1.75), ("median", 1), ("zeros", 12),
     ("count", 48), ("deviation", 3.6875**0.5), ("outages", 1)],
)  # fmt: skip
def test_a_statistic_of_the_days_before(name: str, value: float) -> None:
    broken: Row = [9] * 24
    rows: list[Row] = [[99] * 24, [1] * 24, [0, 5] * 12, broken, DAY]
    codes = {(0, 3, 7): quality.POWER_DOWN}
    fails, observed, _ = failing(rows, f"{name}_before >= {value} - 0.001", codes=codes)
    assert 4 in fails
    assert observed[fails.index(4)] == pytest.approx(value)
    assert 4 not in failing(rows, f"{name}_before > {value} + 0.001", codes=codes)[0]


def test_too_little_history_and_incomplete_days_pass() -> None:
    rows: list[Row] = [DAY, DAY, [*DAY[:23], None], DAY]
    assert failing(rows, "sum > 0")[0] == [0, 1, 3]
    assert failing(rows, "sum >= sum_before", days=1)[0] == [1]
    assert failing(rows, "sum >= average_before", fewest=2)[0] == [3]
    assert failing(rows, "sum >= average_before", days=0)[0] == []


def test_and_or_and_brackets() -> None:
    rows: list[Row] = [DAY]
    assert failing(rows, "sum > 100 or (max - min) * 2 == 6".replace("==", ">="))[0] == [0]
    assert failing(rows, "sum > 100 and max > 0")[0] == []
    assert failing(rows, "-sum < 0 and max / zeros > 3")[0] == [0]
    assert failing(rows, "zeros / zeros > 0 or zeros / zeros <= 0")[0] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max", "no comparison"),
        ("maximum > 3", "unknown name maximum; allowed: sum, min, max"),
        ("__import__('os').getcwd() > 1", "only numbers, names of statistics"),
        ("max ** 9 > 1", "only numbers, names"),
        ("1 < max < 3", "no comparison"),
        ("max == 3", "no comparison"),
        ("max > 'a'", "only numbers, names"),
        ("max > True", "only numbers, names"),
        ("max > 1e999", "only numbers, names"),
        ("max > 3; min", "cannot be read"),
        ("max > (3", "cannot be read"),
        ("", "cannot be read"),
        ("max > " + "-" * 50 + "1", "nested more than 12"),
        ("max > " + "1 + " * 90 + "1", "has 367 characters; 300 are allowed"),
        ("(lambda: 1)() > 0", "only numbers, names"),
        ("[x for x in max] > 0", "only numbers, names"),
    ],
)
def test_what_is_no_comparison_is_told(text: str, told: str) -> None:
    with pytest.raises(FormulaError, match=told):
        formula.parse(text)


@given(st.text(max_size=400) | st.text("maxsumin_before0123456789.+-*/()<>= andor", max_size=320))
def test_any_text_is_a_comparison_or_an_error(text: str) -> None:
    try:
        made = formula.parse(text)
    except FormulaError:
        return
    columns = {name: np.array([0.0, 2.0, np.nan]) for name in formula.NAMES}
    assert np.broadcast_to(made.of(columns), (3,)).dtype == np.bool_


def test_a_rule_set_checks_its_formula() -> None:
    text = """
    [rules.comparison]
    severity = "info"
    action = "note"
    fails_if = "{}"
    days = 28
    fewest = 7
    """
    made = rule_set(text.format("max > 3 * max_before + 500"))
    assert made.rules[0].parameters["fails_if"] == "max > 3 * max_before + 500"
    with pytest.raises(RuleSetError, match=r"comparison\]: fails_if = 'max > often': unknown name"):
        rule_set(text.format("max > often"))
    with pytest.raises(RuleSetError, match="fails_if is missing; it is a comparison over sum, min"):
        rule_set(text.replace('fails_if = "{}"', ""))


def grades(*rows: Row, days: int = 1, worst: str = "A", **given_: Any) -> dict[int, float]:
    curves = views.of(cube([list(rows)], interval_seconds=900, **given_)).curves
    found = grading.grade(curves, worst=worst, days=days)
    return dict(zip(np.flatnonzero(found.fails).tolist(), found.observed.tolist(), strict=True))


FULL: list[int | None] = [10, 11, 12] * 32
A, B, C, F = 1, 2, 3, 4


def holed(*slots: int, row: Row = FULL) -> list[int | None]:
    return [None if at in slots else value for at, value in enumerate(row)]


def with_values(**values: int) -> list[int | None]:
    return [values.get(f"s{at}", value) for at, value in enumerate(FULL)]


@pytest.mark.parametrize(
    ("row", "grade"),
    [
        (FULL, A),
        # mako: an outlier lowers the grade: 500 stands above ten times its neighbours' median.
        (with_values(s40=500), B),
        (with_values(s40=500, s60=500), C),
        (with_values(s20=500, s40=500, s60=500), C),
        (with_values(s20=500, s40=500, s60=500, s80=500), F),
        # Two zeros in a row are no anomaly, three are one.
        (with_values(s40=0, s41=0), A),
        (with_values(s40=0, s41=0, s42=0), B),
        # One slot of 96 is 1.04 %: below 99 % coverage; five are 94.8 %.
        (holed(5), C),
        (holed(5, 6, 7, 8), C),
        (holed(5, 6, 7, 8, 9), F),
        (holed(5, 7, 9), C),
        (holed(5, 7, 9, 11), F),
    ],
)
def test_a_batch_of_one_day_has_a_grade(row: Row, grade: int) -> None:
    assert grades(row) == ({} if grade == A else {0: grade})
    passes = {"A": A, "B": B, "C": C}
    for worst, number in passes.items():
        assert bool(grades(row, worst=worst)) == (grade > number)


def test_a_batch_of_days_counts_a_gap_across_midnight_once() -> None:
    # Of 192 slots two are missing, 98.96 %: C; of 288 99.3 % with one gap: B. With two gaps: C.
    first, second = holed(95), holed(0)
    assert grades(FULL, first, second, days=2) == {1: B, 2: C}
    assert grades(FULL, first, second, days=3) == {2: B}
    assert grades(FULL, holed(94), second, days=3) == {2: C}
    # A gap that goes on from before the batch is a gap of the batch.
    assert grades(holed(95), holed(0, row=FULL), FULL, FULL, days=3) == {2: B, 3: B}


def test_a_value_off_the_grid_is_no_a() -> None:
    misfit = np.zeros((1, 1, 96), np.bool_)
    misfit[0, 0, 7] = True
    assert grades(FULL, misfit=misfit) == {0: B}


def test_a_day_on_which_nothing_can_come_has_no_grade() -> None:
    outside = np.ones((1, 1, 96), np.bool_)
    assert grades([None] * 96, outside=outside) == {}
    assert grades([None] * 96) == {0: F}
    assert seen([7] * 24).curves.broken.size == 0
