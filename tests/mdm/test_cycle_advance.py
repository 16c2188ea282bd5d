"""Cycles by their calendar on a real database: opened, waited for, estimated, closed, delivered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from mdm import (
    cycle,
    cycle_advance,
    cycle_calendar,
    cycle_plan,
    cycle_status,
    delivery_files,
    vee,
)
from mdm.cycle import Cycle, CycleError
from mdm.cycle_advance import How, Step
from mdm.cycle_plan import Plan
from mdm.delivery_files import DeliveryError
from mdm.export.manifest import Made, Tally
from mdm.intake_layout import Weeks
from schemas import database, statements
from schemas.database import Connection
from schemas.period import local_day
from tests.mdm import record
from tests.mdm.billing import KUWAIT, PERIOD, SLOTS, add_point, add_whole, record_intervals
from tests.mdm.test_cycle_waiting import states

PLAN = """
[[group]]
name = "A"
dates = [2026-06-01, 2026-06-04, 2026-06-20]
close_after_days = 1
working_days = "kuwait"
addressee = "The palace"
follow_days = 2
"""
# 5 June is a Friday: the cycle closes on Sunday.
CLOSING = local_day(date(2026, 6, 7), KUWAIT).start
EVENING = PERIOD.end - timedelta(hours=2)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def planned(connection: Connection, more: str = "") -> Plan:
    plans = cycle_plan.parse(PLAN + more, "plan.toml")
    cycle_calendar.keep(connection, plans, now=EVENING)
    return plans[0]


def kinds(connection: Connection, now: datetime, how: How | None = None) -> list[str]:
    """Advance; give what was done with cycles besides summing their days."""
    done = cycle_advance.advance(connection, how or How(), now=now)
    return [step.kind for step in done if step.kind != "summed"]


def test_days_are_summed_as_they_come(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    planned(connection)

    def summed(now: datetime) -> list[str]:
        done = cycle_advance.advance(connection, How(), now=now)
        return [step.detail for step in done if step.kind == "summed"]

    # The evening of the third day: two are over.
    assert summed(EVENING) == ["2 days"]
    assert summed(EVENING + timedelta(hours=3)) == []
    assert summed(EVENING + timedelta(hours=4)) == ["1 days"]
    # What comes again is summed again; a cycle that nobody follows any more is left alone.
    values = [100] * SLOTS
    values[100] = 700
    record_intervals(connection, point.interval, values, at=EVENING + timedelta(hours=5))
    assert summed(EVENING + timedelta(hours=7)) == []
    assert summed(EVENING + timedelta(hours=9)) == ["1 days"]
    assert summed(EVENING + timedelta(hours=19)) == []
    record_intervals(connection, point.interval, [100] * SLOTS, at=CLOSING)
    assert summed(CLOSING + timedelta(days=3)) == []


def test_nobody_types_anything(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    planned(connection)
    assert kinds(connection, EVENING) == ["opened"]
    (one,) = cycle.cycles(connection)
    assert (one.closes_on, one.estimates, one.addressee) == (date(2026, 6, 7), True, "The palace")
    # Not over: nothing is computed, however often somebody looks.
    assert kinds(connection, EVENING + timedelta(hours=1)) == []
    assert kinds(connection, PERIOD.end) == ["opened", "computed"]
    # Once a local day.
    assert kinds(connection, PERIOD.end + timedelta(hours=23)) == []
    assert kinds(connection, PERIOD.end + timedelta(hours=24)) == ["computed"]
    assert kinds(connection, CLOSING) == ["closed"]
    assert kinds(connection, CLOSING + timedelta(hours=1)) == []
    head = delivery_files.head(one, "A-1", CLOSING, "miqyas")
    assert json.loads(Tally().manifest(head, [], Made([], [], [], [])))["addressee"] == "The palace"
    # And for two days after it, for what comes late.
    for day, done in ((1, ["computed"]), (2, ["computed"]), (3, [])):
        assert kinds(connection, CLOSING + timedelta(days=day)) == done
    told: list[Step] = cycle_advance.steps(connection, one)
    told = [step for step in told if step.kind != "summed"]
    assert [step.kind for step in told] == [
        "opened",
        *["computed"] * 2,
        "closed",
        *["computed"] * 2,
    ]
    assert told[1].detail == "1 computed, 1 new"


def test_what_is_missing_on_the_closing_day_is_estimated(connection: Connection) -> None:
    point = add_point(connection, "UP-1")
    add_point(connection, "UP-silent")
    dial = 0
    # Of the last day nothing came; the register of its end did not come either.
    record.land(connection, "M-UP-1", PERIOD.start - timedelta(days=14), [100] * 96 * 16)
    record.land_registers(
        connection, "M-UP-1",
        [(PERIOD.start + timedelta(days=n), dial + 9_600 * n) for n in range(-14, 3)],
    )  # fmt: skip
    while vee.run(connection, now=PERIOD.end, weeks=Weeks()).taken:
        pass
    planned(connection)
    how = How(weeks=Weeks())
    assert kinds(connection, PERIOD.end, how) == ["opened", "opened", "computed"]
    assert states(connection) == {"UP-1": "waiting", "UP-silent": "waiting"}
    assert kinds(connection, CLOSING, how) == ["estimated", "closed"]
    # A third of the intervals is estimated, more than the tariff's quarter: for a person.
    assert states(connection) == {"UP-1": "held", "UP-silent": "held"}
    (one, _) = cycle.cycles(connection)
    held = {(h.usage_point, h.gate) for h in cycle_status.holds(connection, one)}
    assert ("UP-1", "estimated") in held
    assert ("UP-1", "consumption") not in held
    assert ("UP-silent", "consumption") in held
    assert point.mrid == "UP-1"
    with database.connect(connection.info.dsn) as other:
        found = other.execute("SELECT value FROM billing WHERE determinant = 'consumption'"
                              " AND usage_point = 'UP-1'").fetchone()  # fmt: skip
    assert found is not None
    assert str(found[0]) == "28.800"


def test_delivered_on_the_closing_day_and_again_where_it_failed(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    planned(connection, "target = 'out'\n")
    answers: list[str] = ["", "down", "1 billed"]
    asked: list[Cycle] = []

    def deliver(one: Cycle, plan: Plan) -> str:
        assert plan.target == "out"
        asked.append(one)
        answer = answers[len(asked)]
        if answer == "down":
            raise DeliveryError("out is not there")
        return answer

    how = How(deliver=deliver)
    assert kinds(connection, PERIOD.end, how) == ["opened", "opened", "computed"]
    assert asked == []
    assert kinds(connection, CLOSING, how) == ["closed", "failed"]
    # Tried again each time, without computing anything.
    assert kinds(connection, CLOSING + timedelta(minutes=1), how) == ["delivered"]
    assert kinds(connection, CLOSING + timedelta(minutes=2), how) == []
    assert len(asked) == 2


def test_a_cycle_is_taken_by_one_process(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    planned(connection)
    assert kinds(connection, EVENING) == ["opened"]
    (one,) = cycle.cycles(connection)
    lock = statements.load("mdm", "cycle_advance.sql")["lock"]
    with database.connect(connection.info.dsn) as other:
        assert other.execute(lock, {"cycle": one.id}).fetchone() == (True,)
        assert kinds(connection, PERIOD.end) == ["opened"]
    assert kinds(connection, PERIOD.end) == ["computed"]


def test_plans_are_kept_and_ended(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    add_whole(connection, "UP-2", group="B")
    plan = planned(connection)
    assert cycle_calendar.keep(connection, [plan], now=EVENING) == []
    assert cycle_calendar.standing(connection) == [plan]
    wrong, across = (
        cycle_plan.parse(PLAN.replace('"A"', f'"{group}"'), "other.toml") for group in "ZB"
    )
    with pytest.raises(CycleError, match="'Z'; the registry has: A, B"):
        cycle_calendar.keep(connection, wrong, now=EVENING)
    cycle.opened(connection, "B", date(2026, 6, 10), date(2026, 6, 12), now=EVENING)
    with pytest.raises(CycleError, match=r"cuts through cycle B .* from = 2026-06-12 or later"):
        cycle_calendar.keep(connection, across, now=EVENING)
    cycle_calendar.end(connection, "A", now=EVENING)
    assert cycle_calendar.standing(connection) == []
    assert kinds(connection, CLOSING) == []
    with pytest.raises(CycleError, match="'A' has no calendar of cycles; there are: none yet"):
        cycle_calendar.end(connection, "A", now=EVENING)


def test_one_groups_trouble_is_not_the_others(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    add_whole(connection, "UP-2", group="B")
    both = PLAN + PLAN.replace('"A"', '"B"')
    cycle_calendar.keep(connection, cycle_plan.parse(both, "both.toml"), now=EVENING)
    # Somebody opens other days by hand before the plan's cycle begins.
    cycle.opened(connection, "A", date(2026, 6, 2), date(2026, 6, 3), now=EVENING)
    steps = list(cycle_advance.advance(connection, How(), now=datetime(2026, 6, 3, 21, tzinfo=UTC)))
    assert [step.kind for step in steps] == ["failed", "opened", "opened", "summed", "computed"]
    assert steps[0].detail.startswith("billing group A already has a cycle from 2026-06-02")


@pytest.mark.storage
@pytest.mark.parametrize("file", ["cycle_advance.sql", "cycle_calendar.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
