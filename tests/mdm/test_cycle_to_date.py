"""Month to date: what has been used so far, never kept and never exported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest

from mdm import cycle, cycle_calendar, cycle_plan, cycle_to_date, delivery, usage_points
from mdm.cycle import CycleError
from mdm.cycle_to_date import ToDate
from mdm.tariff import TariffError
from schemas import database
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, add_point, add_whole


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def so_far(connection: Connection, mrid: str, hours: int) -> ToDate | None:
    """Ask so long after the month's first midnight."""
    point = usage_points.named(connection, mrid)
    assert point
    return cycle_to_date.to_date(connection, point, now=PERIOD.start + timedelta(hours=hours))


def test_so_far_by_hand(connection: Connection) -> None:
    point = add_point(connection, "UP-1")
    early = PERIOD.start - timedelta(days=1)
    billing.record_intervals(connection, point.interval, [100] * billing.SLOTS, at=early)
    assert so_far(connection, "UP-1", 23) is None
    found = so_far(connection, "UP-1", 47)
    assert found
    assert (found.starts_on, found.until, found.ends_on) == (
        date(2026, 6, 1),
        date(2026, 6, 2),
        None,
    )
    figures = {(d.name, d.part): d.value for d in found.determinants}
    assert figures["consumption", ""] == Decimal("9.600")
    assert figures["time_of_use_consumption", "peak"] == Decimal("2.400")
    assert found.counts.expected == 96
    # Of the eighth day only the first three are known.
    found = so_far(connection, "UP-1", 24 * 7)
    assert found
    assert (found.counts.actual, found.counts.missing) == (288, 384)
    assert {d.name: d.value for d in found.determinants}["consumption"] is None
    # Nothing was kept, so nothing can go out.
    kept = connection.execute("SELECT count(*) FROM determinant_set").fetchone()
    assert kept == (0,)


def test_by_the_running_cycle(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    plans = cycle_plan.parse("[[group]]\nname = 'A'\nfrom = 2026-05-31\nmonths = 2", "a.toml")
    cycle_calendar.keep(connection, plans, now=NOW)
    found = so_far(connection, "UP-1", 30)
    assert found
    assert (found.starts_on, found.ends_on) == (date(2026, 5, 31), date(2026, 7, 31))
    running = cycle.opened(connection, "A", date(2026, 6, 1), date(2026, 6, 20), now=NOW)
    found = so_far(connection, "UP-1", 30)
    assert found
    assert (found.starts_on, found.ends_on) == (date(2026, 6, 1), date(2026, 6, 20))
    # And the cycle itself is refused until it is over.
    with pytest.raises(CycleError, match="is not over"):
        cycle.run(connection, running, now=NOW)
    sent = delivery.prepare(connection, running, file_format="csv", target="x", now=NOW)
    assert sent is None


def test_without_a_tariff_it_is_said(connection: Connection) -> None:
    add_whole(connection, "UP-1", tariff="atlantis")
    with pytest.raises(TariffError, match="no tariff 'atlantis'"):
        so_far(connection, "UP-1", 30)
