"""Several processes at one cycle: beside each other, never in a circle, nothing written twice."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late

import psycopg
import pytest

from mdm import cycle, delivery
from schemas import database
from schemas.database import Connection
from tests.mdm.billing import NOW, add_whole, june, later

_TOWN = 12


def computed(url: str, first: int, end: int, step: int) -> tuple[int, int]:
    """Compute some of the cycle's usage points, in some order; give how many are new and not."""
    with database.connect(url) as connection:
        connection.execute("SET lock_timeout = '20s'")
        (one,) = cycle.cycles(connection)
        (points,) = cycle.partitions(connection, one)
        run = cycle.run_partition(connection, one, points[first:end][::step], now=later(1))
    return run.written, run.unchanged


@pytest.fixture
def town(database_url: str) -> str:
    with database.connect(database_url) as connection:
        for number in range(_TOWN):
            add_whole(connection, f"UP-{number:02d}", 100 + number)
        june(connection)
    return database_url


@pytest.fixture
def workers() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


def sets(url: str) -> list[tuple[int, ...]]:
    with database.connect(url) as connection:
        return connection.execute(
            "SELECT usage_point_id, count(*), max(version) FROM determinant_set GROUP BY 1"
        ).fetchall()


def test_partitions_of_a_cycle_do_not_wait_for_each_other(
    town: str, workers: ProcessPoolExecutor
) -> None:
    with database.connect(town) as connection:
        (one,) = cycle.cycles(connection)
        (points,) = cycle.partitions(connection, one)
        # Only who brings a tariff that nobody knows keeps others from writing.
        assert cycle.run_partition(connection, one, points[11:], now=NOW).written == 1
        connection.commit()
        assert cycle.run_partition(connection, one, points[:6], now=NOW).written == 6
        # Not committed: who has others is done all the same, who has one of them waits for it.
        assert workers.submit(computed, town, 6, _TOWN, 1).result(30) == (5, 1)
        answer = workers.submit(computed, town, 5, _TOWN, 1)
        with pytest.raises(Late):
            answer.result(0.5)
    assert answer.result(30) == (0, 7)
    assert [row[1:] for row in sets(town)] == [(1, 1)] * _TOWN


def test_the_same_usage_points_in_any_order_are_written_once(
    town: str, workers: ProcessPoolExecutor
) -> None:
    orders = (1, -1, 1, -1)
    answers = [workers.submit(computed, town, 0, _TOWN, step) for step in orders]
    written, unchanged = zip(*(answer.result(60) for answer in answers), strict=True)
    assert sorted(written) == [0, 0, 0, _TOWN]
    assert sum(unchanged) == 3 * _TOWN
    assert [row[1:] for row in sets(town)] == [(1, 1)] * _TOWN


def whole(url: str, size: int) -> tuple[int, int]:
    """Compute the whole cycle in one transaction, so many usage points at once."""
    with database.connect(url) as connection:
        (one,) = cycle.cycles(connection)
        run = cycle.run(connection, one, now=later(2), partition=size)
    return run.written, run.unchanged


def waiting(connection: Connection, number: int) -> None:
    """Wait until so many others wait for a lock."""
    for _ in range(400):
        (row,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        if row[0] >= number:
            return
        time.sleep(0.05)
    raise AssertionError(f"fewer than {number} wait for a lock")


def test_a_run_over_all_and_one_over_a_part_never_wait_in_a_circle(
    town: str, workers: ProcessPoolExecutor
) -> None:
    with (
        database.connect(town, autocommit=True) as connection,
        database.connect(town, autocommit=True) as watching,
    ):
        with connection.transaction():
            # Whoever brings a tariff waits here: the first with the first half of the town in its
            # hands and the second to come, the other with the second half.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('billing_definition'), 0)")
            all_of_it = workers.submit(whole, town, _TOWN // 2)
            waiting(watching, 1)
            half = workers.submit(computed, town, _TOWN // 2, _TOWN, 1)
            waiting(watching, 2)
        assert all_of_it.result(60) == (_TOWN, 0)
        assert half.result(60) == (0, _TOWN // 2)
    assert [row[1:] for row in sets(town)] == [(1, 1)] * _TOWN


def test_a_delivery_waits_for_who_computes(town: str) -> None:
    with database.connect(town) as connection, database.connect(town, autocommit=True) as other:
        one = june(connection)
        connection.commit()
        (points,) = cycle.partitions(connection, one)
        cycle.run_partition(connection, one, points[:6], now=NOW)
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable), other.transaction():
            delivery.prepare(other, one, file_format="csv", target="out", now=later(2))
        connection.commit()
        export = delivery.prepare(other, one, file_format="csv", target="out", now=later(2))
        assert export is not None
        assert export.items == 6


def test_all_but_the_state_of_a_set_is_guarded(town: str) -> None:
    with database.connect(town) as connection:
        columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'determinant_set'::regclass"
        guarded = connection.execute(
            f"{columns} AND attnum IN (SELECT unnest(string_to_array(tgattr::text, ' ')::integer[])"
            " FROM pg_trigger WHERE tgname = 'determinant_set_stands') ORDER BY 1".encode()
        ).fetchall()
        every = connection.execute(
            f"{columns} AND attnum > 0 AND NOT attisdropped ORDER BY 1".encode()
        )
        assert [row for row in every if row != ("state",)] == guarded
        cycle.run(connection, june(connection), now=NOW)
    for change in (
        "state = 'exported', digest = repeat('0', 64)", "state = 'billed'", "version = 9",
    ):  # fmt: skip
        with (
            pytest.raises(psycopg.errors.RestrictViolation),
            database.connect(town) as connection,
        ):
            connection.execute(f"UPDATE determinant_set SET {change}".encode())
