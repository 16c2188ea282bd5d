"""Profile buffers as columns: equal to reading value by value, and to gurux-dlms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from gurux_dlms import GXDLMSClient
from gurux_dlms.enums import DataType
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import decode as decoders
from drivers.dlms import axdr, clock_time, profile_buffer, profile_known
from drivers.dlms.profile_buffer import Columns
from drivers.errors import RemoteProtocolError
from tests.drivers.dlms import by_gurux

FIRST = datetime(2026, 6, 1, tzinfo=UTC)
PERIOD = 900

Row = list[bytes]

STAMPS = st.integers(0, 2**31).map(
    lambda at: axdr.encode_octet_string(
        clock_time.encode(datetime.fromtimestamp(at, UTC), deviation=-180)
    )
)
NULL = st.just(b"\x00")
CELLS = st.one_of(
    NULL,
    st.integers(0, 255).map(lambda n: by_gurux.encoded(DataType.UINT8, n)),
    st.integers(0, 2**32 - 1).map(lambda n: by_gurux.encoded(DataType.UINT32, n)),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: by_gurux.encoded(DataType.INT32, n)),
    st.integers(0, 2**64 - 1).map(lambda n: by_gurux.encoded(DataType.UINT64, n)),
    st.floats(width=32, allow_nan=False).map(lambda f: by_gurux.encoded(DataType.FLOAT32, f)),
    st.binary(max_size=4).map(axdr.encode_octet_string),
    st.just(bytes.fromhex("0202 0f00 161b")),
    st.just(bytes.fromhex("040c abc0")),
)


@st.composite
def buffers(draw: st.DrawFn) -> tuple[int, list[Row]]:
    """Rows in runs of one layout, as meters write them, and rows that change at every turn."""
    width = draw(st.integers(1, 4))
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 5))):
        pattern = [draw(STAMPS), *(draw(CELLS) for _ in range(width - 1))]
        rows += [pattern] * draw(st.integers(1, 40))
    return width, rows


def written(rows: list[Row]) -> bytes:
    return axdr.encode_sequence(
        axdr.ARRAY, *(axdr.encode_sequence(axdr.STRUCTURE, *row) for row in rows)
    )


def one_by_one(data: bytes, column: int) -> list[Any]:
    """Read a column value by value; null means the value before."""
    found: list[Any] = []
    for row in axdr.decode(data)[0]:
        before = found[-1] if found else None
        found.append(before if row[column] is None else row[column])
    return found


def decoded(data: bytes, width: int, clock: int | None = 0) -> Columns:
    return profile_buffer.decode(data, width=width, clock=clock, period_seconds=PERIOD)


@given(buffers())
def test_columns_are_what_each_value_is(buffer: tuple[int, list[Row]]) -> None:
    width, rows = buffer
    data = written(rows)
    columns = decoded(data, width, clock=None)
    assert columns.rows == len(rows)
    for index, column in enumerate(columns.others):
        expected = one_by_one(data, index)
        assert column.present.tolist() == [value is not None for value in expected]
        found = column.values.tolist()
        for value, wanted in zip(found, expected, strict=True):
            assert wanted is None or value == wanted


@given(buffers())
def test_stamps_are_what_each_stamp_is(buffer: tuple[int, list[Row]]) -> None:
    width, rows = buffer
    clock = decoded(written(rows), width).clock
    assert clock is not None
    assert clock.present.all()
    assert clock.moments.tolist() == [
        int(moment.timestamp())
        for row in rows
        if (moment := clock_time.decode(row[0][2:]).utc()) is not None
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_a_null_stamp_is_one_period_after_the_last(given_stamps: list[bool]) -> None:
    rows: list[Row] = []
    expected: list[int | None] = []
    for row, is_given in enumerate(given_stamps):
        moment = FIRST + timedelta(hours=row)
        stamp = axdr.encode_octet_string(clock_time.encode(moment))
        rows.append([stamp if is_given else b"\x00"])
        before = expected[-1] if expected else None
        later = None if before is None else before + PERIOD
        expected.append(int(moment.timestamp()) if is_given else later)
    clock = decoded(written(rows), 1).clock
    assert clock is not None
    found = [
        moment if present else None
        for moment, present in zip(clock.moments.tolist(), clock.present.tolist(), strict=True)
    ]
    assert found == expected


def day(**changes: bytes) -> list[Row]:
    """Give a day of quarter-hours as IDIS meters write it; ``r7=…`` changes row 7's value."""
    return [
        [
            axdr.encode_octet_string(
                clock_time.encode(FIRST + timedelta(minutes=15 * row), deviation=-180)
            ),
            by_gurux.encoded(DataType.UINT8, 0),
            changes.get(f"r{row}", by_gurux.encoded(DataType.UINT32, 1000 + row)),
        ]
        for row in range(96)
    ]


