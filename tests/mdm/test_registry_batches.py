"""The registry by batches does what row after row would: the same tables, the same messages."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdm import registry
from mdm.registry import Report
from schemas import database, statements
from schemas.database import Connection
from tests.mdm import record, registry_by_rows
from tests.mdm.test_registry import GOOD, file

_TABLES = (
    "SELECT mrid, commodity, sector, time_zone, tariff, billing_group FROM usage_point",
    """SELECT d.mrid, manufacturer, model, protocol, profile, interval_seconds, register_modulus,
              s.code, host, port, address::text, security
       FROM end_device d LEFT JOIN network_segment s ON s.id = d.segment_id""",
    """SELECT p.mrid, d.mrid, starts_at, ends_at, multiplier FROM installation i
       JOIN usage_point p ON p.id = usage_point_id JOIN end_device d ON d.id = end_device_id""",
    "SELECT code, max_sessions FROM network_segment",
)
_DAYS = [f"2026-{month:02}-01T00:00:00+03:00" for month in range(1, 7)]


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[Connection]:
    with database.connect(module_database_url) as connection:
        yield connection
        connection.rollback()


@st.composite
def rows(draw: st.DrawFn) -> dict[str, str]:
    """Draw a row of few usage points, meters and days, so that they meet; some have a fault."""
    start = draw(st.integers(0, 4))
    until = draw(st.none() | st.integers(start + 1, 5))
    row = GOOD | {
        "usage_point": draw(st.sampled_from(["UP-1", "UP-2", "نقطة 3"])),
        "end_device": draw(st.sampled_from(["M-1", "M-2", "M-3"])),
        "installed_from": _DAYS[start],
        "installed_until": "" if until is None else _DAYS[until],
    }
    choices = {
        "commodity": ["electricity", "electricity", "electricity", "water"],
        "sector": ["residential", "residential", "service"],
        "segment": ["", "cell-1", "cell-2"],
        "register_modulus": ["", "1000000000"],
        "multiplier": ["1", "1.0", "40"],
        "address": ["client=1;server=1", "client=1;server=2;serial=007", ""],
    }
    faults = {"time_zone": "Mars/Base", "port": "0", "installed_until": _DAYS[0]}
    changes = draw(st.sets(st.sampled_from(sorted(choices)), max_size=3))
    row |= {column: draw(st.sampled_from(choices[column])) for column in sorted(changes)}
    if draw(st.integers(0, 9)) == 0:
        column = draw(st.sampled_from(sorted(faults)))
        row[column] = faults[column]
    return row


def tables(connection: Connection) -> list[list[tuple[Any, ...]]]:
    return [sorted(connection.execute(query).fetchall(), key=repr) for query in _TABLES]


def told(report: Report) -> tuple[object, ...]:
    counts = (+report.added, +report.changed, +report.unchanged)
    return (report.lines, report.refused, *counts, report.rejected)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(rows(), max_size=12), min_size=1, max_size=2), st.integers(1, 6))
def test_batches_do_what_row_after_row_would(
    connection: Connection, files: Sequence[Sequence[dict[str, str]]], size: int
) -> None:
    with connection.transaction(force_rollback=True):
        expected = [told(registry_by_rows.import_rows(connection, each)) for each in files]
        expected_tables = tables(connection)
    with (
        connection.transaction(force_rollback=True),
        mock.patch.object(registry, "_BATCH", size),
    ):
        found = [told(registry.import_registry(connection, file(*each))) for each in files]
        found_tables = tables(connection)
        again = [registry.import_registry(connection, file(*each)) for each in files]
    assert found == expected
    assert found_tables == expected_tables
    if len(files) == 1 and not expected[0][1] and not found[0][3]:
        assert not +again[0].added
        assert not +again[0].changed


def many(count: int, **changes: str) -> list[dict[str, str]]:
    return [
        GOOD | {"usage_point": f"UP-{n}", "end_device": f"M-{n}", "host": f"h{n}"} | changes
        for n in range(count)
    ]


def test_bad_lines_are_told_as_they_are_found_and_in_order(connection: Connection) -> None:
    given_rows = many(25)
    for n in (3, 4, 17):
        given_rows[n] |= {"sector": "farm"}
    given_rows[9] |= {"usage_point": "UP-8"}
    heard: list[str] = []
    seen: list[int] = []
    with (
        connection.transaction(force_rollback=True),
        mock.patch.object(registry, "_BATCH", 10),
    ):
        report = registry.import_registry(
            connection, file(*given_rows), seen.append, lambda bad: heard.append(str(bad))
        )
    assert [text.split(",")[0] for text in heard] == ["line 5", "line 6", "line 11", "line 19"]
    assert (report.refused, report.rejected, seen) == (4, [], [10, 20, 25])
    assert report.added["end_device"] == 21


def test_what_the_database_alone_refuses_takes_nothing_else_with_it(
    connection: Connection,
) -> None:
    given_rows = many(20)
    given_rows[7] |= {"tariff": "forbidden"}
    with connection.transaction(force_rollback=True):
        connection.execute("ALTER TABLE usage_point ADD CHECK (tariff <> 'forbidden')")
        report = registry.import_registry(connection, file(*given_rows))
        count = connection.execute("SELECT count(*) FROM installation").fetchone()
    assert count == (19,)
    (bad,) = report.rejected
    assert bad.line == 9
    assert "the database refuses it" in str(bad)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ({"usage_point": "UP\0-1"}, "U+0000"),
        ({"end_device": "M-1\u200f2"}, "U+200F, after 3 others"),
        ({"tariff": "x" * 501}, "has 501 characters"),
        ({"register_modulus": str(2**63)}, "whole number"),
        ({"multiplier": "100000000"}, "less than 100,000,000"),
        ({"multiplier": "1e999999"}, "less than"),
        ({"installed_from": "0226-01-01T00:00:00Z"}, "before 1900"),
        ({"installed_from": "2026-02-31T00:00:00Z"}, "with its offset"),
        ({"installed_until": "9999-12-31T23:59:59-05:00"}, "with its offset"),
    ],
)
def test_what_no_column_takes_is_refused_by_line(
    connection: Connection, cell: Mapping[str, str], why: str
) -> None:
    with connection.transaction(force_rollback=True):
        report = registry.import_registry(connection, file(GOOD | cell, many(2)[1]))
        assert [bad.line for bad in report.rejected] == [2]
        assert why in report.rejected[0].reason
        assert report.added["end_device"] == 1


def test_empty_rows_are_passed_over_and_lines_counted_right(connection: Connection) -> None:
    text = file(GOOD | {"sector": "farm"}).getvalue().replace("\n", "\n\n,,,\n\n", 1)
    with connection.transaction(force_rollback=True):
        report = registry.import_registry(connection, io.StringIO(text))
    assert [bad.line for bad in report.rejected] == [5]


def test_two_imports_at_once_wait_for_each_other(database_url: str) -> None:
    def run() -> Report:
        with database.connect(database_url) as mine:
            return registry.import_rows(mine, many(300))

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: run(), range(2))
    assert {one.added["installation"], other.added["installation"]} == {0, 300}
    assert not one.rejected + other.rejected


def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for name, text in statements.load("mdm", "registry.sql").items():
        if not name.startswith("copy_"):
            record.prepare(connection, name, text)
    connection.execute("DEALLOCATE ALL")
