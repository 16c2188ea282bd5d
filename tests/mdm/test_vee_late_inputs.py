"""What comes beside readings after days were validated has those done again that it may change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from mdm import beside_import, vee, vee_late, virtual_import
from mdm.vee import Report
from mdm.virtual_file import COLUMNS
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm.beside import (
    GAP,
    HOUR,
    IMPORT,
    ONE,
    QUARTER,
    WEEKS,
    came,
    meter,
    morning,
    profile,
    rules,
    run,
)
from validation.ruleset import RuleSet

LATER = morning(0) + HOUR
LIKE = quality.ESTIMATED_LIKE_DAY
DATE = (GAP + 3 * HOUR).date()


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A meter with a hole on the last of nine days, and another whose days are whole."""
    with database.connect(database_url) as connection:
        for mrid in ("M", "C"):
            meter(connection, mrid)
            came(connection, mrid, range(-8, 0))
        came(connection, "M", [0], hole=True)
        came(connection, "C", [0])
        yield connection


def again(connection: Connection, mine: tuple[RuleSet, ...], now: datetime = LATER) -> Report:
    """Run until nothing is left; give what was done."""
    done, part = Report(), Report(taken=1)
    while part.taken or part.looked:
        part = vee.run(connection, now=now, weeks=WEEKS, rule_sets=mine)
        done += part
    assert connection.execute("SELECT count(*) FROM late_input").fetchone() == (0,)
    return done


def code(connection: Connection, slot: int = 45) -> int:
    row = connection.execute(
        "SELECT b.quality[%s] FROM interval_block b JOIN channel c ON c.id = b.channel_id"
        " WHERE c.usage_point_id = 1 AND b.starts_at = %s ORDER BY b.version DESC LIMIT 1",
        [slot + 1, GAP],
    ).fetchone()
    assert row
    return int(row[0])


def temperatures(connection: Connection, first: int, last: int, now: datetime = LATER) -> None:
    days = [DATE + day * ONE for day in range(first, last + 1)]
    rows = [f"A,{day},{20 + day.day % 3}" for day in days]
    text = "\n".join(["place,time,celsius", *rows, ""])
    assert not beside_import.temperatures(connection, io.StringIO(text), now=now).rejected


def checked(connection: Connection, until: str = "", now: datetime = LATER) -> None:
    text = f"{','.join(beside_import.CHECK_COLUMNS)}\nUP-M,UP-C,2026-01-01,{until}\n"
    assert not beside_import.check_meters(connection, io.StringIO(text), now=now).rejected


def node(connection: Connection) -> None:
    common = f"NODE,balance,electricity,service,Asia/Kuwait,none,none,{IMPORT},900"
    text = f"{common},UP-C,,1,in,2026-01-01,\n{common},UP-M,,-1,out,2026-01-01,\n"
    file = io.StringIO(",".join(COLUMNS) + "\n" + text)
    assert not virtual_import.import_definitions(connection, file, now=LATER).rejected


@pytest.mark.parametrize(
    ("method", "comes", "becomes"),
    [
        ("proxy_day", lambda c: temperatures(c, -8, 0), quality.ESTIMATED_PROXY_DAY),
        ("class_profile", lambda c: profile(c, DATE, LATER), quality.ESTIMATED_PROFILE),
        ("check_meter_value", checked, quality.ESTIMATED_CHECK_METER),
        ("virtual_balance", node, quality.ESTIMATED_BALANCE),
    ],
)
def test_the_day_that_it_changes_is_done_again_and_no_other(
    connection: Connection, method: str, comes: object, becomes: int
) -> None:
    mine = rules(method, "like_day")
    run(connection, mine, morning(0))
    assert code(connection) == LIKE
    assert callable(comes)
    comes(connection)
    done = again(connection, mine)
    assert (done.days, done.late, done.versions) == (1, 1, 1)
    assert code(connection) == becomes
    # What came once is looked at once.
    assert again(connection, mine) == Report()


