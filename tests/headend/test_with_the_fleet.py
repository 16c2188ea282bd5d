"""The head-end against simulated meters that speak DLMS, held to the simulators' truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from headend import clock, counters, groups, jobs, keys, on_demand, overview, schedules
from headend.capacity import Limits
from mdm import registry
from schemas import database, quality
from schemas.database import Connection
from simulators import control, truth
from simulators import fleet as fleets
from simulators.fleet import Fleet
from tests.headend.registry import count

LIMITS = Limits(timeout=2.0, lease_wait=1.0, flush_seconds=0.2)
TYPE = "active_energy_import_interval"


@dataclass(frozen=True)
class Stage:
    url: str
    fleet: Fleet
    end: datetime


@pytest.fixture
def stage(database_url: str, connection: Connection) -> Iterator[Stage]:
    """A registered fleet, served, with its clock at the end of its data."""
    small = fleets.load("small")
    end = small.period.end + timedelta(minutes=10)
    with control.running("small", now=end) as running:
        rows = small.registry(dlms_port=running.dlms_port, modbus_port=1, broker="mqtt://none")
        assert registry.import_rows(connection, rows).rejected == []
        assert keys.import_keys(connection, small.keys(), now=end).rejected == ()
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "daily", group="all", now=end - timedelta(days=1), cron="0 0 * * *",
            reads=["clock", "register_history", "intervals", "events"], time_zone="Asia/Kuwait",
        )  # fmt: skip
        clock.simulate(connection, end)
        yield Stage(database_url, small, end)


def raw(connection: Connection, mrid: str) -> dict[datetime, int | None]:
    rows = connection.execute(
        "SELECT starts_at, value FROM raw_reading WHERE end_device = %s AND reading_type = %s",
        [mrid, TYPE],
    )
    return {at.astimezone(UTC): value for at, value in rows}


def test_a_fleet_is_read_as_it_truly_was_and_faults_are_named(
    stage: Stage, connection: Connection
) -> None:
    done = jobs.drain(stage.url, stage.end, limits=LIMITS)
    faulty = set(truth.faults(stage.fleet)["end_device"])
    known = truth.intervals(stage.fleet)
    known = known[known["reading_type"] == TYPE]
    checked = 0
    for meter in stage.fleet.meters:
        if meter.mrid in faulty:
            continue
        mine = known[known["end_device"] == meter.mrid]
        expected = dict(zip(mine["starts_at"], mine["value"], strict=True))
        got = raw(connection, meter.mrid)
        multiplier = int(meter.multiplier)
        assert {at.to_pydatetime(): int(value) for at, value in expected.items()} == {
            at: (value or 0) * multiplier for at, value in got.items()
        }
        assert overview.missing(connection, meter.mrid, now=stage.end) == ()
        checked += 1
    assert checked >= 6
    assert done.failed == 1
    # The wrong key is named, and the meter is left alone until somebody acts.
    locked = overview.status(connection, "M00009", now=stage.end)
    assert (locked.verdict.name, locked.condition.held) == ("wrong_key", True)
    off = overview.status(connection, "M00010", now=stage.end)
    assert off.verdict.name in ("talks", "clock_off")


def test_slots_that_a_meter_lost_are_known_to_be_missing(
    stage: Stage, connection: Connection
) -> None:
    jobs.drain(stage.url, stage.end, limits=LIMITS)
    faults = truth.faults(stage.fleet)
    gap = faults[(faults["kind"] == "gap") & (faults["end_device"] == "M00002")].iloc[0]
    lost = [at for at, value in raw(connection, "M00002").items() if value is None]
    assert lost
    assert all(gap["starts_at"] <= at < gap["ends_at"] for at in lost)
    assert overview.missing(connection, "M00002", now=stage.end) == ()
    marked = count(connection, "raw_interval_block", f"quality[1] = {quality.MISSING}")
    assert marked >= 1


def test_draining_again_asks_for_nothing_and_changes_nothing(
    stage: Stage, connection: Connection
) -> None:
    jobs.drain(stage.url, stage.end, limits=LIMITS)
    tables = ("raw_interval_block", "raw_register_reading", "end_device_event", "arrival")
    before = [count(connection, table) for table in tables]
    later = stage.end + timedelta(minutes=5)
    done = jobs.drain(stage.url, later, limits=LIMITS)
    assert (done.ok, done.intervals) == (0, 0)
    read = on_demand.read(
        stage.url, "M00007", reads=["intervals", "register_history"], limits=LIMITS
    )
    assert (read.outcome, read.landed.intervals, read.landed.registers) == ("ok", 0, 0)
    assert [count(connection, table) for table in tables] == before


def test_a_counter_that_the_meter_refuses_is_set_right(
    stage: Stage, connection: Connection
) -> None:
    """As after a database was restored from last night's copy."""
    first = on_demand.read(stage.url, "M00007", reads=["clock"], limits=LIMITS)
    assert first.outcome == "ok"
    with counters.Source(stage.url) as source:
        high = source.reserve(_id(connection, "M00007"), 1)
    connection.execute("UPDATE invocation_counter SET next_value = 1")
    again = on_demand.read(stage.url, "M00007", reads=["clock"], limits=LIMITS)
    assert (again.outcome, again.error) == ("ok", None)
    assert again.attempts == 2
    assert high > 1


def _id(connection: Connection, mrid: str) -> int:
    row = connection.execute("SELECT id FROM end_device WHERE mrid = %s", [mrid]).fetchone()
    assert row
    return int(row[0])


def test_the_right_key_brings_a_meter_back(stage: Stage, connection: Connection) -> None:
    jobs.drain(stage.url, stage.end, limits=LIMITS)
    with database.connect(stage.url) as open_connection:
        keys.import_keys(open_connection, stage.fleet.keys(right=True), now=stage.end)
    done = jobs.drain(stage.url, stage.end + timedelta(minutes=1), limits=LIMITS)
    assert done.ok == 1
    assert overview.status(connection, "M00009", now=stage.end).verdict.name == "talks"
    assert overview.missing(connection, "M00009", now=stage.end) == ()
