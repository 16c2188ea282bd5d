"""Cycles billed by registers: pages and lines are one to every reader, whatever meters did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from mdm import cycle, daily_group, delivery, delivery_folder, replay, tariff_file
from mdm.determinants import determinant, pages
from mdm.determinants.determinant import Counts, Determinant
from mdm.tariff import collected
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import ENDS_ON, NOW, PERIOD, SLOTS, STARTS_ON, Point, june, later
from tests.mdm.test_cycle_pages import LINES
from tests.mdm.test_delivery_pages import as_in_the_database, as_in_the_file, rows_of

SETS = """
SELECT s.usage_point_id, s.state, s.input_digest, s.digest,
       (SELECT array_agg(h.gate || ': ' || h.detail ORDER BY h.gate) FROM determinant_hold h
        WHERE h.determinant_set_id = s.id)
FROM determinant_set s ORDER BY 1
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def ends(*values: int) -> dict[datetime, int]:
    return dict(zip((PERIOD.start, PERIOD.end), values, strict=True))


def read(connection: Connection, point: Point, values: dict[datetime, int], **how: Any) -> None:
    billing.record_register(connection, point.register, point.installation, values, **how)


def paged(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT p.mrid FROM determinant_page g"
        " JOIN determinant_set s ON s.id = g.determinant_set_id"
        " JOIN usage_point p ON p.id = s.usage_point_id ORDER BY s.id"
    )
    return [row[0] for row in rows]


@pytest.fixture
def town(connection: Connection) -> Connection:
    """Two usage points with registers beside intervals, one with registers only, one holed."""
    billing.add_whole(connection, "UP-0", 100)
    billing.add_whole(connection, "UP-1", 7, multiplier=40)
    alone = billing.add_point(connection, "UP-2", multiplier=5, modulus=10_000)
    read(connection, alone, ends(9_900, 100), code=quality.REGISTER_PRORATED)
    holed = billing.add_point(connection, "UP-3")
    billing.record_intervals(
        connection, holed.interval, [0, *[90] * (SLOTS - 1)], {0: quality.MISSING}
    )
    read(connection, holed, ends(0, 90 * SLOTS))
    run = cycle.run(connection, june(connection), now=NOW)
    assert (run.written, run.problems) == (4, ())
    return connection


def lines_of(connection: Connection, number: int) -> list[Determinant]:
    return [
        Determinant(
            *(name, kind, part, value, unit, int(start.timestamp()), int(end.timestamp())),
            *(Counts(*counts), rounding, note),
        )
        for name, kind, part, value, unit, start, end, *counts, rounding, note in (
            connection.execute(LINES, [number])
        )
    ]


@pytest.mark.storage
def test_readers_see_the_figures_of_the_digest(town: Connection) -> None:
    assert paged(town) == ["UP-0", "UP-1", "UP-2"]
    for number, mrid, digest in town.execute(
        "SELECT s.id, p.mrid, s.digest FROM determinant_set s"
        " JOIN usage_point p ON p.id = s.usage_point_id ORDER BY s.id"
    ).fetchall():
        lines = lines_of(town, number)
        assert determinant.digest(lines) == digest
        assert replay.of_usage_point(town, june(town), mrid).identical
        assert [d.part for d in lines if d.name == "register_start"] == [f"M-{mrid}"]
    # Registers only: (100 − 9,900 + 10,000) × 5 Wh, and a note in place of each interval's figure.
    by_name = {(d.name, d.part): d for d in lines_of(town, 3)}
    assert by_name["consumption", ""].value == Decimal("1.000")
    assert by_name["consumption", ""].counts == Counts(estimated=2)
    assert by_name["interval_consumption", ""].note == "no interval is known"
    assert by_name["load_factor", ""].value is None
    states = town.execute("SELECT state FROM determinant_set ORDER BY id").fetchall()
    assert [row[0] for row in states] == ["ready", "ready", "held", "ready"]


def test_files_have_pages_and_lines_in_one_order(town: Connection, tmp_path: Path) -> None:
    this = june(town)
    cycle.release(town, this, "UP-2", person="Amal", reason="read by hand", now=NOW)
    town.commit()
    town.autocommit = True
    done = delivery.deliver(town, this, target=str(tmp_path), file_format="csv", now=NOW)
    (export,) = done.exports
    rows = rows_of(tmp_path, export.name)
    assert as_in_the_file(rows) == as_in_the_database(town, export.id)
    assert {row["usage_point"] for row in rows} == {f"UP-{n}" for n in range(4)}
    # What is made again of the same sets is the same: the folder refuses anything else.
    delivery_folder.put(tmp_path, export.name, delivery.package(town, this, export))


