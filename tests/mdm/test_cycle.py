"""Billing cycles on a real database: runs, gates, holds, versions, corrections."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from mdm import cycle, cycle_status
from mdm.cycle import CycleError
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, PERIOD, SLOTS, add_point, add_whole, june, later


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def figures(connection: Connection, mrid: str) -> dict[tuple[str, str], Decimal | None]:
    """Give a usage point's newest figures by determinant and part."""
    rows = connection.execute(
        "SELECT determinant, part, value FROM billing WHERE usage_point = %s", [mrid]
    )
    return {(name, part): value for name, part, value in rows}


def mark_billed(connection: Connection) -> None:
    for state in ("exported", "billed"):
        connection.execute(
            "UPDATE determinant_set SET state = %s WHERE state IN ('ready', 'exported')", [state]
        )


@pytest.mark.storage
def test_a_whole_usage_point_by_hand(connection: Connection) -> None:
    point = add_whole(connection, "UP-1", 100)
    values = [100] * SLOTS
    values[50] = 400  # 12:30 on Monday: peak hours
    values[60] = 300
    billing.record_intervals(connection, point.interval, values, at=later(-3))
    billing.record_register(
        connection, point.register, point.installation, {PERIOD.end: 34_300}, at=later(-3)
    )
    run = cycle.run(connection, june(connection), now=NOW)
    assert (run.usage_points, run.written, run.problems) == (1, 1, ())
    found = figures(connection, "UP-1")
    assert found == {
        ("consumption", ""): Decimal("29.300"),
        ("register_start", "M-UP-1"): Decimal("5.000"),
        ("register_end", "M-UP-1"): Decimal("34.300"),
        ("register_consumption", ""): Decimal("29.300"),
        ("interval_consumption", ""): Decimal("29.300"),
        # Three weekdays: 8 h off-peak, 10 h shoulder and 6 h peak a day, 0.4 kWh an hour.
        ("time_of_use_consumption", "off_peak"): Decimal("9.600"),
        ("time_of_use_consumption", "shoulder"): Decimal("12.000"),
        ("time_of_use_consumption", "peak"): Decimal("7.700"),
        # 12:30–13:00: 400 + 100 Wh in half an hour.
        ("block_demand", "30 min"): Decimal("1.000"),
        ("rolling_demand", "15 min"): Decimal("1.600"),
        ("rolling_demand", "30 min"): Decimal("1.000"),
        ("rolling_demand", "60 min"): Decimal("0.700"),
        # 29.3 kWh / (1 kW × 72 h) = 0.40694
        ("load_factor", ""): Decimal("0.4069"),
    }
    peak = connection.execute(
        "SELECT starts_at, ends_at, actual FROM billing WHERE part = '15 min'"
    ).fetchone()
    start = PERIOD.start + timedelta(hours=12.5)
    assert peak == (start, start + timedelta(minutes=15), 1)
    status = cycle_status.status(connection, june(connection))
    assert (status.usage_points, status.absent, status.ready, status.held) == (1, 0, 1, 0)
    assert [(s.commodity, s.unit, s.total, s.billed) for s in status.sums] == [
        ("electricity", "kWh", Decimal("29.300"), Decimal(0))
    ]


def test_multiplier_and_rollover(connection: Connection) -> None:
    point = add_point(connection, "UP-1", multiplier=40, modulus=100_000)
    billing.record_intervals(connection, point.interval, [4000] * SLOTS)
    dials = {PERIOD.start: 99_000, PERIOD.end: 99_000 + 28_800 - 100_000}
    billing.record_register(connection, point.register, point.installation, dials)
    cycle.run(connection, june(connection), now=NOW)
    assert figures(connection, "UP-1")["consumption", ""] == Decimal("1152.000")


