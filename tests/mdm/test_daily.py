"""Days summed beforehand: bills come out the same, and a day is never stale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm import (
    calendar_file,
    cycle,
    cycle_digests,
    cycle_inputs,
    cycle_intervals,
    daily_group,
    replay,
    usage_points,
)
from mdm.determinants import batch as batches
from mdm.determinants import days, demand
from mdm.determinants.batch import Batch
from mdm.determinants.days import Days
from mdm.determinants.supply import Supply
from mdm.tariff import Tariffs, collected
from schemas import database, statements
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable
from tests.mdm import billing, record
from tests.mdm.billing import NOW, PERIOD, SLOTS, june, later
from tests.mdm.test_determinants_pages import CODES, tariff, towns


def summed(batch: Batch) -> Batch:
    """Give the same batch with its whole channels' days summed, as the database gives them."""
    recipe = days.recipe(batch.tariff, batch.calendar, batch.zone, 1800)
    assert recipe is not None
    rows, records = days.summed(recipe, batch.calendar, batch.blocks, batch.period)
    starts = np.unique(batch.blocks.starts_at)
    channel = batch.blocks.channel_id[rows]
    order = np.lexsort((batch.blocks.starts_at[rows], channel))
    at = rows[order].reshape(-1, len(starts))
    made = Days(
        recipe=recipe,
        channel_id=channel[order].reshape(-1, len(starts))[:, 0],
        records=records[order].reshape(-1, len(starts)),
        version=batch.blocks.version[at],
        provenance_id=batch.blocks.provenance_id[at],
        starts_at=starts,
    )
    return replace(batch, days=[made], blocks=made.blocks())


@settings(max_examples=150)
@given(town=towns())
def test_days_give_what_intervals_give(town: Batch) -> None:
    by_day = summed(town)
    assert batches.results(by_day) == batches.results(town)
    assert cycle_digests.digests(by_day) == cycle_digests.digests(town)


@given(town=towns(), first=st.integers(0, 94), code=st.sampled_from(CODES))
def test_the_highest_window_may_lie_across_midnight(town: Batch, first: int, code: int) -> None:
    blocks: BlockTable = town.blocks
    width = blocks.values.shape[1]
    for slot in range(first, first + 4):
        day, at = divmod(slot, int(blocks.length[0]))
        if day < 2 and at < width:
            blocks.values[day, at], blocks.quality[day, at] = 30_000_000, code
    assert batches.results(summed(town)) == batches.results(town)


@settings(max_examples=5)
@given(town=towns())
def test_sums_of_days_do_not_bridge_an_exchange(town: Batch) -> None:
    (by_day,) = summed(town).days
    found = days.figures(by_day, by_day.channel_id, town.period)
    with pytest.raises(ValueError, match="nothing of single intervals"):
        Supply([(found, 0)]).bridge(0, 1800)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def plain() -> Tariffs:
    """Give a tariff that days serve, under the name that the town of the tests has."""
    one = tariff()
    return collected([replace(one, name="kw-residential", calendar="kuwait")])


def add(connection: Connection, hours: int = 1) -> int:
    points = usage_points.usage_points(connection, billing_group="A")
    done = daily_group.add(
        connection, points, billing.STARTS_ON, billing.ENDS_ON, now=later(hours), tariffs=plain()
    )
    assert done.problems == ()
    return done.days


def run(connection: Connection, hours: int) -> cycle.Run:
    return cycle.run(connection, june(connection), now=later(hours), tariffs=plain())


def figures(connection: Connection) -> list[tuple[object, ...]]:
    rows = connection.execute(
        "SELECT p.mrid, s.digest, s.input_digest FROM determinant_set s"
        " JOIN usage_point p ON p.id = s.usage_point_id WHERE s.state <> 'superseded' ORDER BY 1"
    )
    return rows.fetchall()


