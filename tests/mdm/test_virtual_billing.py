"""A virtual usage point is billed, corrected and explained like any other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from mdm import cycle, cycle_status, explain, replay, virtual, virtual_import
from mdm.explanation import Proof
from mdm.virtual_file import COLUMNS
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, SLOTS

COMMON = (
    "V,total,electricity,residential,Asia/Kuwait,kw-residential,V,active_energy_import_interval,900"
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def computed(connection: Connection, hours: int = 0) -> None:
    while virtual.run(connection, now=billing.later(hours)).taken:
        pass


def defined(connection: Connection) -> None:
    text = f"{','.join(COLUMNS)}\n{COMMON},UP-1,,1,,2026-01-01,\n{COMMON},UP-2,,-0.5,,2026-01-01,\n"
    done = virtual_import.import_definitions(connection, io.StringIO(text), now=NOW)
    assert not done.rejected


def consumption(connection: Connection) -> list[Decimal]:
    rows = connection.execute(
        "SELECT value FROM billing WHERE determinant = 'consumption' AND part = '' ORDER BY value"
    )
    return [row[0] for row in rows]


def test_a_virtual_usage_point_is_billed_and_replayed(connection: Connection) -> None:
    billing.add_whole(connection, "UP-1", 100)
    billing.add_whole(connection, "UP-2", 70)
    defined(connection)
    computed(connection)
    this = billing.june(connection, "V")
    cycle.run(connection, this, now=NOW)
    assert cycle_status.holds(connection, this) == []
    assert consumption(connection) == [Decimal(65 * SLOTS) / 1000]
    assert replay.of_usage_point(connection, this, "V").identical


def test_an_interval_of_a_sum_names_what_it_was_made_of(connection: Connection) -> None:
    first = billing.add_whole(connection, "UP-1", 100)
    billing.add_whole(connection, "UP-2", 70)
    defined(connection)
    computed(connection)
    values = [100] * SLOTS
    values[10] = 300
    billing.record_intervals(
        connection, first.interval, values, {10: quality.ESTIMATED_LINEAR}, at=billing.later(1)
    )
    computed(connection, 2)
    moment = PERIOD.start + 10 * timedelta(minutes=15)
    (told,) = explain.explain(connection, "V", moment, now=billing.later(3))
    assert (told.final.number, told.final.kind, told.final.value) == (2, "virtual", 265)
    assert told.final.quality == quality.ESTIMATED_LINEAR
    assert [(i.usage_point, i.factor, i.version, i.value, i.quality) for i in told.inputs] == [
        ("UP-1", 1, 2, 300, quality.ESTIMATED_LINEAR),
        ("UP-2", Decimal("-0.5"), 1, 70, quality.VALID),
    ]
    assert told.proof == Proof(265, quality.ESTIMATED_LINEAR, True, None, None)
