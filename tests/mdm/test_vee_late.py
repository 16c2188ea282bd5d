"""Late data: only what it touches is validated again, and the report tells what that took."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from console import vee_commands
from mdm import vee
from schemas import database
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER, ONE = timedelta(minutes=15), timedelta(days=1)
LATE = slice(30, 42)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def test_a_late_stretch_validates_its_day_again_and_no_other(connection: Connection) -> None:
    values = [100 + slot for slot in range(96)]
    for mrid in ("M-1", "M-2", "M-3"):
        record.installation(connection, record.usage_point(connection, f"UP-{mrid}"), mrid)
        for day in range(6):
            start = DAY + ONE * day
            if (mrid, day) == ("M-2", 3):
                record.land(connection, mrid, start, values[: LATE.start])
                record.land(connection, mrid, start + QUARTER * LATE.stop, values[LATE.stop :])
            else:
                record.land(connection, mrid, start, values)
        dials = [(DAY + ONE * day, sum(values) * day) for day in range(7)]
        record.land_registers(connection, mrid, dials)
    first = vee.run(connection, now=NOW)
    assert (first.days, first.late, first.again, first.again_seconds) == (18, 0, 0, 0)
    assert "again" not in vee_commands.told(first)

    record.land(connection, "M-2", DAY + 3 * ONE + QUARTER * LATE.start, values[LATE])
    ticks = count()
    late = vee.run(connection, now=NOW, clock=lambda: float(next(ticks)))
    assert (late.days, late.versions, late.late, late.again) == (1, 1, 1, 1)
    assert late.again_seconds >= 1
    assert "1 channel-day validated again, 1 for late data, in " in vee_commands.told(late)
    row = connection.execute(
        "SELECT starts_at, version, values, quality FROM interval_block WHERE version > 1"
    ).fetchall()
    assert row == [(DAY + 3 * ONE, 2, values, None)]
