"""Gates that look at what people decide: findings that changed nothing, and their worklist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mdm import cycle, cycle_status, tariff_file
from mdm.tariff import Tariffs, collected
from schemas import database
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import PERIOD, Point, june, later
from tests.mdm.declaring import BASE


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def tariffs(gates: str) -> Tariffs:
    base = BASE.replace('"london"', '"kuwait"')
    base = base.replace("determinants = []", 'determinants = ["consumption"]')
    return collected(tariff_file.parse(f"{base}\n[tariff.gates]\n{gates}\n", "works.toml"))


def add_finding(
    connection: Connection, point: Point, first: int, end: int, severity: str = "issue"
) -> None:
    """Write a finding that only notes something of some quarters of an hour."""
    run = connection.execute(
        "INSERT INTO vee_run (ran_at, rule_set, rule_set_digest, channels, days, versions, opened,"
        " closed) VALUES (%s, 'standard', 'd1', 1, 1, 0, 1, 0) RETURNING id",
        [billing.RECORDED],
    ).fetchone()
    assert run
    starts, ends = (PERIOD.start + timedelta(minutes=15 * slot) for slot in (first, end))
    connection.execute(
        "INSERT INTO finding (channel_id, day, starts_at, ends_at, rule, severity, action,"
        " found_at, vee_run_id) VALUES (%s, %s, %s, %s, %s, %s, 'note', %s, %s)",
        [
            *(point.interval, PERIOD.start, starts, ends, f"rule-{first}", severity),
            *(billing.RECORDED, run[0]),
        ],
    )


def states(connection: Connection) -> list[tuple[int, str]]:
    rows = connection.execute("SELECT version, state FROM determinant_set ORDER BY version")
    return [(row[0], row[1]) for row in rows]


@pytest.mark.storage
def test_open_findings_hold_until_they_are_decided(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1", tariff="works")
    billing.record_intervals(connection, point.interval, [100] * 288)
    # Slots 10 to 13 and 12 to 15 are six quarters; a remark is no warning.
    add_finding(connection, point, 10, 14)
    add_finding(connection, point, 12, 16)
    add_finding(connection, point, 50, 90, severity="info")
    this, of = june(connection), tariffs("warned = 2")
    assert cycle.run(connection, this, now=later(0), tariffs=of).written == 1
    (hold,) = cycle_status.holds(connection, this)
    assert hold.gate == "warned"
    assert hold.detail == "6 of 288 intervals (2.08 %) are warned, at most 2 % may be"
    assert cycle.run(connection, this, now=later(1), tariffs=of).unchanged == 1
    connection.execute(
        "UPDATE finding SET state = 'accepted', decided_by = 'Mona', decided_at = %s,"
        " reason = 'a party' WHERE rule = 'rule-10'",
        [later(2)],
    )
    # Four quarters of an hour are 1.39 %.
    assert cycle.run(connection, this, now=later(3), tariffs=of).written == 1
    assert cycle_status.holds(connection, this) == []
    assert states(connection) == [(1, "superseded"), (2, "ready")]
    assert cycle.run(connection, this, now=later(4), tariffs=of).unchanged == 1


def test_few_different_values_and_estimates_without_a_register(connection: Connection) -> None:
    point = billing.add_point(connection, "UP-1", tariff="works")
    codes = dict.fromkeys(range(4), 301) | dict.fromkeys(range(4, 8), 303)
    billing.record_intervals(connection, point.interval, [*range(20), *[7] * 268], codes)
    of = tariffs("unscaled = 1\nunique_values = 10")
    assert cycle.run(connection, june(connection), now=later(0), tariffs=of).written == 1
    found = {h.gate: h.detail for h in cycle_status.holds(connection, june(connection))}
    assert found == {
        "unscaled": "4 of 288 intervals (1.39 %) are unscaled, at most 1 % may be",
        "unique_values": (
            "288 intervals have 20 different values (6.94 %), at least 10 % must be different"
        ),
    }
