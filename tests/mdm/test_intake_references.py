"""Check meters, balances, class profiles and temperatures reach rules and estimators."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mdm import (
    beside_import,
    class_profiles,
    explain,
    usage_points,
    vee,
    virtual_import,
    worklist,
)
from mdm.intake_layout import Week, Weeks
from mdm.virtual_file import COLUMNS
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW
from validation import ruleset
from validation.ruleset import RuleSet

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)  # Tuesday 2 June 2026 in Kuwait
ONE, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
CURVE = [100 + (7 * i) % 40 for i in range(96)]
OTHER = [50 + (11 * i) % 30 for i in range(96)]
IMPORT = "active_energy_import_interval"
LATER = NOW + ONE


def rules(estimator: str) -> tuple[RuleSet, ...]:
    """Rules of the tests' own, with a check meter's and one estimator."""
    head = record.RULES[0].text.partition("[[estimators]]")[0]
    check = """
    [rules.check_meter]
    severity = "issue"
    action = "note"
    tolerance = 10
    relative = 0.02
    [[estimators]]
    """
    return (ruleset.parse(head + check + estimator, "tests"),)


CHECK = rules('method = "check_meter_value"')
BALANCE = rules('method = "virtual_balance"')
PROFILE = rules('method = "class_profile"\nwithin_days = 30\nfewest = 1')
PROXY = rules(
    'method = "proxy_day"\ncount = 1\nfewest = 1\nlike = "kind"\nwithin_days = 30\n'
    "within_degrees = 5"
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def meters(connection: Connection, *names: str, seconds: int = 900) -> None:
    for name in names:
        point = record.usage_point(connection, f"UP-{name}")
        record.installation(connection, point, name, interval_seconds=seconds)


def land(connection: Connection, mrid: str, values: Sequence[int], *, hole: slice | None = None,
         start: datetime = DAY, seconds: int = 900) -> None:  # fmt: skip
    """Land a day, with a hole if need be."""
    parts = [slice(0, len(values))] if hole is None else [
        slice(0, hole.start), slice(hole.stop, len(values))]  # fmt: skip
    for part in parts:
        record.land(connection, mrid, start + part.start * timedelta(seconds=seconds),
                    values[part], interval_seconds=seconds)  # fmt: skip


def run(connection: Connection, rule_sets: Sequence[RuleSet], now: datetime = NOW) -> None:
    while vee.run(connection, now=now, weeks=WEEKS, rule_sets=rule_sets).taken:
        pass


def of(connection: Connection, mrid: str) -> tuple[list[int], list[int]]:
    """Give values and qualities of a usage point's only day."""
    point = usage_points.named(connection, f"UP-{mrid}")
    assert point
    ids = [each.id for each in usage_points.channels(connection, [point.id])]
    table = record.final(connection)
    (row,) = np.flatnonzero(np.isin(table.channel_id, ids) & (table.starts_at == DAY.timestamp()))
    return table.values[row].tolist(), table.quality[row].tolist()


def checked(connection: Connection, text: str, now: datetime = NOW) -> beside_import.Report:
    head = ",".join(beside_import.CHECK_COLUMNS)
    return beside_import.check_meters(connection, io.StringIO(f"{head}\n{text}\n"), now=now)


def node(connection: Connection, *terms: str) -> None:
    common = f"NODE,balance,electricity,service,Asia/Kuwait,none,none,{IMPORT},900"
    text = "".join(f"{common},{term},2026-01-01,\n" for term in terms)
    file = io.StringIO(",".join(COLUMNS) + "\n" + text)
    assert not virtual_import.import_definitions(connection, file, now=NOW).rejected


HOLE = slice(40, 60)


@pytest.mark.parametrize("later", [False, True], ids=["together", "the check's day comes later"])
def test_a_gap_is_filled_from_the_check_meter(connection: Connection, later: bool) -> None:
    meters(connection, "M", "C")
    checked(connection, "UP-M,UP-C,2026-01-01,")
    land(connection, "M", CURVE, hole=HOLE)
    if later:
        run(connection, CHECK)
        assert of(connection, "M")[1][40] == quality.MISSING
    land(connection, "C", [value + 1 for value in CURVE])
    run(connection, CHECK, NOW + HOUR)
    values, codes = of(connection, "M")
    assert values[40:60] == [value + 1 for value in CURVE[40:60]]
    assert set(codes[40:60]) == {quality.ESTIMATED_CHECK_METER}
    assert set(codes[:40]) == {quality.VALID}
    # The check meter's own day is its own.
    assert of(connection, "C") == ([value + 1 for value in CURVE], [0] * 96)
    # What was estimated proves itself again.
    (told,) = explain.explain(connection, "M", DAY + 45 * QUARTER, now=NOW + HOUR, weeks=WEEKS)
    assert told.proof is None or told.proof.same