def test_a_meter_exchange_sums_both_meters(connection: Connection) -> None:
    point = add_point(connection, "UP-1", multiplier=2)
    exchanged = PERIOD.start + timedelta(hours=34, minutes=37)
    connection.execute(
        "UPDATE installation SET ends_at = %s WHERE id = %s", [exchanged, point.installation]
    )
    new = billing.add_meter(connection, point.id, "M-new", 3, starts_at=exchanged)
    billing.record_intervals(connection, point.interval, [100] * SLOTS)
    # The old meter was last read at the midnight before, the new one first at the midnight after.
    old_dials = {PERIOD.start: 1_000, PERIOD.start + timedelta(days=1): 1_000 + 4_800}
    new_dials = {PERIOD.start + timedelta(days=2): 70, PERIOD.end: 70 + 3_200}
    billing.record_register(connection, point.register, point.installation, old_dials)
    billing.record_register(connection, point.register, new, new_dials)
    cycle.run(connection, june(connection), now=NOW)
    found = figures(connection, "UP-1")
    # 4,800 × 2 + 9,600 by intervals + 3,200 × 3 Wh
    assert found["consumption", ""] == Decimal("28.800")
    assert found["register_end", "M-UP-1"] == Decimal("5.800")
    assert found["register_start", "M-new"] == Decimal("0.070")
    note = connection.execute(
        "SELECT note FROM billing WHERE determinant = 'register_consumption'"
    ).fetchone()
    assert note == ("by intervals from 2026-06-01 21:00 UTC to 2026-06-02 21:00 UTC",)


def test_gates_hold_with_reasons(connection: Connection) -> None:
    missing, estimated, differing, empty = (
        add_point(connection, f"UP-{name}") for name in ("gone", "guessed", "off", "silent")
    )
    values = [100] * SLOTS
    hole = dict.fromkeys(range(3), quality.MISSING)
    billing.record_intervals(connection, missing.interval, [0] * 3 + values[3:], hole)
    guesses = dict.fromkeys(range(73), quality.ESTIMATED_LIKE_DAY)
    billing.record_intervals(connection, estimated.interval, values, guesses)
    billing.record_intervals(connection, differing.interval, values)
    for point, used in ((missing, 28_800), (estimated, 28_800), (differing, 28_801)):
        dials = {PERIOD.start: 0, PERIOD.end: used}
        billing.record_register(connection, point.register, point.installation, dials)
    run = cycle.run(connection, june(connection), now=NOW)
    assert run.written == 4
    held = {
        (h.usage_point, h.gate): h.detail for h in cycle_status.holds(connection, june(connection))
    }
    assert held == {
        ("UP-gone", "missing"): "3 of 288 intervals (1.04 %) are missing, at most 0.5 % may be",
        ("UP-guessed", "estimated"): (
            "73 of 288 intervals (25.35 %) are estimated, at most 25 % may be"
        ),
        ("UP-off", "register_difference"): (
            "intervals − registers is -0.001 kWh, more than 0 % of the registers' consumption"
        ),
        ("UP-silent", "consumption"): (
            "M-UP-silent has no usable reading at the start, 2026-05-31 21:00 UTC; "
            "no interval is known"
        ),
        ("UP-silent", "missing"): (
            "288 of 288 intervals (100.00 %) are missing, at most 0.5 % may be"
        ),
    }
    assert empty.mrid == "UP-silent"
    assert cycle_status.status(connection, june(connection)).held == 4


def test_a_person_releases_a_hold(connection: Connection) -> None:
    add_point(connection, "UP-1")
    add_whole(connection, "UP-2")
    this = june(connection)
    with pytest.raises(CycleError, match="run the cycle first"):
        cycle.release(connection, this, "UP-1", person="Amal", reason="x", now=NOW)
    cycle.run(connection, this, now=NOW)
    with pytest.raises(CycleError, match="needs a person and a reason"):
        cycle.release(connection, this, "UP-1", person="Amal", reason=" ", now=NOW)
    with pytest.raises(CycleError, match="UP-2 is ready"):
        cycle.release(connection, this, "UP-2", person="Amal", reason="agreed", now=NOW)
    cycle.release(connection, this, "UP-1", person="Amal", reason="empty flat", now=later(1))
    assert cycle_status.holds(connection, this) == []
    assert cycle_status.status(connection, this).released == 1
    kept = connection.execute("SELECT person, reason, released_at FROM determinant_release")
    assert kept.fetchall() == [("Amal", "empty flat", later(1))]


