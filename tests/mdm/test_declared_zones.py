"""A group's peak is one instant of the system, whatever clocks its usage points go by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from mdm import cycle, replay, tariff_file
from mdm.tariff import Tariffs, collected
from schemas import database
from schemas.database import Connection
from schemas.period import Period, local_day
from tests.mdm import billing
from tests.mdm.billing import ENDS_ON, NOW, PERIOD, SLOTS, STARTS_ON, june
from tests.mdm.declaring import BASE

DUBAI = ZoneInfo("Asia/Dubai")
# An hour before Kuwait's: Dubai's first local day is the 1st, too.
DUBAIS = Period(local_day(STARTS_ON, DUBAI).start, local_day(ENDS_ON, DUBAI).start)
DECLARED = '[[tariff.determinant]]\nkind = "coincident_demand"\npeak_of = "{}"\n'


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def tariffs(of: str = "billing_group", *more: str) -> Tariffs:
    base = BASE.replace('"london"', '"kuwait"')
    base = base.replace("determinants = []", 'determinants = ["consumption"]')
    return collected(tariff_file.parse(base + DECLARED.format(of) + "\n".join(more), "works.toml"))


def add(
    connection: Connection, mrid: str, high: dict[int, int], zone: str = "Asia/Kuwait"
) -> billing.Point:
    """Add a usage point of 100 Wh a quarter, but what ``high`` says of slots of its own period."""
    point = billing.add_point(connection, mrid, tariff="works", zone=zone)
    values = [high.get(slot, 100) for slot in range(SLOTS)]
    key = ZoneInfo(zone)
    period = Period(local_day(STARTS_ON, key).start, local_day(ENDS_ON, key).start)
    billing.record_intervals(connection, point.interval, values, period=period, zone=key)
    return point


def demands(connection: Connection) -> dict[str, tuple[Decimal | None, datetime]]:
    rows = connection.execute(
        "SELECT usage_point, value, b.starts_at FROM billing b"
        " WHERE determinant = 'coincident_demand'"
    )
    return {point: (value, at) for point, value, at in rows}


def run(connection: Connection, of: Tariffs, hours: int = 0) -> None:
    this = june(connection)
    done = cycle.run(connection, this, now=billing.later(hours), tariffs=of, partition=1)
    assert done.problems == ()


def replayed(connection: Connection, *mrids: str) -> None:
    for mrid in mrids:
        found = replay.of_usage_point(connection, june(connection), mrid)
        assert found.identical, [str(each) for each in found.differences]


@pytest.mark.storage
def test_the_sum_is_of_the_same_instant(connection: Connection) -> None:
    # In Kuwait's slots: 40 and 41 of UP-1 and UP-2; Dubai's clock is an hour ahead, so its slot 44.
    add(connection, "UP-1", {40: 300, 41: 300, 100: 900, 101: 900})
    add(connection, "UP-2", {40: 400, 41: 400})
    add(connection, "UP-3", {44: 700, 45: 700, 104: 150}, zone="Asia/Dubai")
    run(connection, tariffs())
    at = PERIOD.start + timedelta(seconds=900 * 40)
    # 600, 800 and 1400 Wh in the half hour from slot 40 on; 1800 + 200 + 250 at slot 100 are less.
    assert demands(connection) == {
        "UP-1": (Decimal("1.200"), at),
        "UP-2": (Decimal("1.600"), at),
        "UP-3": (Decimal("2.800"), at),
    }
    kept = connection.execute("SELECT peak_of, starts_at, moments FROM billing_peak").fetchall()
    assert kept == [("billing_group A", PERIOD.start, [at])]
    replayed(connection, "UP-1", "UP-2", "UP-3")


def test_a_window_outside_of_ones_own_days_is_read_beside(connection: Connection) -> None:
    # The last half hour of Kuwait's cycle is the next local day in Dubai.
    add(connection, "UP-1", {SLOTS - 2: 800, SLOTS - 1: 800})
    add(connection, "UP-2", {})
    point = add(connection, "UP-3", {}, zone="Asia/Dubai")
    after = local_day(ENDS_ON, DUBAI)
    values = [250 if slot in (2, 3) else 100 for slot in range(96)]
    billing.record_intervals(connection, point.interval, values, period=after, zone=DUBAI)
    run(connection, tariffs())
    at = PERIOD.end - timedelta(minutes=30)
    assert at == after.start + timedelta(minutes=30)
    assert demands(connection) == {
        "UP-1": (Decimal("3.200"), at),
        "UP-2": (Decimal("0.400"), at),
        "UP-3": (Decimal("1.000"), at),
    }
    replayed(connection, "UP-3")
    # What is put right there changes the figure as anything else does, and the old one replays.
    billing.record_intervals(
        connection, point.interval, [100] * 96, period=after, zone=DUBAI, at=billing.later(1)
    )
    run(connection, tariffs(), hours=2)
    assert demands(connection)["UP-3"] == (Decimal("0.400"), at)
    first = replay.of_usage_point(connection, june(connection), "UP-3", 1)
    assert first.identical


def test_losses_of_a_window_outside_are_the_nearest_days(connection: Connection) -> None:
    add(connection, "UP-1", {SLOTS - 2: 800, SLOTS - 1: 800})
    add(connection, "UP-2", {})
    point = add(connection, "UP-3", {}, zone="Asia/Dubai")
    after = local_day(ENDS_ON, DUBAI)
    billing.record_intervals(connection, point.interval, [250] * 96, period=after, zone=DUBAI)
    loss = '[[tariff.loss]]\nname = "LLF"\neffective_from = {}\nfactor = {}\n'
    rising = loss.format("2020-01-01", "1.02") + loss.format(ENDS_ON, "1.5")
    run(connection, tariffs("billing_group", 'losses = ["LLF"]', rising))
    # 500 Wh × 1.02 in half an hour; the next cycle's factor is not this one's.
    assert demands(connection)["UP-3"][0] == Decimal("1.020")
    replayed(connection, "UP-3")


def test_what_is_unknown_outside_is_told(connection: Connection) -> None:
    add(connection, "UP-1", {SLOTS - 2: 800, SLOTS - 1: 800})
    add(connection, "UP-2", {})
    add(connection, "UP-3", {}, zone="Asia/Dubai")
    run(connection, tariffs())
    assert demands(connection)["UP-3"][0] is None
    (row,) = connection.execute(
        "SELECT note FROM billing WHERE usage_point = 'UP-3' AND determinant = 'coincident_demand'"
    ).fetchall()
    assert row == ("an interval is missing in the peak's window 2026-06-03 20:30 UTC",)


def test_the_systems_own_clock_says_which_days(connection: Connection) -> None:
    # The system is Dubai's: its cycle begins an hour before Kuwait's.
    add(connection, "SYSTEM", {0: 9_000, 1: 9_000}, zone="Asia/Dubai")
    point = add(connection, "UP-1", {})
    before = Period(PERIOD.start - timedelta(days=1), PERIOD.start)
    values = [300] * 96
    billing.record_intervals(connection, point.interval, values, period=before)
    run(connection, tariffs("SYSTEM"))
    assert demands(connection) == {
        "SYSTEM": (Decimal("36.000"), DUBAIS.start),
        "UP-1": (Decimal("1.200"), DUBAIS.start),
    }


def test_a_system_whose_days_are_not_over_has_no_peak_yet(connection: Connection) -> None:
    add(connection, "UP-1", {}, zone="Asia/Dubai")
    add(connection, "UP-2", {})
    add(connection, "UP-3", {})
    this = june(connection)
    points = [p for part in cycle.partitions(connection, this) for p in part if p.mrid == "UP-1"]
    over = DUBAIS.end + timedelta(minutes=1)
    cycle.run_partition(connection, this, points, now=over, tariffs=tariffs())
    assert demands(connection)["UP-1"][0] is None
    assert NOW > PERIOD.end > over
