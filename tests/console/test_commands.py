"""The commands as people use them, on a real database, with simulated meters that really answer."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from console import command
from simulators import control, invoicing
from simulators import fleet as fleets
from tests.console.shell import Said, Shell, process, shell

DAY_AFTER = "2026-06-05T00:30+03:00"
IMPORT = "active_energy_import_interval"
# A meter of each kind that does not answer, and one that does. At "now" the data is over.
SILENT_FLEET = """
seed = 3
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2
now = "end"
[[group]]
name = "dead"
protocol = "dlms"
count = 3
profile = "generic"
security = "none"
first_address = "127.12.0.1"
[[fault]]
kind = "dead_line"
meters = ["M00001"]
at = 2026-06-01T00:00:00
length = [0]
mode = "silent"
[[fault]]
kind = "dead_line"
meters = ["M00002"]
at = 2026-06-01T00:00:00
length = [0]
mode = "refused"
[[fault]]
kind = "dead_line"
meters = ["M00003"]
at = 2026-06-01T00:00:00
length = [0]
mode = "reset"
"""
# The reset may come before the connection stands, before the first byte goes out, or after it.
RESET = (
    "No connection can be made|It takes the connection and hangs up at once|"
    "The line breaks in the middle"
)


@dataclass(frozen=True)
class Town:
    """A served fleet whose registry and keys are in the database, at the fleet's own time."""

    run: Shell
    running: control.Running
    folder: Path

    @property
    def control(self) -> str:
        """The port of the control API."""
        return self.running.control.rpartition(":")[2]


@pytest.fixture
def miqyas(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", database_url)
    monkeypatch.setenv("MIQYAS_HOME", str(tmp_path / "home"))
    with shell(monkeypatch, capsys) as run:
        yield run


@pytest.fixture
def town(miqyas: Shell, tmp_path: Path) -> Iterator[Town]:
    with control.running("small") as running:
        meters, keys = tmp_path / "meters.csv", tmp_path / "keys.csv"
        port = running.dlms_port
        assert miqyas("simulate", "registry", "small", "--port", port, "--out", meters).status == 0
        assert miqyas("simulate", "keys", "small", "--out", keys).status == 0
        assert miqyas("import", "registry", meters).status == 0
        assert miqyas("import", "keys", keys).status == 0
        made = Town(miqyas, running, tmp_path)
        moved = miqyas("simulate", "clock", "small", "--to", DAY_AFTER, "--control", made.control)
        assert "It is 2026-06-04 21:30 UTC now" in moved.out
        yield made


def one_row(url: str, question: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row
    return row


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# doctor and the command itself


def test_doctor_says_which_database_is_in_use(miqyas: Shell) -> None:
    said = miqyas("doctor")
    assert said.status == 0
    assert "the server that MIQYAS_DATABASE_URL names" in said.out
    assert re.search(r"PostgreSQL +\d+\.\d", said.out)
    assert re.search(r"TimescaleDB +(\d+\.\d|not in use)", said.out)
    assert "newest 0" in said.out


def test_doctor_and_others_say_what_to_do_without_a_database(
    miqyas: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none?connect_timeout=2"
    monkeypatch.setenv("MIQYAS_DATABASE_URL", url)
    said = miqyas("doctor")
    assert said.status == 1
    assert "cannot be used" in said.out
    assert "mend the address in MIQYAS_DATABASE_URL" in said.out
    for words in (["meter", "M1"], ["vee", "run"], ["bill", "status"]):
        said = miqyas(*words)
        assert said.status == 1
        assert "miqyas doctor" in said.err
        assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["bill", "nonsense"], "No such command 'nonsense'"),
        (["meter"], "Missing argument 'METER'"),
        (["import", "registry", "/no/such/file.csv"], "does not exist"),
        (["bill", "run", "monthly", "June", "2026-07-01"], "'June' does not match"),
        (["bill", "export", "monthly", "2026-06-01", "--to", "x", "--format", "xml"], "csv, json"),
        (["decode", "xyz"], "'xyz' is not hexadecimal"),
        (["group", "put", "x"], "--all"),
        (["group", "put", "x", "--select", "protocol"], "'protocol' is not KEY=VALUE"),
        (["read", "M1", "--read", "colour"], "'colour' is none of"),
        (["schedule", "add", "x", "--group", "g", "--read", "intervals"], "--every"),
        (["listen"], "mqtt://127.0.0.1:1883"),
        (["listen", "nonsense"], "a broker is written mqtt://host:port"),
        (["worklist", "edit", "U", "T", "--set", "1=1", "--by", "N", "--reason", "r"], "TIME=VAL"),
    ],
)
def test_a_wrong_command_line_is_told_before_anything_happens(
    miqyas: Shell, words: list[str], message: str
) -> None:
    said = miqyas(*words)
    assert said.status == 2
    assert message in " ".join(said.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["meter", "NOBODY"], "no end device 'NOBODY' in the registry"),
        (["read", "NOBODY"], "no end device 'NOBODY' in the registry"),
        (["bill", "run", "nobody", "2026-06-01", "2026-07-01"], "billing group 'nobody'"),
        (["bill", "replay", "monthly", "2026-06-01"], "see `miqyas bill status`"),
        (["schedule", "preview", "none"], "there is no schedule 'none'"),
        (["schedule", "remove", "none"], "no schedule 'none'"),
        (["group", "remove", "none"], "there is no group 'none'"),
        (["group", "put", "x", "--member", "NOBODY"], "no end device 'NOBODY'"),
        (["group", "put", "x", "--select", "colour=red"], "selector 'colour' cannot be used"),
        (["worklist", "accept", "7", "--by", "N", "--reason", "r"], "there is no finding 7"),
        (["worklist", "rerun", "7"], "there is no finding 7"),
        (["simulate", "registry", "nosuch"], "fleets known by name: collect, demo, lines"),
        (["decode", "ffff"], "not an APDU that is known"),
    ],
)
def test_what_is_not_there_is_told_in_one_sentence(
    miqyas: Shell, words: list[str], message: str
) -> None:
    said = miqyas(*words)
    assert said.status == 1
    assert message in said.err
    assert "Traceback" not in said.err


