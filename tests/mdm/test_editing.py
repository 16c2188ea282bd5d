"""Edits on a real database: planned, made, approved by another, taken back, and after billing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from mdm import cycle, edit_approval, editing, vee, worklist, worklist_bulk, worklist_item
from mdm import worklist_people as people
from mdm.edit_approval import Limits
from mdm.editing import Add, Copy, MakeFinal, Operation, Plan, Remove, Restore, Scale
from mdm.intake_layout import Weeks
from mdm.worklist_days import WorklistError
from schemas import database, quality
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import billing, record
from tests.mdm.record import NOW

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
LATER = NOW + timedelta(hours=1)
CURVE = [100 + (7 * i) % 40 for i in range(96)]
WIDE = Limits(intervals=96, amount=Decimal(1000))
NARROW = Limits(intervals=2, amount=Decimal(1000))
WHO: dict[str, Any] = {"person": "Mona", "reason": "seen on site", "now": LATER}
WEEKS, RULES = Weeks(), record.RULES


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """Two days of a usage point; the second has a spike that nobody can explain, and a gap."""
    with database.connect(database_url) as connection:
        point = record.usage_point(connection)
        record.installation(connection, point, "M-1")
        record.land(connection, "M-1", DAY - timedelta(days=1), CURVE)
        record.land(connection, "M-1", DAY, [*CURVE[:10], 90_000, *CURVE[11:40]])
        record.land(connection, "M-1", DAY + 42 * QUARTER, CURVE[42:])
        vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=RULES)
        yield connection


def item(connection: Connection, rule: str = "spike") -> worklist.Item:
    (found,) = worklist.findings(connection, rule=rule)
    return found


def plan(connection: Connection, operation: Operation, first: int = 0, last: int = 96) -> Plan:
    period = Period(DAY + first * QUARTER, DAY + last * QUARTER)
    return editing.planned(connection, item(connection).channel_id, period, operation)


def day(connection: Connection) -> tuple[list[int], list[int], int]:
    table = record.final(connection)
    return table.values[1].tolist(), table.quality[1].tolist(), int(table.version[1])


@pytest.mark.parametrize(
    ("operation", "slot", "value", "code"),
    [
        (Add(5), 3, CURVE[3] + 5, quality.EDITED),
        (Scale(Decimal("0.5")), 1, 54, quality.EDITED),  # 53.5 is rounded up
        (Remove(), 3, 0, quality.REMOVED),
        (Copy(date(2026, 6, 1)), 10, CURVE[10], quality.EDITED),
        (MakeFinal(), 40, 101, quality.ESTIMATED_FINAL),
    ],
)
def test_each_operation_is_shown_made_and_stands(
    connection: Connection, operation: Operation, slot: int, value: int, code: int
) -> None:
    planned = plan(connection, operation)
    before = day(connection)
    assert before[2] == 1  # planning writes nothing
    edit_approval.carry(connection, [planned], limits=WIDE, **WHO)
    values, codes, version = day(connection)
    changed = {at for at in range(96) if (values[at], codes[at]) != (before[0][at], before[1][at])}
    assert {(one.at - DAY) // QUARTER for one in planned.changes} == changed
    if isinstance(operation, MakeFinal):
        value = before[0][slot]
    assert (values[slot], codes[slot], version) == (value, code, 2)
    # Whatever comes later, a person's decision stands.
    record.land(connection, "M-1", DAY + 40 * QUARTER, [777, 778])
    vee.run(connection, now=LATER, weeks=WEEKS, rule_sets=RULES)
    values, codes, _ = day(connection)
    assert (values[slot], codes[slot]) == (value, code)


def test_what_would_not_change_is_said(connection: Connection) -> None:
    with pytest.raises(WorklistError, match="nothing would change"):
        plan(connection, MakeFinal(), 0, 5)
    with pytest.raises(WorklistError, match="no day 2026-01-01 to copy"):
        plan(connection, Copy(date(2026, 1, 1)))
    with pytest.raises(WorklistError, match="does not fit"):
        plan(connection, Scale(Decimal(10**9)))


def test_beyond_the_limit_an_edit_waits_for_another_person(connection: Connection) -> None:
    done = edit_approval.carry(connection, [plan(connection, Add(5), 0, 3)], limits=NARROW, **WHO)
    assert (done.days, done.why) == (0, "3 intervals, at most 2 without a second person")
    (number,) = done.proposals
    assert day(connection)[2] == 1
    with pytest.raises(WorklistError, match="proposed by Mona: another must"):
        edit_approval.approve(connection, number, person=" mona", reason="ok", now=LATER)
    with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
        connection.execute(
            "INSERT INTO edit_decision VALUES (%s, now(), true, 'MONA', 'x')", [number]
        )
    (waiting,) = edit_approval.proposals(connection)
    assert (waiting.person, waiting.amount) == ("Mona", Decimal("0.015"))
    second: dict[str, Any] = {"person": "Salem", "reason": "agreed", "now": LATER}
    assert edit_approval.approve(connection, number, **second) == 1
    assert day(connection)[0][:3] == [value + 5 for value in CURVE[:3]]
    row = connection.execute(
        "SELECT person, reason FROM provenance ORDER BY id DESC LIMIT 1"
    ).fetchone()
    assert row == ("Mona", "seen on site (approved by Salem: agreed)")
    with pytest.raises(WorklistError, match="approved by Salem already"):
        edit_approval.approve(connection, number, **second)
    with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
        connection.execute("UPDATE edit_proposal SET amount = 0")


def test_energy_counts_too_and_a_changed_day_is_not_overwritten(connection: Connection) -> None:
    little = Limits(intervals=96, amount=Decimal("0.001"))
    done = edit_approval.carry(connection, [plan(connection, Add(5), 0, 1)], limits=little, **WHO)
    assert done.why == (
        "0.005 of active_energy_import_interval, at most 0.001 without a second person"
    )
    edit_approval.carry(connection, [plan(connection, Add(1), 9, 10)], limits=WIDE, **WHO)
    (number,) = done.proposals
    second: dict[str, Any] = {"person": "Salem", "reason": "agreed", "now": LATER}
    with pytest.raises(WorklistError, match="has changed since"):
        edit_approval.approve(connection, number, **second)
    edit_approval.refuse(connection, number, **second)
    assert edit_approval.proposals(connection) == []


def test_taking_back_is_a_new_version_and_opens_what_was_decided(connection: Connection) -> None:
    before = day(connection)
    spike = item(connection)
    edit_approval.carry(connection, [plan(connection, Remove(), 10, 11)], limits=WIDE, **WHO)
    assert worklist.findings(connection, rule="spike") == []
    period = Period(DAY, DAY + timedelta(days=1))
    back = editing.planned(connection, spike.channel_id, period, Restore(1))
    edit_approval.carry(connection, [back], limits=WIDE, **WHO)
    after = day(connection)
    assert (after[:2], after[2]) == (before[:2], 3)
    assert item(connection).id == spike.id
    assert [event.kind for event in people.history(connection, spike.id)] == ["reopened"]
    with pytest.raises(WorklistError, match="version 3 cannot be restored"):
        editing.planned(connection, spike.channel_id, period, Restore(3))


def test_a_finding_is_shown_with_raw_neighbours_like_days_and_estimate(
    connection: Connection,
) -> None:
    spike = item(connection)
    seen = worklist_item.look(connection, spike.id, now=LATER, weeks=WEEKS, rule_sets=RULES)
    assert (seen.raw[10], seen.recorded[10], seen.raw[40]) == (90_000, 90_000, None)
    assert [at for at, marked in zip(seen.moments, seen.marked, strict=True) if marked] == [
        spike.starts_at
    ]
    assert list(seen.before) == CURVE
    assert [(like, list(line)) for like, line in seen.like_days] == [(date(2026, 6, 1), CURVE)]
    (estimate,) = seen.estimates
    # Between its neighbours, rounded half up.
    assert estimate.value == (CURVE[9] + CURVE[11] + 1) // 2
    assert estimate.code == quality.ESTIMATED_LINEAR
    assert day(connection)[2] == 1


def test_many_are_settled_at_once_and_count_together(connection: Connection) -> None:
    found = worklist.findings(connection)
    planned = worklist_bulk.estimates(connection, found, now=LATER, weeks=WEEKS, rule_sets=RULES)
    assert (len(planned.plans), planned.refused) == (2, ())
    waits = worklist_bulk.carry(connection, planned, limits=NARROW, **WHO)
    assert (len(waits.proposals), day(connection)[2]) == (2, 1)
    worklist_bulk.carry(connection, planned, limits=WIDE, **WHO)
    codes = day(connection)[1]
    assert [codes[at] for at in (10, 40, 41)] == [quality.ESTIMATED_FINAL] * 3
    assert worklist.findings(connection) == []


def test_findings_are_given_to_people_put_off_and_age(connection: Connection) -> None:
    spike = item(connection)
    after = {"issue": timedelta(minutes=30), "info": timedelta(days=30)}
    assert spike.overdue(after, LATER)
    assert not spike.overdue(after, NOW)
    assert not item(connection, "gap").overdue(after, LATER)
    people.assign(connection, [spike.id], "Noura", person="Mona", now=LATER)
    assert [one.id for one in worklist.findings(connection, assigned_to="Noura")] == [spike.id]
    until = LATER + timedelta(days=2)
    people.hold(connection, [spike.id], until, **WHO)
    held = item(connection)
    assert (held.held_until, held.overdue(after, LATER)) == (until, False)
    assert replace(held, held_until=LATER).overdue(after, LATER)
    with pytest.raises(WorklistError, match="is past"):
        people.hold(connection, [spike.id], LATER, **WHO)
    people.assign(connection, [spike.id], None, person="Mona", now=LATER)
    assert worklist.findings(connection, assigned_to="Noura") == []
    kinds = [(event.kind, event.assignee) for event in people.history(connection, spike.id)]
    assert kinds == [("assigned", "Noura"), ("held", None), ("assigned", None)]
    assert worklist.findings(connection, billing_group="A", number=spike.id)
    assert worklist.findings(connection, billing_group="B") == []
    with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
        connection.execute("DELETE FROM finding_event")


def test_a_billed_day_changes_only_when_said_and_then_corrects(database_url: str) -> None:
    with database.connect(database_url) as connection:
        point = billing.add_whole(connection, "UP-1")
        june = billing.june(connection)
        cycle.run(connection, june, now=billing.NOW)
        for state in ("exported", "billed"):
            connection.execute("UPDATE determinant_set SET state = %s", [state])
        period = Period(billing.PERIOD.start, billing.PERIOD.start + QUARTER)
        planned = editing.planned(connection, point.interval, period, Add(1))
        (billed,) = planned.billed
        assert str(billed) == "2026-06-01 of UP-1 is billed in cycle A from 2026-06-01"
        who: dict[str, Any] = {**WHO, "now": billing.later(1)}
        with pytest.raises(WorklistError, match=r"is billed in cycle A .*--after-billing"):
            edit_approval.carry(connection, [planned], limits=WIDE, **who)
        edit = {billing.PERIOD.start: 1}
        with pytest.raises(WorklistError, match="is billed in cycle A"):
            worklist.edit(connection, point.interval, edit, **who)
        done = edit_approval.carry(connection, [planned], limits=WIDE, after_billing=True, **who)
        assert done.days == 1
        assert cycle.run(connection, june, now=billing.later(2)).corrected == 1
