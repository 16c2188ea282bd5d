"""The days of last year are read for channels that need them and have them, and for no others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mdm import intake_cube, vee
from mdm.intake_shares import Share
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import record

# Monday 15 June 2026 in Kuwait; Monday 16 June 2025 is 364 days before it.
DAY = datetime(2026, 6, 14, 21, tzinfo=UTC)
ONE = timedelta(days=1)
LAST_YEAR = [300 + slot for slot in range(96)]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        point = record.usage_point(connection)
        record.installation(connection, point, "M-1", multiplier="1")
        yield connection


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The days of each layout that validation makes."""
    seen: list[int] = []
    real = intake_cube.intake

    def noting(connection: Connection, share: Share, **given: bool) -> intake_cube.Intake | None:
        seen.append(share.layout.count)
        return real(connection, share, **given)

    monkeypatch.setattr(intake_cube, "intake", noting)
    return seen


def validate(connection: Connection, day: datetime) -> None:
    """Validate with the rule sets that are shipped, the morning after a day."""
    while vee.run(connection, now=day + ONE + timedelta(hours=6)).taken:
        pass


def gap(connection: Connection) -> None:
    """A whole day in which the meter has nothing but two slots."""
    marks = [0, 0, *([quality.MISSING] * 94)]
    record.land(connection, "M-1", DAY, [300, 301, *([0] * 94)], marks)
    validate(connection, DAY)


def test_a_gap_that_nothing_else_fills_is_filled_from_last_year(
    connection: Connection, laid_out: list[int]
) -> None:
    # A week before, 52 weeks earlier, is the first of the list.
    week_before = DAY - 371 * ONE
    record.land(connection, "M-1", week_before, LAST_YEAR)
    validate(connection, week_before)
    gap(connection)
    table = record.final(connection)
    row = table.starts_at.tolist().index(int(DAY.timestamp()))
    assert table.values[row].tolist() == LAST_YEAR
    assert set(table.quality[row, 2:].tolist()) == {quality.ESTIMATED_YEAR_AGO}
    assert max(laid_out) > 371


def test_where_last_year_has_nothing_it_is_not_laid_out(
    connection: Connection, laid_out: list[int]
) -> None:
    gap(connection)
    table = record.final(connection)
    assert set(table.quality[0, 2:].tolist()) == {quality.MISSING}
    assert max(laid_out) < 80
