"""Raw readings become the final record: gaps, late data, runs again, days that wait."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mdm import vee
from schemas import database, quality
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import record
from tests.mdm.record import NOW
from tests.mdm.taking_in import CURVE, DAY, HOUR, ONE, QUARTER, WEEKS, arrivals, dials, meter, run


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
