"""The light way in gives what the whole history gives: the same days, findings and registers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mdm import intake_cube, intake_light, vee
from mdm.intake_cube import Intake
from mdm.intake_shares import Share
from schemas import database
from schemas.database import Connection
from tests.mdm import record

# 1 June 2026 in Kuwait, a Monday.
DAY = datetime(2026, 5, 31, 21, tzinfo=UTC)
HOUR, ONE = timedelta(hours=1), timedelta(days=1)
FIRST, LAST = 15, 22
METERS = 14
SLOTS = 24


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


@pytest.mark.parametrize("seed", range(3))
def test_days_come_in_the_light_way_as_with_their_history(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    ways = _watched(monkeypatch)
    light = _recorded(connection, seed)
    seen = dict(ways)
    monkeypatch.setattr(intake_light, "able", lambda rule_sets: False)
    assert _recorded(connection, seed) == light
    assert len(light[0]) > 250
    # Neither way is empty: days went in lightly, and some needed more.
    assert seen[0] > 30
    assert 10 < seen[None] - METERS < seen[0]


def _watched(monkeypatch: pytest.MonkeyPatch) -> dict[int | None, int]:
    """Count the usage points that come in by each margin; None for the whole history."""
    ways: dict[int | None, int] = {}
    whole = intake_cube.intake

    def intake(connection: Connection, share: Share, **how: bool) -> Intake | None:
        way = share.light.margin if share.light else None
        ways[way] = ways.get(way, 0) + len(np.unique(share.work.usage_point))
        return whole(connection, share, **how)

    monkeypatch.setattr(intake_cube, "intake", intake)
    return ways


def _recorded(connection: Connection, seed: int) -> tuple[list[Any], ...]:
    """Land and validate day by day; give all that is recorded; leave the database as it was."""
    random = np.random.default_rng(seed)
    with connection.transaction(force_rollback=True):
        meters = [_Meter(connection, random, f"M-{number}") for number in range(METERS)]
        for day in range(FIRST, LAST):
            for meter in meters:
                meter.land(range(FIRST + 1) if day == FIRST else [day], random)
            _run(connection, day)
            if day == LAST - 3:
                for meter in meters[::2]:
                    meter.land([int(random.integers(FIRST - 8, day))], random)
                _run(connection, day)
        return tuple(
            connection.execute(query).fetchall()
            for query in (
                """
                SELECT p.mrid, b.starts_at, b.version, b.values, b.quality, b.recorded_at
                FROM interval_block b JOIN channel c ON c.id = b.channel_id
                JOIN usage_point p ON p.id = c.usage_point_id ORDER BY 1, 2, 3
                """,
                """
                SELECT p.mrid, f.starts_at, f.ends_at, f.rule, f.observed, f."limit", f.severity,
                       f.action, f.state, f.found_at, f.decided_at
                FROM finding f JOIN channel c ON c.id = f.channel_id
                JOIN usage_point p ON p.id = c.usage_point_id ORDER BY 1, 2, 3, 4, 9, 10
                """,
                """
                SELECT p.mrid, r.read_at, r.version, r.value, r.quality
                FROM register_reading r JOIN channel c ON c.id = r.channel_id
                JOIN usage_point p ON p.id = c.usage_point_id ORDER BY 1, 2, 3
                """,
            )
        )


def _run(connection: Connection, day: int) -> None:
    while vee.run(connection, now=DAY + ONE * (day + 1) + 7 * HOUR, limit=7).taken:
        pass


class _Meter:
    """A meter of its own kind: how it draws, how well it is read, and what is wrong with it."""

    def __init__(self, connection: Connection, random: np.random.Generator, mrid: str) -> None:
        self.connection, self.mrid = connection, mrid
        self.done: set[tuple[Any, ...]] = set()
        point = record.usage_point(connection, f"UP-{mrid}")
        record.installation(connection, point, mrid, interval_seconds=3600)
        level = int(random.choice([0, 300, 2000]))
        shape = 1 + np.sin(np.arange(SLOTS) / 4)
        daily = random.uniform(0.7, 1.4, (LAST, 1)) * random.uniform(0.8, 1.2, (LAST, SLOTS))
        self.curve = (level * shape * daily).astype(np.int64)
        self.registers = float(random.choice([0.3, 0.95, 1.0]))
        self.faults = float(random.choice([0.1, 0.5]))
        self.bad(random)
        self.dial = 1000 + np.concatenate([[0], self.curve.sum(axis=1).cumsum()])

    def bad(self, random: np.random.Generator) -> None:
        """What the meter itself does: nothing for a while, always the same, far too much."""
        line = self.curve.reshape(-1)
        for _ in range(3):
            start = int(random.integers(0, len(line)))
            stretch = slice(start, start + int(random.choice([5, 14, 30, 80])))
            if random.random() < self.faults:
                line[stretch] = random.choice([0, 77])
        if random.random() < self.faults:
            line[int(random.integers(0, len(line)))] += 90_000
        if random.random() < self.faults:
            self.curve[int(random.integers(FIRST, LAST))] *= int(random.choice([0, 7]))

    def land(self, days: Any, random: np.random.Generator) -> None:
        for day in days:
            missing = self.missing(random)
            for first, last in _stretches(~missing):
                values = self.curve[day, first:last].tolist()
                start = DAY + ONE * day + HOUR * first
                self.once(start, values)
            if random.random() < self.faults / 5:
                self.once(DAY + ONE * day, [5, 6])
            moments = [day, day + 1]
            read = [
                (DAY + ONE * at, int(self.dial[at]))
                for at in moments
                if random.random() < self.registers
            ]
            if read and random.random() < self.faults / 8:
                read[-1] = (read[-1][0], read[-1][1] + int(random.choice([-3000, 40, 5000])))
            read = [each for each in read if each not in self.done]
            self.done.update(read)
            if read:
                record.land_registers(self.connection, self.mrid, read)

    def once(self, start: datetime, values: list[int]) -> None:
        """Land a block; the same one lands only once."""
        if (start, *values) not in self.done:
            self.done.add((start, *values))
            record.land(self.connection, self.mrid, start, values, interval_seconds=3600)

    def missing(self, random: np.random.Generator) -> NDArray[np.bool_]:
        """Which hours do not come: mostly none or one, sometimes many, and at the day's edges."""
        mask = np.zeros(SLOTS, np.bool_)
        if random.random() < 0.5:
            length = int(random.choice([1, 1, 2, 3, 8, 24]))
            first = int(random.choice([0, SLOTS - length, int(random.integers(0, SLOTS))]))
            mask[first : first + length] = True
        return mask


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Parts that are True; a raw block does not cross 00:00 UTC, three hours into the day."""
    edge = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    parts: list[tuple[int, int]] = []
    for first, last in zip(edge[::2].tolist(), edge[1::2].tolist(), strict=True):
        cuts = [first, *([3] if first < 3 < last else []), last]
        parts += pairwise(cuts)
    return parts
