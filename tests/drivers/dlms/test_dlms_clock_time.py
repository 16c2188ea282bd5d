"""COSEM date-times: one by one, as columns, and as gurux-dlms writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from gurux_dlms import GXDateTime
from gurux_dlms.enums import DataType
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.dlms import clock_time
from drivers.errors import RemoteProtocolError
from tests.drivers.dlms import by_gurux

MOMENTS = st.integers(0, 4_000_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))
DEVIATIONS = st.integers(-14 * 60, 14 * 60)


@given(MOMENTS, DEVIATIONS)
def test_a_moment_is_read_as_it_was_written(moment: datetime, deviation: int) -> None:
    assert clock_time.decode(clock_time.encode(moment, deviation)).utc() == moment


@given(MOMENTS, st.integers(-14, 14))
def test_a_moment_is_what_gurux_means(moment: datetime, hours: int) -> None:
    local = moment.astimezone(timezone(timedelta(hours=hours)))
    data = by_gurux.encoded(DataType.OCTET_STRING, GXDateTime(local))
    assert data[:2] == b"\x09\x0c"
    assert clock_time.decode(data[2:]).utc() == moment


@given(st.lists(st.binary(min_size=12, max_size=12), min_size=1, max_size=30), DEVIATIONS)
@example([bytes.fromhex("07e4021d06ffffffff800000")], -60)
@example([bytes.fromhex("ffffffffffffffffff8000ff")], 0)
def test_a_column_is_read_as_each_of_its_times(rows: list[bytes], assumed: int) -> None:
    octets = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 12)
    for deviation in (None, assumed):
        moments, known, status = clock_time.decode_column(octets, deviation)
        for row, moment, is_known, bits in zip(rows, moments, known, status, strict=True):
            try:
                time = clock_time.decode(row)
            except RemoteProtocolError:
                assert not is_known
                continue
            expected = time.utc(deviation)
            assert is_known == (expected is not None)
            assert bits == time.status
            assert expected is None or int(expected.timestamp()) == moment


def test_times_of_a_column_of_true_times_are_all_known() -> None:
    first = datetime(2024, 2, 28, 22, tzinfo=UTC)
    moments = [first + timedelta(minutes=15 * row) for row in range(200)]
    data = b"".join(clock_time.encode(moment, -180) for moment in moments)
    found, known, _ = clock_time.decode_column(np.frombuffer(data, np.uint8).reshape(-1, 12))
    assert known.all()
    assert found.tolist() == [int(moment.timestamp()) for moment in moments]


@pytest.mark.parametrize(
    "text",
    [
        "07ea021e ff 000000 ff 0000 00",  # 30 February
        "07ea0100 ff 000000 ff 0000 00",
        "07ea0d01 ff 000000 ff 0000 00",
        "07ea0101 ff 180000 ff 0000 00",  # 24 o'clock
        "ffff0101 ff 000000 ff 0000 00",  # any year
        "07ea0101 ff 000000 ff 7000 00",  # 19 days from UTC
        "07ea0101",
        "",
    ],
)
def test_what_is_no_time_is_a_protocol_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        clock_time.decode(bytes.fromhex(text))


def test_an_open_deviation_is_never_guessed() -> None:
    time = clock_time.decode(bytes.fromhex("07ea0701030c0000ff8000ff"))
    assert time.utc() is None
    assert time.utc(-180) == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert time.status == 0
