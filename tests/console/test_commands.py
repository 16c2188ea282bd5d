"""The command as a person types it: doctor, wrong lines, help, frames in words."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from console import command
from tests.console.served import free_port
from tests.console.shell import ROOT, Shell


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


def test_a_frame_in_words(miqyas: Shell) -> None:
    said = miqyas("decode", "c0 01 c1 00:01 0000010000ff 02 00")
    assert said.status == 0
    assert '<InstanceId Value="0000010000FF" />' in said.out


@pytest.mark.parametrize("module", ["console", "console.command"])
def test_the_command_runs_as_a_module_too(module: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", module, "decod"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 2
    assert "Usage: miqyas" in said.stderr
    assert "No such command 'decod'" in said.stderr


def test_a_frame_without_octets_and_a_rule_of_nobody_are_told(miqyas: Shell) -> None:
    bare = miqyas("decode", "")
    assert bare.status == 2
    assert "give the frame's octets" in bare.err
    said = miqyas("worklist", "list", "--rule", "spikes")
    assert said.status == 0
    assert "There is no open finding of a rule 'spikes'." in said.out
