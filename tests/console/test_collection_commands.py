"""Groups, schedules and reading meters, as people ask for it."""

from __future__ import annotations

import re
from pathlib import Path

from simulators import control
from tests.console.served import Town
from tests.console.shell import Shell

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
