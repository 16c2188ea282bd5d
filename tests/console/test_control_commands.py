"""``miqyas control`` as people type it, against simulated meters."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import toml_text
from simulators import control
from simulators.dlms_state import signed
from tests.console.shell import Shell, shell

AFTER = "2026-06-05T00:30+03:00"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running() -> Iterator[control.Running]:
    with control.running("small") as served:
        yield served


@pytest.fixture
def miqyas(
    module_database_url: str,
    home: Path,
    running: control.Running,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """The command on a database that has the fleet, at the fleet's time."""
    monkeypatch.setenv("MIQYAS_DATABASE_URL", module_database_url)
    monkeypatch.setenv("MIQYAS_HOME", str(home))
    with shell(monkeypatch, capsys) as run:
        if not (home / "meters.csv").exists():
            for what in ("registry", "keys"):
                file = home / {"registry": "meters.csv", "keys": "keys.csv"}[what]
                port = ["--port", running.dlms_port] if what == "registry" else []
                assert run("simulate", what, "small", *port, "--out", file).status == 0
                assert run("import", what, file).status == 0
            at = running.control.rpartition(":")[2]
            assert run("simulate", "clock", "small", "--to", AFTER, "--control", at).status == 0
        yield run


def test_a_disconnection_is_watched_read_back_and_kept(miqyas: Shell) -> None:
    said = miqyas("control", "disconnect", "M00001", "--reason", "unpaid", "--by", "Noura")
    assert said.status == 0, said.err
    assert "M00001: supply is switched off: done" in said.out
    assert "The supply switch is disconnected, no supply (control mode 2)." in said.out
    shown = miqyas("meter", "M00001")
    assert "Supply switch: disconnected, no supply" in shown.out
    assert any("disconnect done Noura" in line for line in shown.lines)
    assert miqyas("control", "connect", "M00001").status == 0
    history = miqyas("control", "show", 1)
    assert "unpaid" in history.out
    assert [line.split()[3] for line in history.lines if line.startswith("2026-")] == [
        "requested", "running", "running", "done",
    ]  # fmt: skip


def test_a_group_waits_for_a_second_person_and_the_first_cannot_be_it(miqyas: Shell) -> None:
    assert miqyas("group", "put", "cut", "--member", "M00005").status == 0
    asked = miqyas("control", "disconnect", "--group", "cut", "--reason", "x", "--by", "Noura")
    assert "A second person must approve, because a group is disconnected" in asked.out
    request = asked.out.split("--request ")[1].split()[0]
    refused = miqyas("control", "approve", "--request", request, "--by", "Noura")
    assert refused.status == 1
    assert "a second person must approve" in refused.err
    assert miqyas("control", "approve", "--request", request, "--by", "Salem").status == 0
    listed = miqyas("control", "list", "M00005")
    assert "approved" in listed.out
    [number] = [line.split()[0] for line in listed.lines if "M00005" in line]
    assert "no supply" in miqyas("control", "run", number).out
    again = miqyas("control", "run", number)
    assert again.status == 1
    assert "is done already" in again.err


def test_what_waits_can_be_cancelled(miqyas: Shell) -> None:
    made = miqyas("control", "set-clock", "M00006", "--at", "2026-06-09T02:00+03:00")
    assert "1 control wait for the workers" in made.out
    request = made.out.split("--request ")[1].split()[0]
    assert miqyas("control", "cancel", "--request", request, "--reason", "wrong one").status == 0
    assert "cancelled" in miqyas("control", "list", "--request", request).out


