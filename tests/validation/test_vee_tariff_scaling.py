"""Scaling per tariff register: hand-worked shares, what is fallen back to, and exactness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import reading_type
from tests.validation.vee_cubes import GAP, LINEAR, REGISTER, cube, rows_of, rule_set
from validation import engine
from validation.dials import DialSteps
from validation.engine import Outcome
from validation.matrix import Cube
from validation.programme import Programme

T1, T2 = (reading_type.named(f"active_energy_import_t{n}").id for n in (1, 2))
TOTAL = reading_type.named("active_energy_import").id
TARIFF = '[scaling]\nintervals = "estimated"\nnegative = "refuse"\nregisters = "tariff"\n'
RULES = rule_set(GAP + TARIFF, LINEAR + REGISTER)
ALL = '[scaling]\nintervals = "all"\nnegative = "refuse"\nregisters = "tariff"\n'
TOU_CHECK = """
[rules.tou_sum_check]
severity = "issue"
action = "note"
tolerance = 0
relative = 0
"""


def with_tariffs(made: Cube, spans: list[tuple[int, int, int, int]], noon: int = 12) -> Cube:
    """Give a cube whose first register counts until noon and whose second does after it.

    spans : register, start, end, energy; all of channel 0
    """
    days, slots = made.days.clock.shape
    counts = np.where(np.arange(slots) < noon, T1, T2).astype(np.int16)
    register, start, end, energy = (np.array(c, np.int64) for c in zip(*sorted(spans), strict=True))
    return replace(
        made,
        programme=Programme(
            of=np.zeros(1, np.int64),
            counts=np.broadcast_to(counts, (1, days, slots)).copy(),
            register=register.astype(np.int16),
            channel=np.zeros(len(spans), np.int64),
            start=start,
            end=end,
            energy=energy,
        ),
    )


def day(outcome: Outcome, number: int = 0) -> list[int]:
    return [int(value) for value in outcome.values[0, number]]


# Slots 1 and 2 are missing in the morning, 13 and 14 in the afternoon; the lines give 10 each.
HOLES = [[[10, None, None, *([10] * 10), None, None, *([10] * 9)]]]


def test_each_tariff_registers_difference_is_met_by_its_own_slots() -> None:
    # Morning: 10·10 = 100 known, T1 counted 130: 30 for two, 15 each. Afternoon: 100 known, T2
    # counted 109: 9 for two, 4.5 each, and the earlier one gets the unit left over.
    made = with_tariffs(cube(HOLES, spans=[(0, 0, 24, 239)]), [(T1, 0, 24, 130), (T2, 0, 24, 109)])
    outcome = engine.run(made, RULES)
    assert day(outcome)[:4] == [10, 15, 15, 10]
    assert day(outcome)[12:16] == [10, 5, 4, 10]
    assert sum(day(outcome)) == 239
    assert outcome.counters.scaled_to == {
        "active_energy_import_t1": 2,
        "active_energy_import_t2": 2,
    }
    # By the total alone: 39 for four of 10, 9.75 each, and three units over.
    total = engine.run(replace(made, programme=None), RULES)
    assert day(total)[:4] == [10, 10, 10, 10]
    assert day(total)[12:16] == [10, 10, 9, 10]
    assert total.counters.scaled_to == {"total": 4}


def test_what_no_tariff_register_brought_to_its_difference_goes_by_the_total() -> None:
    # Only T1 was read: the afternoon gets what the total leaves, 239 - 130 - 100 = 9.
    made = with_tariffs(cube(HOLES, spans=[(0, 0, 24, 239)]), [(T1, 0, 24, 130)])
    outcome = engine.run(made, RULES)
    assert day(outcome)[:4] == [10, 15, 15, 10]
    assert day(outcome)[12:16] == [10, 5, 4, 10]
    assert outcome.counters.scaled_to == {"active_energy_import_t1": 2, "total": 2}


def test_a_reading_of_the_tariff_registers_in_between_parts_the_span() -> None:
    # T1 was read at 02:00 too: 22 until then leaves 12 for slot 1, 108 after it 18 for slot 2.
    made = with_tariffs(
        cube(HOLES, spans=[(0, 0, 24, 239)]),
        [(T1, 0, 2, 22), (T1, 2, 24, 108), (T2, 0, 24, 109)],
    )
    assert day(engine.run(made, RULES))[:4] == [10, 12, 18, 10]


def test_where_the_total_was_read_in_between_its_spans_are_the_finer_ones() -> None:
    # The total until 02:00 is 13: slot 1 gets 3, whatever T1 counted over the day.
    made = with_tariffs(
        cube(HOLES, spans=[(0, 0, 2, 13), (0, 2, 24, 226)]),
        [(T1, 0, 24, 130), (T2, 0, 24, 109)],
    )
    outcome = engine.run(made, RULES)
    assert day(outcome)[:2] == [10, 3]
    assert sum(day(outcome)) == 239
    assert set(outcome.counters.scaled_to) == {"total"}


def test_tariff_registers_that_do_not_add_up_to_the_total_are_not_believed() -> None:
    made = with_tariffs(cube(HOLES, spans=[(0, 0, 24, 239)]), [(T1, 0, 24, 130), (T2, 0, 24, 199)])
    made = replace(made, dials=steps([(TOTAL, 239), (T1, 130), (T2, 199)]))
    outcome = engine.run(made, rule_set(GAP + TARIFF + TOU_CHECK, LINEAR + REGISTER))
    assert outcome.counters.scaled_to == {"total": 4}
    assert ("tou_sum_check", "issue", "note", 0, 0, 23) in rows_of(outcome.findings)


def steps(rows: list[tuple[int, int]]) -> DialSteps:
    count = len(rows)
    none = np.zeros(count, np.int64)
    return DialSteps(
        channel=none,
        register=np.array([register for register, _ in rows], np.int16),
        first=none,
        last=none + 23,
        start=none,
        end=none + 86_400,
        change=np.array([change for _, change in rows], np.int64),
        modulus=none,
        multiplier=np.ones(count),
        tariff=np.array([register != TOTAL for register, _ in rows]),
    )


def test_measured_values_above_a_tariff_register_are_said_and_the_total_is_tried() -> None:
    # T1 counted 90, but 100 were measured in the morning: its estimates go by the total.
    made = with_tariffs(cube(HOLES, spans=[(0, 0, 24, 239)]), [(T1, 0, 24, 90), (T2, 0, 24, 109)])
    outcome = engine.run(made, RULES)
    assert ("scaling_refused", "issue", "note", 0, 0, 23) in rows_of(outcome.findings)
    row = outcome.findings.names.index("scaling_refused")
    at = outcome.findings.rule == row
    assert (outcome.findings.observed[at][0], outcome.findings.limit[at][0]) == (100, 90)
    assert day(outcome)[1:3] == [15, 15]
    assert sum(day(outcome)) == 239


def test_all_intervals_may_be_scaled_by_tariff_register_too() -> None:
    # Morning 12·10 = 120 to 180: 15 each; afternoon 120 to 60: 5 each. Measured values too.
    made = with_tariffs(
        cube([[[10] * 24]], spans=[(0, 0, 24, 240)]), [(T1, 0, 24, 180), (T2, 0, 24, 60)]
    )
    outcome = engine.run(made, rule_set(GAP + ALL, LINEAR))
    assert day(outcome) == [15] * 12 + [5] * 12
    assert set(outcome.quality[0, 0].tolist()) == {321}


def test_a_set_may_keep_to_the_total() -> None:
    made = with_tariffs(cube(HOLES, spans=[(0, 0, 24, 239)]), [(T1, 0, 24, 130), (T2, 0, 24, 109)])
    way = ALL.replace('"all"', '"estimated"').replace('"tariff"', '"total"')
    outcome = engine.run(made, rule_set(GAP + way, LINEAR + REGISTER))
    assert outcome.counters.scaled_to == {"total": 4}


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 50)), min_size=48, max_size=48),
    st.integers(1, 23),
    st.integers(0, 3000),
    st.integers(0, 3000),
)
def test_every_tariff_register_is_met_to_the_last_unit_or_refused(
    row: list[int | None], noon: int, more: int, less: int
) -> None:
    slot = np.arange(48) % 24
    known = np.array([value or 0 for value in row])
    blank = np.array([value is None for value in row])
    first = slot < noon
    wanted = {T1: int(known[first].sum()) + more, T2: int(known[~first].sum()) + less}
    made = with_tariffs(
        cube([[row[:24], row[24:]]], spans=[(0, 0, 48, sum(wanted.values()))]),
        [(T1, 0, 48, wanted[T1]), (T2, 0, 48, wanted[T2])],
        noon=noon,
    )
    outcome = engine.run(made, RULES)
    values = outcome.values[0].ravel()
    if (outcome.quality[0].ravel() == 200).any():
        return
    for register, mine in ((T1, first), (T2, ~first)):
        if (blank & mine).any():
            assert values[mine].sum() == wanted[register]
    assert (values[~blank] == known[~blank]).all()


@pytest.mark.parametrize("text", ['registers = "both"'])
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="registers = 'both' is not one of tariff, total"):
        rule_set(GAP + ALL.replace('registers = "tariff"', text))