def test_every_command_explains_itself_with_an_example(miqyas: Shell) -> None:
    for words in command.paths():
        said = miqyas(*words, "--help")
        assert said.status == 0
        # As wide as a terminal, and copied whole: a line that goes on ends in a backslash.
        assert max(map(len, said.out.splitlines())) <= 80, words
        text = said.out.partition("Example:")[2].partition("╭")[0]
        lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
        assert lines[0].startswith(f"miqyas {' '.join(words)}"), words
        assert all(line.endswith("\\") for line in lines[:-1]), words


# import


def test_the_registry_lands_but_for_its_bad_lines(miqyas: Shell, tmp_path: Path) -> None:
    miqyas("simulate", "registry", "small", "--out", tmp_path / "good.csv")
    lines = (tmp_path / "good.csv").read_text().splitlines()
    lines[2] = lines[2].replace("electricity", "steam")
    lines[4] = lines[4].replace("Asia/Kuwait", "Mars/Base")
    file = tmp_path / "meters.csv"
    file.write_text("\n".join(lines) + "\n")
    said = miqyas("import", "registry", file)
    assert said.status == 1
    assert "end devices 11 0 0" in said.lines
    assert "line 3, column commodity, value 'steam': must be one of electricity, " in said.err
    assert "line 5, column time_zone, value 'Mars/Base': must be an IANA time zone" in said.err
    assert "Not taken: 2 of 13 lines." in said.err
    again = miqyas("import", "registry", file)
    assert "end devices 0 0 11" in again.lines
    mended = miqyas("import", "registry", tmp_path / "good.csv")
    assert mended.status == 0
    assert "end devices 2 0 11" in mended.lines


