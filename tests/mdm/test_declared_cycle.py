"""Declared determinants from the record: two passes, ratchets, resets, and their replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.types.json import Jsonb

from mdm import cycle, replay, tariff_file, usage_points
from mdm.cycle import Cycle
from mdm.tariff import Tariffs, collected
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, PERIOD, SLOTS, Point, add_point, june, later
from tests.mdm.declaring import BASE, EXPORT, REACTIVE

T1, T2 = "active_energy_import_t1", "active_energy_import_t2"
WORKS = """
[[tariff.determinant]]
kind = "energy"
name = "export"
interval = "active_energy_export_interval"
losses = ["DLF"]
[[tariff.determinant]]
kind = "apparent_demand"
reactive = "reactive_energy_import_interval"
[[tariff.determinant]]
kind = "coincident_demand"
peak_of = "billing_group"
[[tariff.determinant]]
kind = "billed_demand"
share = 0.8
cycles = 11
[[tariff.determinant]]
kind = "time_of_use_register"
registers = { off_peak = "active_energy_import_t1", peak = "active_energy_import_t2" }
total = "active_energy_import"
[[tariff.loss]]
name = "DLF"
effective_from = 2026-06-02
factor = 1.05
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def tariffs() -> Tariffs:
    base = BASE.replace('"london"', '"kuwait"').replace('["interval"]', '["register", "interval"]')
    base = base.replace("determinants = []", 'determinants = ["consumption", "register_start"]')
    return collected(tariff_file.parse(base + WORKS, "works.toml"))


def add_works(connection: Connection, mrid: str, values: Sequence[int]) -> Point:
    point = add_point(connection, mrid, tariff="works")
    billing.record_intervals(connection, point.interval, values)
    dials = {PERIOD.start: 5_000, PERIOD.end: 5_000 + sum(values)}
    billing.record_register(connection, point.register, point.installation, dials)
    return point


def add_channels(connection: Connection, point: Point, each: Mapping[str, int]) -> None:
    keys = [(point.id, kind, 900) for kind in each]
    channels = usage_points.ensure_channels(connection, keys)
    for key, value in zip(keys, each.values(), strict=True):
        billing.record_intervals(connection, channels[key], [value] * SLOTS)


def add_register(connection: Connection, point: Point, kind: str, used: int) -> None:
    key = (point.id, kind, 0)
    channel = usage_points.ensure_channels(connection, [key])[key]
    dials = {PERIOD.start: 100, PERIOD.end: 100 + used}
    billing.record_register(connection, channel, point.installation, dials)


def figures(connection: Connection, mrid: str) -> dict[tuple[str, str], Decimal | None]:
    rows = connection.execute(
        "SELECT determinant, part, value FROM billing WHERE usage_point = %s", [mrid]
    )
    return {(name, part): value for name, part, value in rows}


def run(connection: Connection, this: Cycle, hours: int = 0, partition: int = 1000) -> cycle.Run:
    return cycle.run(connection, this, now=later(hours), tariffs=tariffs(), partition=partition)


def replayed(connection: Connection, this: Cycle, mrid: str, version: int | None = None) -> None:
    found = replay.of_usage_point(connection, this, mrid, version)
    assert found.identical, [str(each) for each in found.differences]


@pytest.mark.storage
def test_a_works_by_hand_and_again(connection: Connection) -> None:
    # 300 Wh and 400 varh a quarter hour; 2 kW in the block of slots 50 and 51.
    values = [300] * SLOTS
    values[50:52] = [500, 500]
    point = add_works(connection, "UP-1", values)
    add_channels(connection, point, {EXPORT: 10, REACTIVE: 400})
    add_register(connection, point, T1, 60_000)
    add_register(connection, point, T2, 26_800)
    this = june(connection)
    connection.execute(
        "INSERT INTO loss_factor VALUES (%s, 'DLF', '2025-07-01', 1.04),"
        " (%s, 'DLF', '2026-06-03', 1.06)",
        [point.id, point.id],
    )
    assert run(connection, this).problems == ()
    found = figures(connection, "UP-1")
    # 0.96 kWh a day: two days × 1.04 and one × 1.06; the usage point's own go before the tariff's.
    assert found["energy", "export"] == Decimal("3.014")
    # √(1² + 0.8²) × 2 kVA = 2.5612
    assert found["apparent_demand", ""] == Decimal("2.561")
    assert found["billed_demand", ""] == Decimal("2.000")
    assert found["coincident_demand", ""] == Decimal("2.000")
    assert found["time_of_use_register", "off_peak"] == Decimal("60.000")
    assert found["register_sum_difference", ""] == 0
    replayed(connection, this, "UP-1")
    # What is put right later changes no bill of before.
    connection.execute("UPDATE loss_factor SET factor = 1.5")
    replayed(connection, this, "UP-1")


