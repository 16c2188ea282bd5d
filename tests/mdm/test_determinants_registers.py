"""Consumption from registers: rollover, exchange, multipliers, and what cannot be said."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm.determinants.registers import MICRO, Consumption, Reading, Span, Stretch, bounded
from mdm.determinants.registers import consumption as consumed
from schemas import quality

END = 30 * 86400
DAY = 86400


def stretch(
    starts_at: int = 0,
    ends_at: int = END,
    *,
    multiplier: str = "1",
    modulus: int | None = 100_000,
    number: int = 1,
) -> Stretch:
    name = f"M-{number}"
    return Stretch(number, 9, name, 900, Decimal(multiplier), modulus, starts_at, ends_at)


def reading(read_at: int, value: int, code: int = quality.VALID) -> Reading:
    return Reading(read_at, 1, value, code)


def span(of: Stretch, *readings: Reading) -> Span:
    return bounded(of, readings, 0, END)


def nothing(_since: int, _until: int) -> int | None:
    raise AssertionError("no bridge is needed")


@pytest.mark.parametrize(
    ("first", "last", "multiplier", "modulus", "micro"),
    [
        # Meter reads of published examples: 83895 − 83770, 9846 − 9201; a CT factor of 100.
        (83_770, 83_895, "1", 100_000, 125 * MICRO),
        (9_201, 9_846, "1", 10_000, 645 * MICRO),
        (0, 1_234, "100", 100_000, 123_400 * MICRO),
        # Five dials roll over: 99,986 → 11 is 25.
        (99_986, 11, "1", 100_000, 25 * MICRO),
        (99_986, 11, "40", 100_000, 1_000 * MICRO),
        (500, 500, "1", None, 0),
        (0, 3, "0.333333", None, 999_999),
        (0, 10**12, "999999.999999", None, 10**12 * 999_999_999_999),
    ],
)
def test_by_hand(first: int, last: int, multiplier: str, modulus: int | None, micro: int) -> None:
    of = stretch(multiplier=multiplier, modulus=modulus)
    found = consumed([span(of, reading(0, first), reading(END, last))], nothing)
    assert found == Consumption(micro, 0, "")


@pytest.mark.parametrize(("last", "modulus"), [(400, None), (400, 100_000), (499, 1_000)])
def test_a_fall_is_no_rollover(last: int, modulus: int | None) -> None:
    # 500 → 400 on five dials would be 99,900 after the rollover: a register that fell.
    found = consumed([span(stretch(modulus=modulus), reading(0, 500), reading(END, last))], nothing)
    assert found.micro is None
    assert found.note == f"the register of M-1 fell from 500 to {last}, and that is no rollover"


def test_the_periods_ends_need_readings_at_that_moment() -> None:
    late = span(stretch(), reading(900, 5), reading(END, 9))
    assert consumed([late], nothing).note == (
        "M-1 has no usable reading at the start, 1970-01-01 00:00 UTC"
    )
    early = span(stretch(), reading(0, 5), reading(END - 900, 9))
    assert consumed([early], nothing).note == (
        "M-1 has no usable reading at the end, 1970-01-31 00:00 UTC"
    )
    assert consumed([], nothing).note == "nothing was installed"


@pytest.mark.parametrize("code", [quality.SUSPECT, quality.MISSING, quality.RESET])
def test_a_doubtful_reading_bounds_nothing(code: int) -> None:
    found = consumed([span(stretch(), reading(0, 5, code), reading(END, 9))], nothing)
    assert found.micro is None


def test_an_exchange_with_readings_at_its_moment() -> None:
    moment = 10 * DAY + 37 * 60
    old = span(stretch(0, moment, multiplier="2"), reading(0, 100), reading(moment, 400))
    new = span(
        stretch(moment, END, multiplier="3", number=2), reading(moment, 7), reading(END, 107)
    )
    # 300 × 2 + 100 × 3
    assert consumed([old, new], nothing) == Consumption(900 * MICRO, 0, "")


def test_an_exchange_is_bridged_by_intervals() -> None:
    moment = 10 * DAY + 37 * 60
    asked = []

    def bridge(since: int, until: int) -> int | None:
        asked.append((since, until))
        return 55

    old = span(stretch(0, moment, multiplier="2"), reading(0, 100), reading(10 * DAY, 400))
    # A reading after the meter was taken out is none of this usage point.
    old_too = span(
        stretch(0, moment, multiplier="2"),
        *(reading(0, 100), reading(10 * DAY, 400), reading(11 * DAY, 999)),
    )
    new = span(
        stretch(moment, END, multiplier="3", number=2), reading(11 * DAY, 7), reading(END, 107)
    )
    assert old == old_too
    found = consumed([old, new], bridge)
    # The intervals are after the multiplier already.
    assert (found.micro, found.bridged) == ((600 + 55 + 300) * MICRO, 55)
    assert found.note == "by intervals from 1970-01-11 00:00 UTC to 1970-01-12 00:00 UTC"
    assert asked == [(10 * DAY, 11 * DAY)]
    missing = consumed([old, new], lambda *_: None)
    assert missing.micro is None
    assert missing.note == (
        "intervals are missing from 1970-01-11 00:00 UTC to 1970-01-12 00:00 UTC"
    )


def test_moving_in_and_out() -> None:
    of = stretch(2 * DAY + 900, 5 * DAY)
    found = consumed([span(of, reading(3 * DAY, 10), reading(5 * DAY, 30))], lambda *_: 4)
    assert found == Consumption(
        24 * MICRO, 4, "by intervals from 1970-01-03 00:15 UTC to 1970-01-04 00:00 UTC"
    )


@given(
    st.integers(0, 99_999),
    st.lists(st.integers(0, 8_000), min_size=1, max_size=6),
    st.sampled_from(["1", "40", "0.125"]),
)
def test_any_split_sums_to_the_whole(first: int, steps: list[int], multiplier: str) -> None:
    modulus = 100_000
    dials = [first]
    for step in steps:
        dials.append((dials[-1] + step) % modulus)
    parts = 0
    for place in range(len(steps)):
        of = Stretch(1, 9, "M", 900, Decimal(multiplier), modulus, place, place + 1)
        bounds = [reading(place, dials[place]), reading(place + 1, dials[place + 1])]
        micro = consumed([bounded(of, bounds, place, place + 1)], nothing).micro
        assert micro is not None
        parts += micro
    of = Stretch(1, 9, "M", 900, Decimal(multiplier), modulus, 0, len(steps))
    bounds = [reading(0, dials[0]), reading(len(steps), dials[-1])]
    whole = consumed([bounded(of, bounds, 0, len(steps))], nothing).micro
    assert whole == parts == sum(steps) * int(Decimal(multiplier) * MICRO)