def test_a_day_is_what_gurux_reads() -> None:
    data = written(day())
    columns = decoded(data, 3)
    rows = by_gurux.decoded(data)
    assert columns.others[1].values.tolist() == [row[2] for row in rows]
    assert columns.others[1].values.dtype == np.int64


@given(
    st.sampled_from([decoders.normal, decoders.null_compressed, decoders.compact]),
    st.integers(1, 120),
    st.integers(0, 5000),
)
def test_profiles_are_what_gurux_reads(
    written: Callable[[list[decoders.Row]], bytes], count: int, seed: int
) -> None:
    profile = decoders.rows(count, seed)
    data = written(profile)
    found = decoders.by_columns(decoders.by_driver(data))
    assert found == decoders.by_rows(decoders.by_gurux(GXDLMSClient(True), data))
    assert found == decoders.by_truth(profile)


NUMBERS = (
    (DataType.INT8, st.integers(-(2**7), 2**7 - 1)),
    (DataType.UINT16, st.integers(0, 2**16 - 1)),
    (DataType.INT32, st.integers(-(2**31), 2**31 - 1)),
    (DataType.UINT64, st.integers(0, 2**64 - 1)),
    (DataType.FLOAT64, st.floats(allow_nan=False)),
    (DataType.OCTET_STRING, st.binary(min_size=1, max_size=5).map(bytearray)),
    (DataType.NONE, st.none()),
)


@st.composite
def random_rows(draw: st.DrawFn) -> list[Row]:
    """Rows whose values are of other types, lengths and signs at every turn."""
    width = draw(st.integers(1, 5))
    kinds = st.one_of(
        *(st.tuples(st.just(kind), values) for kind, values in NUMBERS),
    ).map(lambda one: by_gurux.encoded(*one))
    return draw(st.lists(st.lists(kinds, min_size=width, max_size=width), min_size=1, max_size=60))


@given(random_rows())
def test_random_profiles_are_what_gurux_reads(rows: list[Row]) -> None:
    data = written(rows)
    columns = decoded(data, len(rows[0]), clock=None)
    theirs = by_gurux.decoded(data)
    for index, column in enumerate(columns.others):
        expected: list[Any] = []
        for row in theirs:
            value = bytes(row[index]) if isinstance(row[index], bytearray) else row[index]
            expected.append(value if value is not None or not expected else expected[-1])
        assert column.present.tolist() == [value is not None for value in expected]
        for value, wanted in zip(column.values.tolist(), expected, strict=True):
            assert wanted is None or value == wanted


@pytest.mark.parametrize("data", ["0101 0201 1105", "1302 01 11 01 05"])
def test_a_clock_column_of_numbers_has_no_times(data: str) -> None:
    clock = decoded(bytes.fromhex(data), 1).clock
    assert clock is not None
    assert (clock.moments.tolist(), clock.present.tolist()) == ([0], [False])


