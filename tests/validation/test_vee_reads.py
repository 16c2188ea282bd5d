"""Rules about reads of meters with registers only: cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from validation import reads
from validation.reads import ReadSteps
from validation.rule import Mask

DAY = 86_400


def steps(*rows: tuple[int, float, float | None, str]) -> ReadSteps:
    """Make steps of (register, days, energy or None, "" or "est" or "open")."""
    lengths = [int(days * DAY) for _, days, _, _ in rows]
    number = np.array([number for number, _, _, _ in rows], np.int64)
    start, at = [], dict.fromkeys(number.tolist(), 0)
    for which, length in zip(number.tolist(), lengths, strict=True):
        start.append(at[which])
        at[which] += length
    return ReadSteps(
        number,
        np.array(start, np.int64),
        np.array(start, np.int64) + np.array(lengths, np.int64),
        np.array([np.nan if e is None else e for _, _, e, _ in rows], np.float64),
        np.array([kind == "est" for _, _, _, kind in rows]),
        np.array([kind == "open" for _, _, _, kind in rows]),
    )


def said(mask: Mask) -> list[tuple[int, float, float]]:
    rows = zip(mask.cells.tolist(), mask.observed.tolist(), mask.limit.tolist(), strict=True)
    return [(cell, round(seen, 3), round(limit, 3)) for cell, seen, limit in rows]


HILO = {"high": 3.0, "low": 0.2, "minimum_per_day": 5.0, "within_days": 400.0, "fewest": 2}


def test_a_months_use_far_from_the_average_daily_use_before_fails() -> None:
    # Oracle: average daily use. 300 in 30 d and 310 in 31 d are 10 a day; 1240 in 31 d are 40,
    # above 3 · 10. Then (300 + 310 + 1240) / 92 d = 20.109, and 60 in 30 d are 2, below a fifth.
    made = steps((0, 30, 300, ""), (0, 31, 310, ""), (0, 31, 1240, ""), (0, 30, 60, ""))
    assert said(reads.read_high_low(made, **HILO)) == [(2, 40.0, 30.0), (3, 2.0, 4.022)]


def test_an_estimate_is_judged_but_judges_nothing() -> None:
    # Without the estimated 3000 the history is 10 a day: 400 in 10 days fails, the estimate too.
    made = steps((0, 30, 300, ""), (0, 30, 300, ""), (0, 30, 3000, "est"), (0, 10, 400, ""))
    assert said(reads.read_high_low(made, **HILO)) == [(2, 100.0, 30.0), (3, 40.0, 30.0)]


def test_history_is_the_registers_own_and_no_older_than_asked() -> None:
    other = [(0, 30, 300, ""), (0, 30, 300, ""), (1, 30, 3000, ""), (1, 30, 3000, "")]
    assert said(reads.read_high_low(steps(*other), **HILO)) == []
    # Steps that began more than 40 days before: only one is left, and two are wanted.
    old = steps((0, 30, 300, ""), (0, 30, 300, ""), (0, 30, 3000, ""))
    assert said(reads.read_high_low(old, **{**HILO, "within_days": 40.0})) == []
    assert [row for row, _, _ in said(reads.read_high_low(old, **HILO))] == [2]


def test_a_register_that_fell_and_the_time_since_the_last_read_are_not_judged() -> None:
    made = steps((0, 30, 300, ""), (0, 30, 300, ""), (0, 30, None, ""), (0, 99, None, "open"))
    assert said(reads.read_high_low(made, **HILO)) == []


def test_a_register_that_stands_still_long_enough_fails_at_each_further_read() -> None:
    made = steps(
        (0, 30, 5, ""), (0, 30, 0, ""), (0, 31, 0, ""), (0, 30, 0, ""), (0, 30, 7, ""),
        (1, 30, 0, ""), (1, 90, None, "open"),
    )  # fmt: skip
    # Since the first of the three: 30, 61, 91 days.
    assert said(reads.read_unchanged(made, days=60.0)) == [(2, 61.0, 60.0), (3, 91.0, 60.0)]


def test_reads_too_close_and_too_far_apart_fail() -> None:
    made = steps((0, 10, 1, ""), (0, 30, 1, ""), (0, 70, 1, ""), (0, 71, 1, ""), (0, 99, 0, "open"))
    found = said(reads.read_period(made, shortest_days=25.0, longest_days=70.0))
    assert found == [(0, 10.0, 25.0), (3, 71.0, 70.0)]


def test_the_third_estimate_in_a_row_is_one_too_many() -> None:
    made = steps(
        (0, 31, 1, ""), (0, 30, 1, "est"), (0, 31, 1, "est"), (0, 30, 1, "est"), (0, 31, 1, ""),
        (0, 30, 1, "est"),
    )  # fmt: skip
    assert said(reads.read_estimated(made, days=61.0)) == [(3, 91.0, 61.0)]


@pytest.mark.parametrize(
    ("since", "rows", "due"),
    [
        (46, 3, 45.0),  # 1.5 · 30 days
        (45, 3, None),
        (61, 0, 60.0),  # a single read: nothing is known of its usual time
        (60, 0, None),
    ],
)
def test_the_next_read_is_missed_when_it_is_due(since: int, rows: int, due: float | None) -> None:
    made = steps(*[(0, 30, 5, "")] * rows, (0, since, None, "open"))
    found = said(reads.read_missing(made, times=1.5, least_days=3.0, otherwise_days=60.0))
    assert found == ([] if due is None else [(rows, float(since), due)])


def test_daily_reads_are_missed_after_the_least_days() -> None:
    made = steps(*[(0, 1, 5, "")] * 9, (0, 3.5, None, "open"))
    found = said(reads.read_missing(made, times=1.5, least_days=3.0, otherwise_days=60.0))
    assert found == [(9, 3.5, 3.0)]