@pytest.mark.parametrize("kind", ["registry", "keys"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"usage_point,\xff\xfe\n", b"\0\n1\n"])
def test_a_file_that_is_something_else_is_refused_in_words(
    miqyas: Shell, tmp_path: Path, kind: str, content: bytes
) -> None:
    file = tmp_path / "other.csv"
    file.write_bytes(content)
    said = miqyas("import", kind, file)
    assert said.status == 1
    assert "the first line must name the columns" in said.err or "in UTF-8" in said.err
    assert "Traceback" not in said.err


def test_keys_are_taken_once_and_never_shown(town: Town, tmp_path: Path) -> None:
    again = town.run("import", "keys", tmp_path / "keys.csv")
    assert "0 keys new, 0 changed, 24 unchanged" in again.out
    secret = "5ec4e7" * 5
    bad = tmp_path / "bad.csv"
    bad.write_text(f"end_device,kind,key_hex\nM00007,encryption,{secret}\nNOBODY,password,3132\n")
    said = town.run("import", "keys", bad)
    assert said.status == 1
    assert "line 2, key_hex '…': the encryption key has 15 bytes; security suite 0" in said.err
    assert "line 3, end_device 'NOBODY'" in said.err
    assert secret not in said.out + said.err


def registered(run: Shell, folder: Path, usage_point: str, end_device: str, zone: str) -> None:
    """Register a meter that others read."""
    cells = {
        "usage_point": usage_point, "commodity": "electricity", "sector": "residential",
        "time_zone": zone, "tariff": "kw-residential", "billing_group": "monthly",
        "end_device": end_device, "manufacturer": "ACME", "model": "X", "protocol": "manual",
        "profile": "manual", "security": "none", "interval_seconds": "1800",
        "register_modulus": "1000000000", "multiplier": "1",
        "installed_from": "2004-01-01T00:00:00+00:00",
    }  # fmt: skip
    file = folder / f"{end_device}.csv"
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, fleets.REGISTRY_COLUMNS)
        writer.writeheader()
        writer.writerow(cells)
    said = run("import", "registry", file)
    assert (said.status, said.err) == (0, "")


def test_readings_from_our_own_csv(miqyas: Shell, tmp_path: Path) -> None:
    registered(miqyas, tmp_path, "UP1", "M1", "Asia/Kuwait")
    file = tmp_path / "june.csv"
    file.write_text(
        "end_device,reading_type,starts_at,interval_seconds,value,unit,quality\n"
        f"M1,{IMPORT},2026-06-01T00:00:00+03:00,1800,0.250,kWh,\n"
        f"M1,{IMPORT},2026-06-01T00:30:00+03:00,1800,much,kWh,\n"
        f"M1,{IMPORT},2026-06-01T01:00:00+03:00,1800,0.310,kWh,estimated\n"
    )
    said = miqyas("import", "readings", "--format", "csv", file)
    assert said.status == 1
    assert "1 meter, 2 new intervals" in said.out
    assert "line 3, value 'much'" in said.err
    assert "Not taken: 1 row." in said.err
    assert (
        "0 new intervals, 0 new register readings, 2 already there"
        in miqyas("import", "readings", "--format", "csv", file).out
    )
    unknown = miqyas("import", "readings", "--format", "pdf", file)
    assert (unknown.status, unknown.out) == (1, "")
    assert "no file format 'pdf'; there are: csv, nem12" in unknown.err


def test_readings_from_a_real_nem12_file(
    miqyas: Shell, tmp_path: Path, shared: Path, database_url: str
) -> None:
    name = "Example_NEM12_actual_interval.csv"
    expected = json.loads((shared / "data/nem12/expected.json").read_text())[name]
    file = shared / "data/nem12" / name
    nobodys = miqyas("import", "readings", "--format", "nem12", file)
    assert nobodys.status == 1
    assert "import it first" in nobodys.err
    registered(miqyas, tmp_path, "VABD000163", "METSER123", "Australia/Brisbane")
    said = miqyas("import", "readings", file, "--format", "nem12")
    assert (said.status, said.err) == (0, "")
    assert "1 meter, 96 new intervals" in said.out
    total = one_row(
        database_url,
        f"SELECT sum(value) FROM raw_reading WHERE reading_type = '{IMPORT}'",
    )
    assert total == (round(expected["VABD000163/E1"]["sum"] * 1000),)