def test_the_groups_peak_is_found_first_whatever_the_parts(connection: Connection) -> None:
    # One has its own highest at slot 50, but both together at slot 200.
    one = [100] * SLOTS
    one[50:52] = [400, 400]
    one[200:202] = [300, 300]
    other = [100] * SLOTS
    other[200:202] = [800, 800]
    add_works(connection, "UP-1", one)
    second = add_works(connection, "UP-2", other)
    this = june(connection)
    run(connection, this, partition=1)
    assert figures(connection, "UP-1")["coincident_demand", ""] == Decimal("1.200")
    assert figures(connection, "UP-2")["coincident_demand", ""] == Decimal("3.200")
    moments = connection.execute("SELECT peak_of, moments FROM billing_peak").fetchall()
    at = PERIOD.start + timedelta(seconds=900 * 200)
    assert moments == [("billing_group A", [at])]
    # The other's correction moves the group's peak: the first's figures follow, the old replays.
    billing.record_intervals(connection, second.interval, [100] * SLOTS, at=later(1))
    run(connection, this, hours=2)
    assert figures(connection, "UP-1")["coincident_demand", ""] == Decimal("1.600")
    for version in (1, 2):
        replayed(connection, this, "UP-1", version)


def test_a_ratchet_looks_at_former_cycles(connection: Connection) -> None:
    point = add_works(connection, "UP-1", [100] * SLOTS)
    may = billing.Period(PERIOD.start - timedelta(days=3), PERIOD.start)
    values = [100] * SLOTS
    values[10:12] = [600, 600]
    billing.record_intervals(connection, point.interval, values, period=may)
    dials = {may.start: 5_000 - sum(values)}
    billing.record_register(connection, point.register, point.installation, dials)
    before = cycle.opened(connection, "A", date(2026, 5, 29), date(2026, 6, 1), now=NOW)
    run(connection, before)
    this = june(connection)
    run(connection, this, hours=1)
    # 80 % of the 2.4 kW of May.
    rows = connection.execute(
        "SELECT part, value, note FROM billing WHERE determinant = 'billed_demand'"
        " AND starts_on = '2026-06-01' ORDER BY part"
    ).fetchall()
    assert rows == [
        ("", Decimal("1.920"), "0.8 of the highest of 1 former cycles"),
        ("measured", Decimal("0.400"), ""),
    ]
    replayed(connection, this, "UP-1")


def test_a_register_that_was_reset_is_read_in_two_pieces(connection: Connection) -> None:
    point = add_point(connection, "UP-1", multiplier=2, modulus=None, tariff="works")
    billing.record_intervals(connection, point.interval, [200] * SLOTS)
    days = [PERIOD.start + timedelta(days=day) for day in range(4)]
    # 9,600 on the dial a day; it was set to 0 on the second day, four hours before its end.
    dials = {days[0]: 50_000, days[1]: 59_600, days[2]: 1_600, days[3]: 11_200}
    billing.record_register(connection, point.register, point.installation, dials)
    this = june(connection)
    run(connection, this)
    found = figures(connection, "UP-1")
    # 9,600 × 2 + a day of intervals, 19,200 Wh, + 9,600 × 2
    assert found["consumption", ""] == Decimal("57.600")
    assert found["register_start", "M-UP-1"] == Decimal("50.000")
    assert found["register_start", "M-UP-1 #2"] == Decimal("1.600")
    replayed(connection, this, "UP-1")


