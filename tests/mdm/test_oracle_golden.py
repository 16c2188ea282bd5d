"""What the oracle found, each in the smallest bill that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest

from mdm import billing_terms, cycle, cycle_status, replay
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, SLOTS, june


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def test_a_part_before_the_meter_came_misses_nothing(connection: Connection) -> None:
    """Consumer and meter come on the second day: nothing was expected on the first."""
    point = billing.add_point(connection, "UP-1", tariff="kw-residential")
    came = PERIOD.start + timedelta(days=1)
    connection.execute("UPDATE installation SET starts_at = %s", [came])
    absent = dict.fromkeys(range(96), quality.MISSING)
    values = [0] * 96 + [100] * (SLOTS - 96)
    billing.record_intervals(connection, point.interval, values, absent)
    heading = "usage_point,starts_on,tariff,account"
    lines = [heading, f"UP-1,{date(2026, 6, 2)},kw-residential,A-77"]
    assert billing_terms.import_terms(connection, lines).changed == 1
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    rows = connection.execute(
        "SELECT part, value, actual, missing FROM billing WHERE determinant = 'consumption'"
        " ORDER BY part"
    ).fetchall()
    assert rows == [
        ("2026-06-01/2026-06-02", Decimal(0), 0, 0),
        ("2026-06-02/2026-06-04 A-77", Decimal("19.2"), SLOTS - 96, 0),
    ]
    assert cycle_status.holds(connection, this) == []
    assert replay.of_usage_point(connection, this, "UP-1").identical