@pytest.mark.storage
def test_closing_day_by_days_writes_nothing_new(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        billing.add_whole(connection, f"UP-{number}", 100 + number)
    assert run(connection, 1).written == 3
    before = figures(connection)
    assert add(connection) == 9
    assert add(connection) == 0
    # The intervals are not looked at any more, and all comes out as it was.
    monkeypatch.setattr(demand, "block", None)
    assert run(connection, 2).unchanged == 3
    assert figures(connection) == before
    (total,) = connection.execute("SELECT sum(total) FROM interval_day").fetchone() or (0,)
    assert total == (100 + 101 + 102) * SLOTS


def test_a_set_by_days_names_its_blocks_and_is_replayed_from_them(connection: Connection) -> None:
    point = billing.add_whole(connection, "UP-1")
    add(connection)
    assert run(connection, 1).written == 1
    again = replay.of_usage_point(connection, june(connection), point.mrid)
    assert again.identical
    assert again.versions == 3


def test_a_new_version_is_never_passed_over(connection: Connection) -> None:
    point = billing.add_whole(connection, "UP-1")
    billing.add_whole(connection, "UP-2")
    add(connection)
    assert run(connection, 1).written == 2
    values = [100] * (SLOTS - 1) + [160]
    billing.record_intervals(connection, point.interval, values, at=later(2))
    assert run(connection, 3).written == 1
    stale = figures(connection)
    # Only the day that changed is summed again; the figures are those that the intervals gave.
    assert add(connection) == 1
    assert run(connection, 4).unchanged == 2
    assert figures(connection) == stale
    # Seen from before the change, the day in its newest version is not known yet.
    points = usage_points.usage_points(connection, billing_group="A")
    ((one,),) = plain().by_key.values()
    calendar = calendar_file.named("kuwait")
    before = cycle_inputs.gathered(connection, one, calendar, points, PERIOD, known_at=later(1))
    (by_day,) = before.days
    assert point.interval not in by_day.channel_id.tolist()
    (blocks,) = (before.blocks.values[before.blocks.channel_id == point.interval],)
    assert int(blocks.sum()) == 100 * SLOTS


def test_what_days_cannot_stand_for_goes_by_intervals(connection: Connection) -> None:
    exchanged = billing.add_whole(connection, "UP-1")
    billing.add_whole(connection, "UP-2")
    add(connection)
    connection.execute(
        "UPDATE installation SET ends_at = %s WHERE id = %s",
        [PERIOD.start + timedelta(hours=30), exchanged.installation],
    )
    assert run(connection, 1).written == 2
    ((one,),) = plain().by_key.values()
    points = usage_points.usage_points(connection, billing_group="A")
    calendar = calendar_file.named("kuwait")
    found = cycle_inputs.gathered(connection, one, calendar, points, PERIOD, known_at=NOW)
    assert list(cycle_intervals.plain(found)) == [900]
    assert exchanged.interval not in cycle_intervals.plain(found)[900]
    wide = replace(one, rolling_seconds=(7 * 3600,))
    assert days.recipe(wide, calendar, billing.KUWAIT, 900) is None


def test_days_that_come_one_by_one_are_put_together(connection: Connection) -> None:
    """A month of days, summed on each day, stands in a few rows; a new version in another."""
    period = Period(PERIOD.start, PERIOD.start + timedelta(days=30))
    point = billing.add_point(connection, "UP-1")
    values = list(range(96 * 30))
    billing.record_intervals(connection, point.interval, values, period=period)
    points, first = usage_points.usage_points(connection), billing.STARTS_ON
    for day in range(1, 31):
        done = daily_group.add(
            *(connection, points, first, first + timedelta(days=day)),
            now=later(24 * 30),
            tariffs=plain(),
        )
        assert done.days == 1
    (rows,) = connection.execute("SELECT count(*) FROM interval_days").fetchone() or (0,)
    assert rows < 9
    billing.record_intervals(
        connection, point.interval, [v + (v == 5) for v in values], period=period, at=later(1)
    )
    end = first + timedelta(days=30)
    assert (
        daily_group.add(connection, points, first, end, now=later(999), tariffs=plain()).days == 1
    )
    seen = "SELECT count(*), sum(total), sum(total) FILTER (WHERE version = 2) FROM interval_day"
    before, changed = sum(values), sum(values[:96]) + 1
    assert connection.execute(seen).fetchone() == (31, before + changed, changed)
    ((one,),) = plain().by_key.values()
    calendar = calendar_file.named("kuwait")
    for known_at, total in ((later(0), before), (later(2), before + 1)):
        batch = cycle_inputs.gathered(connection, one, calendar, points, period, known_at=known_at)
        (result,) = batches.results(batch).values()
        assert result.determinants[0].value == Decimal(total).scaleb(-3).quantize(
            Decimal("0.1"), "ROUND_HALF_UP"
        )
    assert [len(each.channel_id) for each in batch.days] == [1]
    # Of a stretch that begins within the month, the month's rows have its days, too.
    late = Period(period.start + timedelta(days=3), period.end)
    part = cycle_inputs.gathered(connection, one, calendar, points, late, known_at=later(2))
    assert [each.records.shape for each in part.days] == [(1, 27)]
    assert [int(each.records["sums"].sum()) for each in part.days] == [sum(values[3 * 96 :])]


@pytest.mark.storage
def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for name, text in statements.load("mdm", "daily.sql").items():
        record.prepare(connection, name, text)
