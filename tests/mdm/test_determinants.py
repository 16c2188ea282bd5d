"""Determinants from intervals: golden tables by hand, and what must always hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mdm import calendar_file
from mdm.determinants import demand, energy
from mdm.determinants.profile import OUTSIDE, Profile, arrange, mark_outside
from schemas import quality
from schemas.period import Period, local_day, slots
from schemas.reading import BlockTable

LONDON = ZoneInfo("Europe/London")
KUWAIT = ZoneInfo("Asia/Kuwait")


def days(first: date, count: int, zone: ZoneInfo) -> Period:
    last = first + timedelta(days=count - 1)
    return Period(local_day(first, zone).start, local_day(last, zone).end)


def blocks(
    channel: int,
    period: Period,
    zone: ZoneInfo,
    interval_seconds: int,
    values: Sequence[int],
    *,
    codes: Sequence[int] | None = None,
) -> BlockTable:
    """Cut a channel's intervals into local days."""
    day, rows = period.start.astimezone(zone).date(), []
    at, flags = 0, list(codes) if codes is not None else [0] * len(values)
    while (whole := local_day(day, zone)).start < period.end:
        n = slots(whole, interval_seconds)
        rows.append((int(whole.start.timestamp()), values[at : at + n], flags[at : at + n]))
        at, day = at + n, day + timedelta(days=1)
    assert at == len(values)
    width = max(len(row[1]) for row in rows)
    table = np.zeros((2, len(rows), width), np.int32)
    table[1] = quality.MISSING
    for index, (_, numbers, kinds) in enumerate(rows):
        table[0, index, : len(numbers)] = numbers
        table[1, index, : len(numbers)] = kinds
    k = len(rows)
    return BlockTable(
        channel_id=np.full(k, channel, np.int32),
        starts_at=np.array([row[0] for row in rows], np.int64),
        interval_seconds=np.full(k, interval_seconds, np.int32),
        version=np.ones(k, np.int32),
        provenance_id=np.ones(k, np.int64),
        length=np.array([len(row[1]) for row in rows], np.int32),
        values=table[0],
        quality=table[1].astype(np.int16),
    )


def profile(
    period: Period,
    zone: ZoneInfo,
    interval_seconds: int,
    values: Sequence[int],
    codes: Sequence[int] | None = None,
) -> Profile:
    table = blocks(7, period, zone, interval_seconds, values, codes=codes)
    return arrange(table, np.array([7]), period, zone, interval_seconds)


def total(of: Profile) -> tuple[int, list[int]]:
    sums = energy.by_period(of, np.zeros(of.slots, np.uint8), 1)
    return int(sums.values[0, 0]), sums.counts[0, 0].tolist()


@pytest.mark.parametrize(
    ("day", "n", "night"),
    [(date(2026, 3, 29), 46, 12), (date(2026, 10, 25), 50, 16), (date(2026, 6, 1), 48, 14)],
)
def test_energy_by_period_where_clocks_change(day: date, n: int, night: int) -> None:
    # Half-hours of 500 Wh; night is 00:30–07:30 by the local clock.
    found = profile(days(day, 1, LONDON), LONDON, 1800, [500] * n)
    calendar = calendar_file.named("london")
    sums = energy.by_period(found, calendar.of_day(day, LONDON, 1800), 2)
    by_name = dict(zip(calendar.periods, sums.values[0].tolist(), strict=True))
    assert by_name == {"day": 500 * (n - night), "night": 500 * night}
    counts = dict(zip(calendar.periods, sums.counts[0].tolist(), strict=True))
    assert counts == {"day": [n - night, 0, 0, 0, 0], "night": [night, 0, 0, 0, 0]}


def test_counts_by_quality() -> None:
    codes = [
        quality.VALID, quality.SUSPECT, quality.MISSING, quality.ESTIMATED_LINEAR, quality.EDITED,
        quality.ACCEPTED, quality.aemo("S", 14), quality.aemo("N"), quality.POWER_DOWN,
    ]  # fmt: skip
    period = days(date(2026, 6, 1), 1, KUWAIT)
    found = profile(period, KUWAIT, 3600, [10] * 24, [*codes, *[quality.VALID] * 15])
    # Actual: 0, accepted, power down and the fifteen; estimated: linear and S14; missing: 2.
    assert total(found)[1] == [18, 1, 2, 2, 1]


