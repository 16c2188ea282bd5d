from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headend import clock, collector, devices, jobs, on_demand, overview, sessions
from headend.capacity import Limits
from headend.exchange import Order, Progress
from schemas.database import Connection
from schemas.period import Period
from tests.headend.line_meter import House, LineDriver, Meter
from tests.headend.registry import end_device

NOW = datetime(2026, 6, 2, 0, 20, tzinfo=UTC)
FROM = datetime(2026, 6, 1, tzinfo=UTC)
DRIVERS = {"dlms": LineDriver()}
QUICK = Limits(timeout=0.5, lease_wait=0.2, flush_seconds=0.2)
HOST = "127.7.0.1"


def meter(connection: Connection, house: House, mrid: str = "M1") -> Meter:
    clock.simulate(connection, NOW)
    end_device(connection, mrid, host=HOST, port=house.port, installed_from=FROM)
    house.meters[HOST] = Meter(mrid)
    return house.meters[HOST]


async def test_reading_now_shows_progress_and_gives_values(
    connection: Connection, database_url: str, house: House
) -> None:
    meter(connection, house)
    steps: list[Progress] = []
    read = await on_demand.read_async(
        database_url, "M1", DRIVERS, listener=steps.append, limits=QUICK
    )
    assert (read.outcome, read.error, read.remaining) == ("ok", None, False)
    assert (read.landed.intervals, read.landed.registers, read.landed.events) == (97, 1, 1)
    assert [step.step.split()[0] for step in steps] == [
        "connect", "identity", "clock", "registers", "register_history", "events", "intervals",
        "done",
    ]  # fmt: skip
    assert [step.done for step in steps] == [0, 0, 1, 2, 3, 4, 5, 6]
    names = {value.reading_type: value for value in read.values}
    assert names["active_energy_import"].at == NOW
    last = names["active_energy_import_interval"]
    assert last.at == datetime(2026, 6, 2, 0, 0, tzinfo=UTC)


async def test_reading_now_tries_a_meter_that_is_held_and_frees_it_when_it_talks(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    mine.mood = "locked"
    first = await on_demand.read_async(database_url, "M1", DRIVERS, limits=QUICK)
    assert (first.outcome, first.error) == ("failed", "WrongKey")
    assert overview.status(connection, "M1", now=NOW).condition.held
    mine.mood = "well"
    assert (await on_demand.read_async(database_url, "M1", DRIVERS, limits=QUICK)).outcome == "ok"
    assert not overview.status(connection, "M1", now=NOW).condition.held


async def test_a_meter_that_somebody_else_reads_is_busy(
    connection: Connection, database_url: str, house: House
) -> None:
    meter(connection, house)
    device = devices.named(connection, "M1")
    async with collector.running(database_url, DRIVERS, QUICK) as other:
        assert await other._leases.take(device.id)
        with pytest.raises(on_demand.Busy, match="M1 is being read by another process"):
            await on_demand.read_async(database_url, "M1", DRIVERS, limits=QUICK)


async def test_who_cannot_be_asked_is_said_so(
    connection: Connection, database_url: str, house: House
) -> None:
    meter(connection, house)
    end_device(connection, "W1", protocol="mqtt", host=None)
    with pytest.raises(on_demand.NotReadable, match="W1 publishes by itself"):
        await on_demand.read_async(database_url, "W1", DRIVERS)
    with pytest.raises(devices.UnknownDevice, match="no end device 'X'"):
        await on_demand.read_async(database_url, "X", DRIVERS)


async def test_the_status_says_what_a_technician_needs(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    new = overview.status(connection, "M1", now=NOW)
    assert (new.verdict.name, new.sessions, new.values) == ("never_read", (), ())
    assert new.missing == (Period(FROM, datetime(2026, 6, 2, 0, 15, tzinfo=UTC)),)
    await on_demand.read_async(database_url, "M1", DRIVERS, limits=QUICK)
    mine.mood = "dumb"
    clock.simulate(connection, NOW + timedelta(hours=1))
    await on_demand.read_async(database_url, "M1", DRIVERS, limits=QUICK)
    now = overview.status(connection, "M1", now=NOW + timedelta(hours=2))
    assert (now.verdict.name, now.verdict.since) == ("no_answer", NOW + timedelta(hours=1))
    assert now.verdict.detail == "M1: no answer"
    assert (now.condition.last_ok, now.condition.failures) == (NOW, 1)
    assert now.identity == {"serial": "M1", "manufacturer": "", "model": "", "firmware": ""}
    assert [session.outcome for session in now.sessions] == ["failed", "ok"]
    assert [period.start for period in now.missing] == [datetime(2026, 6, 2, 0, 15, tzinfo=UTC)]
    assert [event.description for event in now.events] == ["power down"]


async def test_the_fleet_counts_who_talks(
    connection: Connection, database_url: str, house: House
) -> None:
    meter(connection, house)
    end_device(connection, "DEAD", host="127.7.0.9", port=1)
    end_device(connection, "NEW", host="127.7.0.9", port=1)
    end_device(connection, "BOOK", protocol="manual", host=None)
    end_device(connection, "GONE", installed_until=FROM)
    ids = [devices.named(connection, mrid).id for mrid in ("M1", "DEAD")]
    async with collector.running(database_url, DRIVERS, QUICK) as reader:
        order = Order(tuple(ids), ("clock",), "schedule")
        await reader.collect(order, clock=jobs.clock_of(connection))
    seen = overview.fleet(connection, now=NOW)
    assert {line.mrid: line.verdict.name for line in seen.devices} == {
        "M1": "talks",
        "DEAD": "refused",
        "NEW": "never_read",
    }
    assert seen.levels == {"good": 1, "bad": 1, "unknown": 1}
    assert seen.queue.released == 0


async def test_somebody_can_let_a_held_meter_be_tried_again(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    mine.mood = "locked"
    await on_demand.read_async(database_url, "M1", DRIVERS, limits=QUICK)
    device = devices.named(connection, "M1")
    assert sessions.release(connection, device.id, now=NOW)
    assert not sessions.release(connection, device.id, now=NOW)
    mine.mood = "well"
    async with jobs.opened(database_url, DRIVERS, limits=QUICK) as pool:
        assert (await pool.drain(NOW)).ok == 1
