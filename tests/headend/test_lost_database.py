"""A server that hangs up on everybody stops nobody for good: what lives long finds it again."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from headend import clock, jobs
from headend.counters import Source
from headend.leases import Leases
from schemas import database
from schemas.database import Connection
from tests.headend.line_meter import House
from tests.headend.registry import count, end_device
from tests.headend.test_jobs import every_hour, hours, meters, until, worker


def hang_up(connection: Connection) -> int:
    """End every other session of the database, as a server that restarts does; count them."""
    found = connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    return len(found.fetchall())


async def test_leases_are_taken_again_from_a_server_that_is_back(
    connection: Connection, database_url: str
) -> None:
    ours, theirs = Leases(database_url), Leases(database_url)
    try:
        assert await ours.take(7)
        assert not await theirs.take(7)
        assert hang_up(connection) == 2
        # What was held is lost, and giving it back is no trouble.
        await ours.give_back([7])
        with pytest.raises(psycopg.OperationalError):
            await theirs.take(7)
        assert await theirs.take(7)
        assert not await ours.take(7)
        await theirs.give_back([7])
        assert await ours.take(7)
    finally:
        await ours.close()
        await theirs.close()


def test_counters_go_on_above_the_last_ones(connection: Connection, database_url: str) -> None:
    device = end_device(connection, "M1")
    with Source(database_url) as source:
        assert source.reserve(device, 10) == 1
        assert hang_up(connection) == 1
        with pytest.raises(psycopg.OperationalError):
            source.reserve(device, 10)
        assert source.reserve(device, 10) == 11


async def test_a_worker_outlives_the_server(
    connection: Connection, database_url: str, house: House
) -> None:
    ids = meters(connection, house, 12)
    for meter in house.meters.values():
        meter.pause = 0.3
    every_hour(connection)
    clock.simulate(connection, hours(1))
    with database.connect(database_url) as one:
        jobs.hand_over(one, hours(1))
    async with worker(database_url) as process:
        await until(lambda: count(connection, "collection_session") > 0, 30)
        assert hang_up(connection) >= 3
        await until(
            lambda: count(connection, "collection_batch", "finished_at IS NOT NULL") == 1, 60
        )
        assert process.returncode is None
        clock.simulate(connection, hours(1) + timedelta(hours=1))
        with database.connect(database_url) as one:
            jobs.hand_over(one, hours(2))
        await until(
            lambda: count(connection, "collection_batch", "finished_at IS NOT NULL") == 2, 60
        )
    assert count(connection, "collection_session", "outcome <> 'ok'") == 0
    rows = connection.execute(
        "SELECT count(*), count(DISTINCT (end_device, starts_at)) FROM raw_reading"
    ).fetchone()
    assert rows == (len(ids) * 104, len(ids) * 104)