def test_a_format_that_knows_no_end_devices_has_them_all(
    connection: Connection, tmp_path: Path
) -> None:
    connection.autocommit = True
    billing.add_whole(connection, "UP-0", 100)
    billing.add_whole(connection, "UP-1", 7)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    assert paged(connection) == ["UP-0", "UP-1"]
    done = delivery.deliver(
        connection, this, target=str(tmp_path), file_format="openmeter", now=NOW
    )
    (file,) = (tmp_path / done.exports[0].name).glob("*.jsonl")
    events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    parts = [e["data"]["part"] for e in events if e["type"] == "register_end"]
    assert parts == ["M-UP-0", "M-UP-1"]
    values = [e["data"]["value"] for e in events if e["type"] == "consumption"]
    assert values == ["28.800", "2.016"]


def test_a_page_that_names_no_end_device_does_not_come_in(town: Connection) -> None:
    town.execute("CREATE TEMP TABLE one AS SELECT * FROM determinant_page LIMIT 1")
    (free,) = town.execute(
        "SELECT id FROM determinant_set s"
        " WHERE NOT EXISTS (SELECT FROM determinant_page p WHERE p.determinant_set_id = s.id)"
    ).fetchone() or (0,)
    town.execute("UPDATE one SET determinant_set_id = %s, end_device = NULL", [free])
    with pytest.raises(psycopg.errors.CheckViolation, match="names no end device"):
        town.execute("INSERT INTO determinant_page SELECT * FROM one")


def some(connection: Connection, random: Random, number: int) -> None:
    """Add a usage point to which anything may have happened."""
    modulus, multiplier = random.choice((None, 10**5, 10**9)), random.choice((1, 1, 40))
    point = billing.add_point(connection, f"UP-{number}", multiplier=multiplier, modulus=modulus)
    if random.random() < 0.6:
        values = [random.choice((0, 100, random.randrange(2_000))) for _ in range(SLOTS)]
        kinds = (quality.ESTIMATED_LINEAR, quality.MISSING, quality.SUSPECT)
        count = random.choice((0, 0, 2))
        flags = {random.randrange(SLOTS): random.choice(kinds) for _ in range(count)}
        values = [0 if flags.get(n) == quality.MISSING else v for n, v in enumerate(values)]
        billing.record_intervals(connection, point.interval, values, flags)
    wrap, code = modulus or 10**12, random.choice((0, 0, quality.REGISTER_HISTORY, quality.SUSPECT))
    start = random.randrange(wrap)
    dials = {PERIOD.start: start, PERIOD.end: (start + random.randrange(40_000)) % wrap}
    noon = PERIOD.start + timedelta(hours=36)
    rare = ("missing", "exchange", "multiplier", "reset", "in", "out")
    what = random.choice(("plain",) * 4 + rare)
    if what == "missing":
        dials.pop(random.choice(list(dials)))
    if what == "reset":
        dials |= {noon: start + 300, noon + timedelta(hours=1): 4, PERIOD.end: 50}
    if what in ("exchange", "multiplier", "out"):
        connection.execute(
            "UPDATE installation SET ends_at = %s WHERE id = %s", [noon, point.installation]
        )
        dials.pop(PERIOD.end)
        if random.random() < 0.7:
            dials[noon] = start + 90
    if what == "in":
        connection.execute(
            "UPDATE installation SET starts_at = %s WHERE id = %s", [noon, point.installation]
        )
        dials = {noon: 1, PERIOD.end: 500}
    read(connection, point, dials, code=code)
    if what in ("exchange", "multiplier"):
        factor = 80 if what == "multiplier" else 1
        new = billing.add_meter(
            connection, point.id, f"N-{number}", factor, modulus, starts_at=noon
        )
        later_on = {noon: 5, PERIOD.end: 700}
        billing.record_register(connection, point.register, new, later_on)