def test_a_check_meter_with_hours_is_cut_into_quarters(connection: Connection) -> None:
    meters(connection, "M")
    meters(connection, "C", seconds=3600)
    checked(connection, "UP-M,UP-C,2026-01-01,")
    land(connection, "C", [402] * 24, seconds=3600)
    run(connection, CHECK)
    land(connection, "M", CURVE, hole=slice(40, 44))
    run(connection, CHECK, NOW + HOUR)
    assert of(connection, "M")[0][40:44] == [101, 101, 100, 100]


def test_a_difference_to_the_check_meter_is_found(connection: Connection) -> None:
    meters(connection, "M", "C")
    checked(connection, "UP-M,UP-C,2026-01-01,")
    land(connection, "M", CURVE)
    land(connection, "C", [2 * value for value in CURVE])
    run(connection, CHECK)
    assert record.findings(connection) == [("check_meter", DAY, DAY + ONE)]


def test_a_check_meter_counts_on_its_days_only(connection: Connection) -> None:
    meters(connection, "M", "C")
    checked(connection, "UP-M,UP-C,2026-06-03,2026-06-04")
    for n in range(2):
        land(connection, "M", CURVE, start=DAY + n * ONE)
        land(connection, "C", [2 * value for value in CURVE], start=DAY + n * ONE)
    run(connection, CHECK)
    assert record.findings(connection) == [("check_meter", DAY + ONE, DAY + 2 * ONE)]


def test_a_gap_is_what_the_node_leaves(connection: Connection) -> None:
    meters(connection, "F", "M", "N")
    node(connection, "UP-F,,1,in", "UP-F,,-0.1,loss", "UP-M,,-1,out", "UP-N,,-2,out")
    feeder = [10 * (a + 2 * b) for a, b in zip(CURVE, OTHER, strict=True)]
    land(connection, "F", feeder)
    land(connection, "N", OTHER)
    land(connection, "M", CURVE, hole=HOLE)
    run(connection, BALANCE)
    values, codes = of(connection, "M")
    assert values[40:60] == [9 * f // 10 - 2 * n for f, n in zip(feeder, OTHER, strict=True)][40:60]
    assert set(codes[40:60]) == {quality.ESTIMATED_BALANCE}


def test_two_unknown_flows_are_not_told_by_one_node(connection: Connection) -> None:
    meters(connection, "F", "M", "N")
    node(connection, "UP-F,,1,in", "UP-M,,-1,out", "UP-N,,-1,out")
    land(connection, "F", [1000] * 96)
    land(connection, "N", OTHER, hole=slice(50, 60))
    land(connection, "M", CURVE, hole=HOLE)
    run(connection, BALANCE)
    codes = of(connection, "M")[1]
    assert set(codes[40:50]) == {quality.ESTIMATED_BALANCE}
    assert set(codes[50:60]) == {quality.MISSING}


def test_a_gap_follows_the_profile_of_the_class(connection: Connection) -> None:
    meters(connection, "M", "N")
    for n in (2, 1):
        land(connection, "N", CURVE, start=DAY - n * ONE)
        land(connection, "M", [3 * value for value in CURVE], start=DAY - n * ONE)
    run(connection, PROFILE)
    made = class_profiles.make(
        connection, date(2026, 5, 25), date(2026, 6, 2), now=NOW, weeks=WEEKS
    )
    assert made == [("residential", "kw", 2, 4)]
    land(connection, "M", [3 * value for value in CURVE], hole=HOLE)
    run(connection, PROFILE, NOW + HOUR)
    values, codes = of(connection, "M")
    assert values[40:60] == [3 * value for value in CURVE[40:60]]
    assert set(codes[40:60]) == {quality.ESTIMATED_PROFILE}


def test_a_gap_is_like_the_day_that_was_as_hot(connection: Connection) -> None:
    meters(connection, "M")
    text = "place,time,celsius\nAsia/Kuwait,2026-06-02,40\nAsia/Kuwait,2026-06-01,30\n"
    text += "A,2026-05-31T02:00,36\nA,2026-05-31T14:00,44\nAsia/Kuwait,2026-05-31,20\n"
    done = beside_import.temperatures(connection, io.StringIO(text), now=NOW)
    assert (done.changed, done.rejected) == (4, [])
    again = beside_import.temperatures(connection, io.StringIO(text), now=NOW)
    assert (again.changed, again.unchanged) == (0, 4)
    land(connection, "M", OTHER, start=DAY - ONE)
    land(connection, "M", CURVE, start=DAY - 2 * ONE)
    land(connection, "M", OTHER, hole=HOLE)
    run(connection, PROXY)
    values, codes = of(connection, "M")
    # Yesterday was cooler. The billing group's own temperature goes before the time zone's.
    assert values[40:60] == CURVE[40:60]
    assert set(codes[40:60]) == {quality.ESTIMATED_PROXY_DAY}


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("UP-M,UP-X,2026-01-01,", "check_usage_point"),
        ("UP-M,UP-M,2026-01-01,", "check_usage_point"),
        ("UP-M,UP-C,soon,", "from"),
        ("UP-M,UP-C,2026-01-02,2026-01-01", "until"),
        ("UP-M,UP-N,2026-03-01,", "usage_point"),
    ],
)
def test_a_bad_relation_is_refused(connection: Connection, line: str, column: str) -> None:
    meters(connection, "M", "C", "N")
    checked(connection, "UP-M,UP-C,2026-02-01,")
    (refused,) = checked(connection, line).rejected
    assert (refused.line, refused.column) == (2, column)


