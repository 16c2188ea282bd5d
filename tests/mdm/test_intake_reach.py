"""Usage points without a recorded day are laid out narrowly: the record is as if they were not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mdm import intake_shares, vee
from schemas import database
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER, ONE = timedelta(minutes=15), timedelta(days=1)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


@pytest.mark.parametrize("seed", range(3))
def test_nothing_recorded_needs_no_days_around(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = np.random.default_rng(seed)
    for number in range(8):
        _meter(connection, random, f"M-{number}")
    narrow = _recorded(connection)
    monkeypatch.setattr(intake_shares, "_MARGIN", intake_shares.HISTORY)
    assert _recorded(connection) == narrow
    assert narrow[0]


def _recorded(connection: Connection) -> tuple[list[Any], ...]:
    """Run over everything; give days, findings and registers; leave the database as it was."""
    with connection.transaction(force_rollback=True):
        while vee.run(connection, now=NOW, rule_sets=record.RULES, limit=5).taken:
            pass
        return tuple(
            connection.execute(query).fetchall()
            for query in (
                """
                SELECT c.usage_point_id, b.starts_at, b.version, b.values, b.quality
                FROM interval_block b JOIN channel c ON c.id = b.channel_id ORDER BY 1, 2, 3
                """,
                """
                SELECT c.usage_point_id, f.starts_at, f.ends_at, f.rule, f.observed, f.state
                FROM finding f JOIN channel c ON c.id = f.channel_id ORDER BY 1, 2, 3, 4
                """,
                """
                SELECT installation_id, read_at, version, value, quality
                FROM register_reading ORDER BY 1, 2, 3
                """,
            )
        )


def _meter(connection: Connection, random: np.random.Generator, mrid: str) -> None:
    """A meter with a few days of data, holes between them, and registers near and far."""
    protocol = str(random.choice(["dlms", "dlms", "modbus"]))
    point = record.usage_point(connection, f"UP-{mrid}")
    record.installation(connection, point, mrid, protocol=protocol)
    curve = random.integers(0, 400, (8, 96))
    total = int(random.integers(0, 10**6))
    if protocol == "dlms":
        for day in np.flatnonzero(random.random(8) < 0.5).tolist():
            first, last = sorted(random.integers(0, 97, 2).tolist())
            late = timedelta(seconds=int(random.choice([0, 0, 20])))
            if first < last:
                values = curve[day, first:last].tolist()
                record.land(connection, mrid, DAY + ONE * day + QUARTER * first + late, values)
    days = [-20, -1, *range(9), 20]
    for day in days:
        if random.random() < 0.6:
            known = total + int(curve[: min(max(day, 0), 8)].sum())
            record.land_registers(connection, mrid, [(DAY + ONE * day, known)])
    if protocol == "modbus":
        shift = random.integers(-40, 200, 97)
        dial = total + np.concatenate([[0], curve[2].cumsum()])
        samples = [
            (DAY + 2 * ONE + QUARTER * slot + timedelta(seconds=int(shift[slot])), int(dial[slot]))
            for slot in np.flatnonzero(random.random(97) < 0.8).tolist()
        ]
        record.land_registers(connection, mrid, samples)
