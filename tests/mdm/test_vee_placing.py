"""What the field brings is placed on its day: exchanges, clocks, days of other lengths."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas import quality
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW
from tests.mdm.taking_in import CURVE, DAY, HOUR, ONE, QUARTER, arrivals, meter, reasons, run


def test_of_two_values_the_first_collected_counts(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE, collected_at=NOW - HOUR)
    record.land(connection, "M-1", DAY + 10 * QUARTER, [CURVE[10], 7], collected_at=NOW)
    run(connection)
    table = record.final(connection)
    assert table.values[0].tolist() == CURVE
    assert record.findings(connection) == [("duplicate", DAY + 11 * QUARTER, DAY + 12 * QUARTER)]


def test_a_value_goes_before_a_mark_that_there_is_none(connection: Connection) -> None:
    meter(connection)
    marks = [quality.MISSING if i in (5, 6) else 0 for i in range(96)]
    record.land(connection, "M-1", DAY, CURVE, marks, collected_at=NOW - HOUR)
    record.land(connection, "M-1", DAY + 5 * QUARTER, CURVE[5:7], collected_at=NOW)
    run(connection)
    assert record.final(connection).values[0].tolist() == CURVE
    assert record.findings(connection) == []


def test_two_meters_make_one_day(connection: Connection) -> None:
    change = DAY + 40 * QUARTER
    point = record.usage_point(connection, "UP-X")
    record.installation(connection, point, "OLD", until=change, multiplier="2")
    record.installation(connection, point, "NEW", since=change, multiplier="5")
    record.land(connection, "OLD", DAY, CURVE[:40])
    record.land(connection, "NEW", change, CURVE[40:])
    record.land_registers(connection, "OLD", [(DAY, 700), (change, 700 + sum(CURVE[:40]))])
    record.land_registers(connection, "NEW", [(change, 0), (DAY + ONE, sum(CURVE[40:]))])
    run(connection)
    table = record.final(connection)
    assert table.values.tolist() == [[2 * v for v in CURVE[:40]] + [5 * v for v in CURVE[40:]]]
    assert record.findings(connection) == []
    rows = connection.execute("SELECT installation_id, value FROM register_reading ORDER BY 1, 2")
    assert [value for _, value in rows] == [700, 700 + sum(CURVE[:40]), 0, sum(CURVE[40:])]


def test_an_exchange_inside_a_slot_adds_both_parts(connection: Connection) -> None:
    change = DAY + 40 * QUARTER + timedelta(minutes=7)
    point = record.usage_point(connection, "UP-X")
    record.installation(connection, point, "OLD", until=change)
    record.installation(connection, point, "NEW", since=change, multiplier="10")
    record.land(connection, "OLD", DAY, [*CURVE[:40], 30])
    record.land(connection, "NEW", DAY + 40 * QUARTER, [4, *CURVE[41:]])
    record.land_registers(connection, "OLD", [(DAY, 0), (change, sum(CURVE[:40]) + 30)])
    record.land_registers(connection, "NEW", [(change, 0), (DAY + ONE, sum(CURVE[41:]) + 4)])
    run(connection)
    table = record.final(connection)
    assert table.values[0, 40] == 30 + 10 * 4
    assert table.quality[0, 40] == quality.PARTIAL
    # The registers of both meters joined say the same as the intervals.
    assert record.findings(connection) == []


def test_nothing_is_estimated_where_no_meter_was(connection: Connection) -> None:
    change = DAY + 40 * QUARTER
    point = record.usage_point(connection, "UP-X")
    record.installation(connection, point, "NEW", since=change)
    record.land(connection, "NEW", change, CURVE[40:] + CURVE)
    run(connection)
    table = record.final(connection)
    assert (table.quality[0, :40] == quality.MISSING).all()
    assert not table.values[0, :40].any()
    assert table.values[0, 40:].tolist() == CURVE[40:]
    assert record.findings(connection) == []


def test_half_rounds_to_even(connection: Connection) -> None:
    meter(connection, multiplier="0.5")
    record.land(connection, "M-1", DAY, [100 + i for i in range(96)])
    run(connection)
    expected = [round((100 + i) / 2) for i in range(96)]
    assert record.final(connection).values[0].tolist() == expected


def test_a_value_past_the_store_is_held_and_marked(connection: Connection) -> None:
    meter(connection, multiplier="1000")
    record.land(connection, "M-1", DAY, [3_000_000, *CURVE[1:]])
    run(connection)
    table = record.final(connection)
    assert table.values[0, 0] == 2**31 - 1
    assert table.values[0, 1] == 1000 * CURVE[1]
    assert table.quality[0, 0] in (quality.OVERFLOW, quality.SUSPECT)


def test_a_clock_a_little_off_is_placed_and_marked(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY + timedelta(seconds=20), CURVE[:50])
    record.land(connection, "M-1", DAY + 50 * QUARTER - timedelta(seconds=20), CURVE[50:])
    run(connection)
    table = record.final(connection)
    assert table.values[0].tolist() == CURVE
    assert (table.quality == quality.CLOCK_SHIFTED).all()
    assert reasons(connection) == []


def test_a_clock_far_off_is_doubted_and_noted(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:50])
    record.land(connection, "M-1", DAY + 50 * QUARTER + timedelta(minutes=5), CURVE[50:])
    run(connection)
    table = record.final(connection)
    assert table.values[0].tolist() == CURVE
    assert (table.quality[0, 50:] == quality.SUSPECT).all()
    assert ("interval_size", DAY + 50 * QUARTER, DAY + ONE) in record.findings(connection)
    assert [reason for _, reason in reasons(connection)] == [
        "its intervals start off the grid of the usage point's days"
    ]
    record.arrive(connection, "M-1", int(DAY.timestamp()), int((DAY + ONE).timestamp()))
    assert run(connection).quarantined == 0


def test_another_interval_length_is_not_placed(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:92])
    record.land(connection, "M-1", DAY + 92 * QUARTER, [440], interval_seconds=3600)
    run(connection)
    assert ("interval_size", DAY + 92 * QUARTER, DAY + ONE) in record.findings(connection)
    ((subject, reason),) = reasons(connection)
    assert subject.startswith("end device M-1, active_energy_import_interval, block of 2026-06-02")
    assert "interval length" in reason


def test_a_meter_that_is_installed_nowhere_waits_in_the_quarantine(connection: Connection) -> None:
    installation = meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    connection.execute("DELETE FROM installation WHERE id = %s", [installation])
    report = run(connection)
    assert (report.days, report.quarantined) == (0, 1)
    assert reasons(connection)[0][0] == "end device M-1"
    assert arrivals(connection) == 0


def test_readings_from_before_the_installation_are_noted(connection: Connection) -> None:
    meter(connection, since=DAY)
    record.land(connection, "M-1", DAY - ONE, CURVE + CURVE)
    run(connection)
    table = record.final(connection)
    assert table.starts_at.tolist() == [int(DAY.timestamp())]
    assert table.values[0].tolist() == CURVE


@pytest.mark.parametrize(
    ("start", "slots"),
    [(datetime(2026, 3, 29, tzinfo=UTC), 92), (datetime(2025, 10, 25, 23, tzinfo=UTC), 100)],
)
def test_days_on_which_clocks_change(connection: Connection, start: datetime, slots: int) -> None:
    meter(connection, zone="Europe/London")
    values = [100 + (7 * i) % 40 for i in range(96 + slots + 96)]
    before = start - ONE
    record.land(connection, "M-1", before, values[: 96 + 50])
    record.land(connection, "M-1", before + 149 * QUARTER, values[149:])
    end = start + slots * QUARTER
    ends = [(before, 0), (start, sum(values[:96])), (end, sum(values[: 96 + slots]))]
    record.land_registers(connection, "M-1", ends)
    run(connection)
    table = record.final(connection)
    assert table.length.tolist() == [96, slots, 96]
    assert table.values[1, :50].tolist() == values[96:146]
    assert table.values[1, 53:slots].tolist() == values[149 : 96 + slots]
    assert int(table.values[1].sum()) == sum(values[96 : 96 + slots])
