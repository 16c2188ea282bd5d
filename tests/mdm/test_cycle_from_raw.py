"""From what meters said to determinants: an exchange in the middle of a day, to the last Wh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from mdm import cycle, cycle_status, replay, vee
from mdm.intake_layout import Weeks
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, SLOTS, june

EXCHANGED = PERIOD.start + timedelta(hours=34, minutes=30)
INTERVAL, REGISTER = 11, 1


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def land(
    connection: Connection, device: int, start: datetime, values: list[int], dial: int
) -> None:
    """Land quarter hours as a head-end does, cut at 00:00 UTC, and the dial at local midnights."""
    at = start
    while values:
        midnight = (at + timedelta(days=1)).replace(hour=0, minute=0)
        count = min(len(values), int((midnight - at) / timedelta(minutes=15)))
        connection.execute(
            "INSERT INTO raw_interval_block (end_device_id, reading_type_id, starts_at,"
            ' interval_seconds, digest, source, collected_at, "values")'
            " VALUES (%s, %s, %s, 900, %s, 'test', %s, %s)",
            [device, INTERVAL, at, count, NOW, values[:count]],
        )
        for place in range(count + 1):
            moment = at + place * timedelta(minutes=15)
            if moment.astimezone(billing.KUWAIT).hour == 0 and moment.minute == 0:
                connection.execute(
                    "INSERT INTO raw_register_reading (end_device_id, reading_type_id, read_at,"
                    " value, source, collected_at) VALUES (%s, %s, %s, %s, 'test', %s)"
                    " ON CONFLICT DO NOTHING",
                    [device, REGISTER, moment, dial + sum(values[:place]), NOW],
                )
        dial += sum(values[:count])
        at, values = midnight, values[count:]
    connection.execute(
        "INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)"
        " VALUES (%s, %s, %s, %s)",
        [device, start, PERIOD.end, NOW],
    )


def settle(connection: Connection) -> None:
    while vee.run(connection, now=NOW, weeks=Weeks()).taken:
        pass


def devices(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM end_device ORDER BY id")]


def test_an_exchange_in_the_middle_of_a_day(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1", multiplier=2, modulus=100_000)
    connection.execute(
        "UPDATE installation SET ends_at = %s WHERE id = %s", [EXCHANGED, point.installation]
    )
    billing.add_meter(connection, point.id, "M-new", 40, starts_at=EXCHANGED)
    old, new = devices(connection)
    random = np.random.default_rng(3)
    before = random.integers(50, 250, 138).tolist()
    after = random.integers(5, 15, SLOTS - 138).tolist()
    land(connection, old, PERIOD.start, before, 99_990 - 5_000)
    land(connection, new, EXCHANGED, after, 0)
    settle(connection)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    truth = Decimal(2 * sum(before) + 40 * sum(after)) / 1000
    found = dict(
        connection.execute("SELECT determinant, value FROM billing WHERE part = ''").fetchall()
    )
    assert cycle_status.holds(connection, this) == []
    assert found["consumption"] == truth
    assert found["register_consumption"] == truth
    assert found["interval_consumption"] == truth
    assert replay.of_usage_point(connection, this, "UP-1").identical


def test_a_gap_is_estimated_counted_and_billed_exactly(connection: Connection) -> None:
    billing.add_point(connection, "UP-1")
    (device,) = devices(connection)
    values = np.random.default_rng(4).integers(100, 300, SLOTS).tolist()
    land(connection, device, PERIOD.start, values, 7_000)
    # Five rows of the second day's profile that the meter never stored.
    moment = datetime(2026, 6, 2, tzinfo=UTC)
    codes = [quality.VALID] * 39 + [quality.MISSING] * 5 + [quality.VALID] * 52
    connection.execute(
        "UPDATE raw_interval_block SET quality = %s::smallint[] WHERE starts_at = %s",
        [codes, moment],
    )
    settle(connection)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    found = connection.execute(
        "SELECT value, estimated, missing FROM billing WHERE determinant = 'interval_consumption'"
    ).fetchone()
    assert found == (Decimal(sum(values)) / 1000, 5, 0)
    assert cycle_status.holds(connection, this) == []
