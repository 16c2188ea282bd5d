from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headend import clock, dispatch, groups, jobs, scheduler, schedules
from headend.capacity import Limits
from headend.collector import Collected
from schemas import database
from schemas.database import Connection
from tests.headend.line_meter import House, LineDriver, Meter, SamplingDriver
from tests.headend.registry import count, end_device, segment

START = datetime(2026, 6, 1, tzinfo=UTC)
DRIVERS = {"dlms": LineDriver(), "modbus": SamplingDriver()}
QUICK = Limits(timeout=0.5, lease_wait=0.3, flush_seconds=0.2)
ROOT = Path(__file__).parents[2]


def hours(number: float) -> datetime:
    return START + timedelta(hours=number)


async def drain(url: str, now: datetime) -> Collected:
    async with jobs.opened(url, DRIVERS, limits=QUICK) as pool:
        return await pool.drain(now)


def meters(connection: Connection, house: House, number: int, **columns: object) -> list[int]:
    ids = []
    for index in range(1, number + 1):
        house.meters[f"127.8.0.{index}"] = Meter(serial=f"M{index}")
        ids.append(
            end_device(
                connection, f"M{index}", host=f"127.8.0.{index}", port=house.port,
                installed_from=START - timedelta(days=1), **columns,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return ids


def every_hour(connection: Connection, **options: object) -> None:
    groups.put(connection, "all", selector={})
    schedules.add(
        connection, "hourly", group="all", reads=("intervals",), now=START, cron="0 * * * *",
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def fires(connection: Connection) -> list[tuple[datetime, str]]:
    return [
        (row[0], row[1])
        for row in connection.execute(
            "SELECT due_at, outcome FROM read_schedule_fire ORDER BY due_at"
        )
    ]


async def test_draining_steps_a_simulated_clock_through_the_schedule(
    connection: Connection, database_url: str, house: House
) -> None:
    meters(connection, house, 5)
    every_hour(connection)
    async with jobs.opened(database_url, DRIVERS, limits=QUICK) as pool:
        assert (await pool.drain(hours(0.5))).ok == 0
        got = [await pool.drain(hours(number)) for number in (1, 2, 3)]
    assert [(done.ok, done.intervals) for done in got] == [(5, 5 * 100), (5, 5 * 4), (5, 5 * 4)]
    assert count(connection, "collection_session", "ended_at = '2026-06-01 03:00+00'") == 5
    assert count(connection, "collection_batch", "finished_at IS NULL") == 0
    assert dispatch.queue(connection) == dispatch.Queue(0, 0, 0, None)


async def test_a_failed_meter_comes_back_at_its_next_attempt_and_fetches_what_it_missed(
    connection: Connection, database_url: str, house: House
) -> None:
    meters(connection, house, 2)
    every_hour(connection)
    house.meters["127.8.0.1"].mood = "dumb"
    assert (await drain(database_url, hours(1))).failed == 1
    house.meters["127.8.0.1"].mood = "well"
    done = await drain(database_url, hours(1.25))
    assert (done.ok, done.intervals) == (1, 101)
    assert count(connection, "collection_batch", "reason = 'retry'") == 1


@pytest.mark.parametrize(
    ("misfire", "ran", "missed"), [("once", 1, 4), ("all", 5, 0), ("skip", 0, 5)]
)
async def test_a_scheduler_that_was_down_obeys_the_misfire_policy(
    connection: Connection, database_url: str, misfire: str, ran: int, missed: int
) -> None:
    end_device(connection, "M1")
    every_hour(connection, misfire=misfire, grace_seconds=600)
    with database.connect(database_url) as one:
        jobs.hand_over(one, hours(5.5))
    outcomes = [outcome for _, outcome in fires(connection)]
    assert (outcomes.count("batched"), outcomes.count("missed")) == (ran, missed)
    # And once more after a restart: nothing fires again.
    with database.connect(database_url) as one:
        jobs.hand_over(one, hours(5.5))
    assert len(fires(connection)) == 5


def test_what_is_decided_and_not_committed_is_decided_again(
    connection: Connection, database_url: str
) -> None:
    end_device(connection, "M1")
    every_hour(connection)
    with database.connect(database_url) as one:
        assert jobs.hand_over(one, hours(1)) == 1
        one.rollback()
    assert (fires(connection), count(connection, "procrastinate_jobs")) == ([], 0)
    with database.connect(database_url) as one:
        assert jobs.hand_over(one, hours(1)) == 1
    assert fires(connection) == [(hours(1), "batched")]


def test_two_schedulers_at_the_same_time_fire_once(
    connection: Connection, database_url: str
) -> None:
    end_device(connection, "M1")
    every_hour(connection)
    with database.connect(database_url) as one, database.connect(database_url) as other:
        handed = [jobs.hand_over(each, hours(1)) for each in (one, other)]
    with database.connect(database_url) as later:
        handed.append(jobs.hand_over(later, hours(1)))
    assert handed == [1, 0, 0]


def test_meters_that_still_wait_in_the_queue_are_not_queued_again(
    connection: Connection, database_url: str
) -> None:
    for number in range(3):
        end_device(connection, f"M{number}")
    every_hour(connection)
    for number in (1, 2, 3):
        with database.connect(database_url) as one:
            jobs.hand_over(one, hours(number))
    rows = connection.execute(
        "SELECT end_devices, still_queued FROM read_schedule_fire ORDER BY due_at"
    ).fetchall()
    assert rows == [(3, 0), (0, 3), (0, 3)]
    assert dispatch.queue(connection) == dispatch.Queue(0, 1, 3, hours(1))


def test_stagger_spreads_the_starts_and_segments_have_batches_of_their_own(
    connection: Connection, database_url: str
) -> None:
    cell = segment(connection, "cell-7")
    for number in range(6):
        end_device(connection, f"M{number}", segment_id=cell if number < 4 else None)
    every_hour(connection, stagger_seconds=20)
    handed = []
    for seconds in (0, 9, 10, 20):
        with database.connect(database_url) as one:
            handed.append(jobs.hand_over(one, hours(1) + timedelta(seconds=seconds)))
    assert handed == [2, 0, 2, 0]
    locks = connection.execute(
        "SELECT lock, count(*) FROM procrastinate_jobs GROUP BY lock ORDER BY lock"
    ).fetchall()
    assert locks == [(f"segment {cell}", 2), (None, 2)]


async def test_the_scheduler_process_fires_by_the_clock_in_force(
    connection: Connection, database_url: str
) -> None:
    end_device(connection, "M1")
    every_hour(connection)
    clock.simulate(connection, hours(0.9))
    running = asyncio.create_task(scheduler.run_scheduler(database_url, seconds=0.05))
    try:
        await asyncio.sleep(0.3)
        assert fires(connection) == []
        clock.simulate(connection, hours(1.01))
        await until(lambda: fires(connection) == [(hours(1), "batched")], 10)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    connection: Connection, database_url: str, house: House
) -> None:
    ids = meters(connection, house, 40)
    for meter in house.meters.values():
        meter.pause = 0.15
    every_hour(connection)
    clock.simulate(connection, hours(1))
    with database.connect(database_url) as one:
        jobs.hand_over(one, hours(1))
    async with worker(database_url) as first:
        await until(lambda: count(connection, "collection_session") >= 10, 30)
        first.kill()
        await first.wait()
    landed = count(connection, "collection_session")
    assert 10 <= landed < len(ids)
    async with worker(database_url):
        await until(
            lambda: count(connection, "collection_batch", "finished_at IS NOT NULL") == 1, 60
        )
    assert count(connection, "collection_session") == len(ids)
    assert count(connection, "collection_session", "outcome <> 'ok'") == 0
    rows = connection.execute(
        "SELECT count(*), count(DISTINCT (end_device, starts_at)) FROM raw_reading"
    ).fetchone()
    assert rows == (len(ids) * 100, len(ids) * 100)
    # Those whose reading was in the store before the kill were not called a second time.
    twice = [meter for meter in house.meters.values() if meter.connections > 1]
    assert len(twice) <= len(ids) - landed


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.headend.worker_process", url, "2", cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the database rings no bell
            await asyncio.sleep(0.05)