# groups and schedules


def test_groups_and_schedules(town: Town) -> None:
    run = town.run
    said = run("group", "put", "hls", "--select", "sector=commercial")
    assert "Group hls: 7 meters." in said.out
    assert "Group all: 13 meters." in run("group", "put", "all", "--all").out
    assert "Group one: 1 meter." in run("group", "put", "one", "--member", "M00001").out
    assert "all all meters 13" in run("group", "list").lines
    cron = ["--cron", "20 0 * * *", "--zone", "Asia/Kuwait"]
    made = run("schedule", "add", "nightly", "--group", "all", "--read", "intervals", *cron)
    assert "Sat 2026-06-06 00:20:00 2026-06-05 21:20:00" in made.lines
    double = run("schedule", "add", "nightly", "--group", "all", "--read", "intervals", *cron)
    assert double.status == 1
    assert "'nightly' exists already" in double.err
    wrong = run("schedule", "add", "x", "--group", "all", "--read", "intervals", "--cron", "1 2")
    assert wrong.status == 1
    assert "minute hour day month weekday" in wrong.err
    assert "nightly all 20 0 * * * intervals 2026-06-06 00:20" in run("schedule", "list").lines
    assert len(run("schedule", "preview", "nightly", "--count", 4).lines) == 3 + 4
    run("schedule", "disable", "nightly")
    assert "nightly all 20 0 * * * intervals – off" in run("schedule", "list").lines
    run("schedule", "enable", "nightly")
    assert "'nightly'" in run("group", "remove", "all").err
    run("schedule", "remove", "nightly")
    assert run("group", "remove", "all").status == 0
    assert run("schedule", "list").lines == ["Schedules: none."]


# collection


def test_reading_a_meter_now_shows_every_step_and_what_it_says(town: Town) -> None:
    said = town.run("read", "M00004", "--now")
    assert said.status == 0
    assert said.lines[0] == "connecting"
    steps = [line for line in said.lines if re.match(r"\d+/\d+ ", line)]
    assert [step.split()[0] for step in steps] == [
        f"{n}/{len(steps)}" for n in range(1, len(steps) + 1)
    ]
    assert [step.split()[1] for step in steps[:3]] == ["identity", "clock", "registers"]
    assert re.search(r"M00004: ok after \d+\.\d s; new: 768 intervals", said.out)
    assert "value [unit]" in said.out
    assert re.search(r"Active energy import, register +[\d,.]+ kWh +2026-06-04 21:30", said.out)
    again = town.run("read", "M00004")
    assert "new: 0 intervals, 0 register readings, 0 events" in again.out
    assert again.err == ""


def test_slots_that_the_meter_does_not_have_are_not_told_as_read(town: Town) -> None:
    said = town.run("read", "M00002")
    assert "768 intervals (6 of them the meter does not have)" in said.out


def test_a_wrong_key_is_named_and_what_to_do(town: Town) -> None:
    said = town.run("read", "M00009")
    assert said.status == 1
    assert "refuses the association: authentication failure" in said.err
    assert "M00009: M00009" not in said.err
    assert "M00009: failed" in said.out
    how = town.run("meter", "M00009")
    assert how.status == 0
    assert how.out.startswith("M00009: It does not accept our key (since 2026-06-04 21:30 UTC)")
    assert "Import the right key with miqyas import keys" in how.out
    assert "Last values: none." in how.out
    assert "العداد لا يقبل المفتاح" in town.run("meter", "M00009", "--arabic").out


