from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headend import gaps
from schemas import quality
from schemas.period import Period
from schemas.reading import IntervalBlock

ZERO = datetime(2026, 6, 1, tzinfo=UTC)
STEP = 900
TYPE = "active_energy_import_interval"


def at(slot: float) -> datetime:
    return ZERO + timedelta(seconds=STEP * slot)


def period(pair: tuple[int, int]) -> Period:
    return Period(at(min(pair)), at(max(pair)))


def slots(periods: list[Period]) -> set[int]:
    """The slots of a list of periods; a slot that two of them have is a failure."""
    found = [
        int((p.start - ZERO).total_seconds()) // STEP + i
        for p in periods
        for i in range(int(p.duration.total_seconds()) // STEP)
    ]
    assert len(found) == len(set(found))
    return set(found)


pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@given(pairs, pairs)
def test_missing_is_wanted_without_covered(
    wanted: list[tuple[int, int]], covered: list[tuple[int, int]]
) -> None:
    found = gaps.missing(map(period, wanted), map(period, covered), STEP)
    want = {i for pair in wanted for i in range(min(pair), max(pair))}
    have = {i for pair in covered for i in range(min(pair), max(pair))}
    assert slots(found) == want - have
    assert found == sorted(found)
    assert all(one.end < other.start for one, other in pairwise(found))


@given(pairs, st.integers(1, 50), st.integers(0, 12))
def test_requests_cover_the_oldest_in_order(
    pieces: list[tuple[int, int]], longest: int, most: int
) -> None:
    periods = gaps.union(map(period, pieces))
    cut, left = gaps.requests(periods, longest=timedelta(seconds=STEP * longest), most=most)
    assert cut == sorted(cut)
    assert all(one and one.duration <= timedelta(seconds=STEP * longest) for one in cut)
    asked, everything = slots(cut), slots(periods)
    assert asked == set(sorted(everything)[: len(asked)])
    assert left == (asked != everything)
    assert len(cut) == most or not left


@given(st.integers(0, 30), st.sets(st.integers(0, 29)), st.integers(-5, 35))
def test_absent_slots_are_marked_up_to_where_they_may_still_come(
    length: int, present: set[int], settled: int
) -> None:
    have = {slot for slot in present if slot < length}
    blocks = [IntervalBlock(TYPE, at(slot), STEP, np.array([7])) for slot in have]
    made = gaps.absent(
        Period(at(0), at(length)), blocks, reading_types=[TYPE], interval_seconds=STEP,
        settled=at(settled),
    )  # fmt: skip
    limit = max(settled, max(have, default=-1) + 1)
    assert slots([block.period for block in made]) == {
        slot for slot in range(length) if slot not in have and slot < limit
    }
    for block in made:
        assert block.quality is not None
        assert set(block.quality) == {quality.MISSING}


def test_absent_looks_at_each_reading_type() -> None:
    other = "reactive_energy_import_interval"
    blocks = [
        IntervalBlock(TYPE, at(0), STEP, np.arange(4)),
        IntervalBlock(other, at(0), STEP, np.arange(2)),
    ]
    made = gaps.absent(
        Period(at(0), at(4)), blocks, reading_types=[], interval_seconds=STEP, settled=at(0)
    )
    assert [(block.reading_type, block.start, len(block)) for block in made] == [(other, at(2), 2)]


def test_intervals_off_the_grid_leave_no_slivers() -> None:
    covered = [Period(at(0.01), at(4.01))]
    assert gaps.missing([Period(at(0), at(5))], covered, STEP) == []
    blocks = [IntervalBlock(TYPE, at(0.01), STEP, np.arange(4))]
    made = gaps.absent(
        Period(at(0), at(4)), blocks, reading_types=[], interval_seconds=STEP, settled=at(9)
    )
    assert made == []


def test_expected_is_what_was_installed_up_to_the_last_complete_interval() -> None:
    installed = [Period(at(-1000), at(2)), Period(at(4), datetime.max.replace(tzinfo=UTC))]
    found = gaps.expected(
        installed, now=at(8.9), horizon=timedelta(seconds=STEP * 10), interval_seconds=STEP
    )
    assert found == [Period(at(-2), at(2)), Period(at(4), at(8))]
