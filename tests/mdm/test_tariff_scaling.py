"""Estimates meet each tariff register, by the calendar of the usage point's tariff."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from mdm import explain, vee
from mdm.explanation import Proof
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

# Tuesday 16 June 2026 in London, an hour ahead of UTC: green until 07:00, amber until 16:00, red
# until 19:00, amber until 23:00, green again (mdm/calendars/gb_bands.toml).
DAY = datetime(2026, 6, 15, 23, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
TOTAL, GREEN, AMBER, RED = 1, 5, 6, 7
GAPS = (10, 11, 66, 67)
"""Two quarters of an hour at 02:30 (green) and two at 16:30 (red), of 100 each."""
MARKS = [quality.MISSING if slot in GAPS else 0 for slot in range(96)]
CURVE = [0 if slot in GAPS else 100 for slot in range(96)]
# 32 slots are green, 52 amber, 12 red; green counted 40 more than 100 each, red 60 less.
COUNTED = {TOTAL: 9580, GREEN: 3240, AMBER: 5200, RED: 1140}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1", "Europe/London")
        connection.execute("UPDATE usage_point SET tariff = 'gb-works'")
        record.installation(connection, point, "M-1", multiplier="1")
        yield connection


def read(connection: Connection, counted: dict[int, int], *, days: int = 1) -> None:
    for register, energy in counted.items():
        readings = [(DAY, 50_000), (DAY + timedelta(days=days), 50_000 + energy)]
        record.land_registers(connection, "M-1", readings, reading_type_id=register)
    while vee.run(connection, now=NOW, rule_sets=record.RULES).taken:
        pass


def test_each_band_gets_what_its_register_counted_and_explains_it(connection: Connection) -> None:
    record.land(connection, "M-1", DAY, CURVE, MARKS)
    read(connection, COUNTED)
    table = record.final(connection)
    assert table.values[0, [10, 11, 66, 67]].tolist() == [120, 120, 70, 70]
    assert int(table.values[0].sum()) == COUNTED[TOTAL]
    (reason,) = connection.execute("SELECT reason FROM provenance WHERE rule_set <> ''").fetchall()
    assert reason == ("scaled to: active_energy_import_t1 (2), active_energy_import_t3 (2)",)
    connection.commit()
    (told,) = explain.explain(connection, "UP-1", DAY + 66 * QUARTER, now=NOW)
    assert told.proof == Proof(
        70,
        quality.ESTIMATED_SCALED_LINEAR,
        True,
        100,
        Decimal("0.700000"),
        "active_energy_import_t3",
    )


def test_without_tariff_registers_the_total_is_met(connection: Connection) -> None:
    record.land(connection, "M-1", DAY, CURVE, MARKS)
    read(connection, {TOTAL: COUNTED[TOTAL]})
    assert record.final(connection).values[0, list(GAPS)].tolist() == [95, 95, 95, 95]


def test_a_tariff_of_another_day_does_not_count(connection: Connection) -> None:
    # From that day on the tariff knows nothing of registers by time of use.
    connection.execute(
        "INSERT INTO usage_point_term (usage_point_id, starts_on, tariff)"
        " SELECT id, '2026-06-16', 'residential' FROM usage_point"
    )
    record.land(connection, "M-1", DAY, CURVE, MARKS)
    read(connection, COUNTED)
    assert record.final(connection).values[0, list(GAPS)].tolist() == [95, 95, 95, 95]


def test_over_the_day_of_23_hours_each_slot_belongs_to_its_own_band(database_url: str) -> None:
    # Sunday 29 March 2026 is green all day; Monday is green in 32 of its 96 slots. Saturday night
    # 23:00 local is 23:00 UTC, Monday's 02:30 local is 01:30 UTC.
    start = datetime(2026, 3, 29, 0, tzinfo=UTC)
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1", "Europe/London")
        connection.execute("UPDATE usage_point SET tariff = 'gb-works'")
        record.installation(connection, point, "M-1", multiplier="1")
        curve, marks = [100] * 188, [0] * 188
        for slot in (50, 92 + 66):
            curve[slot], marks[slot] = 0, quality.MISSING
        record.land(connection, "M-1", start, curve, marks)
        end = start + 188 * QUARTER
        counted = {TOTAL: 18_800, GREEN: (92 + 32) * 100 + 7, AMBER: 5200, RED: 1200 - 7}
        for register, energy in counted.items():
            record.land_registers(
                connection, "M-1", [(start, 0), (end, energy)], reading_type_id=register
            )
        while vee.run(connection, now=NOW, rule_sets=record.RULES).taken:
            pass
        table = record.final(connection)
        assert table.length.tolist() == [92, 96]
        assert (int(table.values[0, 50]), int(table.values[1, 66])) == (107, 93)


@pytest.mark.parametrize("total", [False, True])
def test_a_register_that_is_read_later_has_the_days_of_its_span_scaled_again(
    connection: Connection, total: bool
) -> None:
    # Four working days, and two that are green all day.
    days, one = 6, timedelta(days=1)
    registers = {TOTAL: 57_600 - 20} if total else {GREEN: 32_040, AMBER: 20_800, RED: 4_740}
    for register in registers:
        record.land_registers(connection, "M-1", [(DAY, 5)], reading_type_id=register)
    record.land(connection, "M-1", DAY, CURVE, MARKS)
    for day in range(1, days):
        record.land(connection, "M-1", DAY + day * one, [100] * 96)
    read(connection, {})
    assert record.final(connection).values[0, list(GAPS)].tolist() == [100, 100, 100, 100]

    for register, energy in registers.items():
        last = (DAY + days * one, 5 + energy)
        record.land_registers(connection, "M-1", [last], reading_type_id=register)
    done = vee.run(connection, now=NOW, rule_sets=record.RULES)
    assert done.days == 1
    values = record.final(connection).values
    expected = [95, 95, 95, 95] if total else [120, 120, 70, 70]
    assert values[0, list(GAPS)].tolist() == expected
    # Nothing is left to do, and nothing else was done.
    assert vee.run(connection, now=NOW, rule_sets=record.RULES).taken == 0
    assert len(connection.execute("SELECT FROM interval_block WHERE version > 1").fetchall()) == 1
