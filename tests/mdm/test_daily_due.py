"""Days are summed as they are validated: in small steps, by any number of processes, only once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

import numpy as np
import pytest

from mdm import daily_due, daily_note, readings
from schemas import database, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, PERIOD, SLOTS, later
from tests.mdm.test_daily import plain


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def steps(connection: Connection, hours: int = 0) -> list[tuple[int, int]]:
    """Do steps until nothing is left; give what each took and summed."""
    found = []
    while (done := daily_due.step(connection, now=later(hours), tariffs=plain())).taken:
        found.append(tuple(done))
    return found


def summed(connection: Connection) -> list[tuple[str, int, int]]:
    """Give usage points with their days' versions and sums."""
    rows = connection.execute(
        "SELECT p.mrid, d.version, d.total FROM interval_day d"
        " JOIN channel c ON c.id = d.channel_id JOIN usage_point p ON p.id = c.usage_point_id"
        " ORDER BY 1, d.starts_at, 2"
    )
    return [(row[0], row[1], row[2]) for row in rows]


@pytest.mark.storage
def test_what_was_recorded_is_summed_once_and_late_data_sum_their_day(
    connection: Connection,
) -> None:
    point = billing.add_whole(connection, "UP-1")
    billing.add_whole(connection, "UP-2", 200)
    assert steps(connection) == [(2, 6)]
    whole = [("UP-1", 1, 9_600)] * 3 + [("UP-2", 1, 19_200)] * 3
    assert summed(connection) == whole
    assert steps(connection, 1) == []
    # The last quarter of an hour comes later: its day is summed again, and no other.
    values = [100] * (SLOTS - 1) + [160]
    billing.record_intervals(connection, point.interval, values, at=later(2))
    assert steps(connection, 3) == [(1, 1)]
    assert set(summed(connection)) - set(whole) == {("UP-1", 2, 9_660)}


def test_who_has_no_tariff_keeps_nobody_else_waiting(connection: Connection) -> None:
    billing.add_whole(connection, "UP-2", tariff="unheard-of")
    billing.add_whole(connection, "UP-3")
    assert sum(days for _, days in steps(connection)) == 3
    assert {row[0] for row in summed(connection)} == {"UP-3"}


def test_a_note_has_a_thousand_channels_of_one_stretch(connection: Connection) -> None:
    table = readings.current(connection, [], PERIOD)
    start = int(PERIOD.start.timestamp())
    channels = np.arange(1, 2502, dtype=np.int32)
    days = np.where(channels == 7, start - 86_400, start)

    def noted(starts: np.ndarray) -> list[tuple[int, int]]:
        k = len(channels)
        of = {
            "channel_id": channels[::-1], "starts_at": starts[::-1],
            "interval_seconds": np.full(k, 900, np.int32), "version": np.ones(k, np.int32),
            "provenance_id": np.ones(k, np.int64), "length": np.full(k, 96, np.int32),
            "values": np.zeros((k, 96), np.int32), "quality": np.zeros((k, 96), np.int16),
        }  # fmt: skip
        daily_note.note(connection, type(table)(**of))
        rows = connection.execute(
            "DELETE FROM interval_day_due RETURNING cardinality(channels),"
            " extract(epoch FROM ends_at - starts_at)::integer / 86400"
        )
        return sorted((row[0], row[1]) for row in rows)

    assert noted(days) == [(1, 1), (500, 1), (1000, 1), (1000, 1)]
    # Many stretches become one.
    assert noted(start - 86_400 * (channels.astype(np.int64) % 20)) == [
        *((501, 20), (1000, 20), (1000, 20)),
    ]


def test_switched_off_nothing_is_kept(connection: Connection) -> None:
    billing.add_whole(connection, "UP-1")
    daily_due.forget(connection)
    assert steps(connection) == []
    assert summed(connection) == []


def follow(url: str) -> int:
    with database.connect(url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '20s'")
        return sum(days for _, days in steps(connection))


def test_several_followers_share_the_work(database_url: str) -> None:
    with database.connect(database_url, autocommit=True) as connection:
        for number in range(30):
            billing.add_whole(connection, f"UP-{number:02d}", 100 + number)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        days = [one.result(60) for one in [pool.submit(follow, database_url) for _ in range(4)]]
    assert sum(days) == 90
    with database.connect(database_url) as connection:
        assert len(summed(connection)) == 90


def test_days_that_are_not_over_are_left_to_a_later_note(connection: Connection) -> None:
    billing.add_whole(connection, "UP-1")
    early = PERIOD.start + timedelta(days=1, hours=2)
    done = daily_due.step(connection, now=early, tariffs=plain())
    assert tuple(done) == (1, 1)
    assert early < NOW


def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for file in ("daily_due.sql", "daily_note.sql", "account_balance.sql"):
        for name, text in statements.load("mdm", file).items():
            record.prepare(connection, name, text)
