"""Rules about registers and channels beside each other, against numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from tests.validation.vee_cubes import cube, rows_of, rule_set
from validation import engine, registers, ruleset, siblings, views
from validation.dials import DialSteps
from validation.rule import Mask

DAY = 86_400
TOTAL, FIRST_TARIFF = 1, 5


def steps(*rows: tuple[int, int, float, float, int], **columns: Any) -> DialSteps:
    """Make steps of (channel, register, first day, last day, change) of 24 slots a day."""
    channel, register, start, end, change = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    given = {"modulus": np.zeros(count, np.int64), "multiplier": np.ones(count)} | columns
    return DialSteps(
        channel=channel.astype(np.int64),
        register=register.astype(np.int16),
        first=(start * 24).astype(np.int64),
        last=(end * 24).astype(np.int64) - 1,
        start=(start * DAY).astype(np.int64),
        end=(end * DAY).astype(np.int64),
        change=change.astype(np.int64),
        tariff=register >= FIRST_TARIFF,
        **given,
    )


def failing(mask: Mask) -> list[int]:
    return np.flatnonzero(mask.fails).tolist()


def test_a_register_counts_no_more_than_can_be_in_the_time_that_passed() -> None:
    # 83895 - 83770 = 125 in a day; the multiplier of 40 makes 5000 of it.
    table = steps((0, TOTAL, 0, 1, 125), (0, TOTAL, 1, 3, 250), multiplier=np.array([40.0, 40.0]))
    found = registers.register_limit(table, high_per_day=4999, low_per_day=0)
    assert (failing(found), found.observed.tolist()) == ([0, 1], [5000, 10_000])
    assert found.limit.tolist() == [4999, 9998]
    assert failing(registers.register_limit(table, high_per_day=5000, low_per_day=0)) == []
    low = registers.register_limit(table, high_per_day=9999, low_per_day=5001)
    assert (failing(low), low.limit.tolist()) == ([0, 1], [5001, 10_002])


def test_a_rate_is_held_against_the_one_before_by_elapsed_time() -> None:
    # Itron: 100 * |(cur - prev) / cur|: 100 a day, then 250 in a day and a quarter: 200 a day.
    table = steps((0, TOTAL, 0, 1, 100), (0, TOTAL, 1, 2.25, 250), (1, TOTAL, 2.25, 3, 900))
    assert failing(registers.register_change(table, tolerance=0.5, minimum_per_day=0)) == []
    found = registers.register_change(table, tolerance=0.49, minimum_per_day=0)
    assert (failing(found), found.observed.tolist(), found.limit.tolist()) == ([1], [200], [100])
    assert failing(registers.register_change(table, tolerance=0.49, minimum_per_day=201)) == []


def test_nothing_is_compared_over_a_hole_or_a_fall() -> None:
    table = steps((0, TOTAL, 0, 1, 100), (0, TOTAL, 2, 3, 900), (0, TOTAL, 3, 4, -5))
    assert failing(registers.register_change(table, tolerance=0.1, minimum_per_day=0)) == []


def test_a_fall_is_a_wrap_or_a_reset() -> None:
    # An odometer of five dials: 99,986 to 11 is 25. From 500 to 11, and 60,000 to 11, are not.
    table = steps(
        (0, TOTAL, 0, 1, 11 - 99_986),
        (0, TOTAL, 1, 2, 11 - 500),
        (0, TOTAL, 2, 3, 49_999 - 99_999),
        (0, TOTAL, 3, 4, 5),
        modulus=np.full(4, 100_000),
    )
    wraps = registers.register_rollover(table)
    assert (failing(wraps), wraps.observed.tolist()) == ([0], [25])
    falls = registers.register_decrease(table)
    assert (failing(falls), falls.observed.tolist()) == ([1, 2], [-489, -50_000])
    endless = replace(table, modulus=np.zeros(4, np.int64))
    assert failing(registers.register_decrease(endless)) == [0, 1, 2]


def test_tariff_registers_add_up_to_the_total() -> None:
    table = steps(
        (0, TOTAL, 0, 1, 100),
        (0, FIRST_TARIFF, 0, 1, 60),
        (0, FIRST_TARIFF + 1, 0, 1, 37),
        (0, TOTAL, 1, 2, 100),
        (0, FIRST_TARIFF, 1, 2, 60),
        (1, TOTAL, 0, 1, 100),
    )
    # On the second day the other tariff is missing; channel 1 has none at all.
    found = registers.tou_sum_check(table, tolerance=2, relative=0)
    assert (failing(found), found.observed.tolist(), found.limit.tolist()) == ([0], [97], [100])
    assert failing(registers.tou_sum_check(table, tolerance=3, relative=0)) == []
    assert failing(registers.tou_sum_check(table, tolerance=0, relative=0.03)) == []


def test_a_registers_finding_lies_over_its_slots() -> None:
    given = replace(
        cube([[[5] * 24, [5] * 24]]),
        dials=steps((0, TOTAL, 0, 1, 120), (0, TOTAL, 1.5, 2, -4)),
    )
    fell = '[rules.register_decrease]\nseverity = "issue"\naction = "note"'
    outcome = engine.run(given, rule_set(fell))
    assert rows_of(outcome.findings) == [("register_decrease", "issue", "note", 1, 12, 23)]
    history = replace(given, target=np.array([[True, False]]))
    assert rows_of(engine.run(history, rule_set(fell)).findings) == []


def test_estimates_are_looked_at_again_whatever_stands_beside_them() -> None:
    hole: list[Any] = [5, 9, 4, None, 6] + [5, 6] * 9 + [7]
    given = replace(
        cube([[[5, 6] * 12], [hole]]),
        dials=steps((0, TOTAL, 0, 1, -4)),
        sibling=np.array([1, 0]),
        check=np.array([-1, -1]),
        reading_type=np.array([11, 13], dtype=np.int16),
        sector=np.array(["residential", "industrial"]),
    )
    shipped = ruleset.select(ruleset.shipped(), "electricity", date(2026, 6, 1))
    outcome = engine.run(given, shipped)
    assert outcome.values[1, 0, 3] == 5
    assert {row[0] for row in rows_of(outcome.findings)} == {"gap", "register_decrease"}


def pair(active: list[Any], reactive: list[Any], **columns: Any) -> views.Curves:
    given = cube([[active], [reactive]])
    partner = np.array([1, 0])
    return views.of(replace(given, **(columns or {"sibling": partner}))).curves


def test_a_channel_without_its_sibling() -> None:
    none, some = [None] * 24, [None] * 23 + [4]
    found = siblings.sibling_missing(pair([5] * 24, none))
    assert (np.argwhere(found.fails).tolist(), found.observed.tolist()) == ([[0, 0]], [24])
    assert not siblings.sibling_missing(pair([5] * 24, some)).fails.any()
    assert not siblings.sibling_missing(pair(none, none)).fails.any()
    assert not siblings.sibling_missing(pair([5] * 24, none, sibling=None)).fails.any()


@pytest.mark.parametrize(
    ("reactive", "fails"),
    [([0] * 24, [[0, 0]]), ([0] * 23 + [1], []), ([1, -1] + [0] * 22, []), ([None] + [0] * 23, [])],
)
def test_use_without_any_reactive_energy(reactive: list[Any], fails: list[list[int]]) -> None:
    found = siblings.sibling_zero(pair([5] * 24, reactive), minimum=119)
    assert np.argwhere(found.fails).tolist() == fails
    assert not siblings.sibling_zero(pair([5] * 24, reactive), minimum=120).fails.any()


def test_a_channel_and_its_check_meter() -> None:
    checked = {"check": np.array([1, -1])}
    found = siblings.check_meter(
        pair([5] * 24, [5] * 23 + [7], **checked), tolerance=1, relative=0.01
    )
    assert np.argwhere(found.fails).tolist() == [[0, 0]]
    assert (found.observed.tolist(), found.limit.tolist()) == ([120], [122])
    near = pair([5] * 24, [5] * 23 + [6], **checked)
    assert not siblings.check_meter(near, tolerance=1, relative=0).fails.any()
    holey = pair([5] * 24, [None] + [9] * 23, **checked)
    assert not siblings.check_meter(holey, tolerance=0, relative=0).fails.any()