def test_a_relation_ends_and_another_takes_its_place(connection: Connection) -> None:
    meters(connection, "M", "C", "N")
    text = "UP-M,UP-C,2026-02-01,2026-03-01\nUP-M,UP-N,2026-03-01,"
    checked(connection, "UP-M,UP-C,2026-02-01,")
    done = checked(connection, text)
    assert (done.changed, done.rejected) == (2, [])
    assert (checked(connection, text).changed, checked(connection, text).unchanged) == (0, 2)


@pytest.mark.parametrize("file", ["intake_references.sql", "beside_import.sql"])
def test_every_statement_is_understood(connection: Connection, file: str) -> None:
    for name, body in statements.load("mdm", file).items():
        record.prepare(connection, f"s_{name}", body)


def test_a_balance_is_tried_again_when_another_flow_comes_later(connection: Connection) -> None:
    """A like day gives way to what the node leaves, and that to what a corrected flow leaves."""
    others = record.RULES[0].text.partition("[[estimators]]")[2]
    text = f"{BALANCE[0].text}\n[[estimators]]{others}"
    both = (ruleset.parse(text, "tests"),)
    meters(connection, "F", "M", "N", "X")
    node(connection, "UP-F,,1,in", "UP-M,,-1,out", "UP-N,,-1,out")
    feeder = [a + b for a, b in zip(CURVE, OTHER, strict=True)]
    for mrid, values in (("F", feeder), ("M", OTHER), ("N", OTHER), ("X", CURVE)):
        land(connection, mrid, values, start=DAY - ONE)
        land(connection, mrid, values, start=DAY + ONE)
    land(connection, "M", CURVE, hole=HOLE)
    land(connection, "X", CURVE, hole=HOLE)
    land(connection, "F", feeder)
    run(connection, both)
    assert set(of(connection, "M")[1][40:60]) == {quality.ESTIMATED_LIKE_DAY}
    land(connection, "N", OTHER)
    done = vee.Report(taken=1)
    seen = vee.Report()
    while done.taken:
        done = vee.run(connection, now=NOW + HOUR, weeks=WEEKS, rule_sets=both)
        seen += done
    # N's day, which was missing, and M's; not X's, which is in doubt too, nor other days.
    assert (seen.again, seen.late, seen.versions) == (2, 2, 2)
    values, codes = of(connection, "M")
    assert (values[40:60], set(codes[40:60])) == (CURVE[40:60], {quality.ESTIMATED_BALANCE})
    assert set(of(connection, "X")[1][40:60]) == {quality.ESTIMATED_LIKE_DAY}
    versions = connection.execute(
        "SELECT max(version) FROM interval_block WHERE starts_at = %s"
        " GROUP BY channel_id ORDER BY channel_id",
        [DAY],
    ).fetchall()
    assert [row[0] for row in versions] == [1, 2, 2, 1]
    assert vee.run(connection, now=NOW + HOUR, weeks=WEEKS, rule_sets=both) == vee.Report()
    # The feeder is corrected: what it leaves is another.
    record.land(connection, "F", DAY + 45 * QUARTER, [feeder[45] + 9], collected_at=LATER)
    point = usage_points.named(connection, "UP-F")
    assert point
    (channel,) = usage_points.channels(connection, [point.id])
    worklist.edit(
        connection, channel.id, {DAY + 45 * QUARTER: feeder[45] + 9},
        person="Noura", reason="read off the meter", now=LATER,
    )  # fmt: skip
    run(connection, both, LATER)
    assert of(connection, "M")[0][45] == CURVE[45] + 9
