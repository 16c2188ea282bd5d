"""Raw readings become the final record: every case that the field brings, on a real database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mdm import vee
from mdm.intake_layout import Week, Weeks
from mdm.vee import Report
from schemas import database, quality
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import record
from tests.mdm.record import NOW
from validation import ruleset

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
ONE = timedelta(days=1)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
# No two are equal next to each other, none is zero, and none stands out.
CURVE = [100 + (7 * i) % 40 for i in range(96)]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def meter(connection: Connection, mrid: str = "M-1", **more: object) -> int:
    """A usage point with a meter; gives the installation."""
    point = record.usage_point(connection, f"UP-{mrid}", str(more.pop("zone", "Asia/Kuwait")))
    return record.installation(connection, point, mrid, **more)  # type: ignore[arg-type]


def run(connection: Connection, now: datetime = NOW) -> Report:
    """Take in everything that is there."""
    total, last = Report(), Report(taken=1)
    while last.taken:
        last = vee.run(connection, now=now, weeks=WEEKS, rule_sets=record.RULES)
        total += last
    return total


def arrivals(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM arrival").fetchone()
    assert row
    return int(row[0])


def reasons(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT subject, reason FROM quarantine ORDER BY subject, reason")
    return rows.fetchall()


def dials(*values: int, start: datetime = DAY, step: timedelta = ONE) -> list[tuple[datetime, int]]:
    return [(start + step * i, value) for i, value in enumerate(values)]


@pytest.mark.storage
def test_a_clean_day_becomes_version_one_with_the_multiplier_once(connection: Connection) -> None:
    meter(connection, multiplier="40")
    record.land(connection, "M-1", DAY, CURVE)
    record.land_registers(connection, "M-1", dials(5000, 5000 + sum(CURVE)))
    report = run(connection)
    table = record.final(connection)
    assert table.values.tolist() == [[40 * value for value in CURVE]]
    assert (table.quality == 0).all()
    assert table.starts_at.tolist() == [int(DAY.timestamp())]
    assert (report.days, report.intervals, report.versions, report.registers) == (1, 96, 1, 2)
    assert arrivals(connection) == 0
    assert record.findings(connection) == []
    assert connection.execute("SELECT value FROM register_reading ORDER BY 1").fetchall() == [
        (5000,),
        (5000 + sum(CURVE),),
    ]


@pytest.mark.storage
def test_the_same_again_writes_nothing(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:40] + CURVE[43:])
    record.land_registers(connection, "M-1", dials(0, sum(CURVE)))
    run(connection)
    before = counts(connection)
    record.arrive(connection, "M-1", int(DAY.timestamp()), int((DAY + ONE).timestamp()))
    again = run(connection, NOW + HOUR)
    assert (again.taken, again.days) == (1, 1)
    assert (again.versions, again.registers, again.opened, again.closed) == (0, 0, 0, 0)
    assert counts(connection) == before


def counts(connection: Connection) -> list[int]:
    tables = ("interval_block", "register_reading", "finding", "provenance")
    rows = [connection.execute(f"SELECT count(*) FROM {t}".encode()).fetchone() for t in tables]
    return [row[0] for row in rows if row]


def test_a_gap_is_filled_to_the_register_exactly(connection: Connection) -> None:
    meter(connection, multiplier="3")
    record.land(connection, "M-1", DAY, CURVE[:40])
    record.land(connection, "M-1", DAY + 43 * QUARTER, CURVE[43:])
    record.land_registers(connection, "M-1", dials(10, 10 + sum(CURVE)))
    run(connection)
    table = record.final(connection)
    assert int(table.values.sum()) == 3 * sum(CURVE)
    assert (table.quality[0, 40:43] == quality.ESTIMATED_SCALED_LINEAR).all()
    assert table.values[0, 39] == 3 * CURVE[39]
    assert record.findings(connection) == [("gap", DAY + 40 * QUARTER, DAY + 43 * QUARTER)]


@pytest.mark.storage
def test_late_data_takes_the_place_of_estimates(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:40] + CURVE[43:])
    record.land(connection, "M-1", DAY + ONE, CURVE)
    connection.execute("TRUNCATE raw_interval_block")
    record.land(connection, "M-1", DAY, CURVE[:40])
    record.land(connection, "M-1", DAY + 43 * QUARTER, CURVE[43:] + CURVE)
    run(connection)
    first = record.final(connection)
    record.land(connection, "M-1", DAY + 40 * QUARTER, CURVE[40:43])
    late = run(connection, NOW + HOUR)
    table = record.final(connection)
    assert first.version.tolist() == [1, 1]
    assert table.version.tolist() == [2, 1]
    assert (late.days, late.versions, late.closed) == (1, 1, 1)
    assert table.values[0].tolist() == CURVE
    assert (table.quality == 0).all()
    assert table.origin is not None
    assert first.origin is not None
    changed = table.origin[0] != first.origin[0]
    assert changed.nonzero()[0].tolist() == [40, 41, 42]
    assert record.findings(connection) == []
    assert [f[0] for f in record.findings(connection, "resolved")] == ["gap"]
    why = connection.execute("SELECT reason, decided_by FROM finding").fetchall()
    assert [(reason[:14], by) for reason, by in why] == [("validation run", None)]


def test_a_register_that_comes_late_scales_what_was_estimated(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:40])
    record.land(connection, "M-1", DAY + 43 * QUARTER, CURVE[43:])
    run(connection)
    assert (record.final(connection).quality[0, 40:43] == quality.ESTIMATED_LINEAR).all()
    record.land_registers(connection, "M-1", dials(0, sum(CURVE)))
    run(connection, NOW + HOUR)
    table = record.final(connection)
    assert (table.quality[0, 40:43] == quality.ESTIMATED_SCALED_LINEAR).all()
    assert int(table.values.sum()) == sum(CURVE)
    record.land_registers(connection, "M-1", [(DAY + 2 * ONE, 5)])
    assert run(connection, NOW + HOUR).versions == 0


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


def test_a_day_waits_until_it_is_over(connection: Connection) -> None:
    meter(connection)
    noon = DAY + ONE + timedelta(hours=12)
    record.land(connection, "M-1", DAY, CURVE + CURVE[:48])
    first = run(connection, noon)
    assert (first.days, first.deferred) == (1, 1)
    assert run(connection, noon).taken == 0
    assert run(connection, DAY + 2 * ONE + HOUR).taken == 0
    assert run(connection, DAY + 2 * ONE + timedelta(hours=7)).days == 1
    assert arrivals(connection) == 0
    assert record.final(connection).values[1, :48].tolist() == CURVE[:48]


def test_the_rest_of_a_day_brings_the_first_part_with_it(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:48])
    assert run(connection, DAY + timedelta(hours=12)).days == 0
    record.land(connection, "M-1", DAY + 48 * QUARTER, CURVE[48:])
    report = run(connection, DAY + ONE + timedelta(minutes=5))
    assert (report.taken, report.days) == (2, 1)
    assert record.final(connection).values[0].tolist() == CURVE


def test_a_day_that_never_came_is_known_to_be_missing(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    record.land(connection, "M-1", DAY + 2 * ONE, CURVE)
    run(connection)
    table = record.final(connection)
    assert len(table) == 3
    gaps = [f for f in record.findings(connection) if f[0] == "gap"]
    assert gaps == [("gap", DAY + ONE, DAY + 2 * ONE)]


def test_days_without_anything_can_be_asked_for(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    run(connection)
    point = connection.execute("SELECT id FROM usage_point").fetchone()
    assert point
    period = Period(DAY, DAY + 3 * ONE)
    report = vee.validate(
        connection, [point[0]], period, now=NOW, weeks=WEEKS, rule_sets=record.RULES
    )
    assert (report.days, report.versions) == (3, 2)
    assert len(record.final(connection)) == 3


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


def test_a_persons_value_survives_a_run_unless_told(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    run(connection)
    table = record.final(connection)
    edited = [*CURVE[:3], 999, *CURVE[4:]]
    codes = [0, 0, 0, quality.EDITED, quality.ACCEPTED, *[0] * 91]
    record.record(
        connection,
        record.blocks(table.channel_id.tolist(), table.starts_at.tolist(), [edited], [codes]),
    )
    record.arrive(connection, "M-1", int(DAY.timestamp()), int((DAY + ONE).timestamp()))
    assert run(connection, NOW + HOUR).versions == 0
    point = connection.execute("SELECT id FROM usage_point").fetchone()
    assert point
    period = Period(DAY, DAY + ONE)
    more = {"weeks": WEEKS, "rule_sets": record.RULES, "over_people": True}
    vee.validate(connection, [point[0]], period, now=NOW + HOUR, **more)  # type: ignore[arg-type]
    again = record.final(connection)
    assert again.version.tolist() == [3]
    assert again.values[0].tolist() == CURVE
    assert (again.quality == 0).all()


def test_two_workers_take_usage_points_of_their_own(database_url: str) -> None:
    with database.connect(database_url) as connection:
        for n in range(5):
            meter(connection, f"M-{n}")
        # TimescaleDB lets one transaction at a time make a chunk: this run makes it.
        record.land(connection, "M-4", DAY, CURVE)
        run(connection)
        for n in range(4):
            record.land(connection, f"M-{n}", DAY, CURVE)
    with database.connect(database_url) as one, database.connect(database_url) as other:
        first = vee.run(one, now=NOW, weeks=WEEKS, rule_sets=record.RULES, limit=2)
        # Something more for a usage point that the first worker holds: it is left alone.
        second = vee.run(other, now=NOW, weeks=WEEKS, rule_sets=record.RULES, limit=100)
        assert (first.taken, second.taken) == (2, 2)
        one.commit()
        other.commit()
        assert len(record.final(one)) == 5


def test_a_run_is_written_down(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE[:40])
    record.land(connection, "M-1", DAY + 41 * QUARTER, CURVE[41:])
    run(connection)
    (row,) = connection.execute(
        "SELECT r.rule_set, r.rule_set_digest = p.rule_set_digest, r.days, r.versions, r.opened,"
        " (r.counters ->> 'missing')::int FROM vee_run r JOIN provenance p ON p.id = provenance_id"
    ).fetchall()
    assert row == ("electricity", True, 1, 1, 1, 1)


def test_rules_change_on_their_day(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, [*CURVE[:10], 90_000, *CURVE[11:]] * 2)
    (old,) = record.RULES
    from_ = (DAY + ONE + HOUR).date() + ONE
    calm = tuple(use for use in old.rules if use.rule.name != "spike")
    new = replace(old, effective_from=from_, rules=calm, digest="another")
    report = vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=(old, new))
    assert report.days == 2
    assert record.findings(connection) == [("spike", DAY + 10 * QUARTER, DAY + 11 * QUARTER)]
    digests = connection.execute("SELECT rule_set_digest FROM vee_run ORDER BY id").fetchall()
    assert digests == [(old.digest,), ("another",)]


def test_the_shipped_rules_run(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE)
    assert vee.run(connection, now=NOW).versions == 1


REGISTERS = (
    ruleset.parse(
        """
        name = "electricity"
        effective_from = 2000-01-01
        description = "Rules about what stands beside the intervals."
        scale_to_register = false
        estimators = []
        [rules.register_limit]
        severity = "issue"
        action = "note"
        high_per_day = 90000
        low_per_day = 0
        [rules]
        register_decrease = { severity = "issue", action = "note" }
        register_rollover = { severity = "info", action = "note" }
        tou_sum_check = { severity = "issue", action = "note", tolerance = 4, relative = 0 }
        sibling_missing = { severity = "info", action = "note" }
        sibling_zero = { severity = "issue", action = "note", minimum = 100 }
        """,
        "tests",
    ),
)


def beside(connection: Connection) -> list[tuple[str, datetime, datetime]]:
    vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=REGISTERS)
    return record.findings(connection)


def test_a_register_that_falls_is_reset_or_rolls_over(connection: Connection) -> None:
    meter(connection, register_modulus=100_000)
    record.land(connection, "M-1", DAY, CURVE * 3)
    record.land_registers(connection, "M-1", dials(99_986, 11, 5000, 4000))
    # A tariff's register falls at the same time: one finding says so.
    record.land_registers(connection, "M-1", dials(7, 8, 9, 8), reading_type_id=5)
    found = beside(connection)
    assert ("register_rollover", DAY, DAY + ONE) in found
    falls = [each for each in found if each[0] == "register_decrease"]
    assert falls == [("register_decrease", DAY + 2 * ONE, DAY + 3 * ONE)]


def test_tariff_registers_are_held_against_the_total(connection: Connection) -> None:
    meter(connection, multiplier="40")
    record.land(connection, "M-1", DAY, CURVE * 2)
    record.land_registers(connection, "M-1", dials(0, 100, 300))
    record.land_registers(connection, "M-1", dials(0, 60, 160), reading_type_id=5)
    record.land_registers(connection, "M-1", dials(0, 40, 139), reading_type_id=6)
    assert beside(connection) == [("tou_sum_check", DAY + ONE, DAY + 2 * ONE)]
    row = connection.execute('SELECT observed, "limit" FROM finding').fetchone()
    assert row == (199 * 40, 200 * 40)


def test_two_meters_registers_are_never_compared(connection: Connection) -> None:
    point = record.usage_point(connection, "UP-1")
    noon = DAY + 12 * HOUR
    record.installation(connection, point, "OLD", until=noon)
    record.installation(connection, point, "NEW", since=noon)
    record.land(connection, "OLD", DAY, CURVE[:48])
    record.land(connection, "NEW", noon, CURVE[48:])
    record.land_registers(connection, "OLD", [(DAY, 9000), (noon, 9500)])
    record.land_registers(connection, "NEW", [(noon, 3), (DAY + ONE, 80_000)])
    # 80,000 in half a day is more than 90,000 a day.
    assert beside(connection) == [("register_limit", noon, DAY + ONE)]


def test_reactive_energy_stands_beside_active_energy(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE * 2)
    record.land(connection, "M-1", DAY, [0] * 96, reading_type_id=13)
    assert beside(connection) == [
        ("sibling_missing", DAY + ONE, DAY + 2 * ONE),
        ("sibling_zero", DAY, DAY + ONE),
    ]
