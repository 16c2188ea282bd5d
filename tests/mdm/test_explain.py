"""A final interval explains itself: what was read, the rules, the estimate, its scale, who."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from mdm import explain, vee, worklist
from mdm.explain import ExplainError
from mdm.explanation import Explanation, Proof
from mdm.intake_layout import Week, Weeks
from schemas import database, quality, reading_type
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
QUARTER = timedelta(minutes=15)
CURVE = [100] * 40 + [0, 0] + [100] * 54
MARKS = [0] * 40 + [quality.MISSING] * 2 + [0] * 54


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A day with two slots missing, in which the register went on by 300 instead of 200."""
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        record.installation(connection, point, "M-1", multiplier="40")
        record.land(connection, "M-1", DAY, CURVE, MARKS)
        record.land_registers(connection, "M-1", [(DAY, 5), (DAY + timedelta(days=1), 9705)])
        validate(connection)
        connection.commit()
        yield connection


def validate(connection: Connection) -> None:
    while vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=record.RULES).taken:
        pass


def told(connection: Connection, slot: int, name: str = "UP-1") -> Explanation:
    moment = DAY + QUARTER * slot + timedelta(minutes=7)
    (one,) = explain.explain(connection, name, moment, now=NOW, weeks=WEEKS)
    connection.rollback()
    return one


def test_what_was_read_is_proved_by_computing_it_again(connection: Connection) -> None:
    one = told(connection, 3)
    assert (one.usage_point, one.end_device, one.multiplier) == ("UP-1", "M-1", Decimal(40))
    assert one.starts_at == DAY + 3 * QUARTER
    assert (one.final.value, one.final.quality, one.final.number) == (4000, quality.VALID, 1)
    assert one.final.rule_set == "electricity"
    assert one.final.rule_set_digest == record.RULES[0].digest
    assert [(raw.value, raw.source) for raw in one.raw] == [(100, "test")]
    assert [dial.value for dial in one.dials] == [5, 9705]
    assert one.proof == Proof(4000, quality.VALID, True, None, None)


def test_an_estimate_names_its_method_and_its_scale_factor(connection: Connection) -> None:
    one = told(connection, 40, "M-1")
    assert one.final.quality == quality.ESTIMATED_SCALED_LINEAR
    assert [raw.value for raw in one.raw] == [None]
    assert [found.rule for found in one.findings] == ["gap"]
    # The line between its neighbours says 4,000; the register leaves 300 × 40 for two slots.
    assert one.proof == Proof(
        6000, quality.ESTIMATED_SCALED_LINEAR, True, 4000, Decimal("1.500000")
    )


def test_a_person_is_named_with_the_reason_and_the_version_before(connection: Connection) -> None:
    row = connection.execute("SELECT id FROM channel WHERE interval_seconds > 0").fetchone()
    assert row
    worklist.edit(
        connection, row[0], {DAY: 4444}, person="Noura", reason="read off the display", now=NOW
    )
    connection.commit()
    one = told(connection, 0)
    assert [(v.number, v.value, v.kind) for v in one.versions] == [
        (1, 4000, "vee"),
        (2, 4444, "edit"),
    ]
    assert (one.final.person, one.final.reason) == ("Noura", "read off the display")
    assert one.proof is None
    # The day's other intervals are still the run's, and still proved.
    other = told(connection, 1)
    assert (other.final.kind, other.proof and other.proof.same) == ("vee", True)


def test_what_came_later_is_not_called_the_same(connection: Connection) -> None:
    record.land(connection, "M-1", DAY + 40 * QUARTER, [130, 170], collected_at=NOW)
    connection.commit()
    one = told(connection, 40)
    assert one.proof is not None
    assert (one.proof.value, one.proof.same) == (5200, False)


def test_the_rule_set_is_kept_word_by_word(connection: Connection) -> None:
    rows = connection.execute("SELECT digest, name, definition FROM rule_set_definition").fetchall()
    (rules,) = record.RULES
    assert rows == [(rules.digest, "electricity", rules.text)]


def test_days_where_clocks_change_are_found(connection: Connection) -> None:
    point = record.usage_point(connection, "UP-B", "Europe/Berlin")
    record.installation(connection, point, "M-B")
    start = datetime(2026, 3, 28, 23, tzinfo=UTC)
    record.land(connection, "M-B", start, list(range(100, 192)))
    validate(connection)
    connection.commit()
    # 92 quarter-hours; the last one ends at local midnight.
    (last,) = explain.explain(connection, "UP-B", start + 91 * QUARTER, now=NOW, weeks=WEEKS)
    assert last.final.value == 191
    assert last.proof is not None
    assert last.proof.same
    assert reading_type.named(last.reading_type).unit == "Wh"


@pytest.mark.parametrize(
    ("name", "moment", "words"),
    [
        ("UP-9", DAY, "no usage point is named"),
        ("UP-1", DAY + timedelta(days=9), "the record has no interval"),
    ],
)
def test_what_is_not_there_is_said(
    connection: Connection, name: str, moment: datetime, words: str
) -> None:
    with pytest.raises(ExplainError, match=words):
        explain.explain(connection, name, moment, now=NOW)
