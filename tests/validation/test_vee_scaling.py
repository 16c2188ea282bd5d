"""Scaling: hand-worked shares, and exactness whatever comes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import quality
from tests.validation.vee_cubes import GAP, LIKE_DAY, LINEAR, REGISTER, cube, rows_of, rule_set
from validation import engine, scaling

DEFAULT = rule_set(GAP, LINEAR + LIKE_DAY + REGISTER)


@pytest.mark.parametrize(
    ("weights", "target", "shares"),
    # Oracle: x' = (scalar / Σx) · x, and scalar / n where Σx = 0; the remainders by hand.
    [
        ([2, 3, 5], 20, [4, 6, 10]),
        ([2, 3, 5], 7, [1, 2, 4]),  # 1.4, 2.1, 3.5: one left over, the .5 gets it
        ([1, 1, 1], 10, [4, 3, 3]),  # 3.33 each: one left over, the earliest gets it
        ([0, 0, 0], 8, [3, 3, 2]),
        ([5, 5], 0, [0, 0]),
        ([0, 4, 0], 9, [0, 9, 0]),
        ([-2, -3, -5], -7, [-1, -2, -4]),
    ],
)
def test_shares_worked_by_hand(weights: list[int], target: int, shares: list[int]) -> None:
    found = scaling.apportioned(
        np.array(weights), np.zeros(len(weights), dtype=np.int64), np.array([target])
    )
    assert found.tolist() == shares


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 2**40), min_size=1, max_size=9), st.integers(0, 2**50)),
        min_size=1,
        max_size=5,
    )
)
def test_shares_add_up_and_are_within_one_of_the_exact_part(
    spans: list[tuple[list[int], int]],
) -> None:
    weights = np.array([weight for each, _ in spans for weight in each], dtype=np.int64)
    span = np.repeat(np.arange(len(spans)), [len(each) for each, _ in spans])
    target = np.array([each for _, each in spans], dtype=np.int64)
    shares = scaling.apportioned(weights, span, target)
    for number, (each, wanted) in enumerate(spans):
        got = shares[span == number].tolist()
        assert sum(got) == wanted
        total = sum(each)
        for weight, share in zip(each, got, strict=True):
            exact = Fraction(weight * wanted, total) if total else Fraction(wanted, len(each))
            assert abs(share - exact) < 1


def test_only_estimates_are_scaled_to_what_the_register_leaves_for_them() -> None:
    # Known 20 + 22·10 = 240; the line gives 13 and 17; the register leaves 36 for the two.
    rows = [[[10, None, None, 20, *([10] * 20)]]]
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 266)]), DEFAULT)
    # 13·36/30 = 15.6 and 17·36/30 = 20.4
    assert outcome.values[0, 0, :4].tolist() == [10, 16, 20, 20]
    assert outcome.quality[0, 0, :4].tolist() == [0, 303, 303, 0]
    assert int(outcome.values.sum()) == 266
    assert outcome.counters.scaled == 2


def test_like_days_scaled_have_their_own_code() -> None:
    rows = [[[4] * 24, [None] * 24]]
    outcome = engine.run(cube(rows, spans=[(0, 24, 48, 240)]), DEFAULT)
    assert outcome.values[0, 1].tolist() == [10] * 24
    assert set(outcome.quality[0, 1].tolist()) == {quality.ESTIMATED_SCALED_LIKE_DAY}


def test_measured_values_above_the_register_are_refused_and_said() -> None:
    rows = [[[10, None, *([10] * 22)]]]
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 229)]), DEFAULT)
    assert outcome.values[0, 0, 1] == 10
    assert outcome.quality[0, 0, 1] == quality.ESTIMATED_LINEAR
    assert rows_of(outcome.findings) == [
        ("scaling_refused", "issue", "note", 0, 0, 23),
        ("gap", "info", "estimate", 0, 1, 1),
    ]
    assert outcome.findings.observed.tolist() == [230, 1]
    assert outcome.findings.limit.tolist() == [229, 0]


def test_equal_to_the_register_leaves_nothing_for_the_estimates() -> None:
    rows = [[[10, None, *([10] * 22)]]]
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 230)]), DEFAULT)
    assert outcome.values[0, 0, 1] == 0
    assert outcome.quality[0, 0, 1] == quality.ESTIMATED_SCALED_LINEAR


def test_a_span_with_a_blank_left_in_it_is_not_scaled() -> None:
    rows = [[[10, None, 10, *([None] * 5), *([10] * 16)]]]
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 900)]), rule_set(GAP, LINEAR))
    assert outcome.quality[0, 0, 1] == quality.ESTIMATED_LINEAR
    assert outcome.counters.scaled == 0


def test_a_value_that_the_cube_cannot_hold_is_refused() -> None:
    rows = [[[10, None, *([10] * 22)]]]
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 2**32)]), DEFAULT)
    assert outcome.values[0, 0, 1] == 10
    assert "scaling_refused" in [row[0] for row in rows_of(outcome.findings)]


def test_scaling_can_be_switched_off() -> None:
    rows = [[[10, None, *([10] * 22)]]]
    off = rule_set(GAP, LINEAR, scale=False)
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 266)]), off)
    assert outcome.values[0, 0, 1] == 10
