"""The time that counts: the machine's, or a simulated fleet's while one is in force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headend import clock
from headend.clock import ClockError
from schemas.database import Connection
from tests.headend.registry import end_device

JUNE = datetime(2026, 6, 5, tzinfo=UTC)


def test_a_fleets_time_is_in_force_until_the_machines_is_again(connection: Connection) -> None:
    end_device(connection, "M1")
    clock.pretend(connection, JUNE, end_devices=["M1", "M2"])
    assert clock.now(connection) == JUNE
    clock.resume(connection)
    assert abs(clock.now(connection) - datetime.now(UTC)) < timedelta(minutes=1)


def test_no_simulated_time_where_a_meter_may_be_real(connection: Connection) -> None:
    end_device(connection, "M1")
    end_device(connection, "REAL-7")
    with pytest.raises(ClockError, match="'REAL-7'"):
        clock.pretend(connection, JUNE, end_devices=["M1"])
    assert clock.simulated(connection) is None