def test_what_fell_twice_is_not_believed(connection: Connection) -> None:
    point = add_point(connection, "UP-1", modulus=None, tariff="works")
    billing.record_intervals(connection, point.interval, [100] * SLOTS, {5: quality.MISSING})
    days = [PERIOD.start + timedelta(days=day) for day in range(4)]
    dials = dict(zip(days, (50_000, 40_000, 49_600, 39_000), strict=True))
    billing.record_register(connection, point.register, point.installation, dials)
    run(connection, june(connection))
    assert figures(connection, "UP-1")["consumption", ""] is None


def test_the_peak_of_a_virtual_usage_point(connection: Connection) -> None:
    # A total of a network has intervals and no meter.
    row = connection.execute(
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group) VALUES"
        " ('SYSTEM', 'electricity', 'service', 'Asia/Kuwait', 'works', 'A') RETURNING id"
    ).fetchone()
    assert row
    key = (row[0], "active_energy_import_interval", 900)
    channel = usage_points.ensure_channels(connection, [key])[key]
    total = [1_000] * SLOTS
    total[100:102] = [9_000, 7_000]
    billing.record_intervals(connection, channel, total)
    values = [100] * SLOTS
    values[100:102] = [300, 200]
    values[200:202] = [800, 800]
    add_works(connection, "UP-1", values)
    text = BASE.replace('"london"', '"kuwait"').replace(
        "determinants = []", 'determinants = ["consumption"]'
    )
    declared = '[[tariff.determinant]]\nkind = "coincident_demand"\npeak_of = "SYSTEM"\n'
    known = collected(tariff_file.parse(text + declared, "works.toml"))
    this = june(connection)
    assert cycle.run(connection, this, now=NOW, tariffs=known).problems == ()
    assert figures(connection, "UP-1")["coincident_demand", ""] == Decimal("1.000")
    # 286 × 1 kWh + 16 kWh, and 16 kWh in half an hour: it is billed like any other.
    assert figures(connection, "SYSTEM")["consumption", ""] == Decimal("302.000")
    assert figures(connection, "SYSTEM")["coincident_demand", ""] == Decimal("32.000")
    for mrid in ("UP-1", "SYSTEM"):
        replayed(connection, this, mrid)


def test_a_multiplier_that_changes_is_an_installation_of_its_own(connection: Connection) -> None:
    point = add_point(connection, "UP-1", multiplier=2, modulus=100_000, tariff="works")
    moment = PERIOD.start + timedelta(days=1)
    connection.execute("UPDATE installation SET ends_at = %s", [moment])
    row = connection.execute(
        "INSERT INTO installation (usage_point_id, end_device_id, starts_at, multiplier)"
        " SELECT usage_point_id, end_device_id, %s, 3 FROM installation RETURNING id",
        [moment],
    ).fetchone()
    assert row
    billing.record_intervals(connection, point.interval, [200] * 96 + [300] * 192)
    # 99,000 rolls over on the first day: 9,600 on the dial × 2, then 19,200 × 3.
    before = {PERIOD.start: 99_000, moment: 8_600}
    after = {moment: 8_600, PERIOD.end: 27_800}
    billing.record_register(connection, point.register, point.installation, before)
    billing.record_register(connection, point.register, row[0], after)
    this = june(connection)
    run(connection, this)
    found = figures(connection, "UP-1")
    assert found["consumption", ""] == Decimal("76.800")
    assert found["register_start", "M-UP-1 #2"] == Decimal("8.600")
    replayed(connection, this, "UP-1")


def store_billing_registers(connection: Connection, mrid: str, *moments: datetime) -> None:
    """Say that a meter kept these moments as ends of its billing periods."""
    rows = [{"reading_type": "active_energy_import", "read_at": m.isoformat()} for m in moments]
    connection.execute(
        "WITH asked AS (INSERT INTO end_device_control_request (kind, reason, requested_by,"
        " requested_at) VALUES ('read_billing_registers', '', 'Noura', %(now)s) RETURNING id)"
        " INSERT INTO end_device_control (request_id, end_device_id, not_before, expires_at, state,"
        " next_attempt, result, changed_at, changed_by)"
        " SELECT asked.id, d.id, %(now)s, %(then)s, 'done', %(now)s, %(result)s, %(now)s, 'worker'"
        " FROM asked, end_device d WHERE d.mrid = %(mrid)s",
        {"now": NOW, "then": later(1), "mrid": mrid, "result": Jsonb({"registers": rows})},
    )