def test_other_kinds_of_numbers_in_the_middle_lose_nothing() -> None:
    huge = by_gurux.encoded(DataType.UINT64, 2**64 - 1)
    data = written(day(r5=huge, r6=b"\x00", r7=bytes.fromhex("173fc00000")))
    values = decoded(data, 3).others[1].values.tolist()
    assert values[4:9] == [1004, 2**64 - 1, 2**64 - 1, 1.5, 1008]


def compact(rows: int, types: str, contents: bytes) -> bytes:
    count = bytes.fromhex(types)
    return b"\x13\x02" + bytes((len(count),)) + count + axdr.encode_octets(contents * rows)


def test_a_compact_array_is_read_like_any_buffer() -> None:
    contents = b"".join((FIRST.year.to_bytes(2), b"\x06\x01\x01\x0c\x00\x00\x00\x00\x00\x00"))
    data = compact(50, "191206", contents + b"\x00\x07" + b"\x00\x00\x03\xe8")
    columns = decoded(data, 3)
    assert columns.clock is not None
    assert columns.clock.moments.tolist() == [int(FIRST.replace(hour=12).timestamp())] * 50
    assert [column.values.tolist() for column in columns.others] == [[7] * 50, [1000] * 50]


def test_a_compact_array_may_hold_strings_of_any_length() -> None:
    data = b"\x13\x02\x02\x09\x11" + axdr.encode_octets(b"\x01a\x05" + b"\x02bc\x06")
    columns = decoded(data, 2, clock=None)
    assert columns.others[0].values.tolist() == [b"a", b"bc"]
    assert columns.others[1].values.tolist() == [5, 6]


@pytest.mark.parametrize("data", [b"\x00", b"\x01\x00", b"\x13\x02\x01\x11\x00"])
def test_an_empty_buffer_has_no_rows(data: bytes) -> None:
    columns = decoded(data, 1, clock=None)
    assert (columns.rows, len(columns.others[0].values)) == (0, 0)


@given(buffers().filter(lambda buffer: bool(buffer[1])), st.data())
def test_a_buffer_cut_anywhere_is_a_protocol_error(
    buffer: tuple[int, list[Row]], data: st.DataObject
) -> None:
    width, rows = buffer
    whole = written(rows)
    with pytest.raises(RemoteProtocolError):
        decoded(whole[: data.draw(st.integers(0, len(whole) - 1))], width)


@given(st.binary(max_size=300), st.integers(1, 4))
def test_garbage_is_columns_or_a_protocol_error(data: bytes, width: int) -> None:
    for start in (b"", b"\x01", b"\x01\x02\x02" + bytes((width,)), b"\x13\x02" + bytes((width,))):
        try:
            columns = decoded(start + data, width)
        except RemoteProtocolError:
            continue
        assert all(len(column.values) == columns.rows for column in columns.others)


