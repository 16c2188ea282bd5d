"""From the head-end's grid to final intervals: a Modbus register, sampled hourly and differenced.

A meter whose register the test moves is read over a socket by the product's schedule, queue,
collector and landing, at simulated times; then validation makes the intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from headend import groups, jobs, schedules
from headend.capacity import Limits
from mdm import vee
from schemas import database, quality
from schemas.database import Connection
from tests.drivers.modbus.bank import hold, serving
from tests.mdm import record

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUICK = Limits(timeout=1.0, lease_wait=0.2, flush_seconds=0.1)
# Carlo Gavazzi counts tenths of a kWh in 31 bits.
STEP_WH, MODULUS = 100, 2**31


@dataclass
class House:
    """A meter with a register that the test moves, and the head-end that samples it."""

    url: str
    connection: Connection
    bank: object
    at: datetime = DAY

    def show(self, ticks: int) -> None:
        """Set the register, in the meter's own steps."""
        ticks %= MODULUS
        hold(self.bank, {(4, 0x0034): (ticks & 0xFFFF, ticks >> 16)})  # type: ignore[arg-type]

    async def sample(self, hour: float, *, workers: int = 1) -> None:
        """Let processes that have just been started do what is due at an hour of the day."""
        now = DAY + hour * HOUR
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._drain(now))

    async def _drain(self, now: datetime) -> None:
        async with jobs.opened(self.url, limits=QUICK) as pool:
            await pool.drain(now)

    def final(self) -> tuple[list[int], list[int]]:
        """Validate, and give the day's values [Wh] and quality codes."""
        while vee.run(self.connection, now=record.NOW, rule_sets=record.RULES).taken:
            pass
        table = record.final(self.connection)
        row = int(np.flatnonzero(table.starts_at == int(DAY.timestamp()))[0])
        return table.values[row].tolist(), table.quality[row].tolist()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def house(connection: Connection, url: str) -> AsyncIterator[House]:
    point = record.usage_point(connection, "UP-1")
    record.installation(connection, point, "M-1", protocol="modbus", interval_seconds=3600)
    with serving({}) as (port, handler):
        connection.execute(
            "UPDATE end_device SET profile = 'carlo-gavazzi-em340', host = '127.0.0.1', port = %s",
            [port],
        )
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "hourly", group="all", reads=("registers",), now=DAY - HOUR,
            cron="0 * * * *",
        )  # fmt: skip
        yield House(url, connection, handler.data_bank)


async def test_a_day_of_samples_over_a_wrap_is_exact(
    connection: Connection, database_url: str
) -> None:
    used = [7 + hour for hour in range(24)]
    async with house(connection, database_url) as home:
        start = MODULUS - sum(used[:10]) - 3
        for hour in range(25):
            home.show(start + sum(used[:hour]))
            await home.sample(hour)
        values, codes = home.final()
    # The registry has no modulus: the register map's is used.
    assert values == [STEP_WH * each for each in used]
    assert codes == [quality.VALID] * 24


async def test_late_missed_and_reset_samples_each_have_their_quality(
    connection: Connection, database_url: str
) -> None:
    register = 5000
    async with house(connection, database_url) as home:
        for hour in range(25):
            register += 10
            if hour == 18:
                register = 0
            home.show(register)
            if hour == 4:
                # The worker was down until twelve past; the schedule makes up for it.
                await home.sample(hour + 0.2)
            elif hour in (9, 10, 11):
                continue
            else:
                await home.sample(hour, workers=2 if hour == 14 else 1)
        values, codes = home.final()
        landed = connection.execute(
            "SELECT count(*), count(DISTINCT read_at) FROM raw_register_reading"
            " WHERE reading_type_id = 1"
        ).fetchone()
    late = {3, 4}
    lost = {8, 9, 10, 11}
    reset = 17
    for hour, (value, code) in enumerate(zip(values, codes, strict=True)):
        if hour in late:
            assert (value, code) == (1000, quality.LATE_SAMPLE), hour
        elif hour in lost:
            # Four hours between two samples: shared out, and the sum is the register's.
            assert code >= quality.ESTIMATED, hour
        elif hour == reset:
            # Nothing is known of the energy over a reset.
            assert code >= quality.MISSING, hour
        else:
            assert (value, code) == (1000, quality.VALID), hour
    assert sum(values[hour] for hour in lost) == 4000
    # Two workers at the same hour: one sample.
    assert landed == (22, 22)
