"""Whole runs: what a rule set makes of failures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from schemas import quality
from tests.validation.vee_cubes import (
    DEFAULTS,
    GAP,
    LIKE_DAY,
    LINEAR,
    REGISTER,
    SPIKE,
    SUM_CHECK,
    cube,
    rows_of,
    rule_set,
)
from validation import engine, ruleset
from validation.engine import Outcome

CONDITIONAL = rule_set(GAP + SUM_CHECK + SPIKE, LINEAR + LIKE_DAY + REGISTER)
QUIET = [100] * 23


def with_spike(value: int) -> list[int]:
    return [*QUIET[:9], value, *QUIET[9:]]


def test_a_spike_that_the_register_confirms_is_real() -> None:
    given_ = cube([[with_spike(2000)]], spans=[(0, 0, 24, 2300 + 2000)])
    outcome = engine.run(given_, CONDITIONAL)
    assert rows_of(outcome.findings) == [("spike", "info", "note", 0, 9, 9)]
    assert np.array_equal(outcome.values, given_.values)
    assert not outcome.quality.any()
    assert not outcome.changed.any()


def test_a_spike_that_is_the_registers_excess_is_replaced_by_what_the_register_says() -> None:
    given_ = cube([[with_spike(2000)]], spans=[(0, 0, 24, 2300 + 117)])
    outcome = engine.run(given_, CONDITIONAL)
    assert rows_of(outcome.findings) == [
        ("sum_check", "issue", "note", 0, 0, 23),
        ("spike", "issue", "estimate", 0, 9, 9),
    ]
    assert outcome.values[0, 0].tolist() == with_spike(117)
    assert outcome.quality[0, 0, 9] == quality.ESTIMATED_SCALED_LINEAR
    assert outcome.counters.replaced == 1
    assert outcome.changed.tolist() == [[True]]


@pytest.mark.parametrize(
    "energy",
    [
        2300 + 281,  # what is left for the spike would be a spike itself: 280 is the limit
        2300 - 1,  # nothing is left for it
        2300 + 2001,  # the register counted more than the intervals, spike and all
    ],
)
def test_a_spike_that_the_register_neither_confirms_nor_explains_is_suspect(energy: int) -> None:
    outcome = engine.run(cube([[with_spike(2000)]], spans=[(0, 0, 24, energy)]), CONDITIONAL)
    assert ("spike", "issue", "suspect", 0, 9, 9) in rows_of(outcome.findings)
    assert outcome.values[0, 0, 9] == 2000
    assert outcome.quality[0, 0, 9] == quality.SUSPECT
    assert outcome.counters.suspect == 1


def test_a_spike_without_a_register_is_suspect() -> None:
    outcome = engine.run(cube([[with_spike(2000)]], spans=[(0, 10, 24, 1400)]), CONDITIONAL)
    assert rows_of(outcome.findings) == [("spike", "issue", "suspect", 0, 9, 9)]


def test_a_spike_beside_a_gap_is_found_out_where_the_register_has_no_room_for_it() -> None:
    row = [*with_spike(2000)[:20], None, *QUIET[20:]]
    outcome = engine.run(cube([[row]], spans=[(0, 0, 24, 2420)]), CONDITIONAL)
    # 22 known hours of 100 leave 220 for the two, whose lines give 100 each.
    assert outcome.values[0, 0, [9, 20]].tolist() == [110, 110]
    assert int(outcome.values.sum()) == 2420


def test_a_duplicate_is_settled_by_the_register() -> None:
    marked = np.zeros((2, 1, 24), dtype=np.bool_)
    marked[:, 0, 5] = True
    rows = [[[9, 10, 11] * 8], [[9, 10, 11] * 8]]
    spans = [(0, 0, 24, 240), (1, 0, 24, 235)]
    outcome = engine.run(
        cube(rows, spans=spans, duplicate=marked),
        DEFAULTS,
    )
    assert outcome.values[:, 0, 5].tolist() == [11, 6]
    assert outcome.quality[:, 0, 5].tolist() == [0, quality.ESTIMATED_SCALED_LINEAR]


def test_a_repeated_value_is_replaced_where_the_register_went_on() -> None:
    usual = [number % 7 * 30 + 50 for number in range(24)]
    rows = [[usual, usual, [77] * 24, usual, usual]]
    spans = [
        (0, number * 24, number * 24 + 24, 3000 if number == 2 else sum(usual))
        for number in range(5)
    ]
    outcome = engine.run(
        cube(rows, spans=spans), ruleset.select(ruleset.shipped(), "electricity", date(2026, 6, 1))
    )
    assert ("stuck", "issue", "estimate", 2, 0, 23) in rows_of(outcome.findings)
    assert int(outcome.values[0, 2].sum()) == 3000
    assert len(set(outcome.values[0, 2].tolist())) > 1


def test_zeros_stay_where_estimates_would_only_add_to_an_excess() -> None:
    idle = [0] * 24
    rows = [[[8, 10] * 12, idle, idle, [8, 10] * 12]]
    outcome = engine.run(
        cube(rows, spans=[(0, 0, 96, 400)]),
        DEFAULTS,
    )
    assert outcome.values[0, 1:3].sum() == 0
    assert not outcome.quality.any()


def stuck_meter(rows: list[list[int]], registers: list[int]) -> Outcome:
    spans = [(0, day * 24, day * 24 + 24, energy) for day, energy in enumerate(registers)]
    return engine.run(cube([rows], spans=spans), DEFAULTS)


BUSY = [6, 4] * 12


def test_a_register_that_stood_still_is_joined_over_and_the_intervals_are_right() -> None:
    # It stands from the first noon to the third, and is right again at the third midnight.
    outcome = stuck_meter([BUSY] * 4, [60, 0, 300, 120])
    assert [row[:3] for row in rows_of(outcome.findings)] == [("register_misread", "issue", "note")]
    assert outcome.findings.last_day.tolist() == [2]
    assert outcome.findings.observed.tolist() == [180]
    assert not outcome.changed.any()


def test_a_register_read_wrong_once_is_joined_over() -> None:
    outcome = stuck_meter([BUSY] * 4, [120, 90, 150, 120])
    names = [(row[0], row[3]) for row in rows_of(outcome.findings)]
    assert names == [("register_misread", 1)]
    assert outcome.findings.last_day.tolist() == [2]


def test_a_meter_that_stood_still_with_its_register_gets_back_what_it_missed() -> None:
    # Both stand from the first noon to the third; the register then shows what went through.
    half = BUSY[:12]
    outcome = stuck_meter(
        [[*half, *([0] * 12)], [0] * 24, [*([0] * 12), *half], BUSY, BUSY], [60, 0, 300, 120, 120]
    )
    assert ("register_misread", "issue", "note", 0, 0, 23) in rows_of(outcome.findings)
    assert outcome.values[0, 0].tolist() == BUSY
    assert outcome.values[0, 1].tolist() == BUSY
    assert int(outcome.values.sum()) == 600


def test_an_idle_meter_is_no_stuck_one() -> None:
    outcome = stuck_meter([BUSY, [0] * 24, [0] * 24, BUSY], [120, 0, 0, 120])
    assert {row[:3] for row in rows_of(outcome.findings)} == {
        ("zero_run", "info", "note"),
        ("short_zero_run", "info", "note"),
    }
    before = stuck_meter([BUSY, [0] * 24, BUSY], [130, 0, 120])
    assert ("sum_check", "issue", "note", 0, 0, 23) in rows_of(before.findings)


def test_hours_of_zeros_are_filled_where_the_register_went_on() -> None:
    # Six hours of zeros, and a register that shows the whole day.
    silent = [*BUSY[:6], *([0] * 6), *BUSY[12:]]
    outcome = stuck_meter([BUSY, silent, BUSY, BUSY], [120, 120, 120, 120])
    assert ("short_zero_run", "issue", "estimate", 1, 6, 11) in rows_of(outcome.findings)
    assert int(outcome.values[0, 1].sum()) == 120
    assert outcome.values[0, 1, :6].tolist() == BUSY[:6]
    assert outcome.values[0, 1, 12:].tolist() == BUSY[12:]


def test_a_lone_sum_that_is_off_stays_where_it_is() -> None:
    outcome = stuck_meter([BUSY] * 3, [120, 125, 120])
    assert rows_of(outcome.findings) == [("sum_check", "issue", "note", 1, 0, 23)]


def test_what_a_person_decided_is_not_doubted_again() -> None:
    codes = {(0, 0, 9): quality.ACCEPTED}
    outcome = engine.run(cube([[with_spike(2000)]], codes=codes), CONDITIONAL)
    assert len(outcome.findings) == 0
    assert outcome.quality[0, 0, 9] == quality.ACCEPTED


def test_a_day_that_fails_a_terminating_rule_is_left_alone() -> None:
    ending = rule_set(
        GAP
        + SPIKE.replace('"issue"\naction = "suspect"', '"terminate"\naction = "note"').split(
            "register"
        )[0],
        LINEAR,
    )
    rows = [[[*with_spike(2000)[:20], None, *QUIET[20:]], [5, None, 5] + [5] * 21]]
    outcome = engine.run(cube(rows), ending)
    assert rows_of(outcome.findings) == [
        ("spike", "terminate", "note", 0, 9, 9),
        ("gap", "info", "estimate", 1, 1, 1),
    ]
    assert set(outcome.quality[0, 0].tolist()) == {quality.SUSPECT, quality.MISSING}
    assert outcome.values[0, 1, 1] == 5


def test_suspect_days_are_not_like_days() -> None:
    rows = [[with_spike(2000), [10] * 24, [None] * 24]]
    outcome = engine.run(cube(rows), CONDITIONAL)
    assert outcome.values[0, 2].tolist() == [10] * 24


def test_what_cannot_be_estimated_stays_missing_and_is_said() -> None:
    outcome = engine.run(cube([[[None] * 24, [None] * 24]]), CONDITIONAL)
    assert [row[0] for row in rows_of(outcome.findings)] == [
        "gap",
        "not_estimated",
        "gap",
        "not_estimated",
    ]
    assert set(outcome.quality.ravel().tolist()) == {quality.MISSING}
    assert outcome.counters.left == 48
    assert not outcome.changed.any()


def test_gaps_stay_where_the_rule_set_only_notes_them() -> None:
    noted = rule_set(GAP.replace('"estimate"', '"note"'), LINEAR)
    outcome = engine.run(cube([[[5, None, *([5] * 22)]]]), noted)
    assert outcome.quality[0, 0, 1] == quality.MISSING


def test_nulls_of_a_file_are_missing_whatever_their_code() -> None:
    null = quality.aemo("N")
    given_ = cube([[[5, None, *([5] * 22)]]], codes={(0, 0, 1): null})
    assert engine.run(given_, CONDITIONAL).quality[0, 0, 1] == quality.ESTIMATED_LINEAR
    assert engine.run(given_, rule_set(GAP)).quality[0, 0, 1] == null


def test_nothing_is_filled_where_no_meter_was() -> None:
    outside = np.zeros((1, 2, 24), dtype=np.bool_)
    outside[0, 1, 20:] = True
    rows = [[[8] * 24, [None, *([7, 9] * 9), 8, *([None] * 4)]]]
    given_ = cube(rows, outside=outside, spans=[(0, 24, 44, 200), (0, 44, 48, 50)])
    outcome = engine.run(given_, CONDITIONAL)
    assert rows_of(outcome.findings) == [("gap", "info", "estimate", 1, 0, 0)]
    assert outcome.values[0, 1].tolist() == [48, *([7, 9] * 9), 8, 0, 0, 0, 0]
    assert (outcome.counters.missing, outcome.counters.left) == (1, 0)


def test_a_gap_ends_where_no_meter_was() -> None:
    rows = [[[*([8, 9] * 11), None, None], [None] * 24]]
    outside = np.zeros((1, 2, 24), dtype=np.bool_)
    outside[0, 1] = True
    target = np.array([[True, False]])
    removed = engine.run(cube(rows, target=target, outside=outside), CONDITIONAL)
    assert removed.values[0, 0, 22:].tolist() == [9, 9]
    dead = engine.run(cube(rows, target=target), CONDITIONAL)
    assert dead.counters.left == 2


def test_a_finding_of_neighbours_names_the_worst_of_them() -> None:
    negative = rule_set('[rules.negative]\nseverity = "issue"\naction = "note"')
    outcome = engine.run(cube([[[5, -1, -9, -2, 5, -3] + [5] * 18]]), negative)
    assert [row[4:] for row in rows_of(outcome.findings)] == [(1, 3), (5, 5)]
    assert outcome.findings.observed.tolist() == [-9, -3]


def test_counters_say_what_was_done() -> None:
    rows = [[[5, None, 5, *([7] * 21)], [None] * 24], [[1] * 24, [1] * 24]]
    target = np.array([[True, True], [True, False]])
    counters = engine.run(cube(rows, target=target), rule_set(GAP, LINEAR)).counters
    assert (counters.intervals, counters.missing, counters.left) == (72, 25, 24)
    assert counters.filled == {"linear": 1}
    assert counters.findings == 3


def test_wide_values_work_like_narrow_ones() -> None:
    given_ = cube([[[5, None, 8, *([9] * 21)]]], spans=[(0, 0, 24, 2**33)])
    wide = replace(given_, values=given_.values.astype(np.int64))
    outcome = engine.run(wide, rule_set(GAP, LINEAR))
    assert int(outcome.values.sum()) == 2**33