@given(st.data())
def test_changed_octets_are_columns_or_a_protocol_error(data: st.DataObject) -> None:
    changed = bytearray(written(day()))
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        columns = decoded(bytes(changed), 3)
    except RemoteProtocolError:
        return
    assert columns.rows <= len(changed)


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"\x01\x84\xff\xff\xff\xff\x02\x01\x00", id="four thousand million rows"),
        pytest.param(b"\x01\x01\x02\x02\x00\x00", id="more values than captured objects"),
        pytest.param(b"\x01\x01\x00", id="a row that is no structure"),
        pytest.param(b"\x02\x01\x00", id="no array"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x13\x02\x01\x00\x02ab", id="a compact array without octets"),
        pytest.param(
            b"\x01\x83\x02\x00\x00" + b"\x02\x01\x02\x01\x11\x00\x02\x01\x00" * 65536,
            id="a layout that changes with each of 131,072 rows, half of which hold structures",
        ),
    ],
)
def test_hostile_buffers_are_refused(hostile: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decoded(hostile, 1, clock=None)


def test_a_layout_that_changes_with_each_row_is_read_at_once() -> None:
    columns = decoded(b"\x01\x83\x02\x00\x00" + b"\x02\x01\x11\x07\x02\x01\x00" * 65536, 1, None)
    assert columns.rows == 131072
    assert columns.others[0].present.all()
    assert (columns.others[0].values == 7).all()


@given(st.lists(st.sampled_from([0x0201, 0x02010201, 0x11020100, 7]), min_size=1, max_size=40))
def test_values_that_look_like_the_head_of_a_row_begin_none(numbers: list[int]) -> None:
    rows = [[by_gurux.encoded(DataType.UINT32, n)] if n != 7 else [b"\x00"] for n in numbers]
    expected = one_by_one(written(rows), 0)
    column = decoded(written(rows), 1, clock=None).others[0]
    assert column.present.tolist() == [value is not None for value in expected]
    assert column.values[column.present].tolist() == [v for v in expected if v is not None]


@st.composite
def families(draw: st.DrawFn) -> tuple[int, list[list[Row]]]:
    """Buffers of one structure, as from meter to meter, with other payloads."""
    width, rows = draw(buffers())
    changed = [rows]
    for _ in range(draw(st.integers(1, 4))):
        shift = draw(st.integers(0, 255))
        changed.append(
            [[cell[:1] + bytes(b ^ shift for b in cell[1:]) if _plain(cell) else cell
              for cell in row] for row in rows]
        )  # fmt: skip
    return width, changed


def _plain(cell: bytes) -> bool:
    """Tell whether all octets behind the tag are the number's own."""
    return cell[0] in axdr.NUMBERS and cell[0] not in (DataType.BOOLEAN, axdr.FLOAT32, axdr.FLOAT64)


def test_known_integers_of_every_kind_keep_their_sign() -> None:
    kinds = [tag for tag in axdr.NUMBERS if _plain(bytes((tag,)))]
    for payload in (b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff"):
        rows = [
            [bytes((tag,)) + payload * axdr.SIZES[tag] for tag in kinds],
            *[[b"\x00"] * len(kinds)] * 2,
            [bytes((tag,)) + b"\x55" * axdr.SIZES[tag] for tag in kinds],
        ]
        columns = decoded(written(rows), len(kinds), clock=None)
        for index, column in enumerate(columns.others):
            assert column.values.tolist() == one_by_one(written(rows), index)
    known = profile_known.recognised(written(rows), len(kinds))
    assert known is not None
    assert known.integers is not None
    # Of uint64 not every value is an int64.
    assert len(known.integers.columns) == len(kinds) - 1


@given(families())
def test_a_structure_that_is_known_gives_what_reading_value_by_value_gives(
    family: tuple[int, list[list[Row]]],
) -> None:
    width, several = family
    # The second buffer of a size is learned, those after it are recognised.
    for rows in [*several, *several]:
        data = written(rows)
        columns = decoded(data, width, clock=None)
        for index, column in enumerate(columns.others):
            expected = one_by_one(data, index)
            assert column.present.tolist() == [value is not None for value in expected]
            for value, wanted in zip(column.values.tolist(), expected, strict=True):
                assert wanted is None or value == wanted


def test_one_changed_tag_is_no_known_structure() -> None:
    first = written([[by_gurux.encoded(DataType.UINT32, n)] for n in range(20)])
    for _ in range(3):
        assert decoded(first, 1, clock=None).others[0].values.tolist() == list(range(20))
    assert profile_known.recognised(first, 1) is not None
    other = bytearray(first)
    # The last value is as long, and signed.
    other[-5:] = b"\x05\xff\xff\xff\xff"
    assert profile_known.recognised(bytes(other), 1) is None
    assert decoded(bytes(other), 1, clock=None).others[0].values.tolist() == [*range(19), -1]


def test_compact_arrays_are_recognised_behind_their_type() -> None:
    rows = [decoders.rows(96, seed) for seed in range(4)]
    for profile in rows:
        data = decoders.compact(profile)
        assert decoders.by_columns(decoders.by_driver(data)) == decoders.by_truth(profile)
    assert profile_known.recognised(decoders.compact(rows[0]), 4) is not None