def test_nothing_is_done_again_where_no_rule_set_asks_for_it(connection: Connection) -> None:
    mine = rules("like_day")
    run(connection, mine, morning(0))
    temperatures(connection, -8, 0)
    checked(connection)
    profile(connection, DATE, LATER)
    assert again(connection, mine).days == 0


def test_what_an_estimator_before_it_filled_stays(connection: Connection) -> None:
    mine = rules("like_day", "proxy_day")
    run(connection, mine, morning(0))
    temperatures(connection, -8, 0)
    assert again(connection, mine).days == 0


def test_a_corrected_temperature_has_its_own_estimates_made_again(connection: Connection) -> None:
    mine = rules("proxy_day", "like_day")
    temperatures(connection, -8, 0, morning(-1))
    run(connection, mine, morning(0))
    assert code(connection) == quality.ESTIMATED_PROXY_DAY
    text = f"place,time,celsius\nA,{DATE},45\n"
    assert beside_import.temperatures(connection, io.StringIO(text), now=LATER).changed == 1
    done = again(connection, mine)
    assert (done.days, done.versions) == (1, 1)
    # Nothing is as hot: the next estimator fills it.
    assert code(connection) == LIKE


def test_a_check_meter_that_is_ended_checks_the_days_before_its_end_still(
    connection: Connection,
) -> None:
    mine = rules("check_meter_value", "like_day")
    checked(connection, now=morning(-9))
    run(connection, mine, morning(0))
    run(connection, mine, morning(0))
    assert code(connection) == quality.ESTIMATED_CHECK_METER
    assert again(connection, mine).versions == 0
    checked(connection, f"{DATE + ONE}")
    assert again(connection, mine).days == 0
    checked(connection, f"{DATE}")
    assert again(connection, mine).versions == 1
    assert code(connection) == LIKE


def test_usage_points_are_looked_at_some_at_a_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vee_late, "_TOGETHER", 1)
    monkeypatch.setattr(vee_late, "_STEPS", 1)
    mine = rules("proxy_day", "like_day")
    meter(connection, "N")
    came(connection, "N", range(-8, 0))
    came(connection, "N", [0], hole=True)
    run(connection, mine, morning(0))
    temperatures(connection, -8, 0)
    parts = [vee.run(connection, now=LATER, weeks=WEEKS, rule_sets=mine) for _ in range(30)]
    # Usage points 1 and 3 have the hole, 2 has none; one is looked at in a run.
    assert [part.looked for part in parts].count(1) == sum(part.looked for part in parts)
    assert [part.days for part in parts if part.days] == [1, 1]
    assert code(connection) == quality.ESTIMATED_PROXY_DAY


def power(connection: Connection, at: datetime, number: int, now: datetime) -> None:
    connection.execute(
        statements.load("headend", "landing.sql")["land_events"],
        {
            "end_devices": [1], "occurred_at": [at], "categories": ["power"], "codes": [number],
            "descriptions": [""], "sessions": [None], "now": now,
        },
    )  # fmt: skip


def test_a_code_that_is_given_a_meaning_later_explains_the_days_it_was_told_on(
    connection: Connection,
) -> None:
    mine = rules("zero", "like_day")
    power(connection, GAP + 36 * QUARTER, 901, morning(0))
    power(connection, GAP + 64 * QUARTER, 902, morning(0))
    run(connection, mine, morning(0))
    assert code(connection) == LIKE
    connection.execute("SELECT set_config('miqyas.now', %s, true)", [LATER.isoformat()])
    connection.execute(
        "INSERT INTO outage_event VALUES ('power', 901, 'down'), ('power', 902, 'up')"
    )
    done = again(connection, mine)
    # Once for either code.
    assert (done.days, done.versions) == (2, 1)
    assert code(connection) == quality.ESTIMATED_ZERO


def test_days_in_a_row_are_noted_as_one() -> None:
    days = [DATE + timedelta(days=n) for n in (0, 1, 2, 5, 7, 8)]
    assert [(a - DATE, b - DATE) for a, b in vee_late.stretches(days)] == [
        (timedelta(0), timedelta(2)), (timedelta(5), timedelta(5)), (timedelta(7), timedelta(8)),
    ]  # fmt: skip
