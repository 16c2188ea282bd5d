"""Exports of sets that stand as pages, beside others; written while the database is asked."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mdm import cycle, delivery, delivery_files, delivery_folder, delivery_line, delivery_records
from mdm.acknowledgement import Acknowledgement
from mdm.export.formats import FORMATS
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, SLOTS, add_point, june, later
from tests.mdm.test_daily import plain

# What a reader of the view has of a line, in the file's words.
LINES = """
SELECT p.mrid, s.version, d.name, d.part, d.value, d.unit, d.starts_at, d.ends_at, d.actual,
       d.estimated, d.missing, d.rounding, d.note
FROM export_item i
JOIN determinant_set s ON s.id = i.determinant_set_id
JOIN usage_point p ON p.id = s.usage_point_id
JOIN determinant d ON d.determinant_set_id = s.id
WHERE i.export_id = %s ORDER BY p.mrid COLLATE "C", d.position
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def town(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> cycle.Cycle:
    """Six usage points in files of two: the second and the fifth have lines of their own."""
    monkeypatch.setitem(
        delivery.formats.FORMATS,
        "csv",
        delivery.formats.replace(delivery.formats.FORMATS["csv"], usage_points=2),
    )
    for number in range(6):
        flags = {0: quality.MISSING} if number in (1, 4) else {9: quality.ESTIMATED_LINEAR}
        point = add_point(connection, f"UP-{number}")
        values = [0 if slot in flags else 100 + number for slot in range(SLOTS)]
        billing.record_intervals(connection, point.interval, values, flags)
    this = june(connection)
    assert cycle.run(connection, this, now=NOW, tariffs=plain()).written == 6
    assert connection.execute("SELECT count(*) FROM determinant_page").fetchone() == (4,)
    for number in (1, 4):
        who = {"person": "Amal", "reason": "a gap that is known"}
        cycle.release(connection, this, f"UP-{number}", **who, now=NOW)
    return this


def rows_of(folder: Path, export: str) -> list[dict[str, str]]:
    files = sorted((folder / export).glob("*.csv"))
    return [row for file in files for row in csv.DictReader(file.read_text("utf-8").splitlines())]


def as_in_the_database(connection: Connection, export: int) -> list[tuple[str, ...]]:
    def text(cell: object) -> str:
        if isinstance(cell, datetime):
            return cell.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return "" if cell is None else str(cell)

    return [tuple(map(text, row)) for row in connection.execute(LINES, [export])]


def as_in_the_file(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    names = ("usage_point", "version", "determinant", "part", "value", "unit", "starts_at",
             "ends_at", "actual", "estimated", "missing", "rounding", "note")  # fmt: skip
    return [tuple(row[name] for name in names) for row in rows]


def test_pages_and_lines_stand_in_one_order(
    connection: Connection, town: cycle.Cycle, tmp_path: Path
) -> None:
    done = delivery.deliver(connection, town, target=str(tmp_path), file_format="csv", now=NOW)
    (export,) = done.exports
    rows = rows_of(tmp_path, export.name)
    assert as_in_the_file(rows) == as_in_the_database(connection, export.id)
    assert [row["usage_point"] for row in rows] == sorted(row["usage_point"] for row in rows)
    assert {row["usage_point"] for row in rows} == {f"UP-{n}" for n in range(6)}
    files = list((tmp_path / export.name).glob("*.csv"))
    assert len(files) == 3
    again = delivery.package(connection, town, export)
    delivery_folder.put(tmp_path, export.name, again)


@pytest.mark.parametrize("name", sorted(n for n, f in FORMATS.items() if not f.series))
def test_every_format_writes_pages_as_lines(
    connection: Connection, town: cycle.Cycle, name: str
) -> None:
    kind, head = FORMATS[name], delivery_files.head(town, "A-1", NOW, "miqyas")
    rows = connection.execute("SELECT id FROM determinant_set ORDER BY id DESC").fetchall()
    sets = [row[0] for row in rows]
    found = delivery_records.read(connection, sets, town.starts_on, town.ends_on)
    assert (len(found.records), sum(len(page.sets) for page in found.paged)) == (2, 4)
    (file,) = (made := delivery_files.packed(connection, head, name, [("f", sets)])).files
    assert file.content == kind.render(head, found.whole())
    left_out = {one for record in found.whole() for one in kind.omissions(record)}
    told = json.loads(made.manifest).get("left_out", [])
    assert {(one["what"], one["why"]) for one in told} == left_out
    assert delivery_files.refusals(connection, head, name, sets) == {}


def test_a_page_that_corrects_says_what_was_billed(
    connection: Connection, town: cycle.Cycle, tmp_path: Path
) -> None:
    delivery.deliver(connection, town, target=str(tmp_path), file_format="csv", now=NOW)
    (export,) = delivery.exports(connection, town)
    billed = [Acknowledgement(f"UP-{n}", 1, "billed") for n in range(6)]
    delivery.acknowledge(connection, export, billed, now=NOW)
    (channel,) = connection.execute("SELECT min(id) FROM channel").fetchone() or (0,)
    billing.record_intervals(connection, channel, [300] * SLOTS, at=later(1))
    assert cycle.run(connection, town, now=later(2), tariffs=plain()).corrected == 1
    done = delivery.deliver(connection, town, target=str(tmp_path), file_format="csv", now=later(3))
    rows = rows_of(tmp_path, done.exports[0].name)
    assert as_in_the_file(rows) == as_in_the_database(connection, done.exports[0].id)
    (total,) = [row for row in rows if row["determinant"] == "consumption"]
    # 288 × 300 Wh; before, 287 × 100 Wh and a slot that was estimated as 0.
    figures = total["value"], total["previous"], total["difference"]
    assert figures == ("86.4", "28.7", "57.7")


def test_what_cannot_be_claimed_is_told_and_claims_nothing(
    connection: Connection, town: cycle.Cycle, tmp_path: Path
) -> None:
    # Somebody else has the fifth under way, against all rules: the second of three files fails.
    connection.execute(
        "WITH e AS (INSERT INTO export (cycle_id, name, format, target, prepared_at, software)"
        " VALUES (%s, 'other', 'csv', 'x', now(), 'x') RETURNING id), f AS ("
        " INSERT INTO export_file SELECT id, 'f', repeat('0', 64), 1, 1 FROM e RETURNING *)"
        " SELECT * FROM f",
        [town.id],
    )
    connection.execute(
        "INSERT INTO export_item (export_id, file, determinant_set_id)"
        " SELECT f.export_id, f.name, s.id FROM export_file f, determinant_set s"
        " JOIN usage_point p ON p.id = s.usage_point_id WHERE p.mrid = 'UP-3'"
    )
    with pytest.raises(psycopg.errors.UniqueViolation, match="export_item_once"):
        delivery.deliver(connection, town, target=str(tmp_path), file_format="csv", now=NOW)
    assert [export.name for export in delivery.exports(connection, town)] == ["other"]
    states = connection.execute("SELECT state FROM determinant_set").fetchall()
    assert sorted(row[0] for row in states) == ["ready"] * 4 + ["released"] * 2


def _killed(url: str, where: str, number: int, folder: str, this: cycle.Cycle) -> None:
    """Deliver, and die when a step is taken for the nth time."""
    owner: Any = {"_claim": delivery, "_sync": delivery_folder, "_written": delivery_files}[where]
    step: Callable[..., Any] = getattr(owner, where)
    calls = []

    def dying(*given: Any, **named: Any) -> Any:
        calls.append(where)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*given, **named)

    setattr(owner, where, dying)
    with database.connect(url, autocommit=True) as connection:
        delivery.deliver(connection, this, target=folder, file_format="csv", now=NOW)


@pytest.mark.parametrize(
    ("step", "claimed"),
    [
        *((("_written", 2), 0), (("_claim", 1), 0), (("_claim", 3), 0)),
        *((("_sync", 1), 1), (("_sync", 2), 1)),
    ],
)
def test_who_delivers_may_die_at_any_point(
    connection: Connection, town: cycle.Cycle, tmp_path: Path, step: tuple[str, int], claimed: int
) -> None:
    url = f"{connection.info.dsn} password={connection.info.password or chr(39) * 2}"
    child = multiprocessing.get_context("fork").Process(
        target=_killed, args=(url, *step, str(tmp_path), town)
    )
    child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    assert len(delivery.exports(connection, town)) == claimed
    done = delivery.deliver(connection, town, target=str(tmp_path), file_format="csv", now=later(1))
    (export,) = done.exports
    assert (export.items, export.state) == (6, "delivered")
    rows = rows_of(tmp_path, export.name)
    assert as_in_the_file(rows) == as_in_the_database(connection, export.id)
    assert sorted(path.name for path in tmp_path.iterdir()) == [export.name]
    assert not delivery.deliver(connection, town, target=str(tmp_path), now=later(2)).exports


def test_a_line_answers_in_order_and_tells_the_first_that_went_wrong() -> None:
    done: list[int] = []

    def failing() -> None:
        raise KeyError("first")

    with delivery_line.opened() as line:
        for number in range(100):
            line.told(done.append, number)
        assert line.answered(line.asked(lambda: list(done))) == list(range(100))
    with pytest.raises(KeyError, match="first"):
        _asked_after(failing)
    with pytest.raises(KeyError, match="first"), delivery_line.opened() as line:
        line.told(failing)


def _asked_after(failing: Callable[[], None]) -> None:
    with delivery_line.opened() as line:
        line.told(failing)
        line.answered(line.asked(lambda: 1 // 0))
