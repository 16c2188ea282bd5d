"""Plugs are pulled while meters are read: each interval that they hold is in the store once.

The worker is the command in a process of its own, and so are the meters. In turn, seeded: all the
database's connections are cut, the meters' process is killed in the middle of block transfers, the
worker is killed.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from headend import clock, groups, jobs, keys, schedules
from headend.capacity import Limits
from headend.jobs import Pulse
from mdm import registry
from schemas import database
from schemas.database import Connection
from simulators import fleet as fleets
from simulators import truth
from simulators.fleet import Fleet
from tests.console import shell

FLEET = """
seed = 11
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2
now = "end"

[[group]]
name = "open"
protocol = "dlms"
count = 6
profile = "generic"
first_address = "127.43.0.1"
options = { pdu_size = 300 }

[[group]]
name = "secured"
protocol = "dlms"
count = 10
profile = "generic"
security = "hls-gmac"
first_address = "127.43.1.1"
options = { pdu_size = 300 }

[[fault]]
kind = "slow_line"
groups = ["open", "secured"]
count = 16
at = 2026-06-01T00:00:00
length = [0]
latency = 0.02
"""
SECONDS = 60.0
LIMITS = Limits(timeout=3.0, lease_wait=1.0, flush_seconds=0.2)


@contextmanager
def served(file: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve the fleet in a process that can be killed outright; give it and its port."""
    command = [sys.executable, "-m", "simulators.fleet", str(file), "--port", str(port)]
    with subprocess.Popen(
        [*command, "--control", "0"], cwd=shell.ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield process, int(json.loads(process.stdout.readline())["dlms_port"])
        finally:
            process.kill()


def hang_up(connection: Connection) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def calm(url: str, now: datetime) -> None:
    """Read on for hours of the meters' time, until what failed has had its next attempts."""
    async with jobs.opened(url, limits=LIMITS, pulse=Pulse(0.25, 1.0)) as pool:
        await asyncio.sleep(1.2)
        for hours in (1, 4, 12):
            await pool.drain(now + timedelta(hours=hours))


def register(connection: Connection, fleet: Fleet, port: int, now: datetime) -> None:
    assert registry.import_rows(connection, fleet.registry(dlms_port=port)).rejected == []
    assert keys.import_keys(connection, fleet.keys(), now=now).rejected == ()
    groups.put(connection, "all", selector={})
    schedules.add(
        connection, "nightly", group="all", now=now - timedelta(days=1), cron="0 0 * * *",
        reads=["clock", "register_history", "intervals", "events"], time_zone="Asia/Kuwait",
    )  # fmt: skip
    clock.simulate(connection, now)


def test_every_interval_is_there_once_whatever_plugs_were_pulled(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = tmp_path / "keys" / "master.key"
    monkeypatch.setenv("MIQYAS_MASTER_KEY_FILE", str(key_file))
    file, chance = tmp_path / "fleet.toml", random.Random(5)
    file.write_text(FLEET)
    fleet = fleets.load(file)
    now = fleet.period.end + timedelta(minutes=10)
    environment = {
        "MIQYAS_DATABASE_URL": database_url,
        "MIQYAS_HOME": str(tmp_path),
        "MIQYAS_MASTER_KEY_FILE": str(key_file),
    }
    with database.connect(database_url, autocommit=True) as connection:
        with served(file, 0) as (meters, port):
            register(connection, fleet, port, now)
            words = ("worker", "--with-scheduler", "--timeout", "2")
            with shell.process(*words, environment=environment) as worker:
                until(lambda: connected(connection) > 0)
                time.sleep(chance.uniform(0, 0.3))
                hang_up(connection)
                time.sleep(chance.uniform(0, 0.3))
                meters.kill()
                meters.wait(SECONDS)
                time.sleep(chance.uniform(0, 0.3))
                assert worker.poll() is None
                worker.kill()
        with served(file, port):
            asyncio.run(calm(database_url, now))
        check(connection, fleet)


def connected(connection: Connection) -> int:
    """Count leases: conversations that are going on."""
    row = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7105023"
    ).fetchone()
    assert row
    return int(row[0])


def check(connection: Connection, fleet: Fleet) -> None:
    """Hold the store against the meters, and the queue against what it promises."""
    found = connection.execute(
        "SELECT end_device, reading_type, starts_at, value FROM raw_reading"
    ).fetchall()
    assert len({row[:3] for row in found}) == len(found)
    table = truth.intervals(fleet)
    starts = [moment.to_pydatetime() for moment in table["starts_at"]]
    names = zip(table["end_device"], table["reading_type"], starts, strict=True)
    true = dict(zip(names, table["value"].tolist(), strict=True))
    assert {row[:3]: row[3] for row in found if row[2] < fleet.period.end} == true
    left = connection.execute(
        "SELECT (SELECT count(*) FROM collection_batch WHERE finished_at IS NULL),"
        " (SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')),"
        " (SELECT count(*) FROM device_status WHERE failing_since IS NOT NULL)"
    ).fetchone()
    assert left == (0, 0, 0)
