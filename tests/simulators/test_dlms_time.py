"""COSEM date-times: written for whole grids, read from requests."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import dlms_time
from simulators.dlms_codec import Malformed


def _written(moment: datetime, zone: str) -> str:
    return dlms_time.date_times(np.array([int(moment.timestamp())]), zone).tobytes().hex()


@pytest.mark.parametrize(
    ("moment", "zone", "octets"),
    [
        # Thursday; 3 hours ahead of UTC is a deviation of -180 minutes
        (datetime(2026, 6, 30, 21, tzinfo=UTC), "Asia/Kuwait", "07ea070103000000 00ff4c00"),
        (
            datetime(2026, 1, 1, 12, 30, 15, tzinfo=UTC),
            "Europe/London",
            "07ea0101040c1e0f 00000000",
        ),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "Europe/London", "07ea0701030d0000 00ffc480"),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "America/New_York", "07ea070103080000 0000f080"),
    ],
)
def test_written_as_the_standard_says(moment: datetime, zone: str, octets: str) -> None:
    assert _written(moment, zone) == octets.replace(" ", "")


@given(
    st.integers(0, 2**32),
    st.sampled_from(["Asia/Kuwait", "Europe/London", "America/New_York", "Australia/Sydney"]),
)
def test_what_is_written_is_read_back(seconds: int, zone: str) -> None:
    written = dlms_time.date_times(np.array([seconds]), zone).tobytes()
    assert dlms_time.moment(written, zone) == seconds
    without = written[:9] + b"\x80\x00" + written[11:]
    assert abs(dlms_time.moment(without, zone) - seconds) <= 3600


def test_open_parts_are_the_smallest() -> None:
    octets = bytes.fromhex("07ea0701ffffffffff800000")
    assert (
        dlms_time.moment(octets, "Asia/Kuwait") == datetime(2026, 6, 30, 21, tzinfo=UTC).timestamp()
    )


@pytest.mark.parametrize(
    "octets", ["", "07ea", "ffffffffffffffffff800000", "07ea0d0103000000ff4c0000"]
)
def test_days_that_are_none(octets: str) -> None:
    with pytest.raises(Malformed):
        dlms_time.moment(bytes.fromhex(octets), "Asia/Kuwait")
