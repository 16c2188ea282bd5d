"""The final record on real servers: versions, as-of, origins, registers and the SQL views."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from mdm import intake_channels, readings
from schemas import database, quality, statements
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import record
from tests.mdm.record import NOW, seconds

DAY = seconds(2026, 6, 1, 21)
WEEK = Period(datetime(2026, 5, 31, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC))
LATER = NOW + timedelta(hours=1)

pytestmark = pytest.mark.storage


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


@pytest.fixture
def channel(connection: Connection) -> int:
    return record.channel(connection, record.usage_point(connection))


def provenances(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM provenance ORDER BY id")]


def test_days_come_back_as_they_were_recorded(connection: Connection, channel: int) -> None:
    other = record.channel(connection, record.usage_point(connection, "UP-2"))
    made = record.record(
        connection,
        record.blocks(
            [other, channel, channel],
            [DAY, DAY + 86400, DAY],
            [range(96), range(100), range(92)],
            [[0] * 96, [0] * 99 + [200], [0] * 92],
        ),
    )
    table = readings.current(connection, [channel, other], WEEK)
    assert made == 3
    assert table.channel_id.tolist() == [channel, channel, other]
    assert table.starts_at.tolist() == [DAY, DAY + 86400, DAY]
    assert table.length.tolist() == [92, 100, 96]
    assert table.interval_seconds.tolist() == [900] * 3
    assert table.version.tolist() == [1] * 3
    assert table.values[1].tolist() == list(range(100))
    assert table.values[0].tolist() == [*range(92), *[0] * 8]
    assert (table.quality[0] == [0] * 92 + [quality.MISSING] * 8).all()
    assert table.quality[1, 99] == quality.MISSING


def test_a_day_without_doubts_stores_no_qualities(connection: Connection, channel: int) -> None:
    record.record(
        connection,
        record.blocks([channel] * 2, [DAY, DAY + 86400], [[1] * 4] * 2, [[0] * 4, [0, 301, 0, 0]]),
    )
    rows = connection.execute("SELECT quality, origin FROM interval_block ORDER BY starts_at")
    assert rows.fetchall() == [(None, None), ([0, 301, 0, 0], None)]


def test_the_same_again_makes_no_version(connection: Connection, channel: int) -> None:
    table = record.blocks([channel], [DAY], [[1, 2, 3, 4]])
    assert record.record(connection, table) == 1
    assert record.record(connection, table, LATER) == 0
    assert readings.current(connection, [channel], WEEK).version.tolist() == [1]


def test_an_interval_that_is_as_it_was_keeps_its_origin(
    connection: Connection, channel: int
) -> None:
    record.record(connection, record.blocks([channel], [DAY], [[1, 2, 3, 4]]))
    record.record(connection, record.blocks([channel], [DAY], [[1, 9, 3, 4]]), LATER)
    record.record(
        connection,
        record.blocks([channel], [DAY], [[1, 9, 3, 4]], [[0, 0, 110, 0]]),
        LATER + timedelta(hours=1),
    )
    first, second, third = provenances(connection)
    table = readings.current(connection, [channel], WEEK, origins=True)
    assert table.version.tolist() == [3]
    assert table.provenance_id.tolist() == [third]
    assert table.origin is not None
    assert table.origin.tolist() == [[first, second, third, first]]


def test_what_was_known_at_a_moment(connection: Connection, channel: int) -> None:
    record.record(connection, record.blocks([channel], [DAY], [[1, 2]]))
    record.record(connection, record.blocks([channel], [DAY], [[1, 3]]), LATER)
    now = readings.current(connection, [channel], WEEK)
    then = readings.current(connection, [channel], WEEK, known_at=NOW)
    before = readings.current(connection, [channel], WEEK, known_at=NOW - timedelta(seconds=1))
    assert now.values.tolist() == [[1, 3]]
    assert then.values.tolist() == [[1, 2]]
    assert len(before) == 0


def test_a_period_takes_the_days_that_start_in_it(connection: Connection, channel: int) -> None:
    starts = [DAY + 86400 * n for n in range(3)]
    record.record(connection, record.blocks([channel] * 3, starts, [[1], [2], [3]]))
    period = Period(datetime.fromtimestamp(starts[1], UTC), datetime.fromtimestamp(starts[2], UTC))
    assert readings.current(connection, [channel], period).values.tolist() == [[2]]


def test_nothing_asked_gives_an_empty_table(connection: Connection, channel: int) -> None:
    assert len(readings.current(connection, [channel], WEEK)) == 0
    assert len(readings.current(connection, [], WEEK, origins=True)) == 0
    assert record.record(connection, record.blocks([], [], [])) == 0
    none = np.empty(0, np.int32)
    assert len(readings.named(connection, none, none, none)) == 0


def test_named_versions_come_in_the_order_asked_for(connection: Connection, channel: int) -> None:
    record.record(connection, record.blocks([channel], [DAY], [[1, 2]]))
    record.record(
        connection, record.blocks([channel] * 2, [DAY, DAY + 86400], [[1, 3], [5, 6]]), LATER
    )
    table = readings.named(
        connection,
        np.full(3, channel),
        np.array([DAY, DAY + 86400, DAY]),
        np.array([2, 1, 1]),
    )
    assert table.values.tolist() == [[1, 3], [5, 6], [1, 2]]
    with pytest.raises(KeyError, match=f"version 7 of channel {channel}, day of 2026-06-01 21:00"):
        readings.named(connection, np.array([channel]), np.array([DAY]), np.array([7]))


def test_two_writers_of_one_version_collide(connection: Connection, channel: int) -> None:
    record.record(connection, record.blocks([channel], [DAY], [[1]]))
    stale = readings.current(connection, [channel], WEEK, origins=True)
    record.record(connection, record.blocks([channel], [DAY], [[2]]), LATER)
    provenance = readings.add_provenance(connection, "vee", recorded_at=LATER)
    with pytest.raises(psycopg.errors.UniqueViolation):
        readings.record(
            connection,
            record.blocks([channel], [DAY], [[3]]),
            provenance_id=provenance,
            recorded_at=LATER,
            previous=stale,
        )


def test_a_person_without_a_reason_is_refused(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        readings.add_provenance(connection, "edit", recorded_at=NOW, person="Mona")


def test_registers_have_versions_too(connection: Connection) -> None:
    point = record.usage_point(connection)
    installation = record.installation(connection, point, "M-1")
    register = record.channel(connection, point, "active_energy_import", 0)
    rows = [(register, installation, DAY + 86400 * n, 1000 + n, 0) for n in range(3)]
    first = readings.add_provenance(connection, "vee", recorded_at=NOW)
    made = [
        readings.record_registers(
            connection, record.registers(given), provenance_id=first, recorded_at=when
        )
        for given, when in ((rows, NOW), (rows, LATER), ([(*rows[1][:3], 7, 400)], LATER))
    ]
    assert made == [3, 0, 1]
    both_ends = Period(
        datetime.fromtimestamp(DAY, UTC), datetime.fromtimestamp(DAY + 2 * 86400, UTC)
    )
    table = readings.registers(connection, [register], both_ends)
    assert table.read_at.tolist() == [row[2] for row in rows]
    assert table.value.tolist() == [1000, 7, 1002]
    assert table.version.tolist() == [1, 2, 1]
    assert table.quality.tolist() == [0, 400, 0]
    then = readings.registers(connection, [register], both_ends, known_at=NOW)
    assert then.value.tolist() == [1000, 1001, 1002]


def test_people_who_write_sql_see_rows(connection: Connection, channel: int) -> None:
    record.record(connection, record.blocks([channel], [DAY], [[1, 2, 0]], [[0, 301, 200]]))
    record.record(connection, record.blocks([channel], [DAY], [[1, 5, 0]], [[0, 400, 200]]), LATER)
    start = datetime.fromtimestamp(DAY, UTC)
    quarter = timedelta(minutes=15)
    first, second = provenances(connection)
    query = "SELECT starts_at, value, quality, version, provenance_id FROM readings(%s, %s, %s{})"
    now = connection.execute(
        query.format("").encode(), [channel, start, start + timedelta(days=1)]
    ).fetchall()
    assert now == [
        (start, 1, 0, 2, first),
        (start + quarter, 5, 400, 2, second),
        (start + 2 * quarter, None, 200, 2, first),
    ]
    then = connection.execute(
        query.format(", %s").encode(), [channel, start + quarter, start + 2 * quarter, NOW]
    ).fetchall()
    assert then == [(start + quarter, 2, 301, 1, first)]
    view = connection.execute(
        "SELECT usage_point, reading_type, unit, starts_at, value, quality, version FROM reading"
        " ORDER BY starts_at"
    ).fetchall()
    named = ("UP-1", "active_energy_import_interval", "Wh")
    assert view == [
        (*named, start, 1, 0, 2),
        (*named, start + quarter, 5, 400, 2),
        (*named, start + 2 * quarter, None, 200, 2),
    ]


def test_raw_readings_as_rows(connection: Connection) -> None:
    record.installation(connection, record.usage_point(connection), "M-1")
    connection.execute(
        "INSERT INTO raw_interval_block (end_device_id, reading_type_id, starts_at,"
        " interval_seconds, digest, source, collected_at, values, quality)"
        " SELECT id, 11, %(start)s, 900, 1, 'dlms', %(now)s, '{7,0}', '{0,200}' FROM end_device",
        {"start": datetime.fromtimestamp(DAY, UTC), "now": NOW},
    )
    rows = connection.execute(
        "SELECT end_device, reading_type, starts_at, value, quality, source FROM raw_reading"
        " ORDER BY starts_at"
    ).fetchall()
    start = datetime.fromtimestamp(DAY, UTC)
    kind = ("M-1", "active_energy_import_interval")
    assert rows == [
        (*kind, start, 7, 0, "dlms"),
        (*kind, start + timedelta(minutes=15), None, 200, "dlms"),
    ]


@pytest.mark.parametrize("file", record.STATEMENT_FILES)
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, body in statements.load("mdm", file).items():
        record.prepare(connection, name, body)


def test_readings_refer_to_what_exists(connection: Connection, channel: int) -> None:
    provenance = readings.add_provenance(connection, "vee", recorded_at=NOW)
    table = record.blocks([channel], [DAY], [[1]])
    rows = record.registers([(channel, 55, DAY, 1, 0)])
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="channel_id 99 of table interval"),
        connection.transaction(),
    ):
        record.record(connection, record.blocks([channel, 99], [DAY] * 2, [[1], [1]]))
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="provenance_id 77 of table"),
        connection.transaction(),
    ):
        readings.record(connection, table, provenance_id=77, recorded_at=NOW)
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="installation_id 55 of table"),
        connection.transaction(),
    ):
        readings.record_registers(connection, rows, provenance_id=provenance, recorded_at=NOW)
    point = record.usage_point(connection, "UP-9")
    record.installation(connection, point, "M-9")
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="reading_type_id 999 of table"),
        connection.transaction(),
    ):
        record.land(connection, "M-9", NOW, [1], reading_type_id=999)
    for key in ("usage_point_id", "reading_type_id"):
        row = {"usage_point_id": point, "reading_type_id": 11, key: 999}
        with (
            pytest.raises(psycopg.errors.ForeignKeyViolation, match=f"{key} 999 of table channel"),
            connection.transaction(),
        ):
            connection.execute(
                "INSERT INTO channel (usage_point_id, reading_type_id, interval_seconds)"
                " VALUES (%(usage_point_id)s, %(reading_type_id)s, 900)",
                row,
            )
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="vee_run_id 55 of table finding"),
        connection.transaction(),
    ):
        connection.execute(
            "INSERT INTO finding (channel_id, day, starts_at, ends_at, rule, severity, action,"
            " found_at, vee_run_id) VALUES (%s, '2026-06-01', '2026-06-01', '2026-06-02', 'gap',"
            " 'info', 'note', '2026-06-02', 55)",
            [channel],
        )
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="end_device_id 55 of table"),
        connection.transaction(),
    ):
        connection.execute(
            "INSERT INTO raw_register_reading VALUES (55, 1, now(), 1, 0, 'test', now())"
        )


@pytest.mark.parametrize("apart", [3, 3000])
def test_an_unknown_one_among_many_is_found_near_and_far(
    connection: Connection, channel: int, apart: int
) -> None:
    lost = channel + apart
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match=f"channel_id {lost} of table"),
        connection.transaction(),
    ):
        record.record(
            connection,
            record.blocks([channel, channel, lost], [DAY, DAY + 86400, DAY], [[1], [1], [1]]),
        )
    points = [record.usage_point(connection, f"UP-9{n}") for n in range(3)]
    lost = points[-1] + apart
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match=f"usage_point_id {lost} of table"),
        connection.transaction(),
    ):
        connection.execute(
            "INSERT INTO channel (usage_point_id, reading_type_id, interval_seconds)"
            " SELECT id, 11, 900 FROM unnest(%s::integer[]) AS id",
            [[*points, lost]],
        )
    assert connection.execute("SELECT count(*) FROM interval_block").fetchone() == (0,)


def test_what_readings_refer_to_stays(connection: Connection, channel: int) -> None:
    record.installation(connection, record.usage_point(connection, "UP-9"), "M-9")
    record.land(connection, "M-9", NOW, [1])
    record.record(connection, record.blocks([channel], [DAY], [[1]]))
    connection.execute("DELETE FROM arrival; DELETE FROM installation")
    for table in ("end_device", "channel", "provenance", "usage_point"):
        with (
            pytest.raises(psycopg.errors.ForeignKeyViolation, match="is still referred to by"),
            connection.transaction(),
        ):
            connection.execute(f"DELETE FROM {table}".encode())


def test_deleting_waits_for_who_is_storing(connection: Connection, database_url: str) -> None:
    row = connection.execute(
        "INSERT INTO channel (usage_point_id, reading_type_id, interval_seconds)"
        " VALUES (%s, 11, 1800) RETURNING id",
        [record.usage_point(connection, "UP-9")],
    ).fetchone()
    assert row
    connection.commit()
    # Nobody sees yet what is being stored: its channel stays all the same.
    record.record(connection, record.blocks([row[0]], [DAY], [[1]]))
    with database.connect(database_url) as other:
        other.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("DELETE FROM channel WHERE id = %s", row)
        other.rollback()
    connection.rollback()
    # And nobody stores for a channel that is being deleted.
    with database.connect(database_url) as other:
        other.execute("DELETE FROM channel WHERE id = %s", row)
        connection.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            record.record(connection, record.blocks([row[0]], [DAY], [[1]]))
        connection.rollback()


def test_channels_that_somebody_else_made_meanwhile(connection: Connection) -> None:
    points = [record.usage_point(connection, f"UP-9{n}") for n in range(3)]
    theirs = record.channel(connection, points[1])
    none = intake_channels.of_points(connection, np.empty(0, np.int32), 900)
    wanted = intake_channels.keys(np.array(points), np.full(3, 11))
    made = intake_channels.with_new(connection, none, wanted, 900)
    assert made.usage_point.tolist() == points
    assert made.id[1] == theirs
    assert len(set(made.id.tolist())) == 3
