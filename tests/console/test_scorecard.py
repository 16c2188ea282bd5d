"""The scorecard as people ask for it, on a real database."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from headend import clock
from mdm import scorecard, usage_points
from mdm.scorecard import ScorecardError
from schemas import database
from tests.console.shell import Shell, shell
from tests.mdm import record

START = datetime(2026, 3, 31, 21, tzinfo=UTC)
DAYS = 60
MAY = ("--from", "2026-05-01", "--to", "2026-05-23")


@pytest.fixture
def url(database_url: str) -> str:
    """Put two months of one home's weekly load into the record."""
    weekly = np.random.default_rng(1).integers(50, 900, (7, 96))
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        channel = record.channel(connection, point)
        starts = [int((START + timedelta(days=n)).timestamp()) for n in range(DAYS)]
        values = [weekly[n % 7].tolist() for n in range(DAYS)]
        record.record(connection, record.blocks([channel] * DAYS, starts, values))
        clock.simulate(connection, record.NOW)
    return database_url


@pytest.fixture
def miqyas(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", url)
    monkeypatch.setenv("MIQYAS_HOME", str(tmp_path / "home"))
    with shell(monkeypatch, capsys) as run:
        yield run


def test_scores_are_shown_and_written_and_the_order_named(miqyas: Shell, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    said = miqyas("vee", "scorecard", *MAY, "--turns", "3", "--out", out)
    assert said.status == 0, said.err
    assert "1 usage point, 1 channel" in said.out
    assert "Nothing was written." in said.out
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    (weekly,) = [
        each
        for each in rows
        if (each["method"], each["length"], each["season"]) == ("multi_week", "1 day", "all")
    ]
    assert weekly["usage"] == "electricity, residential"
    assert float(weekly["wape"]) == 0
    assert float(weekly["persistence"]) > 0.3
    assert "electricity, residential, scaled to a register: suggested order: " in said.out


def test_a_suggestion_can_be_applied(miqyas: Shell, tmp_path: Path) -> None:
    """The order as rule sets have it, put into one, back-tested; seasons beside the errors."""
    orders = tmp_path / "orders.toml"
    said = miqyas("vee", "scorecard", *MAY, "--by-season", "--orders", orders)
    assert said.status == 0, said.err
    assert "Mar–May" in said.out
    head, _, block = orders.read_text("utf-8").partition("# electricity, residential, without")
    assert "before the estimators" in head
    suggested = block.partition("\n")[2].partition("# electricity")[0]
    (line,) = [each for each in said.lines if "residential, without a register" in each]
    names = line.partition("order: ")[2].split(", ")
    assert [each.split()[0] for each in names] == [
        each.split('"')[1] for each in suggested.splitlines() if each.startswith("method")
    ]
    assert suggested.count('when = { sectors = ["residential"] }') == len(names)
    rules = tmp_path / "new.toml"
    before, first, own = record.RULES[0].text.partition("[[estimators]]")
    rules.write_text(f"{before}{suggested}\n{first}{own}", "utf-8")
    tried = miqyas("vee", "backtest", "--rules", rules, *MAY)
    assert tried.status == 0, tried.err
    assert "Nothing was written." in tried.out


def test_a_rule_sets_own_estimators_are_scored(miqyas: Shell, tmp_path: Path) -> None:
    rules = tmp_path / "mine.toml"
    rules.write_text(record.RULES[0].text, "utf-8")
    said = miqyas("vee", "scorecard", *MAY, "--rules", rules, "--usage-point", "UP-1")
    assert said.status == 0, said.err
    assert "like_day" in said.out
    assert "multi_week" not in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "2026-05-02", "--to", "2026-05-01"), "there is no day"),
        (("--from", "2026-05-02", "--to", "2026-08-01"), "are not over"),
        (("--from", "2025-05-02", "--to", "2025-05-03"), "no measured values"),
        ((*MAY, "--usage-point", "UP-9"), "no usage point 'UP-9'"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_line(
    miqyas: Shell, arguments: tuple[str, ...], told: str
) -> None:
    said = miqyas("vee", "scorecard", *arguments)
    assert said.status == 1
    assert told in said.err


def test_nothing_can_be_written_after_it(url: str) -> None:
    with database.connect(url) as connection:
        day = datetime(2026, 5, 1, tzinfo=UTC).date()
        scorecard.make(connection, day, day + timedelta(days=22), now=record.NOW)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            usage_points.ensure_channels(connection, [(1, "active_energy_export_interval", 900)])
        connection.rollback()
        with pytest.raises(ScorecardError, match="no day"):
            scorecard.make(connection, day, day, now=record.NOW)
