"""The head-end with meters on HDLC, UDP, serial ports and behind gateways, held to the truth."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from console import command
from headend import clock, collector, groups, jobs, keys, schedules
from headend.capacity import Limits
from headend.exchange import Order
from mdm import registry
from schemas.database import Connection
from simulators import control
from simulators import fleet as fleets
from simulators.fleet import Fleet

# Noisy lines lose every fourth frame; what is lost is asked for again after a third of this.
LIMITS = Limits(timeout=1.0, lease_wait=5.0, flush_seconds=0.2)
TYPE = "active_energy_import_interval"


@dataclass(frozen=True)
class Stage:
    url: str
    fleet: Fleet
    end: datetime


@pytest.fixture
def stage(database_url: str, connection: Connection, tmp_path: Path) -> Iterator[Stage]:
    """The fleet of all lines, registered and served, with its clock at the end of its data."""
    lines = fleets.load("lines")
    end = lines.period.end + timedelta(minutes=10)
    with control.running("lines", now=end, serial_folder=tmp_path) as running:
        rows = lines.registry(dlms_port=running.dlms_port, serial_folder=tmp_path)
        assert registry.import_rows(connection, rows).rejected == []
        assert keys.import_keys(connection, lines.keys(), now=end).rejected == ()
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "daily", group="all", now=end - timedelta(days=1), cron="0 0 * * *",
            reads=["clock", "register_history", "intervals"], time_zone="Asia/Kuwait",
        )  # fmt: skip
        clock.simulate(connection, end)
        yield Stage(database_url, lines, end)


def test_every_meter_is_read_whatever_line_it_is_on(stage: Stage, connection: Connection) -> None:
    done = jobs.drain(stage.url, stage.end, limits=LIMITS)
    failed = connection.execute(
        "SELECT d.mrid, s.error, s.message FROM collection_session s"
        " JOIN end_device d ON d.id = s.end_device_id WHERE s.outcome <> 'ok'"
    ).fetchall()
    assert failed == []
    assert done.ok == len(stage.fleet.meters)
    for meter in stage.fleet.meters:
        rows = connection.execute(
            "SELECT value FROM raw_reading WHERE end_device = %s AND reading_type = %s"
            " ORDER BY starts_at",
            [meter.mrid, TYPE],
        )
        truth = meter.true_intervals("active_energy_import").tolist()
        assert [row[0] for row in rows] == truth


def test_a_meter_of_each_line_is_read_now_by_command(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", stage.url)
    for group in ("hdlc", "gateway", "serial"):
        meter = next(meter for meter in stage.fleet.meters if meter.group == group)
        monkeypatch.setattr(sys, "argv", ["miqyas", "read", meter.mrid, "--now"])
        with pytest.raises(SystemExit) as ended:
            command.main()
        said = capsys.readouterr().out
        assert not ended.value.code, said
        assert f"{meter.mrid}: ok after" in said


async def test_two_processes_never_talk_on_the_same_line_at_once(
    stage: Stage, connection: Connection
) -> None:
    # These endpoints cut a second connection off; a serial port lets nobody else open it.
    shared = [one for one in stage.fleet.meters if one.group in ("bus", "gateway", "serial")]
    ids = dict(connection.execute("SELECT mrid, id FROM end_device").fetchall())
    limits = replace(LIMITS, lease_wait=60.0)
    async with (
        collector.running(stage.url, limits=limits) as one,
        collector.running(stage.url, limits=limits) as other,
    ):
        halves = [tuple(ids[meter.mrid] for meter in shared[at::2]) for at in (0, 1)]
        orders = [Order(half, ("clock", "intervals"), "on_demand") for half in halves]
        done = await asyncio.gather(
            one.collect(orders[0], clock=lambda: stage.end),
            other.collect(orders[1], clock=lambda: stage.end),
        )
    assert sum(half.ok for half in done) == len(shared)
    results = [recorded.result for half in done for recorded in half.recorded]
    assert {result.attempts for result in results} == {1}
