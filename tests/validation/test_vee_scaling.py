"""Scaling: hand-worked shares, and exactness whatever comes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import quality
from tests.validation.vee_cubes import GAP, LIKE_DAY, LINEAR, REGISTER, cube, rows_of, rule_set
from validation import engine, scaling
from validation.parameters import RuleSetError

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


ALL = '\n[scaling]\nintervals = "all"\nnegative = "refuse"\n'
ALLOW = '\n[scaling]\nintervals = "estimated"\nnegative = "allow"\n'


def test_all_intervals_are_scaled_where_the_set_says_so() -> None:
    # Oracle: x' = (scalar / Σx) · x over all; 24 · 10 = 240 become 360.
    outcome = engine.run(cube([[[10] * 24]], spans=[(0, 0, 24, 360)]), rule_set(GAP + ALL, LINEAR))
    assert outcome.values[0, 0].tolist() == [15] * 24
    assert set(outcome.quality[0, 0].tolist()) == {quality.SCALED_MEASURED}
    assert outcome.changed.all()
    assert outcome.counters.scaled == 24
    zeros = engine.run(cube([[[0] * 24]], spans=[(0, 0, 24, 48)]), rule_set(GAP + ALL, LINEAR))
    assert zeros.values[0, 0].tolist() == [2] * 24


def test_scaling_all_leaves_alone_what_agrees_and_what_is_decided_or_history() -> None:
    agrees = engine.run(cube([[[10] * 24]], spans=[(0, 0, 24, 240)]), rule_set(GAP + ALL, LINEAR))
    assert not agrees.changed.any()
    # A person's 30 stands: 23 · 10 share 460 - 30 = 430: 18.7 each, the first sixteen 19.
    edited = cube([[[30, *[10] * 23]]], codes={(0, 0, 0): quality.EDITED}, spans=[(0, 0, 24, 460)])
    outcome = engine.run(edited, rule_set(GAP + ALL, LINEAR))
    assert outcome.values[0, 0].tolist() == [30, *[19] * 16, *[18] * 7]
    target = np.array([[False, True]])
    history = cube([[[10] * 24] * 2], target=target, spans=[(0, 0, 48, 720)])
    outcome = engine.run(history, rule_set(GAP + ALL, LINEAR))
    assert outcome.values[0].tolist() == [[10] * 24, [20] * 24]


def test_estimates_are_scaled_with_all_the_others() -> None:
    # 23 · 10 and a line of 10: 240 become 480.
    given_ = cube([[[10, None, *([10] * 22)]]], spans=[(0, 0, 24, 480)])
    outcome = engine.run(given_, rule_set(GAP + ALL, LINEAR))
    assert outcome.values[0, 0].tolist() == [20] * 24
    assert outcome.quality[0, 0, :3].tolist() == [321, 303, 321]


def test_negative_scaling_is_allowed_where_the_set_says_so() -> None:
    # Itron: scales by f < 0 only if negative scaling is allowed. 22 · 10 = 220, the register 213:
    # -7 over two of 10.
    rows = [[[10, None, None, *([10] * 21)]]]
    outcome = engine.run(cube(rows, spans=[(0, 0, 24, 213)]), rule_set(GAP + ALLOW, LINEAR))
    assert outcome.values[0, 0, :4].tolist() == [10, -4, -3, 10]
    assert int(outcome.values.sum()) == 213
    assert "scaling_refused" not in [row[0] for row in rows_of(outcome.findings)]
    zero = [[[0, None, None, *([0] * 21)]]]
    outcome = engine.run(cube(zero, spans=[(0, 0, 24, -3)]), rule_set(GAP + ALLOW, LINEAR))
    assert outcome.values[0, 0, 1:3].tolist() == [-1, -2]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["estimated", "all"]), st.integers(-900, 9000))
def test_a_scaled_span_adds_up_whatever_the_mode(seed: int, mode: str, energy: int) -> None:
    row = np.random.default_rng(seed).integers(0, 99, 24).tolist()
    row[5] = row[6] = None
    modes = f'\n[scaling]\nintervals = "{mode}"\nnegative = "allow"\n'
    given_ = cube([[row]], spans=[(0, 0, 24, energy)])
    outcome = engine.run(given_, rule_set(GAP + modes, LINEAR))
    assert int(outcome.values.sum()) == energy
    if mode == "estimated":
        rest = [value for value in row if value is not None]
        assert np.delete(outcome.values[0, 0], [5, 6]).tolist() == rest


def test_a_wrong_way_of_scaling_is_told() -> None:
    with pytest.raises(RuleSetError, match=r"\[scaling\]: intervals = 'some' is not one of"):
        rule_set(GAP + ALL.replace("all", "some"))
    with pytest.raises(RuleSetError, match=r"\[scaling\]: negative is missing"):
        rule_set(GAP + '\n[scaling]\nintervals = "all"\n')


SPIKE_ALONE = """
[rules.spike]
severity = "issue"
action = "note"
tolerance = 1.8
minimum_per_hour = 100
"""


def test_estimates_that_fail_a_rule_are_kept_and_named() -> None:
    # The register leaves 10,000 for the two on the line: spikes among hours of ten.
    rows = [[[10, None, None, *([10] * 21)], [10] * 24]]
    given_ = cube([rows[0][::-1], rows[0]], spans=[(1, 0, 24, 10_220)])
    checked = replace(rule_set(GAP + SPIKE_ALONE, LINEAR), check_estimates=True)
    outcome = engine.run(given_, checked)
    assert outcome.values[1, 0, 1:3].tolist() == [5000, 5000]
    fails = [row for row in rows_of(outcome.findings) if row[0] == "estimate_fails"]
    assert fails == [("estimate_fails", "issue", "note", 0, 1, 2)]
    at = [row[0] for row in rows_of(outcome.findings)].index("estimate_fails")
    assert outcome.findings.channel[at] == 1
    assert outcome.findings.observed[at] == 5000
    assert outcome.counters.failing == 1
    unchecked = engine.run(given_, rule_set(GAP + SPIKE_ALONE, LINEAR))
    assert unchecked.counters.failing == 0


def test_channels_beside_the_estimated_ones_do_not_matter() -> None:
    whole, gap = [[10] * 24], [[10, None, None, *([10] * 21)]]
    spans = [(0, 0, 24, 240), (2, 0, 24, 10_220)]
    given_ = replace(
        cube([whole, whole, gap], spans=spans),
        sibling=np.array([2, -1, 0]),
        check=np.array([-1, 2, -1]),
        reading_type=np.array([11, 11, 12], np.int16),
        sector=np.array(["home", "home", "shop"]),
    )
    checked = replace(rule_set(GAP + SPIKE_ALONE, LINEAR), check_estimates=True)
    outcome = engine.run(given_, checked)
    at = [row[0] for row in rows_of(outcome.findings)].index("estimate_fails")
    assert outcome.findings.channel[at] == 2
    assert outcome.counters.failing == 1


def test_a_measured_value_is_no_estimate_that_fails() -> None:
    rows = [[[10, None, 10, *([10] * 20), 9000]]]
    checked = replace(rule_set(GAP + SPIKE_ALONE, LINEAR), check_estimates=True)
    outcome = engine.run(cube(rows), checked)
    assert "spike" in [row[0] for row in rows_of(outcome.findings)]
    assert outcome.counters.failing == 0
