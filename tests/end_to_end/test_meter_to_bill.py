"""From simulated meters to acknowledged bills, by the programs as they run, held to the truth.

The worker is a process of its own and is killed in the middle; the meters and the invoicing system
are reached through real sockets. What was billed must be what truly flowed, to the Wh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from headend import clock, groups, jobs, keys, on_demand, schedules
from headend.capacity import Limits
from headend.collector import Collected
from headend.jobs import Pulse
from mdm import cycle, cycle_status, delivery, registry, replay, usage_points, vee, worklist
from mdm.cycle import Cycle
from schemas import database
from schemas.database import Connection
from simulators import control, invoicing, truth
from simulators import fleet as fleets
from simulators.fleet import Fleet
from tests.console import shell

SMALL = Path(fleets.__file__).parent / "fleets/small.toml"
# Some lines are slow, so that a worker is killed while it has some meters' answers and not others'.
SLOW = """
[[fault]]
kind = "slow_line"
meters = ["M00006", "M00011"]
at = 2026-06-01T00:00:00
length = [0]
latency = 0.3
"""
IMPORT = "active_energy_import_interval"
LOCKED = "UP00009"
"""Whose key is wrong: nothing is known of it, so it must not be billed."""
DRIFTED = "UP00010"
FIRST, UNTIL = date(2026, 6, 1), date(2026, 6, 5)
LIMITS = Limits(timeout=3.0, lease_wait=1.0, flush_seconds=0.2)
SECONDS = 30.0


@dataclass(frozen=True)
class Stage:
    url: str
    fleet: Fleet
    now: datetime
    environment: dict[str, str]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
def stage(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """A fleet, served and registered, and a schedule that is due."""
    key_file = tmp_path / "keys" / "master.key"
    monkeypatch.setenv("MIQYAS_MASTER_KEY_FILE", str(key_file))
    file = tmp_path / "slow.toml"
    file.write_text(SMALL.read_text("utf-8") + SLOW)
    fleet = fleets.load(file)
    now = fleet.period.end + timedelta(minutes=10)
    with control.running(file, now=now) as running:
        rows = fleet.registry(dlms_port=running.dlms_port)
        assert registry.import_rows(connection, rows).rejected == []
        assert keys.import_keys(connection, fleet.keys(), now=now).rejected == ()
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "nightly", group="all", now=now - timedelta(days=1), cron="0 0 * * *",
            reads=["clock", "register_history", "intervals", "events"], time_zone="Asia/Kuwait",
        )  # fmt: skip
        clock.simulate(connection, now)
        environment = {
            "MIQYAS_DATABASE_URL": database_url,
            "MIQYAS_HOME": str(tmp_path),
            "MIQYAS_MASTER_KEY_FILE": str(key_file),
        }
        yield Stage(database_url, fleet, now, environment)


def landed(connection: Connection) -> int:
    """Count the meters that intervals have landed of."""
    row = connection.execute(
        "SELECT count(DISTINCT end_device_id)::integer FROM raw_interval_block"
    ).fetchone()
    assert row
    return int(row[0])


def kill_in_the_middle(stage: Stage, connection: Connection) -> int:
    """Run a worker until it has landed something, then kill it; give how many meters it read."""
    until = time.monotonic() + SECONDS
    words = ("worker", "--with-scheduler", "--timeout", "3")
    with shell.process(*words, environment=stage.environment) as worker:
        while not landed(connection):
            assert worker.poll() is None, worker.communicate()
            assert time.monotonic() < until, "the worker landed nothing"
            time.sleep(0.02)
        worker.kill()
        worker.wait(SECONDS)
    return landed(connection)


async def go_on(stage: Stage) -> Collected:
    """Read what the killed worker left; its batch is taken up once its heart is silent."""
    pulse = Pulse(beat=0.5, silence=1.0)
    async with jobs.opened(stage.url, limits=LIMITS, pulse=pulse) as pool:
        return await pool.drain(stage.now)


def settle(stage: Stage) -> None:
    taken = 1
    while taken:
        with database.connect(stage.url) as connection:
            taken = vee.run(connection, now=stage.now).taken


def test_from_meter_to_bill(stage: Stage, connection: Connection, tmp_path: Path) -> None:
    before = kill_in_the_middle(stage, connection)
    assert 0 < before < 12
    asyncio.run(go_on(stage))
    # Schedules leave a meter alone that was taken down; whoever took it down reads it last.
    last = ["register_history", "intervals"]
    assert on_demand.read(stage.url, "M00012", reads=last, limits=LIMITS).outcome == "ok"
    _raw_is_what_the_meters_stored(stage, connection)
    settle(stage)
    _final_is_what_truly_flowed(stage, connection)
    opened = cycle.opened(connection, "monthly", FIRST, UNTIL, now=stage.now)
    assert cycle.run(connection, opened, now=stage.now).problems == ()
    assert {h.usage_point for h in cycle_status.holds(connection, opened)} == {LOCKED}
    with invoicing.serving(tmp_path / "books.sqlite") as receiver:
        sent = delivery.deliver(
            connection, opened, target=receiver.url, file_format="json", now=stage.now
        )
        assert (sent.items, sent.billed, sent.rejected) == (11, 11, 0)
        again = delivery.deliver(
            connection, opened, target=receiver.url, file_format="json", now=stage.now
        )
        assert again.items == 0
        _billed_is_what_truly_flowed(stage, receiver.url)
        _replayed(connection, opened, sets=11)
        _a_late_edit_is_a_correction(stage, connection, opened, receiver.url)


def _raw_is_what_the_meters_stored(stage: Stage, connection: Connection) -> None:
    """Nothing lost, nothing doubled, although the worker died: but for what the faults say."""
    assert landed(connection) == 12
    faulty = set(truth.faults(stage.fleet).query("kind != 'slow_line'")["end_device"])
    known = truth.intervals(stage.fleet)
    checked = 0
    for meter in stage.fleet.meters:
        if meter.mrid in faulty:
            continue
        mine = known[(known["end_device"] == meter.mrid) & (known["reading_type"] == IMPORT)]
        rows = connection.execute(
            "SELECT starts_at, value FROM raw_reading"
            " WHERE end_device = %s AND reading_type = %s ORDER BY starts_at",
            [meter.mrid, IMPORT],
        ).fetchall()
        starts = [start.to_pydatetime() for start in mine["starts_at"]]
        assert [at.astimezone(UTC) for at, _ in rows] == starts
        assert [value * meter.multiplier for _, value in rows] == mine["value"].tolist()
        checked += 1
    assert checked >= 6


def _final_is_what_truly_flowed(stage: Stage, connection: Connection) -> None:
    """Every day of every meter with a register adds up to the Wh, whatever was wrong with it."""
    rows = connection.execute(
        "SELECT usage_point, sum(value)::bigint FROM reading WHERE reading_type = %s GROUP BY 1",
        [IMPORT],
    ).fetchall()
    _same_but_for_drift(dict(rows), _true_energy(stage))


def _same_but_for_drift(found: dict[str, int], true: dict[str, int]) -> None:
    """Hold energies to the truth: of all to the Wh, but of the one whose midnight is not ours."""
    # Its clock is ten minutes ahead at the end of four days: so much lies beyond its last midnight.
    assert found.pop(DRIFTED) == pytest.approx(true.pop(DRIFTED), rel=0.01)
    assert found == true


def _true_energy(stage: Stage) -> dict[str, int]:
    energy = truth.energy(stage.fleet, stage.fleet.period)
    mine = energy[(energy["reading_type"] == IMPORT) & (energy["usage_point"] != LOCKED)]
    return {str(p): int(v) for p, v in zip(mine["usage_point"], mine["value"], strict=True)}


def _invoices(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/invoices", trust_env=False).json()["invoices"]
    return found


def _billed_is_what_truly_flowed(stage: Stage, url: str) -> None:
    billed = {one["usage_point"]: int(Decimal(one["quantity"]) * 1000) for one in _invoices(url)}
    assert len(billed) == len(_invoices(url))
    _same_but_for_drift(billed, _true_energy(stage))


def _replayed(connection: Connection, opened: Cycle, *, sets: int) -> None:
    found = [
        one
        for export in delivery.exports(connection, opened)
        for one in replay.of_export(connection, export)
    ]
    assert len(found) == sets
    assert all(one.identical for one in found)


def _a_late_edit_is_a_correction(
    stage: Stage, connection: Connection, opened: Cycle, url: str
) -> None:
    later = stage.now + timedelta(hours=1)
    point = usage_points.named(connection, "UP00001")
    assert point
    channel = next(
        one.id
        for one in usage_points.channels(connection, [point.id])
        if one.reading_type == IMPORT and one.interval_seconds
    )
    slot = stage.fleet.period.start + timedelta(hours=30)
    row = connection.execute(
        "SELECT value FROM readings(%s, %s, %s)", [channel, slot, slot + timedelta(minutes=15)]
    ).fetchone()
    assert row
    with connection.transaction():
        edits = {slot: row[0] + 2}
        worklist.edit(
            connection, channel, edits, person="Noura", reason="read off", now=later,
            after_billing=True,
        )  # fmt: skip
    assert cycle.run(connection, opened, now=later).corrected == 1
    changed = {c.name: c for c in cycle_status.corrections(connection, opened)}
    assert changed["interval_consumption"].difference == Decimal("0.002")
    assert {c.usage_point for c in changed.values()} == {"UP00001"}
    if any(h.usage_point == "UP00001" for h in cycle_status.holds(connection, opened)):
        cycle.release(
            connection, opened, "UP00001", person="Noura", reason="seen on site", now=later
        )
    sent = delivery.deliver(connection, opened, target=url, file_format="json", now=later)
    assert (sent.items, sent.billed) == (1, 1)
    newest = _invoices(url)[-1]
    assert (newest["usage_point"], newest["version"], newest["corrects"]) == ("UP00001", 2, 1)
    _replayed(connection, opened, sets=12)