def test_a_day_without_a_block_is_missing() -> None:
    period = days(date(2026, 6, 1), 3, KUWAIT)
    whole = blocks(7, period, KUWAIT, 3600, [10] * 72)
    kept = np.array([0, 2])
    table = BlockTable(
        **{f.name: getattr(whole, f.name)[kept] for f in fields(whole) if f.name != "origin"}
    )
    found = arrange(table, np.array([7]), period, KUWAIT, 3600)
    assert total(found) == (480, [48, 0, 24, 0, 0])


def test_blocks_of_other_channels_are_left_out() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    table = blocks(8, period, KUWAIT, 3600, [10] * 24)
    found = arrange(table, np.array([7, 9]), period, KUWAIT, 3600)
    assert (found.kind == quality.QualityClass.MISSING).all()


def test_a_block_off_the_grid_is_refused() -> None:
    june = blocks(7, days(date(2026, 6, 1), 1, KUWAIT), KUWAIT, 3600, [10] * 24)
    with pytest.raises(ValueError, match="off the grid"):
        arrange(june, np.array([7]), days(date(2026, 6, 2), 1, KUWAIT), KUWAIT, 3600)


def test_what_was_not_installed_is_not_missing() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    codes = [quality.MISSING] * 12 + [quality.VALID] * 10 + [quality.MISSING] * 2
    found = profile(period, KUWAIT, 3600, [0] * 12 + [10] * 10 + [0] * 2, codes)
    start = int(period.start.timestamp())
    # Installed from 10:30: of 10:00–11:00 no whole interval can be expected, of 11:00 it can.
    mark_outside(found, 0, [(start + 37800, start + 86400)])
    assert (found.kind[0] == OUTSIDE).sum() == 11
    assert total(found) == (100, [10, 0, 3, 0, 0])


def test_the_slot_of_an_exchange_is_expected() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    found = profile(period, KUWAIT, 3600, [0] * 24, [quality.MISSING] * 24)
    start = int(period.start.timestamp())
    mark_outside(found, 0, [(start - 999, start + 37800), (start + 37800, start + 90000)])
    assert total(found) == (0, [0, 0, 24, 0, 0])


def peak(found: demand.Peaks | None) -> tuple[int, int]:
    assert found is not None
    assert found.found[0]
    return int(found.energy[0]), int(found.slot[0])


def test_demand_by_hand() -> None:
    # Quarter hours; blocks of an hour begin at local midnight: 0–3, 4–7, …
    values = [0] * 96
    values[2:6] = [30, 40, 50, 20]
    found = profile(days(date(2026, 6, 1), 1, KUWAIT), KUWAIT, 900, values)
    running = found.running()
    # Blocks: 30 + 40 = 70 and 50 + 20 = 70: the earlier counts. Moving: 30 + 40 + 50 + 20 = 140.
    assert peak(demand.block(found, running, 3600)) == (70, 0)
    assert peak(demand.rolling(found, running, 3600)) == (140, 2)
    assert peak(demand.rolling(found, running, 1800)) == (90, 3)
    assert peak(demand.rolling(found, running, 900)) == (50, 4)


def test_blocks_follow_the_local_day_where_clocks_change() -> None:
    # The autumn day begins at 23:00 UTC and has 25 hours; blocks of two hours begin at slots 0, 4,
    # … of the day, so its last hour is in no block, and the next day's blocks begin anew.
    period = days(date(2026, 10, 25), 2, LONDON)
    values = [0] * 98
    values[48:50] = [900, 900]
    values[51:53] = [100, 100]
    found = profile(period, LONDON, 1800, values)
    blocks_ = demand.block(found, found.running(), 7200)
    assert peak(blocks_) == (200, 50)
    assert peak(demand.rolling(found, found.running(), 7200)) == (1900, 48)


def test_a_window_with_a_hole_says_nothing() -> None:
    codes = [quality.VALID] * 24
    codes[12] = quality.MISSING
    values = [10] * 24
    values[12], values[13], values[20] = 0, 900, 50
    found = profile(days(date(2026, 6, 1), 1, KUWAIT), KUWAIT, 3600, values, codes)
    assert peak(demand.block(found, found.running(), 7200)) == (60, 20)
    assert peak(demand.rolling(found, found.running(), 7200)) == (910, 13)


def test_no_window_at_all() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    found = profile(period, KUWAIT, 3600, [0] * 24, [quality.MISSING] * 24)
    peaks = demand.rolling(found, found.running(), 3600)
    assert peaks is not None
    assert not peaks.found[0]
    assert demand.rolling(found, found.running(), 1800) is None
    assert demand.block(found, found.running(), 5400) is None


