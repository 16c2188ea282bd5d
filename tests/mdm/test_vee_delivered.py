"""How values came reaches the rules: too early, of another kind, other than what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mdm import vee
from schemas import database
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import record
from validation import ruleset
from validation.ruleset import RuleSet

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER, HOUR, ONE = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
CURVE = [100 + (7 * i) % 40 for i in range(96)]
HEAD = """
name = "electricity"
effective_from = 2000-01-01
description = "For tests."
scale_to_register = true
estimators = []
"""
FUTURE = '[rules.future]\nseverity = "issue"\naction = "suspect"\n'
UNIT = '[rules.other_unit]\nseverity = "terminate"\naction = "note"\n'
HOLD = """
[rules.replacement]
severity = "issue"
action = "note"
tolerance = 0
relative = 0.5
beyond = "hold"
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def rules(text: str) -> tuple[RuleSet, ...]:
    return (ruleset.parse(HEAD + text, "tests"),)


def test_what_was_sent_before_its_time_is_told(connection: Connection) -> None:
    record.installation(connection, record.usage_point(connection), "M-1")
    # At noon the meter gave the whole day, with a clock 30 s ahead of the head-end's at noon.
    noon = DAY + 12 * HOUR
    record.land(connection, "M-1", DAY, CURVE, collected_at=noon - timedelta(seconds=30))
    vee.run(connection, now=record.NOW, rule_sets=rules(FUTURE))
    assert record.findings(connection) == [("future", noon, DAY + ONE)]
    table = record.final(connection)
    assert (table.quality[0] != 0).tolist() == [False] * 48 + [True] * 48


def test_the_same_slots_sent_in_time_are_not_early(connection: Connection) -> None:
    record.installation(connection, record.usage_point(connection), "M-1")
    record.land(connection, "M-1", DAY, CURVE[:48], collected_at=DAY + 12 * HOUR)
    record.land(connection, "M-1", DAY + 12 * HOUR, CURVE[48:], collected_at=DAY + ONE)
    vee.run(connection, now=record.NOW, rule_sets=rules(FUTURE))
    assert record.findings(connection) == []


def test_litres_at_a_place_of_electricity_end_the_day(connection: Connection) -> None:
    record.installation(connection, record.usage_point(connection), "M-1")
    record.land(connection, "M-1", DAY, CURVE, reading_type_id=42)
    vee.run(connection, now=record.NOW, rule_sets=rules(UNIT))
    assert record.findings(connection) == [("other_unit", DAY, DAY + ONE)]


def test_a_corrected_multiplier_does_not_change_the_record_unasked(connection: Connection) -> None:
    point = record.usage_point(connection)
    installation = record.installation(connection, point, "M-1", multiplier="40")
    record.land(connection, "M-1", DAY, CURVE)
    vee.run(connection, now=record.NOW, rule_sets=rules(HOLD))
    connection.execute("UPDATE installation SET multiplier = 60 WHERE id = %s", [installation])
    day = Period(DAY, DAY + ONE)

    def again(text: str) -> list[int]:
        later = record.NOW + HOUR
        vee.validate(connection, [point], day, now=later, rule_sets=rules(text))
        return list(record.final(connection).values[0].tolist())

    # 60 is half as much again as 40: not beyond the limit, and kept without a word.
    assert again(HOLD) == [40 * value for value in CURVE]
    assert record.findings(connection) == []
    strict = HOLD.replace("relative = 0.5", "relative = 0.4")
    assert again(strict) == [40 * value for value in CURVE]
    assert record.findings(connection) == [("replacement", DAY, DAY + ONE)]
    assert again(strict.replace("hold", "replace")) == [60 * value for value in CURVE]
    # Now the record has it: nothing is changed any more.
    assert again(strict) == [60 * value for value in CURVE]
    assert record.findings(connection) == []
