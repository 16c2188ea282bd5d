"""Meters with registers only are checked from read to read, and what fails is in the worklist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from console.pages import worklist_page
from mdm import register_checks, register_ends, vee, worklist, worklist_bulk, worklist_item
from schemas import database
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

# Local midnights of months in Kuwait, 2025-12 to 2026-06.
MONTHS = [datetime(2025, 11, 30, 21, tzinfo=UTC)] + [
    datetime(2025, 12, 31, 21, tzinfo=UTC) + timedelta(days=days) for days in (0, 31, 59, 90, 120)
]
RISES = [0, 310_000, 310_000, 280_000, 310_000, 300_000]
"""10 kWh a day, month by month."""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        record.installation(connection, point, "M-1", multiplier="1", protocol="manual")
        yield connection


def land(connection: Connection, rises: list[int], *, kind: int = 1, start: int = 1_000) -> None:
    shown, reads = start, []
    for moment, rise in zip(MONTHS, rises, strict=False):
        shown += rise
        reads.append((moment, shown))
    record.land_registers(connection, "M-1", reads, reading_type_id=kind)


def validate(connection: Connection, now: datetime = MONTHS[-1] + timedelta(days=2)) -> None:
    while vee.run(connection, now=now).taken:
        pass


def findings(connection: Connection, state: str = "open") -> list[tuple[str, str, datetime]]:
    rows = connection.execute(
        "SELECT rule, severity, starts_at FROM finding WHERE state = %s ORDER BY rule, starts_at",
        [state],
    )
    return [(rule, severity, at.astimezone(UTC)) for rule, severity, at in rows]


def about_registers(connection: Connection) -> list[tuple[str, str, datetime]]:
    return [each for each in findings(connection) if each[0].startswith(("read_", "register_"))]


def test_usual_reads_are_nothing_to_remark(connection: Connection) -> None:
    land(connection, RISES)
    validate(connection)
    assert findings(connection) == []


def test_a_month_far_above_and_a_fallen_register_are_found(connection: Connection) -> None:
    land(connection, [*RISES[:4], 3_100_000, -50_000])
    validate(connection)
    assert findings(connection) == [
        ("read_high_low", "issue", MONTHS[3]),
        ("register_decrease", "issue", MONTHS[4]),
    ]
    (item,) = worklist.findings(connection, rule="read_high_low")
    assert (round(item.observed or 0), round(item.limit or 0)) == (100_000, 50_000)


def test_tariff_registers_that_do_not_add_up_are_found_without_intervals(
    connection: Connection,
) -> None:
    land(connection, RISES)
    land(connection, [rise // 2 for rise in RISES], kind=5)
    land(connection, [0, 155_000, 155_000, 100_000, 155_000, 150_000], kind=6)
    validate(connection)
    assert findings(connection) == [("tou_sum_check", "issue", MONTHS[2])]


def test_a_read_that_does_not_come_is_found_and_goes_when_it_comes(connection: Connection) -> None:
    land(connection, RISES[:-1])
    validate(connection)
    assert findings(connection) == []
    # The median of 31, 31, 28 and 31 days is 31: due after 46.5 days.
    later = MONTHS[-2] + timedelta(days=47)
    assert register_checks.run(connection, None, now=later).opened == 1
    assert register_checks.run(connection, None, now=later + timedelta(days=3)).opened == 0
    assert findings(connection) == [("read_missing", "issue", MONTHS[-2])]
    (item,) = worklist.findings(connection)
    assert item.ends_at == MONTHS[-2] + timedelta(days=46.5)
    worklist.accept(connection, [item.id], person="Noura", reason="empty house", now=later)
    assert register_checks.run(connection, None, now=later + timedelta(days=9)).opened == 0
    last = (MONTHS[-1], 1_000 + sum(RISES))
    record.land_registers(connection, "M-1", [last])
    validate(connection)
    assert findings(connection) == []


def test_estimated_reads_are_validated_as_soon_as_they_are_made(connection: Connection) -> None:
    # The last read is three months ago: an estimate says nothing of what happened in between.
    land(connection, RISES[:3])
    validate(connection)
    assert findings(connection) == [("read_missing", "issue", MONTHS[2])]
    point = connection.execute("SELECT id FROM usage_point").fetchone()
    assert point
    done = register_ends.complete(
        connection, [point[0]], [MONTHS[-1]], now=MONTHS[-1] + timedelta(days=2)
    )
    assert (done.estimated, done.versions) == (1, 1)
    assert findings(connection) == [
        ("read_missing", "issue", MONTHS[2]),
        ("read_period", "info", MONTHS[2]),
    ]


def test_a_finding_about_reads_can_be_looked_at_and_is_not_estimated_by_slots(
    connection: Connection,
) -> None:
    land(connection, [*RISES[:4], 3_100_000])
    validate(connection)
    (item,) = worklist.findings(connection)
    seen = worklist_item.look(connection, item.id, now=NOW)
    assert seen.moments == tuple(MONTHS[:5])
    assert seen.marked == (False, False, False, False, True)
    assert seen.recorded[-1] == 1_000 + sum(RISES[:4]) + 3_100_000
    _, page = worklist_page.finding(connection, item.id, "en")
    assert [row.at for row in page["rows"] if row.marked] == [MONTHS[4]]
    planned = worklist_bulk.estimates(connection, [item], now=NOW)
    assert "miqyas vee registers" in planned.refused[0][1]


def test_a_meter_with_intervals_is_checked_by_its_intervals(connection: Connection) -> None:
    record.land(connection, "M-1", MONTHS[0], [100] * 96)
    land(connection, [0, 310_000, 0, 0, 0])
    validate(connection)
    rules = {rule for rule, _, _ in findings(connection)}
    assert not {rule for rule in rules if rule.startswith("read_")}


REACTIVE = 3


def test_a_register_beside_intervals_of_another_quantity_is_checked(
    connection: Connection,
) -> None:
    day = timedelta(days=1)
    for moment in MONTHS:
        record.land(connection, "M-1", moment - day, [100] * 96)
    land(connection, RISES)
    land(connection, [*RISES[:4], 3_100_000, -50_000], kind=REACTIVE)
    validate(connection)
    assert about_registers(connection) == [
        ("read_high_low", "issue", MONTHS[3]),
        ("register_decrease", "issue", MONTHS[4]),
    ]
    kinds = connection.execute(
        "SELECT DISTINCT c.reading_type_id FROM finding f JOIN channel c ON c.id = f.channel_id"
        " WHERE f.rule IN ('read_high_low', 'register_decrease')"
    ).fetchall()
    assert kinds == [(REACTIVE,)]
    # The total has intervals beside it: nothing is said of it twice.
    (part,) = register_checks.parts(connection)
    done = register_checks.run(connection, part, now=MONTHS[-1] + 2 * day)
    assert (done.registers, done.opened, done.closed) == (1, 0, 0)


def test_a_quadrant_that_is_never_used_is_nothing_to_remark(connection: Connection) -> None:
    land(connection, RISES)
    land(connection, [0] * len(RISES), kind=REACTIVE)
    validate(connection)
    assert not about_registers(connection)


def test_after_an_exchange_a_meter_without_intervals_is_checked(database_url: str) -> None:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        since, until = MONTHS[0] - timedelta(days=40), MONTHS[0]
        record.installation(connection, point, "M-0", since=since, until=until)
        record.installation(connection, point, "M-1", since=until, protocol="manual")
        record.land(connection, "M-0", until - timedelta(days=1), [100] * 96)
        reads = [(until - timedelta(days=1), 0), (until, 9_600)]
        record.land_registers(connection, "M-0", reads)
        shown = 1_000
        for moment, rise in zip(MONTHS, [*RISES[:4], 3_100_000], strict=False):
            shown += rise
            record.land_registers(connection, "M-1", [(moment, shown)])
            validate(connection)
        assert about_registers(connection) == [("read_high_low", "issue", MONTHS[3])]


def test_what_was_found_of_a_register_is_closed_once_its_intervals_come(
    connection: Connection,
) -> None:
    land(connection, [*RISES[:4], 3_100_000])
    validate(connection)
    assert findings(connection) == [("read_high_low", "issue", MONTHS[3])]
    record.land(connection, "M-1", MONTHS[3], [100] * 96)
    validate(connection)
    now = MONTHS[-1] + timedelta(days=3)
    for part in register_checks.parts(connection):
        register_checks.run(connection, part, now=now)
    assert about_registers(connection) == []
    assert "read_high_low" in {rule for rule, _, _ in findings(connection, "resolved")}