def test_a_calendar_is_read_into_a_file_edited_and_written(miqyas: Shell, tmp_path: Path) -> None:
    file = tmp_path / "calendar.toml"
    said = miqyas("control", "calendar", "M00002", "--out", file)
    assert said.status == 0, said.err
    text = file.read_text("utf-8")
    name = tomllib.loads(text)["name"]
    file.write_text(text.replace(f'name = "{name}"', 'name = "RAMADAN"', 1), "utf-8")
    written = miqyas("control", "calendar", "M00002", "--from", file)
    assert written.status == 0, written.err
    assert 'name = "RAMADAN"' in written.out
    file.write_text("name = [", "utf-8")
    broken = miqyas("control", "calendar", "M00002", "--from", file)
    assert broken.status == 1
    assert "is not a TOML file" in broken.err
    file.write_text('name = "X"\nseasons = []\nweeks = []\n', "utf-8")
    lacking = miqyas("control", "calendar", "M00002", "--from", file)
    assert lacking.status == 1
    assert "days: Field required" in lacking.err


def test_keys_and_firmware_wait_for_a_second_person(miqyas: Shell, tmp_path: Path) -> None:
    waits = miqyas("control", "change-keys", "M00008", "--by", "Noura")
    assert "it waits for a second person, because keys are changed" in waits.out
    number = waits.out.split("approve ")[1].split()[0]
    assert miqyas("control", "approve", number, "--by", "Salem").status == 0
    # The same command goes on with it.
    done = miqyas("control", "change-keys", "M00008", "--by", "Noura")
    assert done.status == 0, done.err
    assert "encryption key: new" in done.out
    assert miqyas("read", "M00008", "--read", "clock").status == 0
    image = tmp_path / "X1-2.4.bin"
    image.write_bytes(signed(bytes(5000)))
    moved = miqyas("control", "firmware", image, "M00008")
    assert moved.status == 0, moved.err
    assert "The image: verification successful, 20 of 20 blocks." in moved.out
    assert "100 %" in moved.out
    waits = miqyas("control", "firmware", image, "M00008", "--activate", "--by", "Noura")
    assert "because new firmware begins to run" in waits.out


def test_channels_are_shown_and_a_clock_is_set(miqyas: Shell) -> None:
    said = miqyas("control", "channels", "M00003")
    assert "active_energy_import_interval, every 900 s (load_profile)" in said.out
    assert "It offers" in miqyas("meter", "M00003").out
    assert "The meter's clock is off by" in miqyas("control", "clock", "M00003").out
    assert "it was off by" in miqyas("control", "set-clock", "M00003").out
    registers = miqyas("control", "billing-registers", "M00003", "--days", 40)
    assert registers.status in (0, 1)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["disconnect", "M00001"], 1, "needs a reason"),
        (["disconnect"], 2, "name one meter, or a group"),
        (["connect", "NOBODY"], 1, "no end device 'NOBODY'"),
        (["connect", "--group", "nobody"], 1, "no group 'nobody'"),
        (["approve", "999"], 1, "no control 999"),
        (["approve"], 2, "name controls, or a --request"),
        (["run", "999"], 1, "no control 999"),
        (["protect", "NOWHERE", "--reason", "x"], 1, "no usage point 'NOWHERE'"),
        (["connect", "M00001", "--at", "tomorrow"], 2, "does not match"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    miqyas: Shell, words: list[str], status: int, message: str
) -> None:
    said = miqyas("control", *words)
    assert said.status == status
    assert message in " ".join(said.err.replace("│", " ").split())
    assert "Traceback" not in said.err


def test_toml_text_is_read_again_as_it_was() -> None:
    values = {
        "name": 'a "quoted" \\ name\n\x7f', "on": True, "none": None, "many": [],
        "days": [{"number": 1, "date": {"month": 2, "day": None}, "at": ["06:00", 1.5]}],
    }  # fmt: skip
    read = tomllib.loads(toml_text.written(values))
    assert read == {
        "name": values["name"], "on": True, "many": [],
        "days": [{"number": 1, "date": {"month": 2}, "at": ["06:00", 1.5]}],
    }  # fmt: skip
    with pytest.raises(TypeError, match="cannot be written"):
        toml_text.written({"x": b"bytes"})
