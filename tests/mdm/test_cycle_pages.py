"""Sets that share a heading: a row each, the same lines to every reader, and as well guarded."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from mdm import cycle, replay
from mdm.determinants import determinant
from mdm.determinants.determinant import Counts, Determinant
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, SLOTS, june, later
from tests.mdm.test_daily import plain

LINES = """
SELECT d.name, t.name, d.part, d.value, d.unit, d.starts_at, d.ends_at, d.actual, d.questionable,
       d.missing, d.estimated, d.edited, d.rounding, d.note
FROM determinant d JOIN reading_type t ON t.id = d.reading_type_id
WHERE d.determinant_set_id = %s ORDER BY d.position
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def town(connection: Connection) -> Connection:
    """Three usage points with pages, of which one has estimates, and one with lines of its own."""
    codes = {7: quality.ESTIMATED_LINEAR, 8: quality.SUSPECT, 9: quality.EDITED}
    for number, flags in enumerate([{}, codes, {}, {0: quality.MISSING}]):
        point = billing.add_point(connection, f"UP-{number}")
        values = [0 if slot in flags else 100 + number for slot in range(SLOTS)]
        billing.record_intervals(connection, point.interval, values, flags)
    assert cycle.run(connection, june(connection), now=NOW, tariffs=plain()).written == 4
    return connection


def sets(connection: Connection, where: str = "true") -> list[tuple[int, str]]:
    query = f"SELECT id, digest FROM determinant_set s WHERE {where} ORDER BY id"
    return [(row[0], row[1]) for row in connection.execute(query.encode())]


@pytest.mark.storage
def test_readers_of_pages_and_of_lines_see_the_figures_of_the_digest(town: Connection) -> None:
    assert town.execute("SELECT count(*) FROM determinant_page").fetchone() == (3,)
    assert town.execute("SELECT count(*) FROM determinant_heading").fetchone() == (1,)
    for number, digest in sets(town):
        rows = town.execute(LINES, [number]).fetchall()
        lines = [
            Determinant(
                *(name, kind, part, value, unit, int(start.timestamp()), int(end.timestamp())),
                *(Counts(*counts), rounding, note),
            )
            for name, kind, part, value, unit, start, end, *counts, rounding, note in rows
        ]
        assert determinant.digest(lines) == digest
    for mrid in ("UP-0", "UP-1", "UP-3"):
        assert replay.of_usage_point(town, june(town), mrid).identical
    # The views for people and for readers of the database go by both.
    (count,) = town.execute("SELECT count(DISTINCT usage_point) FROM billing").fetchone() or (0,)
    assert count == 4


def test_a_heading_is_kept_once_and_a_new_version_is_a_page_too(town: Connection) -> None:
    point = town.execute("SELECT min(id) FROM channel WHERE interval_seconds > 0").fetchone()
    assert point is not None
    billing.record_intervals(town, point[0], [90] * SLOTS, at=later(1))
    assert cycle.run(town, june(town), now=later(2), tariffs=plain()).written == 1
    assert town.execute("SELECT count(*) FROM determinant_page").fetchone() == (4,)
    assert town.execute("SELECT count(*) FROM determinant_heading").fetchone() == (1,)


def test_pages_and_headings_stand(town: Connection) -> None:
    for statement in (
        "UPDATE determinant_page SET units[1] = 5",
        "DELETE FROM determinant_page",
        "UPDATE determinant_heading SET lines = 3",
        "UPDATE determinant_heading_line SET unit = 'MWh'",
        "DELETE FROM determinant_heading_line",
        "UPDATE determinant SET value = 1",
        "UPDATE determinant_line SET value = 1",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            town.execute(statement.encode())


def test_a_page_that_fits_nothing_does_not_come_in(town: Connection) -> None:
    # Of a set that has lines: its page would be the first.
    (free, _) = sets(
        town, "NOT EXISTS (SELECT FROM determinant_page p WHERE p.determinant_set_id = s.id)"
    )[0]
    shorter = ", ".join(
        f"{name} = {name}[1:3]" for name in ("units", "starts_at", "ends_at", "actual")
    )
    checked, unknown = psycopg.errors.CheckViolation, psycopg.errors.ForeignKeyViolation
    for change, error in (
        ("units = units || 1::bigint", checked),
        ("estimated = '{1}'", checked),
        ("actual[2] = -1", checked),
        ("ends_at[2] = starts_at[2] - interval '1 s'", checked),
        ("heading_id = 99", unknown),
        ("determinant_set_id = 99", unknown),
        (shorter, unknown),
    ):
        town.execute("CREATE TEMP TABLE one AS SELECT * FROM determinant_page LIMIT 1")
        town.execute("UPDATE one SET determinant_set_id = %s", [free])
        town.execute(f"UPDATE one SET {change}".encode())
        with pytest.raises(error):
            town.execute("INSERT INTO determinant_page SELECT * FROM one")
        town.execute("DROP TABLE one")


def test_a_figure_of_a_page_that_was_changed_is_named(town: Connection) -> None:
    town.execute("ALTER TABLE determinant_page DISABLE TRIGGER billing_stands")
    town.execute("UPDATE determinant_page SET units[1] = units[1] + 1, actual[1] = 7")
    found = replay.of_usage_point(town, june(town), "UP-0")
    assert [difference.field for difference in found.differences] == ["value", "counts"]
    assert {difference.determinant for difference in found.differences} == {"consumption"}


@pytest.mark.storage
def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for name, text in statements.load("mdm", "cycle_pages.sql").items():
        record.prepare(connection, name, text)
