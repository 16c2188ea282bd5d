"""Delivery to readers of the database: whole exports, and acknowledgement by a function."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from mdm import acknowledgement, cycle, cycle_status, delivery
from mdm.export.record import instant, plain
from schemas import database
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, SLOTS, Point, add_whole, june, later

TARGET = "database:"
PAGE = (Path(__file__).parents[2] / "docs" / "billing.md").read_text("utf-8")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def points(connection: Connection) -> list[Point]:
    return [add_whole(connection, f"UP-{number}", 100 + number) for number in range(2)]


@pytest.fixture
def this(connection: Connection, points: list[Point]) -> cycle.Cycle:
    assert points
    found = june(connection)
    cycle.run(connection, found, now=NOW)
    return found


def deliver(connection: Connection, this: cycle.Cycle, hours: int = 1) -> delivery.Delivery:
    return delivery.deliver(connection, this, target=TARGET, file_format="csv", now=later(hours))


def acknowledge(connection: Connection, key: str, outcome: str, reason: str | None = None) -> str:
    call = "SELECT acknowledge_bill(%s, %s, %s)"
    row = connection.execute(call, [key, outcome, reason]).fetchone()
    assert row
    return str(row[0])


def key(number: int, version: int = 1) -> str:
    return f"UP-{number}/2026-06-01/2026-06-04/{version}"


def views_say_what_the_files_say(connection: Connection, this: cycle.Cycle) -> list[str]:
    """Hold the views' rows against the CSV files of all exports; give the keys."""
    wanted = [
        row
        for export in delivery.exports(connection, this)
        for file in delivery.package(connection, this, export).files
        for row in csv.DictReader(file.content.decode().splitlines())
    ]
    rows = connection.execute(
        "SELECT b.export, b.key, b.usage_point, b.commodity, b.sector, b.tariff, b.billing_group,"
        " b.time_zone, b.period_start, b.period_end, b.version, b.corrects, b.digest, determinant,"
        " reading_type, part, value, unit, starts_at, ends_at, actual, questionable, missing,"
        " estimated, edited, rounding, note, previous, difference"
        " FROM billing_export_bill b JOIN billing_export_determinant d USING (export, key)"
        " ORDER BY export, key, position NULLS LAST, determinant, reading_type, part"
    ).fetchall()
    given = [dict(zip(wanted[0], map(_cell, row), strict=True)) for row in rows]
    assert given == wanted
    return sorted({row["key"] for row in wanted})


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value) or ""
    if hasattr(value, "tzinfo"):
        return instant(value)  # type: ignore[arg-type]
    return "" if value is None else str(value)


def test_an_export_is_there_whole_or_not_at_all(connection: Connection, this: cycle.Cycle) -> None:
    question = "SELECT export, usage_points, acknowledged FROM billing_export"
    export = delivery.prepare(connection, this, file_format="csv", target=TARGET, now=later(1))
    assert export
    assert connection.execute(question).fetchall() == []
    deliver(connection, this, hours=2)
    assert connection.execute(question).fetchall() == [(export.name, 2, 0)]
    assert views_say_what_the_files_say(connection, this) == [key(0), key(1)]
    assert deliver(connection, this, hours=3).exports == ()


def test_bills_are_acknowledged_by_a_function_once(
    connection: Connection, this: cycle.Cycle
) -> None:
    deliver(connection, this)
    assert acknowledge(connection, key(0), "billed") == "taken"
    assert acknowledge(connection, key(0), "billed") == "repeated"
    assert acknowledge(connection, key(1), "rejected", "no account") == "taken"
    for _ in range(2):
        said = acknowledge(connection, key(0), "rejected", "no")
        assert said == "not taken: it was said before that it is billed"
        assert acknowledge(connection, key(9), "billed") == (
            "not taken: no such bill is in an export"
        )
    status = cycle_status.status(connection, this)
    assert (status.billed, status.rejected, status.exported) == (1, 1, 0)
    (hold,) = cycle_status.holds(connection, this)
    assert (hold.usage_point, hold.detail) == ("UP-1", "no account")
    (export,) = delivery.exports(connection, this)
    kept = [(s.export, s.bill) for s in acknowledgement.strays(connection, this.id)]
    assert kept == [(export.name, key(0)), (None, key(9))]
    # Released by a person it comes again, and the newest export is meant.
    cycle.release(connection, this, "UP-1", person="Amal", reason="opened", now=later(2))
    assert deliver(connection, this, hours=3).items == 1
    assert acknowledge(connection, key(1), "billed") == "taken"
    assert cycle_status.status(connection, this).billed == 2


@pytest.mark.parametrize(
    ("outcome", "reason"), [("paid", None), ("rejected", None), ("rejected", " "), (None, None)]
)
def test_half_an_acknowledgement_is_refused(
    connection: Connection, this: cycle.Cycle, outcome: str, reason: str | None
) -> None:
    deliver(connection, this)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="billed, or rejected with a"):
        acknowledge(connection, key(0), outcome, reason)


def test_a_correction_stands_beside_what_was_billed(
    connection: Connection, this: cycle.Cycle, points: list[Point]
) -> None:
    deliver(connection, this)
    acknowledge(connection, key(0), "billed")
    values = [100] * (SLOTS - 1) + [350]
    billing.record_intervals(connection, points[0].interval, values, at=later(1))
    dial = {PERIOD.end: 5_000 + sum(values)}
    billing.record_register(
        connection, points[0].register, points[0].installation, dial, at=later(1)
    )
    assert cycle.run(connection, this, now=later(2)).corrected == 1
    deliver(connection, this, hours=3)
    assert views_say_what_the_files_say(connection, this) == [key(0), key(0, 2), key(1)]
    row = connection.execute(
        "SELECT value, previous, difference FROM billing_export_determinant"
        " WHERE key = %s AND determinant = 'consumption'",
        [key(0, 2)],
    ).fetchone()
    assert row == (Decimal("29.050"), Decimal("28.800"), Decimal("0.250"))
    assert acknowledge(connection, key(0, 2), "billed") == "taken"


def test_a_reader_gets_by_with_the_role_of_the_page(
    connection: Connection, this: cycle.Cycle
) -> None:
    deliver(connection, this)
    (statements,) = re.findall(r"```sql\n(CREATE ROLE.*?)```", PAGE, re.DOTALL)
    role = f"reader_{connection.info.dbname}"
    connection.execute(statements.replace("billing_reader", role).replace(" LOGIN", "").encode())
    named = sql.Identifier(role)
    try:
        connection.execute(sql.SQL("SET ROLE {}").format(named))
        assert connection.execute("SELECT count(*) FROM billing_export").fetchone() == (1,)
        assert connection.execute("SELECT FROM billing_export_determinant").rowcount == 26
        assert acknowledge(connection, key(0), "billed") == "taken"
        for refused in (
            "SELECT FROM usage_point",
            "SELECT FROM determinant",
            "UPDATE export_item SET outcome = 'billed'",
            "SELECT FROM logged_change",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())
    finally:
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL("DROP OWNED BY {}").format(named))
        connection.execute(sql.SQL("DROP ROLE {}").format(named))


def test_nobody_else_may_acknowledge(connection: Connection, this: cycle.Cycle) -> None:
    deliver(connection, this)
    row = connection.execute(
        "SELECT has_function_privilege('public', 'acknowledge_bill(text, text, text)', 'EXECUTE')"
    ).fetchone()
    assert row == (False,)


def test_the_target_has_one_name(connection: Connection, this: cycle.Cycle) -> None:
    with pytest.raises(ValueError, match="views are called database:"):
        delivery.deliver(connection, this, target="database:x", now=later(1))
