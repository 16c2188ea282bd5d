"""What a run went by may be changed: its values are still proved, and the change is named."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime

import psycopg
import pytest

from mdm import beside_import, explain, vee, virtual_import
from mdm.explanation import Explanation
from mdm.virtual_file import COLUMNS
from schemas import database, quality, statements
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import record
from tests.mdm.beside import (
    GAP,
    HOUR,
    IMPORT,
    ONE,
    QUARTER,
    WEEKS,
    beside,
    came,
    curve,
    meter,
    morning,
    profile,
    rules,
    run,
    temperatures,
)

CHANGED = morning(6)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def told(connection: Connection, version: int | None = None, slot: int = 45) -> Explanation:
    connection.commit()
    moment = GAP + slot * QUARTER
    (one,) = explain.explain(
        connection, "UP-M", moment, now=morning(9), weeks=WEEKS, version=version
    )
    connection.rollback()
    return one


def at(connection: Connection, moment: datetime) -> None:
    """Have what is changed from here on in the transaction be changed at a moment."""
    connection.execute("SELECT set_config('miqyas.now', %s, true)", [moment.isoformat()])


def events(connection: Connection, now: datetime) -> None:
    """The power was away from before the hole to after it."""
    for slot, code in ((36, 1), (64, 2)):
        connection.execute(
            statements.load("headend", "landing.sql")["land_events"],
            {
                "end_devices": [1], "occurred_at": [GAP + slot * QUARTER],
                "categories": ["power"], "codes": [code], "descriptions": [""],
                "sessions": [None], "now": now,
            },
        )  # fmt: skip


def other_check(connection: Connection) -> None:
    meter(connection, "D")
    came(connection, "D", [0])
    head = ",".join(beside_import.CHECK_COLUMNS)
    text = f"{head}\nUP-M,UP-C,2026-01-01,2026-05-01\nUP-M,UP-D,2026-05-01,\n"
    assert not beside_import.check_meters(connection, io.StringIO(text), now=CHANGED).rejected


def no_check(connection: Connection) -> None:
    at(connection, CHANGED)
    connection.execute("DELETE FROM check_meter")


def other_node(connection: Connection) -> None:
    meter(connection, "D")
    came(connection, "D", [0])
    common = f"NODE,balance,electricity,service,Asia/Kuwait,none,none,{IMPORT},900"
    text = f"{common},UP-D,,1,in,2026-01-01,\n{common},UP-M,,-1,out,2026-01-01,\n"
    file = io.StringIO(",".join(COLUMNS) + "\n" + text)
    assert not virtual_import.import_definitions(connection, file, now=CHANGED).rejected


def more_outages(connection: Connection) -> None:
    events(connection, CHANGED)


def other_meaning(connection: Connection) -> None:
    at(connection, CHANGED)
    connection.execute("DELETE FROM outage_event WHERE category = 'power'")


def other_multiplier(connection: Connection) -> None:
    at(connection, CHANGED)
    connection.execute("UPDATE installation SET multiplier = 7")


def other_class(connection: Connection) -> None:
    at(connection, CHANGED)
    connection.execute("UPDATE usage_point SET tariff = 'another'")


def warmer(connection: Connection) -> None:
    days = [(GAP + 3 * HOUR + day * ONE).date() for day in range(-8, 1)]
    rows = [f"Asia/Kuwait,{day},{day.day / 4}" for day in days]
    text = "\n".join(["place,time,celsius", *rows, ""])
    assert not beside_import.temperatures(connection, io.StringIO(text), now=CHANGED).rejected


def other_profile(connection: Connection) -> None:
    meter(connection, "X")
    record.land(connection, "X", GAP - 3 * ONE, [9000] * 2 * 96)
    run(connection, rules("class_profile"), CHANGED)
    profile(connection, (GAP + 3 * HOUR).date(), CHANGED)


@pytest.mark.parametrize(
    ("method", "change", "named"),
    [
        ("check_meter_value", other_check, {"check_meter"}),
        ("check_meter_value", no_check, {"check_meter"}),
        ("virtual_balance", other_node, {"node"}),
        ("zero", other_meaning, {"outage_event"}),
        ("zero like_day", more_outages, {"outage"}),
        ("class_profile", other_class, {"usage_point"}),
        ("class_profile", other_profile, {"class_profile"}),
        ("proxy_day", warmer, {"temperature"}),
    ],
)
def test_what_is_changed_afterwards_leaves_the_proof_exact_and_is_named(
    connection: Connection, method: str, change: Callable[[Connection], None], named: set[str]
) -> None:
    mine = rules(*method.split())
    meter(connection, "M")
    beside(connection, method, "M")
    others = ["C"] if method in {"check_meter_value", "virtual_balance"} else []
    for each in ("M", *others):
        came(connection, each, range(-8, 0))
    temperatures(connection, 0, morning(-1))
    run(connection, mine, morning(-1))
    profile(connection, (GAP + 3 * HOUR).date(), morning(-1) + HOUR)
    for each in others:
        came(connection, each, [0])
    came(connection, "M", [0], hole=True)
    run(connection, mine, morning(0))
    before = told(connection)
    assert before.final.value is not None
    assert before.final.quality != quality.VALID
    assert before.proof
    assert before.proof.same
    assert before.changes == ()
    assert before.today is None

    change(connection)
    after = told(connection)
    assert after.final == before.final
    assert after.proof == before.proof
    assert after.multiplier == 1
    assert {each.what for each in after.changes} >= named
    assert {each.last for each in after.changes if each.what in named} == {CHANGED}
    assert after.today
    assert not after.today.same

    # Validated again, the day has another version; the old one is proved as before.
    days = Period(GAP, GAP + ONE)
    vee.validate(connection, [1], days, now=morning(7), weeks=WEEKS, rule_sets=mine)
    new = told(connection)
    assert (new.final.number, new.final.value) == (before.final.number + 1, after.today.value)
    assert new.proof
    assert new.proof.same
    old = told(connection, before.final.number)
    assert old.superseded == 1
    assert old.final == before.final
    assert old.proof == before.proof


def test_what_was_read_is_proved_by_the_multiplier_of_then(connection: Connection) -> None:
    mine = rules("linear")
    meter(connection, "M")
    came(connection, "M", [0])
    run(connection, mine, morning(0))
    other_multiplier(connection)
    one = told(connection, slot=3)
    assert one.final.value == curve("M", 0)[3]
    assert one.multiplier == 1
    assert one.proof
    assert one.proof.same
    assert one.today
    assert one.today.value == 7 * curve("M", 0)[3]


def test_history_is_only_added_to(connection: Connection) -> None:
    meter(connection, "M")
    other_multiplier(connection)
    rows = connection.execute("SELECT place, content ->> 'multiplier' FROM superseded").fetchall()
    assert rows == [("installation", "1.000000")]
    connection.execute("UPDATE installation SET multiplier = 7")
    assert connection.execute("SELECT count(*) FROM superseded").fetchone() == (1,)
    with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
        connection.execute("DELETE FROM superseded")


def test_a_version_that_is_not_there_is_said(connection: Connection) -> None:
    meter(connection, "M")
    came(connection, "M", [0])
    run(connection, rules("linear"), morning(0))
    with pytest.raises(explain.ExplainError, match="no version 2"):
        told(connection, 2)
