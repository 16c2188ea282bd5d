"""What people get wrong: every command says what, where and what to do, and changes nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from console import writing
from mdm import registry
from schemas import database
from tests.console.served import IMPORT, one_row, registered
from tests.console.shell import Shell

_DAYS = ("--from", "2026-06-01", "--to", "2026-07-01")
_EARLY = ("--from", "0001-01-01", "--to", "0001-01-03")
_LATE = ("--from", "9998-01-01", "--to", "9999-12-31")
_WHO = ("--by", "Noura", "--reason", "read off")
_HUGE = "99999999999999999999"


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("no usage point is in billing group", ["bill", "run", "nope", "2026-06-01", "2026-07-01"]),
        ("has no day", ["bill", "run", "monthly", "2026-07-01", "2026-06-01"]),
        ("out of reach", ["bill", "run", "monthly", "0001-01-01", "0001-02-01"]),
        ("out of reach", ["bill", "run", "monthly", "2026-06-01", "9999-12-31"]),
        ("of the billing group 'nope'", ["bill", "status", "nope"]),
        ("out of reach", ["vee", "registers", "--at", "0001-01-01"]),
        ("out of reach", ["export", "readings", "UP1", "--out", "{out}", *_EARLY]),
        ("/nope/x.csv: ", ["simulate", "registry", "small", "--out", "/nope/x.csv"]),
        ("not text in UTF-8", ["bill", "calendar", "{latin}"]),
        ("not text in UTF-8", ["simulate", "registry", "{latin}"]),
        ("not text in UTF-8", ["vee", "backtest", "--rules", "{latin}", *_DAYS]),
        ("effective_from is missing", ["vee", "backtest", "--rules", "{empty}", *_DAYS]),
        ("out of reach", ["vee", "backtest", "--rules", "{rules}", *_EARLY]),
        ("out of reach", ["vee", "backtest", "--rules", "{rules}", *_LATE]),
        ("cannot be: bigint out of range", ["worklist", "show", _HUGE]),
        ("none of requested, approved", ["control", "list", "--state", "nope"]),
        ("at most a year", ["schedule", "add", "s", "--group", "g", "--read", "intervals",
                            "--every", "99999999999999"]),
        ("less than or equal to 65535", ["simulate", "run", "small", "--control", "99999"]),
        ("the file is in UTF-16", ["import", "readings", "{wide}", "--format", "csv"]),
        ("the file is in UTF-16", ["import", "readings", "{wide}", "--format", "nem12"]),
        ("is not text in UTF-8", ["meter", "\udcff"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_without_a_traceback(
    miqyas: Shell, tmp_path: Path, words: str, arguments: list[str]
) -> None:
    registered(miqyas, tmp_path, "UP1", "M1", "Asia/Kuwait")
    files = {name: tmp_path / f"{name}.toml" for name in ("latin", "empty", "wide", "out")}
    files["latin"].write_bytes(b"# caf\xe9")
    files["empty"].write_text("")
    files["wide"].write_bytes("end_device\n".encode("utf-16"))
    rules = Path(__file__).parents[2] / "validation/rulesets/electricity.toml"
    said = miqyas(*(text.format(**files, rules=rules) for text in arguments))
    told = " ".join((said.out + said.err).replace("│", " ").split())
    assert words in told
    assert "Traceback" not in told
    assert said.status == (0 if arguments[1] == "status" else said.status or 1)
    assert not files["out"].exists()


def record_day(miqyas: Shell, tmp_path: Path) -> None:
    """Bring half hours of a day into the record."""
    registered(miqyas, tmp_path, "UP1", "M1", "Asia/Kuwait")
    file = tmp_path / "june.csv"
    rows = "".join(
        f"M1,{IMPORT},2026-06-01T{hour:02}:{minute:02}:00+03:00,1800,0.25,kWh,\n"
        for hour in range(24)
        for minute in (0, 30)
    )
    heading = "end_device,reading_type,starts_at,interval_seconds,value,unit,quality\n"
    file.write_text(heading + rows)
    assert miqyas("import", "readings", "--format", "csv", file).status == 0
    assert miqyas("vee", "run").status == 0


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("before it starts", ["--from", "2026-06-10", "--to", "2026-06-09", "--add", "5"]),
        ("does not fit", ["--from", "2026-06-01", "--to", "2026-06-02", "--scale", "1e300"]),
        ("out of reach", ["--from", "0001-01-01", "--to", "9999-12-31", "--missing"]),
        ("out of reach", ["--from", "2026-06-01", "--to", "2026-06-02", "--copy-from",
                          "0001-01-01"]),
        ("out of reach", ["--set", "0001-01-01T00:00:00+03:00=5"]),
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_changes_nothing(
    miqyas: Shell, tmp_path: Path, words: str, arguments: list[str], database_url: str
) -> None:
    record_day(miqyas, tmp_path)
    said = miqyas("worklist", "edit", "UP1", IMPORT, *arguments, *_WHO)
    assert said.status == 1
    assert words in said.err

    assert one_row(database_url, "SELECT max(version) FROM interval_block") == (1,)


def test_an_edit_is_shown_in_utc_whatever_offset_it_was_given_in(
    miqyas: Shell, tmp_path: Path
) -> None:
    record_day(miqyas, tmp_path)
    edit = ("worklist", "edit", "UP1", IMPORT, "--set", "2026-06-01T12:00:00+03:00=412")
    said = miqyas(*edit, *_WHO)
    assert said.status == 0
    assert "2026-06-01 09:00 250 412 valid edited" in said.lines


def test_a_temperature_that_is_none_takes_nothing_with_it(miqyas: Shell, tmp_path: Path) -> None:
    file = tmp_path / "weather.csv"
    file.write_text("place,time,celsius\nA,2026-06-01,-1e999\nA,2026-06-02,41.5\n")
    said = miqyas("import", "temperature", file)
    assert said.status == 1
    assert "1 day new or changed" in said.out
    assert "line 2, column celsius, value '-1e999'" in said.err


def test_a_database_of_a_newer_program_is_left_alone(
    miqyas: Shell, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connect(database_url) as connection:
        connection.execute("INSERT INTO migration (name) VALUES ('9999_from_the_future')")
    said = miqyas("group", "list")
    assert said.status == 1
    assert "newer Miqyas (migration 9999_from_the_future)" in said.err
    monkeypatch.setenv("MIQYAS_DATABASE_URL", "user:secret@host/name")
    said = miqyas("group", "list")
    assert (said.status, "secret" in said.err) == (1, False)
    assert "postgresql://user@host/name" in said.err


def test_an_import_that_is_stopped_takes_nothing(
    miqyas: Shell, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_BATCH", 2)
    taken = registry._taken

    def stopped(*arguments: object) -> object:
        if arguments[2].lines:  # type: ignore[attr-defined]  # the report
            os.kill(os.getpid(), signal.SIGINT)
        return taken(*arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(registry, "_taken", stopped)
    file = tmp_path / "meters.csv"
    miqyas("simulate", "registry", "small", "--out", file)
    said = miqyas("import", "registry", file)
    assert said.status == 130
    assert f"Stopped: nothing of {file} was taken." in said.err
    assert one_row(database_url, "SELECT count(*) FROM usage_point") == (0,)


def half_written(file: Path) -> None:
    with writing.text(file) as lines:
        lines.write("half")
        raise OSError(28, "No space left on device", "somewhere")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("before")
    file.chmod(0o640)
    with pytest.raises(OSError, match="No space left") as caught:
        half_written(file)
    assert caught.value.filename == str(file)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]
    with writing.text(file) as lines:
        lines.write("after")
    assert file.read_text() == "after"
    assert file.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError, match="No space left"), writing.whole(Path("/dev/full")) as raw:
        raw.write(b"x" * 100_000)
