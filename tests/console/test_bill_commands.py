"""From readings to bills: validation, the worklist and delivery, as people ask for it."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from simulators import invoicing
from tests.console.served import IMPORT, Town, one_row
from tests.console.shell import Said, Shell


def read_all(town: Town) -> None:
    for number in range(1, 14):
        town.run("read", f"M{number:05}")


def number_of(said: Said, point: str, rule: str) -> str:
    found = [line.split()[0] for line in said.lines if f" {point} {rule} " in f" {line} "]
    assert found, said.out
    return found[0]


def test_from_readings_to_bills(town: Town, database_url: str) -> None:
    run = town.run
    read_all(town)
    validated = run("vee", "run")
    assert validated.status == 0
    assert re.search(r"^8,\d{3} intervals validated$", validated.out, re.MULTILINE)
    assert "its day is not over" in validated.out
    assert run("vee", "run").out == "Nothing new has arrived.\n"
    _worklist(run, database_url)
    ran = run("bill", "run", "monthly", "2026-06-01", "2026-06-05")
    assert ran.status == 0
    assert "12 usage points, 12 written" in ran.out
    # One was never read; the edit of the other contradicts its register.
    assert {"ready 10", "held 2"} <= set(ran.lines)
    held = run("bill", "status", "monthly", "--holds")
    never = "UP00009 commercial held consumption M00009 has no usable reading at the start"
    assert never in " ".join(held.lines)
    assert "UP00002" in held.out
    assert "nothing was exported yet" in run("bill", "replay", "monthly", "2026-06-01").out
    _to_a_folder(run, town.folder)
    _to_a_receiver(run, town.folder)


def _worklist(run: Shell, database_url: str) -> None:
    listed = run("worklist", "list", "--all")
    assert "spike issue estimate 1 1 0 h" in listed.lines
    spike = number_of(listed, "UP00005", "spike")
    assert "gap" not in run("worklist", "list", "--rule", "spike").out.partition(IMPORT)[2]
    who = ["--by", "Noura", "--reason", "seen on site"]
    assert "1 finding accepted" in run("worklist", "accept", spike, *who).out
    twice = run("worklist", "accept", spike, *who)
    assert (twice.status, "is accepted, not open" in twice.err) == (1, True)
    slot = "2026-06-02T09:00:00+03:00=412"
    edited = run("worklist", "edit", "UP00002", IMPORT, "--set", slot, *who)
    assert "1 interval to change.\n1 day changed." in edited.out
    value = one_row(
        database_url,
        f"SELECT value FROM reading WHERE usage_point = 'UP00002' AND reading_type = '{IMPORT}'"
        " AND starts_at = '2026-06-02T06:00Z'",
    )
    assert value == (412,)
    nowhere = run("worklist", "edit", "UP00002", "steam", "--set", slot, *who)
    assert (nowhere.status, "'steam'" in nowhere.err) == (1, True)
    gap = number_of(run("worklist", "list", "--all"), "UP00002", "gap")
    assert "validated" in run("worklist", "rerun", gap).out
    _together(run, gap, who)


def _together(run: Shell, gap: str, who: list[str]) -> None:
    """A finding is looked at, given away, put off; an edit waits, is approved and taken back."""
    seen = run("worklist", "show", gap)
    assert f"gap at UP00002, {IMPORT}" in seen.out
    assert "Proposed: estimated_" in seen.out
    assert "1 finding assigned to Salem" in run("worklist", "assign", gap, "--to", "Salem").out
    assert gap in run("worklist", "list", "--all", "--assigned-to", "Salem").out
    assert "held until" in run("worklist", "hold", gap, "--days", "2", *who).out
    assert run("worklist", "estimate", gap, "--dry-run", *who).status == 0
    day = ["--from", "2026-06-02T00:00+0300", "--to", "2026-06-04T00:00+0300"]
    edit = ["worklist", "edit", "UP00003", IMPORT, *day, "--scale", "1.5", *who]
    assert "intervals to change" in run(*edit, "--dry-run").out
    waits = run(*edit)
    assert "intervals, at most 96 without a second person" in waits.out
    number = re.search(r"worklist approve (\d+) ", waits.out)
    assert number
    own = run("worklist", "approve", number[1], *who)
    assert (own.status, "another must approve it" in own.err) == (1, True)
    assert f"{number[1]}: UP00003, {IMPORT}" in run("worklist", "proposals").out
    other = ["--by", "Salem", "--reason", "not so"]
    assert "1 edit refused" in run("worklist", "refuse", number[1], *other).out
    slot = ["--set", "2026-06-02T09:00:00+03:00=500"]
    assert run("worklist", "edit", "UP00003", IMPORT, *slot, *who).status == 0
    back = ["UP00003", IMPORT, "2026-06-02", "--to-version", "1"]
    assert "1 day changed" in run("worklist", "undo", *back, *who).out
    unsaid = run("worklist", "settle", "--missing", *who)
    assert (unsaid.status, "which findings?" in unsaid.err) == (1, True)
    assert run("worklist", "settle", gap, "--missing", "--final", *who).status == 2


def _to_a_folder(run: Shell, folder: Path) -> None:
    target = folder / "out"
    cycle = ["monthly", "2026-06-01"]
    sent = run("bill", "export", *cycle, "--to", target, "--format", "csv")
    assert "10 usage points, 0 billed, 0 rejected, 10 not acknowledged" in sent.out
    name = "monthly-2026-06-01-1-0001"
    assert (target / name / "manifest.json").is_file()
    assert "delivered before" in run("bill", "export", *cycle, "--to", target).out
    answer = folder / "answer.csv"
    answer.write_text(
        "usage_point,version,outcome,reason\nUP00001,1,billed,\nUP00003,1,rejected,no account\n"
    )
    assert (
        "2 acknowledgements, 2 of them new" in run("bill", "acknowledge", *cycle, name, answer).out
    )
    assert (
        "2 acknowledgements, 0 of them new" in run("bill", "acknowledge", *cycle, name, answer).out
    )
    wrong = run("bill", "acknowledge", *cycle, "nosuch", answer)
    assert (wrong.status, name in wrong.err) == (1, True)
    status = run("bill", "status", "monthly", "--holds")
    assert {"billed 1", "rejected 1", "exported, not acknowledged 8"} <= set(status.lines)
    assert "no account" in status.out
    assert f"export {name}: delivered, csv" in status.out
    replayed = run("bill", "replay", *cycle)
    assert (replayed.status, "10 of 10 replayed bit-identical" in replayed.out) == (0, True)


def _to_a_receiver(run: Shell, folder: Path) -> None:
    cycle = ["monthly", "2026-06-01"]
    who = ["--by", "Noura", "--reason", "account opened"]
    assert run("bill", "release", *cycle, "UP00003", *who).status == 0
    with invoicing.serving(folder / "books.sqlite") as receiver:
        sent = run("bill", "export", *cycle, "--to", receiver.url)
        assert "1 usage point, 1 billed, 0 rejected, 0 not acknowledged" in sent.out
        # A late edit of what was billed, so small that no gate holds it.
        day = [f"2026-06-02T09:{minute:02}:00+03:00" for minute in (0, 15)]
        first = _value(run, "UP00001", day[0])
        edits = ["--set", f"{day[0]}={first + 1}", "--by", "Noura", "--reason", "read off"]
        billed = run("worklist", "edit", "UP00001", IMPORT, *edits)
        assert (billed.status, "2026-06-02 of UP00001 is billed" in billed.err) == (1, True)
        said = run("worklist", "edit", "UP00001", IMPORT, *edits, "--after-billing")
        assert "the next run of that cycle raises a correction" in said.out
        again = run("bill", "run", "monthly", "2026-06-01", "2026-06-05")
        assert "1 corrected after billing" in again.out
        listed = run("bill", "corrections", *cycle)
        assert "UP00001, version 2 corrects 1" in listed.out
        assert re.search(r"interval_consumption .* 0\.001 kWh", "\n".join(listed.lines))


def _value(run: Shell, point: str, at: str) -> int:
    said = run("simulate", "truth", "small")
    rows = csv.DictReader(io.StringIO(said.out))
    moment = at.replace("T09", " 06").replace("+03:00", "+00:00")
    return next(
        int(row["value"])
        for row in rows
        if row["usage_point"] == point
        and row["reading_type"] == IMPORT
        and row["starts_at"] == moment
    )
