"""The billing window on a real database: what waits, until when, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from mdm import cycle, cycle_status, tariff_file
from mdm.cycle import Cycle
from mdm.tariff import Tariffs
from schemas import database, quality, statements
from schemas.database import Connection
from schemas.period import Period, local_day
from tests.mdm import billing, record
from tests.mdm.billing import ENDS_ON, KUWAIT, NOW, SLOTS, add_point, add_whole, june, later

CLOSES = date(2026, 6, 7)
CLOSING = local_day(CLOSES, KUWAIT).start


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def waiting_june(connection: Connection) -> Cycle:
    """Open the cycle of June's first days, which waits for three days more."""
    june(connection)
    connection.execute("UPDATE billing_cycle SET closes_on = %s", [CLOSES])
    (one,) = cycle.cycles(connection)
    return one


def states(connection: Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT p.mrid, s.state FROM determinant_set s JOIN usage_point p"
        " ON p.id = s.usage_point_id WHERE s.state <> 'superseded'"
    )
    return dict(rows.fetchall())


def with_gates(**gates: object) -> Tariffs:
    """Give Kuwait's residential tariff with other gates of these names."""
    definition = tariff_file.standing().on("kw-residential", "electricity", ENDS_ON).definition
    content = json.loads(definition)
    content["gates"] |= gates
    return tariff_file.collected([tariff_file.restored(json.dumps(content))])


def test_what_is_incomplete_waits_until_the_closing_day(connection: Connection) -> None:
    add_whole(connection, "UP-whole")
    few, many = add_point(connection, "UP-few"), add_point(connection, "UP-many")
    for point, codes in ((few, {3: quality.ESTIMATED_LINEAR}), (many, {5: quality.MISSING})):
        values = [0 if codes.get(n) == quality.MISSING else 100 for n in range(SLOTS)]
        billing.record_intervals(connection, point.interval, values, codes)
    this = waiting_june(connection)
    assert cycle.run(connection, this, now=NOW).written == 3
    # Few and estimated would pass the gates, but the actual value may still come.
    assert states(connection) == {"UP-whole": "ready", "UP-few": "waiting", "UP-many": "waiting"}
    status = cycle_status.status(connection, this)
    assert (status.ready, status.waiting, status.held) == (1, 2, 0)
    assert cycle.run(connection, this, now=CLOSING - timedelta(seconds=1)).unchanged == 3
    assert states(connection)["UP-few"] == "waiting"
    # One of them becomes whole meanwhile.
    billing.record_intervals(connection, few.interval, [100] * SLOTS, at=later(1))
    cycle.run(connection, this, now=later(2))
    assert states(connection)["UP-few"] == "ready"
    assert cycle.run(connection, this, now=CLOSING).unchanged == 3
    assert states(connection)["UP-many"] == "held"
    with pytest.raises(psycopg.errors.RestrictViolation, match="cannot become waiting"):
        connection.execute("UPDATE determinant_set SET state = 'waiting' WHERE state = 'held'")


def test_a_tariff_may_wait_longer_than_its_cycle(connection: Connection) -> None:
    point = add_point(connection, "UP-1")
    billing.record_intervals(connection, point.interval, [100] * SLOTS, {3: quality.ESTIMATED})
    this = waiting_june(connection)
    definition = tariff_file.standing().on("kw-residential", "electricity", ENDS_ON).definition
    longer = tariff_file.collected(
        [tariff_file.restored(definition[:-1] + ',"window":{"wait_days":9}}')]
    )
    cycle.run(connection, this, now=CLOSING, tariffs=longer)
    assert states(connection) == {"UP-1": "waiting"}
    at_last = local_day(ENDS_ON + timedelta(days=9), KUWAIT).start
    cycle.run(connection, this, now=at_last, tariffs=longer)
    assert states(connection) == {"UP-1": "ready"}


def of_last_year(connection: Connection, point: billing.Point, each: int) -> None:
    """Bill the same three days of 2025 at ``each`` Wh a quarter hour."""
    first, until = date(2025, 6, 1), date(2025, 6, 4)
    period = Period(local_day(first, KUWAIT).start, local_day(until, KUWAIT).start)
    at = datetime.fromisoformat("2025-06-05T00:00:00+00:00")
    billing.record_intervals(connection, point.interval, [each] * SLOTS, at=at, period=period)
    last_year = cycle.opened(connection, "A", first, until, now=at)
    assert cycle.run(connection, last_year, now=at).written == 1


def test_high_and_low_against_what_was_billed_before(connection: Connection) -> None:
    point = add_point(connection, "UP-1")
    connection.execute("UPDATE installation SET starts_at = '2025-01-01'")
    billing.record_intervals(connection, point.interval, [100] * SLOTS)
    of_last_year(connection, point, 30)
    limits = {"against": ["last_year", "last_period"], "high": 300, "low": 30}
    this = june(connection)
    cycle.run(connection, this, now=NOW, tariffs=with_gates(usage=limits))
    (hold,) = cycle_status.holds(connection, this)
    assert (hold.gate, hold.detail) == (
        "high",
        "9.600 kWh a day, last year's same period had 2.880: above 300 % of it",
    )


def test_data_that_await_validation_are_not_validated(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    connection.execute(
        "INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at) SELECT id,"
        " '2026-06-03T20:00Z', '2026-06-03T23:00Z', now() FROM end_device"
    )
    this = june(connection)
    cycle.run(connection, this, now=NOW, tariffs=with_gates(not_validated=0))
    (hold,) = cycle_status.holds(connection, this)
    # The period ends at 21:00 UTC.
    assert hold.detail.startswith("4 of 288 intervals (1.39 %) are not validated")
    assert point.mrid == hold.usage_point
    found = connection.execute("SELECT value FROM billing WHERE determinant = 'consumption'")
    assert found.fetchall() == [(Decimal("28.800"),)]


@pytest.mark.storage
@pytest.mark.parametrize("file", ["cycle_beside.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
