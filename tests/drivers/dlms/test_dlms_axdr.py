"""A-XDR values: against gurux-dlms, and against anything that is no value."""

from __future__ import annotations

import math
from typing import Any

import pytest
from gurux_dlms.enums import DataType
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr, profile_buffer
from drivers.errors import LocalProtocolError, RemoteProtocolError
from tests.drivers.dlms import by_gurux

INTEGERS = {
    DataType.INT8: (-(2**7), 2**7 - 1),
    DataType.INT16: (-(2**15), 2**15 - 1),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT8: (0, 2**8 - 1),
    DataType.UINT16: (0, 2**16 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.UINT64: (0, 2**64 - 1),
    DataType.ENUM: (0, 2**8 - 1),
}

Written = tuple[bytes, Any]


def integers() -> st.SearchStrategy[Written]:
    def of(kind: DataType) -> st.SearchStrategy[Written]:
        least, most = INTEGERS[kind]
        return st.integers(least, most).map(lambda n: (by_gurux.encoded(kind, n), n))

    return st.sampled_from(sorted(INTEGERS)).flatmap(of)


LEAVES: st.SearchStrategy[Written] = st.one_of(
    st.just((b"\x00", None)),
    st.booleans().map(lambda b: (by_gurux.encoded(DataType.BOOLEAN, b), b)),
    integers(),
    st.floats(width=32, allow_nan=False).map(lambda f: (by_gurux.encoded(DataType.FLOAT32, f), f)),
    st.floats(allow_nan=False).map(lambda f: (by_gurux.encoded(DataType.FLOAT64, f), f)),
    st.binary(max_size=300).map(lambda b: (by_gurux.encoded(DataType.OCTET_STRING, b), b)),
    st.text("abcXYZ 019", max_size=200).map(lambda t: (by_gurux.encoded(DataType.STRING, t), t)),
)


def sequence(tag: int) -> Any:
    def written(parts: list[Written]) -> Written:
        data = axdr.encode_sequence(tag, *(part for part, _ in parts))
        values = [value for _, value in parts]
        return data, values if tag == axdr.ARRAY else tuple(values)

    return written


VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=6).map(sequence(axdr.ARRAY))
        | st.lists(inner, max_size=6).map(sequence(axdr.STRUCTURE))
    ),
    max_leaves=25,
)


def plain(value: Any) -> Any:
    """Give gurux-dlms' own kinds of values as Python's."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def untyped(value: Any) -> Any:
    return [untyped(one) for one in value] if isinstance(value, list | tuple) else value


@given(VALUES, st.binary(max_size=8))
def test_what_gurux_writes_is_read_back_to_its_last_octet(written: Written, after: bytes) -> None:
    data, value = written
    assert axdr.decode(data + after) == (value, len(data))


@given(VALUES)
def test_values_are_those_that_gurux_reads(written: Written) -> None:
    data, _ = written
    assert untyped(axdr.decode(data)[0]) == plain(by_gurux.decoded(data))


@given(VALUES.filter(lambda written: len(written[0]) > 1), st.data())
def test_a_value_cut_anywhere_is_a_protocol_error(written: Written, data: st.DataObject) -> None:
    whole, _ = written
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(RemoteProtocolError):
        axdr.decode(whole[:cut])


@given(st.binary(max_size=200))
def test_garbage_is_a_value_or_a_protocol_error(data: bytes) -> None:
    try:
        _, end = axdr.decode(data)
    except RemoteProtocolError:
        return
    assert 0 < end <= len(data)


@given(st.binary(max_size=60))
def test_a_hostile_compact_array_stays_small(data: bytes) -> None:
    try:
        value, _ = axdr.decode(bytes((axdr.COMPACT_ARRAY,)) + data)
    except RemoteProtocolError:
        return
    assert isinstance(value, list)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("0001", None),
        ("04 0b a5e0", axdr.BitString(b"\xa5\xe0", 11)),
        ("19 07ea0701030c1e00ff800000", bytes.fromhex("07ea0701030c1e00ff800000")),
        ("0c 03 e282ac", "€"),
        # Compact array of structures of long-unsigned and an octet-string of its own length.
        ("13 02 02 12 09 09 0001 01aa 0002 02bbcc", [(1, b"\xaa"), (2, b"\xbb\xcc")]),
        # Compact array of arrays of two unsigned.
        ("13 01 0002 11 04 01020304", [[1, 2], [3, 4]]),
    ],
)
def test_types_that_gurux_does_not_write(data: str, value: Any) -> None:
    assert axdr.decode(bytes.fromhex(data))[0] == value


def test_bits_are_counted_from_the_left() -> None:
    assert int(axdr.BitString(b"\xa5\xe0", 11)) == 0b10100101111


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"\x02\x01" * 1000 + b"\x00", id="nested a thousand deep"),
        pytest.param(b"\x01\x84\xff\xff\xff\xff\x00", id="four thousand million elements"),
        pytest.param(b"\x09\x84\x7f\xff\xff\xff", id="two gigabytes of octets"),
        pytest.param(b"\x09\x85\x00\x00\x00\x00\x01a", id="a length of five octets"),
        pytest.param(b"\x13" + b"\x01\xff\xff" * 10 + b"\x11\x01\x00", id="65,535 to the tenth"),
        pytest.param(b"\x13\x02\x02\x00\x00\x04abcd", id="elements without octets"),
        pytest.param(b"\x13\x02\xff" + b"\x11" * 50, id="a type description cut off"),
        pytest.param(
            b"\x13\x02\x02\x01\xff\xff\x00\x11\x82\x10\x00" + b"a" * 4096, id="a bomb of nulls"
        ),
        pytest.param(b"\x63", id="no tag of the standard"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_hostile_lengths_and_nesting_are_refused(hostile: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        axdr.decode(hostile)


@given(st.integers(0, 2**32 - 1))
def test_lengths_are_written_as_they_are_read(count: int) -> None:
    written = axdr.encode_length(count)
    assert axdr.length(written, 0) == (count, len(written))


@given(integers())
def test_numbers_are_written_as_gurux_writes_them(written: Written) -> None:
    data, number = written
    assert axdr.encode_number(data[0], number) == data


def test_a_number_that_does_not_fit_is_our_own_error() -> None:
    with pytest.raises(LocalProtocolError):
        axdr.encode_number(17, 256)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(axdr.decode(bytes.fromhex("177fc00000"))[0])


NULLS_BESIDE_AN_OCTET = bytes.fromhex("13 02 02 11 01 ffff 00") + axdr.encode_octets(bytes(100))


def test_null_data_without_number_in_compact_arrays_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="too many null-data"):
        axdr.decode(NULLS_BESIDE_AN_OCTET)
    with pytest.raises(RemoteProtocolError):
        profile_buffer.decode(NULLS_BESIDE_AN_OCTET, width=2, clock=None, period_seconds=900)


def test_a_few_null_data_in_a_compact_array_are_read() -> None:
    data = bytes.fromhex("13 02 02 11 01 0003 00 02 0102")
    assert axdr.decode(data) == ([(1, [None] * 3), (2, [None] * 3)], len(data))
