"""Replay: bit-identical from the named versions, or it says what differs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mdm import cycle, delivery, replay
from mdm.determinants import pages
from mdm.replay import ReplayError
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, PERIOD, SLOTS, Point, add_point, add_whole, june, later


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def change(connection: Connection, point: Point, each: int, hours: int) -> None:
    billing.record_intervals(connection, point.interval, [each] * SLOTS, at=later(hours))
    dial = {PERIOD.end: 5_000 + each * SLOTS}
    billing.record_register(connection, point.register, point.installation, dial, at=later(hours))


@pytest.mark.storage
def test_every_version_can_be_replayed(connection: Connection) -> None:
    point = add_whole(connection, "UP-1", multiplier=1)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    change(connection, point, 130, 1)
    cycle.run(connection, this, now=later(2))
    # What comes to be known later, and what the registry is told later, changes nothing.
    change(connection, point, 170, 3)
    connection.execute("UPDATE installation SET multiplier = 7")
    connection.execute("UPDATE end_device SET register_modulus = 10")
    connection.execute("UPDATE usage_point SET tariff = 'kw-service', time_zone = 'Europe/London'")
    for version, consumption in ((1, "28.800"), (2, "37.440")):
        found = replay.of_usage_point(connection, this, "UP-1", version)
        assert found.identical, found.differences
        assert str(found.determinants[0].value) == consumption
        # Three days and two readings.
        assert found.versions == 5
    assert replay.of_usage_point(connection, this, "UP-1").version == 2


def test_an_export_is_replayed_whole(connection: Connection, tmp_path: Path) -> None:
    add_whole(connection, "UP-1", 100)
    exchanged = add_point(connection, "UP-2")
    moment = PERIOD.start + timedelta(hours=30, minutes=20)
    connection.execute(
        "UPDATE installation SET ends_at = %s WHERE id = %s", [moment, exchanged.installation]
    )
    new = billing.add_meter(connection, exchanged.id, "M-new", starts_at=moment)
    codes = {5: quality.ESTIMATED_LINEAR, 6: quality.EDITED}
    billing.record_intervals(connection, exchanged.interval, [100] * SLOTS, codes)
    midnights = [PERIOD.start + timedelta(days=day) for day in range(4)]
    old_dials = {midnights[0]: 10, midnights[1]: 9_610}
    new_dials = {midnights[2]: 0, midnights[3]: 9_600}
    billing.record_register(connection, exchanged.register, exchanged.installation, old_dials)
    billing.record_register(connection, exchanged.register, new, new_dials)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    delivery.deliver(connection, this, target=str(tmp_path), file_format="csv", now=NOW)
    (export,) = delivery.exports(connection, this)
    found = replay.of_export(connection, export)
    assert [(r.usage_point, r.identical, r.versions) for r in found] == [
        ("UP-1", True, 5),
        ("UP-2", True, 7),
    ]


def test_what_had_no_reading_at_all_is_replayed_too(connection: Connection) -> None:
    add_point(connection, "UP-1")
    connection.execute(
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " VALUES ('UP-2', 'water', 'chalet', 'Asia/Kuwait', 'kw-chalet', 'A')"
    )
    this = june(connection)
    assert cycle.run(connection, this, now=NOW).written == 2
    for mrid in ("UP-1", "UP-2"):
        found = replay.of_usage_point(connection, this, mrid)
        assert (found.identical, found.versions) == (True, 0)


def test_a_stored_figure_that_was_changed_is_named(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_whole(connection, "UP-1")
    this = june(connection)
    with monkeypatch.context() as patch:
        # As sets were stored before bills by registers had pages.
        patch.setattr(pages, "serves", lambda _: False)
        cycle.run(connection, this, now=NOW)
    assert replay.of_usage_point(connection, this, "UP-1").identical
    connection.execute("ALTER TABLE determinant_line DISABLE TRIGGER billing_stands")
    connection.execute("UPDATE determinant_line SET value = 28.8 WHERE name = 'consumption'")
    connection.execute("UPDATE determinant_line SET estimated = 3 WHERE part = 'peak'")
    found = replay.of_usage_point(connection, this, "UP-1")
    assert not found.identical
    assert str(found.differences[0]) == "consumption: value is 28.800, was 28.8"
    assert (found.differences[1].part, found.differences[1].field) == ("peak", "counts")


def test_a_named_version_that_was_changed_is_seen(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    connection.execute(
        'UPDATE interval_block SET "values"[7] = 101 WHERE starts_at = %s', [PERIOD.start]
    )
    found = replay.of_usage_point(connection, this, "UP-1")
    names = {(d.determinant, d.field) for d in found.differences}
    assert ("interval_consumption", "value") in names
    assert ("set", "digest") in names
    assert ("set", "digest of its inputs") not in names


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM interval_block", "is not in the record"),
        ("DELETE FROM register_reading", "version 1 of its register of 2026-05-31"),
    ],
)
def test_a_named_version_that_is_gone_is_named(
    connection: Connection, statement: str, message: str
) -> None:
    add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    connection.execute(statement.encode())
    with pytest.raises(ReplayError) as caught:
        replay.of_usage_point(connection, this, "UP-1")
    assert "UP-1" in str(caught.value)
    assert message in str(caught.value)


def test_what_is_not_there(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    with pytest.raises(ReplayError, match="UP-1 has no version 9 in cycle A from 2026-06-01"):
        replay.of_usage_point(connection, this, "UP-1", 9)
    with pytest.raises(ReplayError, match="UP-9 has no determinants"):
        replay.of_usage_point(connection, this, "UP-9")
    with pytest.raises(ReplayError, match="no determinant set 99"):
        replay.of_set(connection, 99)


@pytest.mark.storage
@pytest.mark.parametrize("file", ["replay.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