def test_only_a_period_that_is_over(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    with pytest.raises(CycleError, match="is not over in Asia/Kuwait before 2026-06-03 21:00 UTC"):
        cycle.run(connection, june(connection), now=PERIOD.end - timedelta(seconds=1))
    assert cycle.run(connection, june(connection), now=PERIOD.end).written == 1


def test_running_again_writes_nothing_until_something_changes(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    add_whole(connection, "UP-2")
    this = june(connection)
    assert cycle.run(connection, this, now=NOW).written == 2
    again = cycle.run(connection, this, now=later(1), partition=1)
    assert (again.written, again.unchanged) == (0, 2)
    values = [100] * (SLOTS - 1) + [160]
    billing.record_intervals(connection, point.interval, values, at=later(2))
    dial = {PERIOD.end: 5_000 + sum(values)}
    billing.record_register(connection, point.register, point.installation, dial, at=later(2))
    changed = cycle.run(connection, this, now=later(3))
    assert (changed.written, changed.unchanged) == (1, 1)
    rows = connection.execute(
        "SELECT version, state FROM determinant_set s WHERE usage_point_id = %s ORDER BY 1",
        [point.id],
    )
    assert rows.fetchall() == [(1, "superseded"), (2, "ready")]
    assert figures(connection, "UP-1")["consumption", ""] == Decimal("28.860")
    # What was known before the change gives what was computed before it.
    assert cycle_status.status(connection, this).ready == 2


def test_the_partition_changes_nothing(connection: Connection) -> None:
    for number in range(7):
        add_whole(connection, f"UP-{number}", 100 + number, multiplier=1 + number % 3)
    this = june(connection)
    cycle.run(connection, this, now=NOW, partition=3)
    assert cycle.run(connection, this, now=later(1), partition=100).unchanged == 7


def test_a_change_after_billing_raises_a_correction(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    mark_billed(connection)
    values = [100] * SLOTS
    values[0] = 150
    billing.record_intervals(connection, point.interval, values, at=later(1))
    dial = {PERIOD.end: 5_000 + sum(values)}
    billing.record_register(connection, point.register, point.installation, dial, at=later(1))
    assert cycle.run(connection, this, now=later(2)).corrected == 1
    found = {(c.name, c.part): c for c in cycle_status.corrections(connection, this)}
    assert found["consumption", ""].old == Decimal("28.800")
    assert found["consumption", ""].new == Decimal("28.850")
    assert found["consumption", ""].difference == Decimal("0.050")
    assert found["time_of_use_consumption", "off_peak"].difference == Decimal("0.050")
    assert ("time_of_use_consumption", "peak") not in found
    assert ("register_start", "M-UP-1") not in found
    states = connection.execute("SELECT version, state FROM determinant_set ORDER BY version")
    assert states.fetchall() == [(1, "billed"), (2, "ready")]
    # Before it goes out, the reading is put back as it was billed: the correction is void.
    billing.record_intervals(connection, point.interval, [100] * SLOTS, at=later(3))
    dial = {PERIOD.end: 33_800}
    billing.record_register(connection, point.register, point.installation, dial, at=later(3))
    assert cycle.run(connection, this, now=later(4)).withdrawn == 1
    states = connection.execute("SELECT version, state FROM determinant_set ORDER BY version")
    assert states.fetchall() == [(1, "billed"), (2, "superseded")]
    assert cycle.run(connection, this, now=later(5)).unchanged == 1


def test_another_version_of_the_same_values_does_not_correct_a_bill(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    mark_billed(connection)
    accepted = {0: quality.ACCEPTED}
    billing.record_intervals(connection, point.interval, [100] * SLOTS, accepted, at=later(1))
    assert cycle.run(connection, this, now=later(2)).unchanged == 1


def test_what_is_under_way_waits(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    connection.execute("UPDATE determinant_set SET state = 'exported'")
    billing.record_intervals(connection, point.interval, [101] * SLOTS, at=later(1))
    run = cycle.run(connection, this, now=later(2))
    assert (run.waiting, run.written) == (1, 0)


def test_an_unknown_tariff_is_a_problem_of_that_usage_point(connection: Connection) -> None:
    add_whole(connection, "UP-1", tariff="atlantis")
    add_whole(connection, "UP-2")
    run = cycle.run(connection, june(connection), now=NOW)
    assert run.written == 1
    assert [p.usage_point for p in run.problems] == ["UP-1"]
    reason = run.problems[0].reason
    assert reason.startswith("no tariff 'atlantis' for electricity; known: ")
    assert "kw-agricultural" in reason
    assert cycle_status.status(connection, june(connection)).absent == 1


def test_wrong_data_of_one_do_not_stop_the_others(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    add_whole(connection, "UP-2")
    # The zone was put right after the days were cut by the old one.
    connection.execute(
        "UPDATE interval_block SET starts_at = starts_at + interval '3 hours 7 minutes'"
        " WHERE channel_id = %s",
        [point.interval],
    )
    run = cycle.run(connection, june(connection), now=NOW)
    assert run.written == 1
    assert "off the grid" in run.problems[0].reason


def test_cycles_do_not_overlap(connection: Connection) -> None:
    add_point(connection, "UP-1")
    first = june(connection)
    assert june(connection) == first
    assert cycle.of_id(connection, first.id) == first
    with pytest.raises(CycleError, match="A already has a cycle from 2026-06-01 to 2026-06-03; "):
        cycle.opened(connection, "A", date(2026, 6, 3), date(2026, 6, 10), now=NOW)
    after = cycle.opened(connection, "A", date(2026, 6, 4), date(2026, 6, 10), now=NOW)
    assert cycle.cycles(connection, billing_group="A") == [first, after]
    with pytest.raises(CycleError, match="in billing group 'Z'; the registry has: A"):
        cycle.opened(connection, "Z", date(2026, 6, 1), date(2026, 7, 1), now=NOW)
    with pytest.raises(CycleError, match="has no day"):
        cycle.opened(connection, "A", date(2026, 6, 1), date(2026, 6, 1), now=NOW)
    with pytest.raises(CycleError, match="no billing cycle 99"):
        cycle.of_id(connection, 99)


@pytest.mark.storage
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE determinant SET value = 1",
        "DELETE FROM determinant",
        "UPDATE determinant_set SET digest = input_digest",
        "UPDATE determinant_set SET state = 'billed'",
        "UPDATE determinant_set SET state = 'released'",
        "DELETE FROM determinant_hold",
        "UPDATE billing_definition SET definition = 'x'",
        "UPDATE determinant_interval_input SET version = '{1}'",
    ],
)
def test_the_database_refuses_to_change_what_stands(connection: Connection, statement: str) -> None:
    add_point(connection, "UP-1")
    billing.record_intervals(connection, 1, [100] * SLOTS, {0: quality.SUSPECT})
    cycle.run(connection, june(connection), now=NOW)
    assert cycle_status.status(connection, june(connection)).held == 1
    with pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement.encode())


def test_two_runs_at_once_write_once(database_url: str) -> None:
    with database.connect(database_url) as connection:
        add_whole(connection, "UP-1")
        this = june(connection)

    def second() -> cycle.Run:
        with database.connect(database_url) as other:
            return cycle.run(other, this, now=later(1))

    with ThreadPoolExecutor() as pool:
        with database.connect(database_url) as connection:
            assert cycle.run(connection, this, now=NOW).written == 1
            answer = pool.submit(second)
            with pytest.raises(TimeoutError):
                answer.result(0.5)
        assert answer.result(30).unchanged == 1


def test_two_time_zones_in_one_group(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    add_point(connection, "UP-2", zone="Asia/Dubai")
    run = cycle.run(connection, june(connection), now=NOW)
    assert run.written == 2
    starts = connection.execute("SELECT starts_at FROM determinant_set ORDER BY usage_point_id")
    assert starts.fetchall() == [
        (datetime(2026, 5, 31, 21, tzinfo=UTC),),
        (datetime(2026, 5, 31, 20, tzinfo=UTC),),
    ]


@pytest.mark.storage
@pytest.mark.parametrize("file", ["cycle.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        if not text.startswith("COPY"):
            record.prepare(connection, name, text)
