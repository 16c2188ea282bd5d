"""Replay is identical, whatever the data were and whatever came later."""

from __future__ import annotations

from random import Random

import pytest

from mdm import cycle, replay
from schemas import database, quality
from tests.mdm import billing
from tests.mdm.billing import PERIOD, SLOTS, june, later

CODES = (
    quality.VALID, quality.CLOCK_SHIFTED, quality.SUSPECT, quality.MISSING,
    quality.ESTIMATED_LINEAR, quality.ESTIMATED_SCALED, quality.EDITED, quality.aemo("S", 14),
)  # fmt: skip


def some(random: Random) -> tuple[list[int], dict[int, int]]:
    """Give intervals, and slots that are not valid."""
    codes = {random.randrange(SLOTS): random.choice(CODES) for _ in range(random.randrange(40))}
    values = [random.choice((0, 1, 100, 2**31 - 1, random.randrange(5_000))) for _ in range(SLOTS)]
    return [0 if codes.get(n) == quality.MISSING else v for n, v in enumerate(values)], codes


@pytest.mark.parametrize("seed", range(3))
def test_every_version_of_anything_is_replayed(database_url: str, seed: int) -> None:
    random = Random(seed)
    with database.connect(database_url) as connection:
        points = []
        for number in range(8):
            modulus = random.choice((None, 10**5, 10**9))
            point = billing.add_point(connection, f"UP-{number}", modulus=modulus)
            values, codes = some(random)
            billing.record_intervals(connection, point.interval, values, codes)
            if random.random() < 0.7:
                end = (7_000 + sum(values)) % (modulus or 10**12)
                dials = {PERIOD.start: 7_000, PERIOD.end: end}
                billing.record_register(connection, point.register, point.installation, dials)
            points.append(point)
        this = june(connection)
        first = cycle.run(connection, this, now=later(1))
        assert (first.written, first.problems) == (8, ())
        late = random.sample(points, 4)
        for point in late:
            values, codes = some(random)
            billing.record_intervals(connection, point.interval, values, codes, at=later(2))
        assert cycle.run(connection, this, now=later(3)).written == 4
        for point in points:
            for version in range(1, 3 if point in late else 2):
                found = replay.of_usage_point(connection, this, point.mrid, version)
                assert found.identical, [str(each) for each in found.differences]