@pytest.mark.parametrize("seed", range(3))
def test_pages_and_lines_make_the_same_sets(connection: Connection, seed: int) -> None:
    random = Random(seed)
    for number in range(24):
        some(connection, random, number)
    this = june(connection)
    found = []
    for summed in (False, True):
        for served in (pages.serves, lambda _: False):
            with connection.transaction(force_rollback=True):
                if summed:
                    for part in daily_group.partitions(connection, "A"):
                        daily_group.add(connection, part, STARTS_ON, ENDS_ON, now=NOW)
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(pages, "serves", served)
                    run = cycle.run(connection, this, now=later(1))
                assert (run.written, run.problems) == (24, ())
                assert bool(paged(connection)) == (served is pages.serves)
                found.append(connection.execute(SETS).fetchall())
                for number in range(24):
                    assert replay.of_usage_point(connection, this, f"UP-{number}").identical
    assert found[0] == found[1] == found[2] == found[3]


def test_a_register_reset_at_once_is_bridged_though_days_were_summed(
    connection: Connection,
) -> None:
    point = billing.add_point(connection, "UP-1")
    billing.record_intervals(connection, point.interval, [100] * SLOTS)
    # Read at the period's start, and set to 0 before it was read again six hours later.
    read(connection, point, ends(5_000, 4_000) | {PERIOD.start + timedelta(hours=6): 0})
    for part in daily_group.partitions(connection, "A"):
        assert daily_group.add(connection, part, STARTS_ON, ENDS_ON, now=NOW).days == 3
    run = cycle.run(connection, june(connection), now=NOW)
    assert (run.written, run.problems) == (1, ())
    (value, note) = connection.execute(
        "SELECT value, note FROM billing WHERE determinant = 'register_consumption'"
    ).fetchone() or (None, None)
    # 24 quarter hours of 100 Wh until the reading, and 4,000 Wh after it.
    assert value == Decimal("6.400")
    start = f"{PERIOD.start.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    assert note.startswith(f"by intervals from {start}")


def consumption(connection: Connection, mrid: str) -> tuple[Decimal | None, str]:
    row = connection.execute(
        "SELECT value, note FROM billing WHERE determinant = 'register_consumption'"
        " AND usage_point = %s",
        [mrid],
    ).fetchone()
    assert row
    return row[0], row[1]


def test_a_register_that_fell_and_passed_its_start_again_is_not_believed(
    connection: Connection,
) -> None:
    noon = PERIOD.start + timedelta(hours=12)
    evening = PERIOD.start + timedelta(hours=18)
    points = [billing.add_point(connection, f"UP-{number}") for number in range(7)]
    fell = ends(500, 700) | {noon: 900, evening: 4}
    read(connection, points[0], fell)
    # A reading that somebody has doubted already says nothing.
    read(connection, points[1], ends(500, 700))
    read(connection, points[1], {evening: 4}, code=quality.SUSPECT)
    # An estimate at the start was too high: the reading at the end makes up for it.
    read(connection, points[2], {PERIOD.start: 500}, code=quality.REGISTER_RECENT_LOAD)
    read(connection, points[2], {noon: 450, PERIOD.end: 700})
    # A rollover is no fall, and what is read between its ends agrees with them.
    read(connection, points[3], ends(10**9 - 100, 100) | {noon: 10**9 - 50, evening: 50})
    # Beside intervals that are whole, those are billed.
    read(connection, points[4], fell)
    billing.record_intervals(connection, points[4].interval, [4] * SLOTS)
    # It fell between what it showed at the ends; and after it had rolled over.
    read(connection, points[5], ends(500, 700) | {noon: 650, evening: 600})
    read(connection, points[6], ends(10**9 - 100, 100) | {noon: 60, evening: 30})
    run = cycle.run(connection, june(connection), now=NOW)
    assert (run.written, run.problems) == (7, ())
    for mrid, high, low in (("UP-5", 650, 600), ("UP-6", 60, 30)):
        told = f"the register of M-{mrid} fell from {high} to {low}, and that is no rollover"
        assert consumption(connection, mrid) == (None, told)
    note = "the register of M-UP-0 fell from 900 to 4, and that is no rollover"
    assert consumption(connection, "UP-0") == (None, note)
    assert consumption(connection, "UP-1") == (Decimal("0.200"), "")
    assert consumption(connection, "UP-2") == (Decimal("0.200"), "")
    assert consumption(connection, "UP-3") == (Decimal("0.200"), "")
    assert consumption(connection, "UP-4")[0] is None
    billed = connection.execute(
        "SELECT value, note FROM billing WHERE determinant = 'consumption' AND usage_point = 'UP-4'"
    ).fetchone()
    assert billed == (Decimal("1.152"), "by interval")
    for number in range(7):
        assert replay.of_usage_point(connection, june(connection), f"UP-{number}").identical
    # Somebody looks, and finds the reading of the noon wrong and that of the evening, too.
    read(connection, points[0], {noon: 900, evening: 4}, code=quality.SUSPECT, at=later(1))
    cycle.run(connection, june(connection), now=later(2))
    assert consumption(connection, "UP-0") == (Decimal("0.200"), "")


