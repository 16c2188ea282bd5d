"""Outages and disconnections of the record reach the rules and the estimators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mdm import vee
from mdm.intake_layout import Week, Weeks
from mdm.intake_outages import Outage, of_events
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW
from validation import ruleset

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)  # 2 June 2026 in Kuwait
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
CURVE = [100 + (7 * i) % 40 for i in range(96)]
_FIRST = """
[rules.inactive_use]
severity = "issue"
action = "note"
tolerance_per_hour = 0
[rules.zero_run]
severity = "issue"
action = "note"
hours = 2
[[estimators]]
method = "zero"
between_outages = false
[[estimators]]
"""
RULES = (ruleset.parse(record.RULES[0].text.replace("[[estimators]]", _FIRST, 1), "tests"),)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def meter(connection: Connection, commodity: str = "electricity") -> None:
    record.installation(connection, record.usage_point(connection), "M-1")
    connection.execute("UPDATE usage_point SET commodity = %s", [commodity])


def happened(connection: Connection, *events: tuple[datetime, str, int]) -> None:
    """Land events as the head-end does."""
    for at, category, code in events:
        connection.execute(
            statements.load("headend", "landing.sql")["land_events"],
            {
                "end_devices": [1], "occurred_at": [at], "categories": [category],
                "codes": [code], "descriptions": [""], "sessions": [None], "now": NOW,
            },
        )  # fmt: skip


def controlled(connection: Connection, kind: str, state: str, sent: datetime) -> None:
    connection.execute(
        "WITH r AS (INSERT INTO end_device_control_request (kind, reason, requested_by,"
        " requested_at) VALUES (%s, 'unpaid', 'Huda', %s) RETURNING id)"
        " INSERT INTO end_device_control (request_id, end_device_id, not_before, expires_at, state,"
        " sent_at, next_attempt, changed_at, changed_by)"
        " SELECT id, 1, %s, %s, %s, %s, %s, %s, 'worker' FROM r",
        [kind, sent, sent, sent + 24 * HOUR, state, sent, sent, sent + timedelta(minutes=1)],
    )


def run(connection: Connection, now: datetime = NOW) -> None:
    while vee.run(connection, now=now, weeks=WEEKS, rule_sets=RULES).taken:
        pass


def landed(connection: Connection, first: int, after: int, fill: list[int] | None = None) -> None:
    """Land the day with a hole from one slot to another, or with other values in it."""
    if fill is not None:
        record.land(connection, "M-1", DAY, CURVE[:first] + fill + CURVE[after:])
        return
    record.land(connection, "M-1", DAY, CURVE[:first])
    record.land(connection, "M-1", DAY + after * QUARTER, CURVE[after:])


def test_a_gap_under_an_outage_is_zero_and_its_edges_are_not(connection: Connection) -> None:
    meter(connection)
    landed(connection, 40, 60)
    # Down in the middle of slot 41, up in the middle of slot 58.
    happened(connection, (DAY + 41.5 * QUARTER, "power", 1), (DAY + 58.5 * QUARTER, "power", 2))
    run(connection)
    table = record.final(connection)
    zero = (table.quality[0] == quality.ESTIMATED_ZERO).nonzero()[0].tolist()
    assert zero == list(range(42, 58))
    assert (table.values[0, 42:58] == 0).all()
    # Nothing else of the rule set can fill what is left: it stays missing.
    assert (table.quality[0, [40, 41, 58, 59]] == quality.MISSING).all()


def test_an_outage_that_is_learned_later_changes_the_estimate(connection: Connection) -> None:
    meter(connection)
    landed(connection, 40, 44)
    run(connection)
    assert (record.final(connection).values[0, 40:44] > 0).all()
    happened(connection, (DAY + 40 * QUARTER, "power", 2000), (DAY + 44 * QUARTER, "power", 2001))
    run(connection, NOW + HOUR)
    table = record.final(connection)
    assert table.version.tolist() == [2]
    assert (table.quality[0, 40:44] == quality.ESTIMATED_ZERO).all()


def test_use_while_the_switch_is_off_is_found(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    happened(connection, (DAY + 80 * QUARTER, "switch", 62))
    run(connection)
    assert ("inactive_use", DAY + 80 * QUARTER, DAY + 96 * QUARTER) in record.findings(connection)


@pytest.mark.parametrize(
    ("later", "found"),
    [(None, True), (("connect", "done"), False), (("arm", "unknown"), False)],
)
def test_a_confirmed_disconnection_lasts_until_a_connection_may_have_been(
    connection: Connection, later: tuple[str, str] | None, found: bool
) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    controlled(connection, "disconnect", "done", DAY - 300 * 24 * HOUR)
    if later:
        controlled(connection, later[0], later[1], DAY - 10 * HOUR)
    run(connection)
    assert ("inactive_use" in {each[0] for each in record.findings(connection)}) is found


def test_a_disconnection_that_failed_says_nothing(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    controlled(connection, "disconnect", "failed", DAY - 10 * HOUR)
    run(connection)
    assert record.findings(connection) == []


def test_zeros_under_an_outage_are_no_finding(connection: Connection) -> None:
    meter(connection)
    landed(connection, 40, 60, [0] * 20)
    run(connection)
    assert [each[0] for each in record.findings(connection)] == ["zero_run"]
    happened(connection, (DAY + 40 * QUARTER, "power", 1), (DAY + 60 * QUARTER, "power", 2))
    run(connection, NOW + HOUR)
    assert record.findings(connection) == []


def test_a_last_gasp_alone_counts_until_something_flows(connection: Connection) -> None:
    meter(connection)
    landed(connection, 40, 60)
    happened(connection, (DAY + 40 * QUARTER, "power", 2000))
    run(connection)
    table = record.final(connection)
    assert (table.quality[0, 40:60] == quality.ESTIMATED_ZERO).all()
    assert (table.quality[0, 60:] == quality.VALID).all()
    assert "inactive_use" not in {each[0] for each in record.findings(connection)}


def test_water_flows_without_power_but_not_through_a_closed_valve(connection: Connection) -> None:
    meter(connection, "water")
    rules = tuple(replace(each, name="water") for each in RULES)
    record.land(connection, "M-1", DAY, CURVE)
    happened(connection, (DAY, "power", 1), (DAY + 40 * QUARTER, "power", 2))
    happened(connection, (DAY + 80 * QUARTER, "switch", 60))
    while vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=rules).taken:
        pass
    found = [each for each in record.findings(connection) if each[0] == "inactive_use"]
    assert found == [("inactive_use", DAY + 80 * QUARTER, DAY + 96 * QUARTER)]


def test_an_outage_belongs_to_the_meter_that_was_there(connection: Connection) -> None:
    exchanged = DAY + 48 * QUARTER
    point = record.usage_point(connection)
    record.installation(connection, point, "M-1", until=exchanged)
    record.installation(connection, point, "M-2", since=exchanged)
    record.land(connection, "M-1", DAY, CURVE[:44])
    record.land(connection, "M-2", DAY + 52 * QUARTER, CURVE[52:])
    # The old meter was taken off the wall: it never says that power is back.
    happened(connection, (DAY + 44 * QUARTER, "power", 1))
    run(connection)
    table = record.final(connection)
    assert (table.quality[0, 44:48] == quality.ESTIMATED_ZERO).all()
    assert (table.values[0, 48:52] > 0).all()


def test_beginnings_and_ends_are_paired() -> None:
    said = [(1, 10, "down"), (1, 20, "down"), (1, 30, "up"), (1, 40, "up"), (2, 5, "off"),
            (2, 7, "up"), (2, 9, "on"), (1, 50, "off"), (1, 60, "down")]  # fmt: skip
    found = list(of_events(said))
    assert found[0] == Outage(1, 20, 30)
    assert found[1].starts_at == 60
    assert found[1].open
    assert (found[2].starts_at, found[2].open) == (50, False)
    assert found[3] == Outage(2, 5, 9)


def test_every_statement_is_understood(connection: Connection) -> None:
    for name, body in statements.load("mdm", "intake_outages.sql").items():
        record.prepare(connection, f"s_{name}", body)
