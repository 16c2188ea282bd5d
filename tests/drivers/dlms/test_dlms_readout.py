"""From columns to blocks: interval ends, duplicates, gaps, off-grid stamps, status and scale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import companion, intervals, readout, scaling
from drivers.dlms.apdu import Attribute
from drivers.dlms.profile import Channel, Profile
from drivers.dlms.profile_buffer import Clock, Column, Columns
from drivers.dlms.readout import Rows
from drivers.errors import LocalProtocolError, NotOffered, RemoteProtocolError
from schemas import quality, reading_type
from schemas.obis import Obis
from schemas.period import Period
from schemas.reading import IntervalBlock

GENERIC = companion.named("generic")
START = datetime(2026, 6, 1, tzinfo=UTC)
DAY = Period(START, START + timedelta(days=1))
QUARTER = 900
CLOCK = GENERIC.objects["clock"]
ENERGY = Attribute(3, Obis(1, 0, 1, 29, 0), 2)
IMPORT = reading_type.named("active_energy_import_interval")


def column(values: list[object], present: list[bool] | None = None) -> Column:
    flags = np.ones(len(values), bool) if present is None else np.array(present, bool)
    kind = np.int64 if all(isinstance(one, int) for one in values) else object
    return Column(np.array(values, dtype=kind), flags)


def rows(
    ends: list[int],
    values: list[object],
    *,
    status: list[int] | None = None,
    placed: list[bool] | None = None,
    clock_status: list[int] | None = None,
    present: list[bool] | None = None,
) -> Rows:
    """Make rows whose stamps are ``ends`` seconds after the start."""
    count = len(ends)
    clock = Clock(
        np.array(ends, np.int64) + int(START.timestamp()),
        np.array(placed if placed is not None else [True] * count, bool),
        np.array(clock_status or [0] * count, np.uint8),
    )
    others = (column(list(status or [0] * count)), column(values, present))
    captured = (CLOCK, GENERIC.statuses[0], ENERGY)
    channel = Channel(1, IMPORT, scaling.Scale(Decimal(1)))
    profile = Profile(GENERIC.objects["load_profile"], captured, 0, QUARTER, (channel,))
    return Rows(profile, Columns(count, clock, others), GENERIC)


def blocks(given_rows: Rows) -> list[IntervalBlock]:
    return readout.interval_blocks(given_rows, DAY, QUARTER)


def shape(found: list[IntervalBlock]) -> list[tuple[int, list[int]]]:
    return [(int((block.start - START).total_seconds()), block.values.tolist()) for block in found]


def test_stamps_are_interval_ends() -> None:
    assert shape(blocks(rows([900, 1800, 2700], [1, 2, 3]))) == [(0, [1, 2, 3])]


def test_a_gap_makes_another_block() -> None:
    assert shape(blocks(rows([900, 1800, 4500], [1, 2, 5]))) == [(0, [1, 2]), (3600, [5])]


def test_a_stamp_that_is_there_twice_is_in_two_blocks() -> None:
    found = shape(blocks(rows([900, 1800, 1800, 2700], [1, 2, 9, 3])))
    assert found == [(0, [1, 2, 3]), (900, [9])]


def test_rows_in_another_order_come_out_oldest_first() -> None:
    assert shape(blocks(rows([2700, 900, 1800], [3, 1, 2]))) == [(0, [1, 2, 3])]


def test_a_stamp_off_the_grid_stays_as_the_meter_wrote_it() -> None:
    found = shape(blocks(rows([900, 1807, 2707], [1, 2, 3])))
    assert found == [(0, [1]), (907, [2, 3])]


def test_only_intervals_that_start_in_the_period_count() -> None:
    assert shape(blocks(rows([0, 900, 86_400, 87_300], [1, 2, 3, 4]))) == [
        (0, [2]),
        (85_500, [3]),
    ]


def test_what_the_meter_says_of_an_interval_becomes_its_quality() -> None:
    [block] = blocks(
        rows(
            [900, 1800, 2700, 3600, 4500],
            [1, 2, 3, 4, 5],
            # Valid; power down; power down and clock adjusted; daylight saving; data not valid.
            status=[0x00, 0x80, 0xA0, 0x08, 0x86],
        )
    )
    assert block.quality is not None
    assert block.quality.tolist() == [
        quality.VALID,
        quality.POWER_DOWN,
        quality.CLOCK_SHIFTED,
        quality.VALID,
        quality.METER_DOUBTS,
    ]


def test_the_clocks_own_status_counts_where_the_captured_one_says_nothing() -> None:
    [block] = blocks(rows([900, 1800], [1, 2], status=[0, 0x80], clock_status=[1, 1]))
    assert block.quality is not None
    assert block.quality.tolist() == [quality.CLOCK_INVALID, quality.POWER_DOWN]


def test_blocks_of_valid_values_carry_no_quality() -> None:
    [block] = blocks(rows([900], [1]))
    assert block.quality is None
    assert block.annotation is None


def test_rows_without_a_usable_time_are_counted_in_the_annotation() -> None:
    [block] = blocks(rows([900, 0], [1, 2], placed=[True, False]))
    assert block.annotation == "1 rows without a usable time were left out"


def test_a_value_that_the_meter_does_not_have_is_in_no_block() -> None:
    found = blocks(rows([900, 1800, 2700], [1, 0, 3], present=[True, False, True]))
    assert shape(found) == [(0, [1]), (1800, [3])]


def test_rows_that_have_no_time_at_all_say_what_to_do() -> None:
    with pytest.raises(RemoteProtocolError, match="deviation"):
        blocks(rows([900, 1800], [1, 2], placed=[False, False]))


def test_no_rows_are_no_blocks() -> None:
    assert blocks(rows([], [])) == []


def test_a_profile_without_the_wanted_registers_names_what_it_captures() -> None:
    with pytest.raises(NotOffered, match=r"1\.0\.1\.29"):
        readout.register_readings(rows([900], [1]), DAY)


def test_an_unknown_profile_names_those_that_there_are() -> None:
    with pytest.raises(LocalProtocolError, match="generic"):
        companion.named("fantasia")


@given(
    st.lists(
        st.tuples(st.integers(-4, 100), st.integers(0, 2), st.integers(0, 10**6)), max_size=120
    )
)
def test_every_row_of_the_period_is_in_exactly_one_block(
    given_rows: list[tuple[int, int, int]],
) -> None:
    ends = [900 * slot + 7 * shift for slot, shift, _ in given_rows]
    found = blocks(rows(ends, [value for _, _, value in given_rows]))
    inside = [
        (end - 900, value)
        for end, (_, _, value) in zip(ends, given_rows, strict=True)
        if 0 <= end - 900 < 86_400
    ]
    told = [
        (start + 900 * place, value)
        for start, values in shape(found)
        for place, value in enumerate(values)
    ]
    assert sorted(told) == sorted(inside)
    starts = [start for start, _ in shape(found)]
    assert starts == sorted(starts)
    # The first of a stamp's values, in the meter's order, is in the first block that has it.
    first = {}
    for start, value in inside:
        first.setdefault(start, value)
    by_first_block: dict[int, int] = {}
    for start, value in told:
        by_first_block.setdefault(start, value)
    assert len(by_first_block) == len(first)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    st.integers(-6, 6),
)
def test_a_column_is_scaled_and_rounded_once(raw: list[int], scaler: int) -> None:
    scale = scaling.scale((scaler, 30), reading_type.named("active_energy_import"))
    values, codes = scale.column(column(list(raw)))
    for number, value, code in zip(raw, values.tolist(), codes.tolist(), strict=True):
        exact = round(Fraction(number) * Fraction(10) ** scaler)
        if abs(exact) < 2**63:
            assert (value, code) == (exact, quality.VALID)
        else:
            assert (value, code) == (0, quality.OVERFLOW)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (float("nan"), (0, quality.METER_DOUBTS)),
        (float("inf"), (0, quality.METER_DOUBTS)),
        (1e300, (0, quality.OVERFLOW)),
        (2.5, (2, quality.VALID)),
        (b"text", (0, quality.METER_DOUBTS)),
        (True, (0, quality.METER_DOUBTS)),
        (2**64, (0, quality.OVERFLOW)),
    ],
)
def test_bad_values_are_values_with_a_quality(raw: object, expected: tuple[int, int]) -> None:
    scale = scaling.Scale(Decimal(1))
    assert scale.integer(raw) == expected
    values, codes = scale.column(Column(np.array([raw], dtype=object), np.ones(1, bool)))
    assert (values[0], codes[0]) == expected


@pytest.mark.parametrize(
    ("name", "scaler_unit", "raw", "expected"),
    [
        ("voltage_l1", (-2, 35), 23_051, 2305),
        ("current_l1", (-3, 33), 1234, 1234),
        ("current_l1", (0, 33), 12, 12_000),
        ("active_energy_import", (3, 30), 17, 17_000),
        ("active_energy_import", (-1, 30), 25, 2),
        ("frequency", (-2, 44), 5001, 50_010),
        ("water_volume", (-3, 13), 4567, 4567),
        ("power_factor", (-3, 255), 998, 998),
    ],
)
def test_scaler_and_unit_give_the_reading_types_unit(
    name: str, scaler_unit: tuple[int, int], raw: int, expected: int
) -> None:
    assert scaling.scale(scaler_unit, reading_type.named(name)).integer(raw)[0] == expected


@pytest.mark.parametrize("scaler_unit", [(0, 35), (0, 77), None, (99, 30), (0,), "Wh"])
def test_a_scaler_that_makes_no_sense_is_a_protocol_error(scaler_unit: object) -> None:
    with pytest.raises(RemoteProtocolError):
        scaling.scale(scaler_unit, reading_type.named("active_energy_import"))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_each_stretch_has_equal_steps(slots: list[int]) -> None:
    ends = np.array(slots, np.int64) * 900 + int(START.timestamp()) + 900
    pieces = intervals.cut(ends, np.arange(len(ends)), DAY, QUARTER)
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(slots)))
    for piece in pieces:
        assert (np.diff(ends[piece]) == QUARTER).all()


# --- steps of registers ---

REGISTER = Attribute(3, Obis(1, 0, 1, 8, 0), 2)


def register_rows(ends: list[int], values: list[object], **changes: Any) -> Rows:
    """Make rows that capture a register instead of the energy of each interval."""
    made = rows(ends, values, **changes)
    channel = Channel(1, reading_type.named("active_energy_import"), scaling.Scale(Decimal(1)))
    captured = (CLOCK, GENERIC.statuses[0], REGISTER)
    return replace(made, profile=replace(made.profile, captured=captured, channels=(channel,)))


def test_a_captured_register_gives_its_steps() -> None:
    [block] = blocks(register_rows([0, 900, 1800, 2700], [100, 101, 101, 107]))
    assert (block.reading_type, block.start) == (IMPORT.name, START)
    assert block.values.tolist() == [1, 0, 6]
    assert block.quality is None


def test_a_step_needs_the_row_one_interval_before() -> None:
    found = blocks(register_rows([0, 900, 2700, 3600], [100, 101, 107, 108]))
    assert shape(found) == [(0, [1]), (2700, [1])]


def test_a_register_that_runs_backwards_gives_no_step_there() -> None:
    found = blocks(register_rows([0, 900, 1800, 2700], [98, 99, 0, 4]))
    assert shape(found) == [(0, [1]), (1800, [4])]


def test_of_a_row_that_is_there_twice_the_first_counts() -> None:
    found = blocks(register_rows([0, 900, 900, 1800], [100, 101, 150, 103]))
    assert shape(found) == [(0, [1, 2])]


def test_a_step_from_a_doubtful_reading_is_doubtful() -> None:
    # Data not valid at 900 s; power down before 2700 s.
    [block] = blocks(register_rows([0, 900, 1800, 2700], [1, 2, 3, 4], status=[0, 0x04, 0, 0x80]))
    assert block.quality is not None
    assert block.quality.tolist() == [
        quality.METER_DOUBTS,
        quality.METER_DOUBTS,
        quality.POWER_DOWN,
    ]


def test_intervals_of_their_own_count_more_than_steps() -> None:
    made = register_rows([0, 900, 1800], [100, 101, 103])
    both = (*made.profile.channels, Channel(0, IMPORT, scaling.Scale(Decimal(1))))
    profile = replace(made.profile, channels=both)
    assert readout.interval_names(profile) == {IMPORT.name}
    assert not readout.has_steps(profile)
    assert readout.has_steps(made.profile)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=30, unique=True).map(sorted),
    st.data(),
)
def test_steps_of_a_run_add_up_to_its_registers(places: list[int], data: st.DataObject) -> None:
    grown = data.draw(st.lists(st.integers(0, 1000), min_size=41, max_size=41))
    count = np.cumsum(grown)
    values = [int(count[place]) for place in places]
    found = blocks(register_rows([900 * place for place in places], list(values)))
    for block in found:
        first = int((block.start - START).total_seconds()) // 900
        assert int(block.values.sum()) == int(count[first + len(block)] - count[first])
    joined = sum(len(block) for block in found)
    assert joined == sum(b - a == 1 for a, b in pairwise(places))