def test_a_meter_with_registers_only_is_billed_where_its_tariff_lets_it_be(
    connection: Connection,
) -> None:
    points = [billing.add_point(connection, f"UP-{number}") for number in range(3)]
    for point in points[:2]:
        connection.execute("DELETE FROM channel WHERE id = %s", [point.interval])
    connection.execute("UPDATE usage_point SET tariff = 'strict' WHERE mrid = 'UP-1'")
    for point in points:
        read(connection, point, ends(500, 700))
    terms = resources.files("mdm").joinpath("tariffs/kuwait.toml").read_text("utf-8")
    strict = terms.replace("registers_only = true", "").replace("kw-residential", "strict")
    both = [*tariff_file.parse(terms, "kuwait.toml"), *tariff_file.parse(strict, "strict.toml")]
    tariffs = collected({tariff.label: tariff for tariff in both}.values())
    cycle.run(connection, june(connection), now=NOW, tariffs=tariffs)
    states = connection.execute(
        "SELECT p.mrid, s.state FROM determinant_set s JOIN usage_point p"
        " ON p.id = s.usage_point_id ORDER BY 1"
    ).fetchall()
    # The last one has a channel of intervals, of which all are missing.
    assert states == [("UP-0", "ready"), ("UP-1", "held"), ("UP-2", "held")]
    assert consumption(connection, "UP-0") == (Decimal("0.200"), "")
    assert replay.of_usage_point(connection, june(connection), "UP-0").identical


def test_another_multiplier_needs_a_reading_when_it_begins(connection: Connection) -> None:
    noon = PERIOD.start + timedelta(hours=36)
    for number, intervals in enumerate((True, False)):
        point = billing.add_point(connection, f"UP-{number}", multiplier=1)
        connection.execute(
            "UPDATE installation SET ends_at = %s WHERE id = %s", [noon, point.installation]
        )
        new = billing.add_meter(connection, point.id, f"N-{number}", 40, starts_at=noon)
        if intervals:
            billing.record_intervals(connection, point.interval, [100] * SLOTS)
        # Read at the midnights beside the change, not at the noon itself.
        read(connection, point, {PERIOD.start: 0, noon - timedelta(hours=12): 9_600})
        after = {noon + timedelta(hours=12): 240, PERIOD.end: 480}
        billing.record_register(connection, point.register, new, after)
    cycle.run(connection, june(connection), now=NOW)
    # 9,600 Wh × 1, a day of intervals (96 × 100 Wh), and 240 Wh × 40.
    value, note = consumption(connection, "UP-0")
    assert value == Decimal("28.800")
    assert note == "by intervals from 2026-06-01 21:00 UTC to 2026-06-02 21:00 UTC"
    value, note = consumption(connection, "UP-1")
    assert (value, note[:26]) == (None, "intervals are missing from")


def test_two_exchanges_on_one_day(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1")
    morning, evening = (PERIOD.start + timedelta(hours=hours) for hours in (32, 44))
    connection.execute(
        "UPDATE installation SET ends_at = %s WHERE id = %s", [morning, point.installation]
    )
    second = billing.add_meter(connection, point.id, "M-2", 10, starts_at=morning, ends_at=evening)
    third = billing.add_meter(connection, point.id, "M-3", starts_at=evening)
    read(connection, point, {PERIOD.start: 100, morning: 1_100})
    billing.record_register(connection, point.register, second, {morning: 0, evening: 30})
    billing.record_register(connection, point.register, third, {evening: 5, PERIOD.end: 2_005})
    cycle.run(connection, june(connection), now=NOW)
    # 1,000 + 30 × 10 + 2,000 Wh
    assert consumption(connection, "UP-1") == (Decimal("3.300"), "")
    assert replay.of_usage_point(connection, june(connection), "UP-1").identical
