"""``miqyas bill calendar``, ``advance``, ``to-date`` and ``holds`` as people type them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from headend import clock
from mdm import cycle
from schemas import database
from tests.console.shell import Shell
from tests.mdm import billing

CYCLES = """
[[group]]
name = "A"
dates = [2026-06-01, 2026-06-04, 2026-07-01]
close_after_days = 1
working_days = "kuwait"
addressee = "The palace"
target = "{target}"
format = "csv"
"""


def at(url: str, moment: datetime) -> None:
    with database.connect(url) as connection:
        clock.simulate(connection, moment)


def test_from_a_calendar_to_a_delivery(miqyas: Shell, database_url: str, tmp_path: Path) -> None:
    with database.connect(database_url) as connection:
        billing.add_whole(connection, "UP-1")
        billing.add_point(connection, "UP-2")
    at(database_url, billing.NOW)
    empty = miqyas("bill", "calendar")
    assert "No billing group has a calendar of cycles" in empty.out
    assert "shipped: kuwait" in empty.out
    assert "'monthly'; the registry has: A" in miqyas("bill", "calendar", "kuwait").err
    assert "no file, and none of the shipped" in miqyas("bill", "calendar", "nowhere.toml").err
    assert "Nothing is due" in miqyas("bill", "advance").out
    file, out = tmp_path / "cycles.toml", tmp_path / "out"
    file.write_text(CYCLES.format(target=out))
    put = miqyas("bill", "calendar", file)
    assert "In force: A." in put.out
    assert f"A: 2 usage points, to The palace, delivered to {out} as csv" in put.out
    assert "2026-06-04 2026-07-01 2026-07-02 to come" in put.lines
    assert "All of it is in force." in miqyas("bill", "calendar", file).out
    first = miqyas("bill", "advance")
    assert first.status == 0
    assert "to before 2026-06-04: computed: 2 computed, 2 new" in first.out
    assert "2026-06-04 2026-07-01 2026-07-02 open" in miqyas("bill", "calendar").lines
    status = miqyas("bill", "status", "A")
    assert {"waiting for data 1", "ready 1", "held 0"} <= set(status.lines)
    early = miqyas("bill", "export", "A", "2026-06-04", "--to", out).out
    assert "is not over, and nothing of it is final" in " ".join(early.split())
    assert not out.exists()
    # Sunday, the closing day.
    at(database_url, datetime(2026, 6, 6, 21, tzinfo=UTC))
    closing = miqyas("bill", "advance")
    assert "closed: 2 computed" in closing.out
    assert f"delivered: 1 usage point to {out}, 0 billed, 0 rejected" in closing.out
    assert len(list(out.iterdir())) == 1
    ended = miqyas("bill", "calendar", "--end", "A")
    assert "The calendar of A is ended" in ended.out
    assert "has no calendar of cycles" in miqyas("bill", "calendar", "--end", "A").err


def test_wrong_groups_and_days_are_told(miqyas: Shell, database_url: str) -> None:
    with database.connect(database_url) as connection:
        billing.add_whole(connection, "UP-1")
    at(database_url, billing.NOW)
    assert miqyas("bill", "run", "A", "2026-06-01", "2026-06-04").status == 0
    for words, message in (
        (["A", "2026-06-02", "2026-06-05"], "billing group A already has a cycle from 2026-06-01"),
        (["B", "2026-06-01", "2026-06-04"], "the registry has: A"),
        (["A", "2026-06-08", "2026-06-04"], "has no day"),
        (["A", "2026-06-04", "2026-06-09"], "is not over in Asia/Kuwait before 2026-06-08 21:00"),
    ):
        said = miqyas("bill", "run", *words)
        assert (said.status, "Traceback" in said.err) == (1, False)
        assert message in said.err


def test_workers_compute_parts_of_a_cycle(
    miqyas: Shell, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connect(database_url) as connection:
        for number in range(5):
            billing.add_whole(connection, f"UP-{number}", 100 + number)
    at(database_url, billing.NOW)
    monkeypatch.setattr(cycle, "partitions", partial(cycle.partitions, size=2))
    words = ("bill", "run", "A", "2026-06-01", "2026-06-04", "--workers", "2")
    assert "5 usage points, 5 written" in miqyas(*words).out
    assert "5 usage points, 0 written, 5 unchanged" in miqyas(*words).out
    with database.connect(database_url) as connection:
        rows = connection.execute("SELECT usage_point, count(*) FROM billing GROUP BY 1").fetchall()
    assert len(rows) == 5
    # Nothing is kept of a cycle that is not over, not even that it was opened.
    early = miqyas("bill", "run", "A", "2026-06-04", "2026-06-09", "--workers", "2")
    assert "is not over" in early.err
    assert "2026-06-09" not in miqyas("bill", "status", "A").out


def test_holds_are_decided_in_bulk_and_taken_back(miqyas: Shell, database_url: str) -> None:
    with database.connect(database_url) as connection:
        billing.add_whole(connection, "UP-1")
        billing.add_point(connection, "UP-2")
        billing.add_point(connection, "UP-3")
    at(database_url, billing.NOW)
    miqyas("bill", "run", "A", "2026-06-01", "2026-06-04")
    listed = miqyas("bill", "holds", "list", "--group", "A")
    assert {"consumption 2 0 h", "missing 2 0 h"} <= set(listed.lines)
    numbers = [line.split()[0] for line in listed.lines if "UP-" in line and " held " in line]
    assert len(numbers) == 2
    by = ("--by", "Noura", "--reason", "empty flats")
    assert "which of them?" in miqyas("bill", "holds", "release", *by).err
    assert "'wrong' is no gate" in miqyas("bill", "holds", "release", "--gate", "wrong", *by).err
    assigned = miqyas("bill", "holds", "assign", "--gate", "missing", "--to", "Noura")
    assert "2 usage points assigned to Noura." in assigned.out
    assert "Noura" in miqyas("bill", "holds", "list", "--assigned-to", "Noura").out
    released = miqyas("bill", "holds", "release", "--gate", "missing", *by)
    assert f"2 usage points released: no. {' '.join(numbers)}" in released.out
    assert "nothing that is held or rejected fits" in miqyas(
        "bill", "holds", "release", "--group", "A", *by
    ).err  # fmt: skip
    undone = miqyas("bill", "holds", "undo", numbers[0], "--by", "Noura", "--reason", "no")
    assert f"1 usage point held again: no. {numbers[0]}" in undone.out
    rejected = miqyas("bill", "holds", "reject", numbers[0], *by)
    assert "1 usage point rejected" in rejected.out
    shown = miqyas("bill", "holds", "show", numbers[0])
    assert "rejected, no consumption, 0 h old" in shown.out
    assert "refused Noura: empty flats" in shown.lines
    assert [w for line in shown.lines for w in line.split() if w in ("undone", "released")] == [
        "released", "undone",
    ]  # fmt: skip
    assert "no held usage point 999" in miqyas("bill", "holds", "show", "999").err


def test_to_date_is_marked(miqyas: Shell, database_url: str) -> None:
    with database.connect(database_url) as connection:
        billing.add_whole(connection, "UP-1")
    at(database_url, billing.NOW)
    said = miqyas("bill", "to-date", "UP-1")
    assert "NOT FINAL: UP-1 from 2026-06-01 to before 2026-06-05; tariff kw-resid" in said.out
    assert "Intervals: 288 actual, 96 missing." in said.out
    assert "interval_consumption 28.800 kWh" in " ".join(said.out.split())
    assert "no usage point 'UP-9'" in miqyas("bill", "to-date", "UP-9").err
