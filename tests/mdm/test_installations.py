"""Installations never overlap, at a usage point or of an end device, whoever makes them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from schemas import database
from schemas.database import Connection

pytestmark = pytest.mark.storage

AT_ONCE = "installation_one_meter_at_a_time"
ELSEWHERE = "installation_one_place_at_a_time"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
            " SELECT 'UP-' || n, 'electricity', 'residential', 'Asia/Kuwait', 'kw', 'A'"
            " FROM generate_series(1, 3) AS n"
        )
        connection.execute(
            "INSERT INTO end_device (mrid, manufacturer, model, protocol, profile,"
            " interval_seconds) SELECT 'M-' || n, 'S', 'S', 'manual', 'generic', 900"
            " FROM generate_series(1, 3) AS n"
        )
        yield connection


def install(connection: Connection, *rows: tuple[str, str, str, str | None]) -> None:
    """Insert installations in one statement: usage point, end device, start and end."""
    points, devices, starts, ends = (list(column) for column in zip(*rows, strict=True))
    connection.execute(
        "INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at)"
        " SELECT p.id, d.id, w.since, w.until"
        " FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])"
        "   AS w (point, device, since, until)"
        " JOIN usage_point p ON p.mrid = w.point JOIN end_device d ON d.mrid = w.device",
        [points, devices, starts, ends],
    )


def refused(connection: Connection, *rows: tuple[str, str, str, str | None]) -> str | None:
    with pytest.raises(psycopg.errors.ExclusionViolation) as caught, connection.transaction():
        install(connection, *rows)
    return caught.value.diag.constraint_name


def test_one_follows_the_other_without_a_gap(connection: Connection) -> None:
    install(connection, ("UP-1", "M-1", "2026-01-01", "2026-03-01"))
    install(connection, ("UP-1", "M-2", "2026-03-01", None), ("UP-2", "M-1", "2026-03-01", None))
    assert connection.execute("SELECT count(*) FROM installation").fetchone() == (3,)


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        (("UP-1", "M-2", "2026-02-28", None), AT_ONCE),
        (("UP-1", "M-2", "2025-01-01", "2026-01-02"), AT_ONCE),
        (("UP-1", "M-2", "2026-01-15", "2026-01-16"), AT_ONCE),
        (("UP-2", "M-1", "2025-12-01", None), ELSEWHERE),
        (("UP-2", "M-1", "2026-02-28 23:59:59.999999", "2027-01-01"), ELSEWHERE),
    ],
)
def test_what_overlaps_is_refused(
    connection: Connection, row: tuple[str, str, str, str | None], constraint: str
) -> None:
    install(connection, ("UP-1", "M-1", "2026-01-01", "2026-03-01"))
    assert refused(connection, row) == constraint
    assert connection.execute("SELECT count(*) FROM installation").fetchone() == (1,)


def test_two_of_one_statement_are_held_against_each_other(connection: Connection) -> None:
    both = ("UP-1", "M-1", "2026-01-01", None), ("UP-1", "M-2", "2026-02-01", None)
    assert refused(connection, *both) == AT_ONCE


def test_changing_one_into_another_is_refused(connection: Connection) -> None:
    install(connection, ("UP-1", "M-1", "2026-01-01", "2026-03-01"))
    install(connection, ("UP-1", "M-2", "2026-03-01", None))
    with pytest.raises(psycopg.errors.ExclusionViolation), connection.transaction():
        connection.execute("UPDATE installation SET ends_at = NULL")
    connection.execute("UPDATE installation SET ends_at = '2026-02-01' WHERE ends_at IS NOT NULL")


@pytest.mark.parametrize(
    "row", [("UP-1", "M-2", "2026-02-01", None), ("UP-2", "M-1", "2026-02-01", None)]
)
def test_who_installs_at_the_same_time_waits_and_is_refused(
    connection: Connection, database_url: str, row: tuple[str, str, str, str | None]
) -> None:
    connection.commit()
    install(connection, ("UP-1", "M-1", "2026-01-01", None))

    def other() -> None:
        with database.connect(database_url) as theirs:
            install(theirs, row)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        connection.commit()
        with pytest.raises(psycopg.errors.ExclusionViolation):
            waiting.result(timeout=30)