def by_billing_registers() -> Tariffs:
    """Give a tariff that prefers the meter's own billing period."""
    text = BASE.replace('"london"', '"kuwait"').replace(
        "determinants = []", 'determinants = ["consumption"]'
    )
    text = text.replace('["interval"]', '["billing_register", "register", "interval"]')
    return collected(tariff_file.parse(text, "works.toml"))


def test_the_meters_own_billing_period_goes_first(connection: Connection) -> None:
    known = by_billing_registers()
    first, last = PERIOD.start + timedelta(minutes=5), PERIOD.end + timedelta(minutes=7)
    for mrid in ("UP-1", "UP-2"):
        point = add_works(connection, mrid, [100] * SLOTS)
        billing.record_register(
            connection, point.register, point.installation, {first: 5_030, last: 33_890}
        )
    store_billing_registers(connection, "M-UP-1", first, last)
    store_billing_registers(connection, "M-UP-2", first, PERIOD.end + timedelta(days=2))
    this = june(connection)
    cycle.run(connection, this, now=NOW, tariffs=known)
    rows = connection.execute("SELECT usage_point, value, note FROM billing ORDER BY 1").fetchall()
    assert rows == [
        # 33,890 − 5,030
        (
            "UP-1",
            Decimal("28.860"),
            "by billing_register from 2026-05-31 21:05 UTC to 2026-06-03 21:07 UTC",
        ),
        # The other's second end is too far away.
        ("UP-2", Decimal("28.800"), "by register"),
    ]
    replayed(connection, this, "UP-1")
    assert replay.of_usage_point(connection, this, "UP-1").versions == 3 + 2 + 2


def test_a_meter_that_came_in_the_period_ends_no_billing_period_of_it(
    connection: Connection,
) -> None:
    exchanged = PERIOD.start + timedelta(hours=10)
    point = add_works(connection, "UP-1", [100] * SLOTS)
    connection.execute(
        "UPDATE installation SET ends_at = %s WHERE id = %s", [exchanged, point.installation]
    )
    old = {PERIOD.start: 5_000, exchanged: 9_000}
    billing.record_register(connection, point.register, point.installation, old)
    new = billing.add_meter(connection, point.id, "M-new", starts_at=exchanged)
    # It stored its own zero two hours after it came, less than a day after the cycle began.
    stored = exchanged + timedelta(hours=2)
    dials = {exchanged: 0, stored: 800, PERIOD.end: 24_800}
    billing.record_register(connection, point.register, new, dials)
    store_billing_registers(connection, "M-new", stored, PERIOD.end)
    cycle.run(connection, june(connection), now=NOW, tariffs=by_billing_registers())
    row = connection.execute("SELECT value, note FROM billing").fetchone()
    # 4,000 Wh by the old meter, 24,800 Wh by the new one: nothing of the first day is lost.
    assert row == (Decimal("28.800"), "by register")


def test_a_new_consumer_does_not_pay_for_the_day_before(connection: Connection) -> None:
    point = add_works(connection, "UP-1", [100] * SLOTS)
    first, moved_in = PERIOD.start + timedelta(minutes=5), PERIOD.start + timedelta(days=1)
    dials = {PERIOD.start: 0, first: 30, moved_in: 9_600, PERIOD.end: 28_800}
    billing.record_register(connection, point.register, point.installation, dials)
    store_billing_registers(connection, "M-UP-1", first, PERIOD.end)
    connection.execute(
        "INSERT INTO usage_point_term (usage_point_id, starts_on, tariff, account)"
        " VALUES (%s, '2026-06-02', 'works', 'new')",
        [point.id],
    )
    cycle.run(connection, june(connection), now=NOW, tariffs=by_billing_registers())
    rows = connection.execute("SELECT value, note FROM billing ORDER BY part").fetchall()
    assert rows == [
        (Decimal("9.600"), "by register; tariff works"),
        (Decimal("19.200"), "by register; tariff works"),
    ]


@pytest.mark.storage
@pytest.mark.parametrize(
    "file", ["billing_facts.sql", "billing_terms.sql", "billing_registers.sql"]
)
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
