"""Register readings estimated at the ends of billing periods, against figures worked by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from mdm import cycle, readings, register_ends
from schemas import database, quality
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, Point

DAY = timedelta(days=1)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def dials(connection: Connection, point: Point, values: Mapping[int, int]) -> None:
    """Record what the meter showed, by days since the period's start."""
    moments = {PERIOD.start + n * DAY: value for n, value in values.items()}
    billing.record_register(connection, point.register, point.installation, moments)


def complete(connection: Connection, point: Point, *moments: datetime) -> register_ends.Report:
    ends = moments or (PERIOD.start, PERIOD.end)
    return register_ends.complete(connection, [point.id], ends, now=NOW)


def at(connection: Connection, point: Point, moment: datetime) -> tuple[int, int, int]:
    """Give value, quality and version of the reading at a moment."""
    found = readings.registers(connection, [point.register], Period(moment, moment + DAY))
    (row,) = [n for n, second in enumerate(found.read_at) if second == int(moment.timestamp())]
    return int(found.value[row]), int(found.quality[row]), int(found.version[row])


def test_intervals_go_on_from_the_reading_before(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1", multiplier=20)
    # 5,000 at the start and 288 intervals of 60 Wh behind a multiplier of 20: 5,000 + 288 × 3.
    dials(connection, point, {0: 5_000})
    billing.record_intervals(connection, point.interval, [60] * billing.SLOTS)
    done = complete(connection, point)
    assert (done.wanted, done.estimated, done.versions, done.declined) == (1, 1, 1, 0)
    assert at(connection, point, PERIOD.end) == (5_864, quality.REGISTER_FROM_INTERVALS, 1)
    # And the bill goes by the register, which is now known at both ends.
    one = billing.june(connection)
    cycle.run(connection, one, now=NOW)
    billed = connection.execute(
        "SELECT value, note FROM billing WHERE determinant = 'consumption'"
    ).fetchone()
    assert billed == (Decimal("17.280"), "by register")


def test_the_reading_that_comes_late_is_the_next_version(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    dials(connection, point, {0: 5_000})
    billing.record_intervals(connection, point.interval, [100] * billing.SLOTS)
    complete(connection, point)
    assert complete(connection, point).versions == 0
    dials(connection, point, {3: 33_000})
    assert at(connection, point, PERIOD.end) == (33_000, quality.VALID, 2)
    done = complete(connection, point)
    assert (done.wanted, done.versions) == (0, 0)
    assert at(connection, point, PERIOD.end) == (33_000, quality.VALID, 2)


def test_what_two_readings_say_is_shared_by_time(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    # 7,000 in 7 days; the end is 4 days after the first. In Kuwait every day has 24 hours.
    dials(connection, point, {-1: 1_000, 6: 8_000})
    report = register_ends.complete(
        connection, [point.id], [PERIOD.start, PERIOD.end], now=NOW + 7 * DAY
    )
    assert report.versions == 2
    assert at(connection, point, PERIOD.start) == (2_000, quality.REGISTER_PRORATED, 1)
    assert at(connection, point, PERIOD.end) == (5_000, quality.REGISTER_PRORATED, 1)


def test_known_intervals_are_not_shared_by_time(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    # Of 9,000 between the readings, the two known days took 4,800 and 960; the 3,240 that are left
    # belong to the five days without intervals, one of which is before the end.
    dials(connection, point, {0: 1_000, 7: 10_000})
    values = [50] * 96 + [10] * 96 + [0] * 96
    missing = dict.fromkeys(range(192, 288), quality.MISSING)
    billing.record_intervals(connection, point.interval, values, missing)
    week = Period(PERIOD.end, PERIOD.end + 4 * DAY)
    absent = dict.fromkeys(range(384), quality.MISSING)
    billing.record_intervals(connection, point.interval, [0] * 384, absent, period=week)
    register_ends.complete(connection, [point.id], [PERIOD.end], now=NOW + 8 * DAY)
    assert at(connection, point, PERIOD.end) == (1_000 + 5_760 + 648, 331, 1)


def test_the_recent_load_goes_on_over_the_end_of_the_dial(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1", modulus=100_000)
    # 31,000 in 31 days, then two days more; the dial has five figures.
    dials(connection, point, {-30: 67_500, 1: 98_500})
    complete(connection, point, PERIOD.end)
    assert at(connection, point, PERIOD.end) == (500, quality.REGISTER_RECENT_LOAD, 1)


def test_last_year_where_nothing_is_recent(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    connection.execute("UPDATE installation SET starts_at = '2025-01-01'")
    # A year before, 50 a day; this year one reading only, three days before the end.
    dials(connection, point, {-370: 1_000, -360: 1_500, 0: 9_000})
    complete(connection, point, PERIOD.end)
    assert at(connection, point, PERIOD.end) == (9_150, quality.REGISTER_HISTORY, 1)


def test_nothing_is_invented(connection: Connection) -> None:
    silent = billing.add_point(connection, "UP-silent")
    done = complete(connection, silent)
    assert (done.wanted, done.estimated, done.declined) == (2, 0, 2)
    # A reading that failed is for a person to judge: the estimate does not hide it.
    doubted = billing.add_point(connection, "UP-doubted")
    dials(connection, doubted, {-30: 1_000, 0: 31_000})
    billing.record_register(
        connection, doubted.register, doubted.installation, {PERIOD.end: 7}, code=quality.SUSPECT
    )
    assert complete(connection, doubted).wanted == 0
    assert at(connection, doubted, PERIOD.end) == (7, quality.SUSPECT, 1)


def test_the_provenance_names_what_declined(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    dials(connection, point, {-30: 1_000, 0: 31_000})
    complete(connection, point)
    why = connection.execute(
        "SELECT p.reason FROM register_reading r JOIN provenance p ON p.id = r.provenance_id"
        " WHERE r.quality = %s",
        [quality.REGISTER_RECENT_LOAD],
    ).fetchone()
    assert why == ("register estimated by: recent load; declined: from intervals, prorated",)


def test_another_meter_is_another_register(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    exchanged = PERIOD.start + DAY
    connection.execute("UPDATE installation SET ends_at = %s", [exchanged])
    new = billing.add_meter(connection, point.id, "M-2", starts_at=exchanged)
    dials(connection, point, {-30: 1_000, 0: 31_000, 1: 32_000})
    # The new meter has one reading: its use is not that of the old one.
    billing.record_register(connection, point.register, new, {exchanged: 12})
    done = complete(connection, point, PERIOD.end)
    assert (done.wanted, done.estimated) == (1, 0)