def test_dead_lines_are_told_apart(miqyas: Shell, tmp_path: Path) -> None:
    fleet = tmp_path / "dead.toml"
    fleet.write_text(SILENT_FLEET)
    with control.running(fleet) as running:
        file = tmp_path / "meters.csv"
        miqyas("simulate", "registry", fleet, "--port", running.dlms_port, "--out", file)
        assert miqyas("import", "registry", file).status == 0
        port = running.control.rpartition(":")[2]
        assert miqyas("simulate", "clock", fleet, "--control", port).status == 0
        for meter, reason, verdict in (
            ("M00001", "no whole answer", "The connection stands and no answer comes"),
            ("M00002", "nobody listens", "The address answers and nobody listens at the port"),
            ("M00003", "", RESET),
        ):
            said = miqyas("read", meter, "--read", "clock", "--timeout", "0.3")
            assert said.status == 1, said
            assert said.err.startswith(f"{meter}: "), said
            assert reason in said.err
            assert re.search(verdict, miqyas("meter", meter).out)


def test_how_a_meter_is(town: Town) -> None:
    before = town.run("meter", "M00001")
    assert "M00001: It has not been read yet" in before.out
    assert "2026-05-31 21:00 2026-06-04 21:30 386" in before.lines
    town.run("read", "M00001")
    after = town.run("meter", "M00001")
    assert "M00001: It talks" in after.out
    assert re.search(r"2026-06-04 21:30 ok – 1 768 \d+", "\n".join(after.lines))


# validation, the worklist and bills


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
    assert "UP00009 commercial held missing 384 of 384 intervals" in " ".join(held.lines)
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


# simulated fleets


def test_a_fleets_files(miqyas: Shell, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(miqyas("simulate", "registry", "small").out)))
    assert len(rows) == 13
    assert {row["port"] for row in rows} == {"4059"}
    keys = list(csv.DictReader(io.StringIO(miqyas("simulate", "keys", "small").out)))
    assert {row["kind"] for row in keys} == {"password", "encryption", "authentication", "master"}
    faults = list(csv.DictReader(io.StringIO(miqyas("simulate", "truth", "small", "--faults").out)))
    assert {"gap", "spike", "wrong_key", "meter_exchange"} <= {row["kind"] for row in faults}
    said = miqyas("simulate", "truth", "small", "--out", tmp_path / "truth.csv")
    assert "9,216 rows" in said.out


def test_a_simulated_time_is_refused_where_a_meter_may_be_real(town: Town, tmp_path: Path) -> None:
    registered(town.run, tmp_path, "UP-REAL", "REAL-7", "Asia/Kuwait")
    said = town.run("simulate", "clock", "small", "--control", town.control)
    assert said.status == 1
    assert "'REAL-7'" in said.err
    assert "machine's time again" in town.run("simulate", "clock", "small", "--off").out
    none = town.run("simulate", "clock", "small", "--control", free_port())
    assert none.status == 1
    assert "run it first: miqyas simulate run FLEET" in none.err


def test_a_fleet_that_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    ports = ["--port", "0", "--modbus-port", "0", "--broker-port", "0", "--control", "0"]
    home = {"MIQYAS_HOME": str(tmp_path)}
    with process("simulate", "run", "small", *ports, environment=home) as running:
        assert running.stdout
        told = running.stdout.readline()
        addresses = re.search(r"broker mqtt://([\d.]+):(\d+) .* control (\S+),", told)
        assert addresses, told
        host, port, url = addresses.groups()
        assert httpx.get(f"{url}/status", trust_env=False).json()["meters"] == {"dlms": 13}
        socket.create_connection((host, int(port))).close()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/status", trust_env=False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_a_worker_that_schedules_too_stops_when_asked(database_url: str, tmp_path: Path) -> None:
    where = {"MIQYAS_HOME": str(tmp_path), "MIQYAS_DATABASE_URL": database_url}
    with process("worker", "--with-scheduler", environment=where) as running:
        assert running.stdout
        assert running.stdout.readline() == "Working. Ctrl-C stops.\n"
        until = time.monotonic() + 20
        while one_row(database_url, "SELECT count(*) FROM procrastinate_workers") == (0,):
            assert time.monotonic() < until, "the worker does not ask for work"
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out) == (0, "Stopped.\n"), err


# decode


def test_a_frame_in_words(miqyas: Shell) -> None:
    said = miqyas("decode", "c0 01 c1 00:01 0000010000ff 02 00")
    assert said.status == 0
    assert '<InstanceId Value="0000010000FF" />' in said.out