def test_a_peak_tells_its_qualities() -> None:
    codes = [quality.VALID] * 24
    codes[5] = quality.ESTIMATED
    values = [1] * 24
    values[4:6] = [50, 50]
    found = profile(days(date(2026, 6, 1), 1, KUWAIT), KUWAIT, 3600, values, codes)
    peaks = demand.rolling(found, found.running(), 7200)
    assert peaks is not None
    assert peaks.counts[0].tolist() == [1, 0, 0, 1, 0]


START = st.sampled_from([date(2026, 3, 27), date(2026, 10, 23), date(2026, 6, 1)])
CODES = st.sampled_from([quality.VALID] * 6 + [quality.MISSING, quality.ESTIMATED, quality.EDITED])


@st.composite
def months(draw: st.DrawFn) -> tuple[Period, int, NDArray[np.int64], NDArray[np.int64]]:
    """A few local days around a change of clocks, with holes."""
    period = days(draw(START), draw(st.integers(1, 5)), LONDON)
    interval = draw(st.sampled_from([900, 1800, 3600]))
    n = slots(period, interval)
    seed = draw(st.integers(0, 2**32))
    codes = np.array(draw(st.lists(CODES, min_size=9, max_size=9)))
    random = np.random.default_rng(seed)
    kinds = codes[random.integers(0, 9, n)]
    values = random.integers(0, draw(st.sampled_from([10, 2**31 - 1])), n)
    return period, interval, np.where(kinds == quality.MISSING, 0, values), kinds


@given(months())
def test_parts_sum_to_the_total(
    month: tuple[Period, int, NDArray[np.int64], NDArray[np.int64]],
) -> None:
    period, interval, values, codes = month
    found = profile(period, LONDON, interval, values.tolist(), codes.tolist())
    numbers = calendar_file.named("london").of_period(period, LONDON, interval)
    sums = energy.by_period(found, numbers, 2)
    value, counts = total(found)
    assert sums.values[0].sum() == value == values.sum()
    assert sums.counts[0].sum(axis=0).tolist() == counts
    assert sum(counts) == len(values)


@given(months(), st.data())
def test_any_split_sums_to_the_whole(
    month: tuple[Period, int, NDArray[np.int64], NDArray[np.int64]], data: st.DataObject
) -> None:
    period, interval, values, codes = month
    first = period.start.astimezone(LONDON).date()
    count = round(period.duration / timedelta(days=1))
    cut = data.draw(st.integers(1, count))
    parts = [days(first, cut, LONDON)]
    if cut < count:
        parts.append(days(first + timedelta(days=cut), count - cut, LONDON))
    at, found = 0, []
    for part in parts:
        n = slots(part, interval)
        piece = slice(at, at + n)
        found.append(profile(part, LONDON, interval, values[piece].tolist(), codes[piece].tolist()))
        at += n
    whole = profile(period, LONDON, interval, values.tolist(), codes.tolist())
    assert sum(total(part)[0] for part in found) == total(whole)[0]
    assert np.sum([total(part)[1] for part in found], axis=0).tolist() == total(whole)[1]
    blocks_ = [demand.block(p, p.running(), 3600) for p in (whole, *found)]
    highest = [int(b.energy[0]) for b in blocks_ if b is not None]
    assert highest[0] == max(highest[1:])


@given(months(), st.sampled_from([1800, 3600, 7200]))
def test_a_block_is_at_most_the_moving_window(
    month: tuple[Period, int, NDArray[np.int64], NDArray[np.int64]], window: int
) -> None:
    period, interval, values, codes = month
    found = profile(period, LONDON, interval, values.tolist(), codes.tolist())
    fixed = demand.block(found, found.running(), window)
    moving = demand.rolling(found, found.running(), window)
    assert (fixed is None) == (moving is None) == bool(window % interval)
    if fixed is not None and moving is not None:
        assert fixed.found[0] <= moving.found[0]
        assert fixed.energy[0] <= moving.energy[0]
        # Against the plainest way to compute it.
        width = window // interval
        sums = [
            int(values[i : i + width].sum())
            for i in range(len(values) - width + 1)
            if (codes[i : i + width] != quality.MISSING).all()
        ]
        assert moving.energy[0] == max(sums, default=0)
