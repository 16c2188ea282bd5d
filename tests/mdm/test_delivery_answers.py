"""Acknowledgements in files: taken by themselves, again and again, whatever else lies there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm import cycle, cycle_advance, cycle_status, delivery, delivery_answers, delivery_folder
from mdm import strays as worklist
from mdm.cycle import Cycle
from mdm.cycle_advance import How
from mdm.delivery_folder import Sought
from mdm.strays import StrayError
from schemas import database, statements
from schemas.database import Connection
from tests.console.shell import Shell
from tests.mdm import record
from tests.mdm.billing import NOW, add_whole, june, later
from tests.mdm.test_cycle_advance import CLOSING, planned

HEAD = "usage_point,version,outcome,reason\n"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def sent(connection: Connection, tmp_path: Path) -> tuple[Cycle, delivery.Export, Path]:
    """An export of two usage points, and the folder in which its receiver answers."""
    for name in ("UP-1", "UP-2"):
        add_whole(connection, name)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    target = str(tmp_path / "out")
    (export,) = delivery.deliver(
        connection, this, target=target, file_format="csv", now=NOW
    ).exports
    answers = tmp_path / "out" / delivery_folder.ANSWERS
    answers.mkdir()
    return this, export, answers


def test_a_bad_file_keeps_nobody_from_reading_the_others(
    connection: Connection, sent: tuple[Cycle, delivery.Export, Path]
) -> None:
    this, export, answers = sent
    (answers / f"{export.name}-a.csv").write_text("not,what,it,should,be\n")
    (answers / f"{export.name}-b.csv").mkdir()
    (answers / f"{export.name}-c.csv").write_text(f"{HEAD}UP-1,1,billed,a\0b\n")
    (answers / f"{export.name}-d.csv").write_text(f"{HEAD}UP-1,1,billed,\nUP-7,1,billed,\n")
    (answers / f"{export.name}-e.part").write_text("is being written")
    found = delivery_answers.collect(connection, this, now=later(1))
    assert (found.files, found.taken.new, found.taken.unseen) == (4, 1, 1)
    wrong = [re.sub(r".*-([a-e]\.csv)", r"\1", problem) for problem in found.problems]
    assert [text[:5] for text in wrong] == ["a.csv", "b.csv", "c.csv"]
    assert "the columns are not named" in wrong[0]
    assert "Is a directory" in wrong[1]
    assert "is not text that can be kept" in wrong[2] or "NUL" in wrong[2]
    again = delivery_answers.collect(connection, this, now=later(2))
    assert (again.files, again.taken.new, again.taken.unseen) == (4, 0, 0)
    # Once all is acknowledged nobody looks any more.
    (answers / f"{export.name}-d.csv").write_text(f"{HEAD}UP-1,1,billed,\nUP-2,1,rejected,why\n")
    assert delivery_answers.collect(connection, this, now=later(3)).taken.new == 1
    assert delivery_answers.collect(connection, this, now=later(4)).files == 0


def test_a_file_of_no_export_is_kept_for_people(
    connection: Connection, sent: tuple[Cycle, delivery.Export, Path]
) -> None:
    this, export, answers = sent
    (answers / "B-2020-01-01-9-0001.csv").write_text(f"{HEAD}UP-1,1,rejected,who\n")
    # Of an export whose name only begins like ours.
    (answers / f"{export.name}9.csv").write_text(f"{HEAD}UP-2,1,billed,\n")
    found = delivery_answers.collect(connection, this, now=later(1))
    assert (found.files, found.taken.new, found.taken.unseen, found.problems) == (2, 0, 2, [])
    kept = worklist.unclosed(connection, limit=10)
    assert [(one.export, one.bill, one.outcome) for one in kept] == [
        (None, "UP-2, version 1", "billed"),
        (None, "UP-1, version 1", "rejected"),
    ]
    assert kept[1].why == "B-2020-01-01-9-0001.csv is the name of no export"
    assert cycle_status.status(connection, this).billed == 0


@pytest.mark.parametrize(
    ("file", "export"),
    [
        ("A-1.csv", "A-1"),
        ("A-1-2.csv", "A-1-2"),
        ("A-1-3.csv", "A-1"),
        ("A-1-2-late.v2.csv", "A-1-2"),
        ("A-12.csv", None),
        ("A.csv", None),
        (".csv", None),
    ],
)
def test_of_which_export_a_file_is(file: str, export: str | None) -> None:
    assert delivery_folder.answered(file, {"A-1", "A-1-2"}) == export
    wanted = Sought({"A-1"}, {"A-1", "A-1-2"}).named([file, "A-1.json"])
    assert wanted == ([] if export == "A-1-2" else [(file, export)])


def test_acknowledgements_come_in_by_themselves(connection: Connection, tmp_path: Path) -> None:
    for name in ("UP-1", "UP-2"):
        add_whole(connection, name)
    planned(connection, f'target = "{tmp_path}"\nformat = "csv"\n')

    def deliver(one: Cycle, _plan: object) -> str:
        done = delivery.deliver(
            connection, one, target=str(tmp_path), file_format="csv", now=CLOSING
        )
        return f"{done.items}" if done.exports else ""

    def collect(one: Cycle) -> tuple[str, str]:
        found = delivery_answers.collect(connection, one, now=CLOSING)
        new = f"{found.taken.new} new" if found.taken.new else ""
        return new, "; ".join(found.problems)

    def advanced() -> list[str]:
        how = How(deliver=deliver, collect=collect)
        return [step.kind for step in cycle_advance.advance(connection, how, now=CLOSING)]

    assert "delivered" in advanced()
    (one,) = (c for c in cycle.cycles(connection) if delivery.exports(connection, c))
    (export,) = delivery.exports(connection, one)
    assert advanced() == []
    answers = tmp_path / delivery_folder.ANSWERS
    answers.mkdir()
    (answers / f"{export.name}-1.csv").write_text("nothing")
    (answers / f"{export.name}-2.csv").write_text(f"{HEAD}UP-1,1,billed,\n")
    assert advanced() == ["acknowledged", "unread"]
    # It is told each time, and written down once.
    assert advanced() == ["unread"]
    assert advanced() == ["unread"]
    kinds = [step.kind for step in cycle_advance.steps(connection, one)]
    assert (kinds.count("unread"), kinds.count("acknowledged")) == (1, 1)
    (answers / f"{export.name}-1.csv").write_text(f"{HEAD}UP-2,1,billed,\n")
    assert advanced() == ["acknowledged"]
    assert delivery.exports(connection, one)[0].state == "acknowledged"


def test_strays_stand_in_a_worklist_until_a_person_closes_them(
    connection: Connection, sent: tuple[Cycle, delivery.Export, Path], miqyas: Shell
) -> None:
    this, export, answers = sent
    (answers / f"{export.name}.csv").write_text(f"{HEAD}UP-7,1,billed,\nUP-8,1,rejected,no flat\n")
    delivery_answers.collect(connection, this, now=later(1))
    said = miqyas("bill", "strays", "--group", "A").out
    assert "UP-7, version 1" in said
    assert "no flat" in said
    assert "2 stray acknowledgements" in miqyas("bill", "status").err
    first, second = worklist.unclosed(connection, limit=10)
    with pytest.raises(StrayError, match="needs a person and a reason"):
        worklist.close(connection, [first.id], person=" ", reason="x", now=later(2))
    with pytest.raises(StrayError, match="no stray acknowledgement 999"):
        worklist.close(connection, [first.id, 999], person="Noura", reason="x", now=later(2))
    closing = ("--close", first.id, "--by", "Noura", "--reason", "a test")
    said = miqyas("bill", "strays", *closing).out
    assert "UP-7" not in said
    assert "UP-8" in said
    assert worklist.standing(connection).number == 1
    # Said once more it does not come back; the other one stays.
    delivery_answers.collect(connection, this, now=later(3))
    assert [one.id for one in worklist.unclosed(connection, limit=10)] == [second.id]
    assert worklist.standing(connection, "B").number == 0


def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for name, text in statements.load("mdm", "strays.sql").items():
        record.prepare(connection, name, text)
