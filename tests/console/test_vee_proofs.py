"""Explanations and back-tests as people use them, on a real database."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from headend import clock
from schemas import database, quality
from tests.console.shell import Shell, shell
from tests.mdm import record

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
CURVE = [100] * 40 + [0] * 2 + [100] * 20 + [9000] + [100] * 33
MARKS = [0] * 40 + [quality.MISSING] * 2 + [0] * 54


@pytest.fixture
def miqyas(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        record.installation(connection, point, "M-1")
        record.land(connection, "M-1", DAY, CURVE, MARKS)
        record.land_registers(connection, "M-1", [(DAY, 0), (DAY + timedelta(days=1), 9700)])
        clock.simulate(connection, record.NOW)
    monkeypatch.setenv("MIQYAS_DATABASE_URL", database_url)
    monkeypatch.setenv("MIQYAS_HOME", str(tmp_path / "home"))
    with shell(monkeypatch, capsys) as run:
        assert run("vee", "run").status == 0
        yield run


def test_an_estimate_is_explained_step_by_step(miqyas: Shell) -> None:
    said = miqyas("explain", "M-1", "2026-06-02T10:05")
    assert said.status == 0
    text = " ".join(said.out.split())
    assert "UP-1, active_energy_import_interval, 2026-06-02 10:00 to 10:15 (Asia/Kuwait)" in text
    assert "computed again just now: the same: estimate 100 Wh ×" in text
    assert "rule set electricity@" in text
    assert "gap" in text


def test_what_cannot_be_explained_is_said_in_a_line(miqyas: Shell) -> None:
    for name, time, words in (
        ("NOBODY", "2026-06-02T10:05", "no usage point and no end device is named 'NOBODY'"),
        ("M-1", "2026-06-09T10:05", "the record has no interval of UP-1"),
        ("M-1", "yesterday", "is no time such as"),
    ):
        said = miqyas("explain", name, time)
        assert said.status != 0
        assert words in " ".join(said.err.replace("│", " ").split())


def test_changed_rules_are_tried_and_nothing_is_written(miqyas: Shell, tmp_path: Path) -> None:
    shipped = resources.files("validation").joinpath("rulesets/electricity.toml").read_text("utf-8")
    changed = tmp_path / "changed.toml"
    changed.write_text(shipped.replace("tolerance = 1.8", "tolerance = 1000"), "utf-8")
    out = tmp_path / "out"
    days = ("--from", "2026-06-02", "--to", "2026-06-03")
    said = miqyas("vee", "backtest", "--rules", changed, *days, "--out", out)
    assert said.status == 0
    assert "Nothing was written." in said.out
    with (out / "findings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    spikes = [row for row in rows if row["rule"] == "spike"]
    assert [(row["usage_point"], row["after"]) for row in spikes] == [("UP-1", "")]
    assert spikes[0]["before"]


def test_a_wrong_rule_set_is_said_in_a_line(miqyas: Shell, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('name = "electricity"\nspikes = 3\n', "utf-8")
    said = miqyas("vee", "backtest", "--rules", wrong, "--from", "2026-06-02", "--to", "2026-06-03")
    assert said.status == 1
    assert "wrong.toml" in said.err
    assert "spikes" in said.err
