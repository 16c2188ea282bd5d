"""Meters without memory: samples of a register become intervals, over wraps, losses and resets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mdm import vee
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
SAMPLED = {"protocol": "modbus", "interval_seconds": 3600, "register_modulus": 100_000}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def meter(connection: Connection, mrid: str = "M-1", **more: object) -> int:
    """A usage point with a meter; gives the installation."""
    point = record.usage_point(connection, f"UP-{mrid}")
    return record.installation(connection, point, mrid, **more)  # type: ignore[arg-type]


def run(connection: Connection) -> None:
    """Take in everything that is there."""
    while vee.run(connection, now=NOW, rule_sets=record.RULES).taken:
        pass


def hourly(start: int, count: int = 25) -> list[tuple[datetime, int]]:
    """Samples of a register that grows by 100, 101, 102 … an hour, on a dial of five digits."""
    values = [start]
    for i in range(count - 1):
        values.append(values[-1] + 100 + i)
    return [(DAY + HOUR * i, value % 100_000) for i, value in enumerate(values)]


@pytest.mark.storage
def test_samples_of_a_register_become_intervals_over_its_wrap(connection: Connection) -> None:
    meter(connection, multiplier="7", **SAMPLED)
    record.land_registers(connection, "M-1", hourly(99_000))
    run(connection)
    table = record.final(connection)
    assert table.values.tolist() == [[7 * (100 + i) for i in range(24)]]
    assert (table.quality == 0).all()
    assert record.findings(connection) == []


@pytest.mark.parametrize(
    ("registry", "driver", "wrapped"),
    [(None, 100_000, True), (100_000, 10**9, True), (None, None, False), (10**9, 100_000, False)],
)
def test_the_driver_tells_where_a_register_wraps_if_the_registry_does_not(
    connection: Connection, registry: int | None, driver: int | None, *, wrapped: bool
) -> None:
    meter(connection, **{**SAMPLED, "register_modulus": registry})
    if driver:
        connection.execute(
            "INSERT INTO register_wrap SELECT id, 1, %s, now() FROM end_device", [driver]
        )
    record.land_registers(connection, "M-1", hourly(99_000))
    run(connection)
    table = record.final(connection)
    # The register passes 99,999 in its tenth hour.
    told = (table.quality[0] == 0).tolist()
    assert told == [wrapped or hour != 9 for hour in range(24)]
    if wrapped:
        assert table.values[0].tolist() == [100 + i for i in range(24)]


def test_a_late_sample_is_marked_and_a_missing_one_is_estimated_exactly(
    connection: Connection,
) -> None:
    meter(connection, **SAMPLED)
    samples = hourly(500)
    late = (samples[5][0] + timedelta(minutes=10), samples[5][1])
    record.land_registers(connection, "M-1", [*samples[:5], late, *samples[6:10], *samples[11:]])
    run(connection)
    table = record.final(connection)
    assert table.values[0, :9].tolist() == [100 + i for i in range(9)]
    assert table.quality[0, 4:6].tolist() == [quality.LATE_SAMPLE] * 2
    assert int(table.values[0, 9:11].sum()) == 109 + 110
    assert (table.quality[0, 9:11] == quality.ESTIMATED_SCALED_LINEAR).all()
    assert table.values[0, 11:].tolist() == [100 + i for i in range(11, 24)]
    assert [f for f in record.findings(connection) if f[0] == "gap"] == [
        ("gap", DAY + 9 * HOUR, DAY + 11 * HOUR)
    ]


def test_samples_lost_for_days_are_estimated_to_the_register(connection: Connection) -> None:
    meter(connection, **SAMPLED)
    samples = hourly(0, 24 * 4 + 1)
    record.land_registers(connection, "M-1", samples[:24])
    run(connection)
    # Nothing for two days, then a sample at a time: a stretch without length each.
    for sample in samples[72:]:
        record.land_registers(connection, "M-1", [sample])
    run(connection)
    table = record.final(connection)
    assert len(table) == 4
    assert int(table.values.sum()) == samples[-1][1]
    assert table.values[0, :23].tolist() == [100 + i for i in range(23)]
    assert table.quality[1].min() >= quality.ESTIMATED


def test_a_reset_register_says_nothing_over_the_reset(connection: Connection) -> None:
    meter(connection, **SAMPLED)
    samples = hourly(50_000)
    fallen = [(moment, value - 50_000) for moment, value in samples[12:]]
    record.land_registers(connection, "M-1", [*samples[:12], *fallen])
    run(connection)
    table = record.final(connection)
    assert table.values[0, :11].tolist() == [100 + i for i in range(11)]
    assert table.values[0, 12:].tolist() == [100 + i for i in range(12, 24)]
    assert 0 <= table.values[0, 11] < 1000
    assert table.quality[0, 11] >= quality.MISSING


def test_export_that_never_flows_is_nothing_to_remark(connection: Connection) -> None:
    # 1 is the import register, 2 the export register: both stand still for a day.
    meter(connection, **SAMPLED)
    for register in (1, 2):
        still = [(DAY + HOUR * i, 500) for i in range(25)]
        record.land_registers(connection, "M-1", still, reading_type_id=register)
    while vee.run(connection, now=NOW).taken:
        pass
    found = connection.execute(
        "SELECT t.name, f.rule FROM finding f JOIN channel c ON c.id = f.channel_id"
        " JOIN reading_type t ON t.id = c.reading_type_id"
    ).fetchall()
    assert sorted(found) == [
        ("active_energy_import_interval", "short_zero_run"),
        ("active_energy_import_interval", "zero_run"),
    ]


def test_reactive_energy_that_never_flows_is_nothing_to_remark_and_that_stops_is(
    connection: Connection,
) -> None:
    # 3 and 4 are the reactive registers: the one never moves, the other stops after a day.
    meter(connection, **SAMPLED)
    record.land_registers(connection, "M-1", hourly(0, 49))
    still = [(DAY + HOUR * i, 500) for i in range(73)]
    record.land_registers(connection, "M-1", still, reading_type_id=4)
    stops = [(DAY + HOUR * i, 10 * min(i, 24)) for i in range(73)]
    record.land_registers(connection, "M-1", stops, reading_type_id=3)
    while vee.run(connection, now=NOW).taken:
        pass
    found = connection.execute(
        "SELECT t.name, f.severity::text FROM finding f JOIN channel c ON c.id = f.channel_id"
        " JOIN reading_type t ON t.id = c.reading_type_id WHERE f.rule = 'zero_run'"
    ).fetchall()
    assert set(found) == {("reactive_energy_import_interval", "info")}
