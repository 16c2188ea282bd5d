"""Estimates of register readings: worked by hand from the sources they name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation import register_estimates
from validation.register_estimates import Estimated, Intervals, Readings

DAY = 86_400
HOUR = 3_600


def column(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def readings(rows: Sequence[tuple[int, int, int]], modulus: int = 0) -> Readings:
    """Make readings of (register, day, value)."""
    register, day, value = (column(*each) for each in zip(*rows, strict=True))
    return Readings(register, day * DAY, value, np.full(len(register), modulus, dtype=np.int64))


def hours(values: Sequence[int | None], multiplier: int = 1) -> Intervals:
    """Make hours of register 0 from day 0 on."""
    return Intervals(
        values=np.array([[value or 0 for value in values]], dtype=np.int64),
        known=np.array([[value is not None for value in values]]),
        start=0,
        step=HOUR,
        multiplier=column(multiplier),
    )


def said(estimated: Estimated) -> list[int | None]:
    return [
        int(value) if done else None
        for done, value in zip(estimated.filled, estimated.values, strict=True)
    ]


def load(
    table: Readings, *wanted: tuple[int, int], within: int = 60, fewest: int = 1
) -> list[int | None]:
    register, day = (column(*each) for each in zip(*wanted, strict=True))
    return said(
        register_estimates.recent_load(
            table, register, day * DAY, within_days=within, fewest_days=fewest
        )
    )


def test_the_recent_load_goes_on() -> None:
    # Itron: ADC = (1300 - 1000) / 30 = 10; five days after the latest 1350, thirty 1600.
    table = readings([(0, 0, 1000), (0, 20, 1250), (0, 30, 1300)])
    assert load(table, (0, 35), (0, 60)) == [1350, 1600]
    # At most 20 days back: from day 20 on, 50 / 10 = 5 a day.
    assert load(table, (0, 35), within=15) == [1325]


def test_the_recent_load_needs_two_readings_of_the_same_register() -> None:
    # The meter was exchanged on day 30: a critical change splits the period.
    table = readings([(0, 0, 1000), (0, 30, 1300), (1, 30, 5), (2, 0, 7), (2, 10, 27)])
    assert load(table, (1, 35), (2, 15), (3, 15)) == [None, 37, None]
    assert load(table, (2, 15), fewest=11) == [None]
    assert load(table, (0, -5)) == [None]


def test_the_recent_load_turns_over_with_the_register() -> None:
    # Five digits: 99,986 -> 11 are 25 in ten days, and 2.5 a day more.
    table = readings([(0, 0, 99_986), (0, 10, 11)], modulus=100_000)
    assert load(table, (0, 14)) == [21]
    near = readings([(0, 0, 99_900), (0, 10, 99_990)], modulus=100_000)
    assert load(near, (0, 12)) == [8]


def test_the_reading_before_and_the_intervals_since() -> None:
    # 1000 and 24 hours of 2.
    table = readings([(0, 0, 1000)])
    wanted = (column(0), column(DAY))
    year = {"look_back_days": 365}
    found = register_estimates.usage_calculation(table, hours([2] * 48), *wanted, **year)
    assert said(found) == [1048]
    # CT 100: the intervals count 4,800, the register 48.
    found = register_estimates.usage_calculation(table, hours([200] * 48, 100), *wanted, **year)
    assert said(found) == [1048]


@pytest.mark.parametrize(
    ("values", "at", "look_back"),
    [
        ([2] * 23 + [None] + [2] * 24, DAY, 365),
        ([2] * 20, DAY, 365),
        ([2] * 48, DAY + 60, 365),
        ([2] * 48, 2 * DAY, 1),
        ([2] * 48, -HOUR, 365),
    ],
    ids=["a gap", "too few", "off the grid", "too long ago", "nothing before"],
)
def test_intervals_that_do_not_reach_are_left(
    values: list[int | None], at: int, look_back: int
) -> None:
    found = register_estimates.usage_calculation(
        readings([(0, 0, 1000)]), hours(values), column(0), column(at), look_back_days=look_back
    )
    assert said(found) == [None]


def test_the_intervals_turn_the_register_over() -> None:
    table = readings([(0, 0, 99_990)], modulus=100_000)
    found = register_estimates.usage_calculation(
        table, hours([1] * 24), column(0), column(DAY), look_back_days=9
    )
    assert said(found) == [14]


def test_a_reading_between_two_is_prorated() -> None:
    # 300 in 30 days: after 10 days 100, of which the half unit is rounded up.
    table = readings([(0, 0, 1000), (0, 30, 1300), (1, 0, 0), (1, 2, 5)])
    found = register_estimates.prorated(
        table, column(0, 1, 0, 0), column(10 * DAY, DAY, 40 * DAY, 30 * DAY)
    )
    assert said(found) == [1100, 3, None, 1300]


def test_what_intervals_say_already_is_not_prorated() -> None:
    # Oracle: less what is known from intervals. 100 in two days; the first day's 24 · 3 = 72 are
    # known, the 28 are shared by the open hours: 12 of the second day's 24 are 14.
    table = readings([(0, 0, 500), (0, 2, 600)])
    given_ = hours([3] * 24 + [None] * 24)
    wanted = column(0, 0, 0), column(DAY, DAY + 12 * HOUR, 12 * HOUR)
    assert said(register_estimates.prorated(table, *wanted, given_)) == [572, 586, 536]
    more = hours([5] * 24 + [None] * 24)
    assert said(register_estimates.prorated(table, *wanted, more)) == [None] * 3


def test_earlier_periods_are_asked_in_order() -> None:
    # Oracle: one month ago, then one year ago; rejected if too much is not good.
    previous, length = column(1000, 1000, 1000), column(30, 30, 30)
    month = (column(310, 310, 310), column(31, 31, 31), np.array([1.0, 0.5, 0.5]))
    year = (column(600, 600, 600), column(30, 30, 30), np.array([1.0, 1.0, 0.2]))
    found = register_estimates.history(previous, length, [month, year], least_good=0.9)
    assert said(found) == [1300, 1600, None]
    other_way = register_estimates.history(previous, length, [year, month], least_good=0.9)
    assert said(other_way) == [1600, 1600, None]


def test_the_next_periods_rate() -> None:
    # MST EDL: June's 200 kWh over 2880 quarter hours give May's 2976 207 kWh.
    assert register_estimates.rated(column(200), column(2880), column(2976)).tolist() == [207]


@given(st.integers(0, 2**61), st.integers(1, 10**9), st.integers(0, 10**9))
def test_a_rate_is_exact_and_rounded_half_up(used: int, length: int, wanted: int) -> None:
    expected = (2 * used * wanted + length) // (2 * length)
    if expected < 2**62:
        found = register_estimates.rated(column(used), column(length), column(wanted))
        assert found.tolist() == [expected]


def test_readings_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="by register and moment"):
        readings([(0, 3, 1), (0, 1, 1)])
    none = column()
    with pytest.raises(ValueError, match="at least one"):
        Readings(none, none, none, none)
