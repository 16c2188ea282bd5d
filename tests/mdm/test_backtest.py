"""Back-tests tell what a changed rule set would have done, and write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from mdm import backtest, vee
from mdm.backtest import BacktestError
from mdm.intake_layout import Week, Weeks
from schemas import database
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW
from validation import ruleset
from validation.ruleset import RuleSet

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
CURVE = [100 + (7 * i) % 40 for i in range(96)]
PEAK = [*CURVE[:40], 9000, *CURVE[41:]]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        record.installation(connection, point, "M-1")
        record.land(connection, "M-1", DAY, PEAK)
        record.land_registers(connection, "M-1", [(DAY, 0), (DAY + timedelta(days=1), sum(CURVE))])
        while vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=record.RULES).taken:
            pass
        connection.commit()
        yield connection


def changed() -> RuleSet:
    """Rules that estimate a spike instead of doubting it."""
    text = """
        name = "electricity"
        effective_from = 2030-01-01
        description = "Changed."
        scale_to_register = true
        [rules]
        gap = { severity = "info", action = "estimate" }
        sum_check = { severity = "issue", action = "note", tolerance = 0, relative = 0.0 }
        [rules.spike]
        severity = "issue"
        action = "estimate"
        tolerance = 1.8
        minimum_per_hour = 8000
        [[estimators]]
        method = "linear"
        limit_hours = 2
        inclusive = true
        one_anchor = "flat"
        beside_bad = "decline"
    """
    return ruleset.parse(text, "changed")


def tables(connection: Connection) -> list[object]:
    return [
        connection.execute(f"SELECT count(*), max(id) FROM {name}").fetchone()
        for name in ("finding", "vee_run", "provenance", "channel", "arrival")
    ]


def run(connection: Connection, rules: RuleSet) -> backtest.Backtest:
    return backtest.backtest(
        connection, [rules], date(2026, 6, 2), date(2026, 6, 3), now=NOW,
        in_force=record.RULES, weeks=WEEKS,
    )  # fmt: skip


def test_findings_estimates_and_bills_are_compared(connection: Connection) -> None:
    before = tables(connection)
    told = run(connection, changed())
    assert (told.usage_points, told.channel_days, told.intervals) == (1, 1, 96)
    counts = {(each.rule, each.severity): (each.before, each.after) for each in told.rules}
    assert counts["spike", "issue"] == (1, 1)
    (finding,) = [each for each in told.findings if each.rule == "spike"]
    assert finding.starts_at == DAY + timedelta(minutes=15 * 40)
    assert (finding.before, finding.after) == ("issue, suspect", "issue, estimate")
    (day,) = told.days
    assert (day.usage_point, day.day) == ("UP-1", date(2026, 6, 2))
    assert (day.estimated_before, day.estimated_after) == (0, 1)
    # The estimate is what the register leaves for it.
    assert (day.energy_before, day.energy_after) == (sum(PEAK), sum(CURVE))
    connection.commit()
    assert tables(connection) == before


def test_what_differs_is_told_whole_and_kept_in_part(connection: Connection) -> None:
    heard: dict[str, list[object]] = {"findings": [], "days": [], "determinants": []}
    told = backtest.backtest(
        connection, [changed()], date(2026, 6, 2), date(2026, 6, 3), now=NOW,
        in_force=record.RULES, weeks=WEEKS, keep=0,
        tell={kind: rows.extend for kind, rows in heard.items()},
    )  # fmt: skip
    assert (told.findings, told.days, told.determinants) == ([], [], [])
    assert {kind: len(rows) for kind, rows in heard.items()} == {
        **dict.fromkeys(heard, 0),
        **told.differing,
    }
    assert told.differing["days"] == 1


def test_the_same_rules_change_nothing(connection: Connection) -> None:
    told = run(connection, record.RULES[0])
    assert told.intervals == 96
    assert (told.findings, told.days, told.determinants) == ([], [], [])


def test_determinants_by_interval_change_with_the_estimates(connection: Connection) -> None:
    connection.execute("UPDATE usage_point SET tariff = 'kw-investment'")
    connection.commit()
    told = run(connection, changed())
    assert not told.problems
    found = {(each.name, each.part): (each.before, each.after) for each in told.determinants}
    assert found["interval_consumption", ""] == (
        Decimal(sum(PEAK)) / 1000, Decimal(sum(CURVE)) / 1000,
    )  # fmt: skip


def test_the_transaction_can_write_nothing(connection: Connection) -> None:
    run(connection, changed())
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM finding")


def test_what_the_record_never_saw_is_left_out(connection: Connection) -> None:
    point = record.usage_point(connection, "UP-2")
    record.installation(connection, point, "M-2")
    record.land(connection, "M-2", DAY, CURVE)
    connection.commit()
    assert run(connection, changed()).channel_days == 1


@pytest.mark.parametrize(
    ("rules", "end", "words"),
    [
        (replace(record.RULES[0], name="gas"), date(2026, 6, 3), "no rule set in force is named"),
        (record.RULES[0], date(2026, 6, 2), "there is no day"),
        (record.RULES[0], date(2026, 8, 1), "are not over"),
    ],
)
def test_what_cannot_be_compared_is_said(
    connection: Connection, rules: RuleSet, end: date, words: str
) -> None:
    with pytest.raises(BacktestError, match=words):
        backtest.backtest(
            connection, [rules], date(2026, 6, 2), end, now=NOW, in_force=record.RULES
        )
