"""Rules about the shape of a day, against numbers worked by hand from the source they name."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from schemas import quality
from tests.validation.vee_cubes import cube, rows_of, rule_set, seen
from validation import completeness, engine, limits, plausibility, ruleset, spikes, views
from validation.parameters import RuleSetError
from validation.rule import Mask

LONDON = ZoneInfo("Europe/London")
SENTINEL = """
[rules.sentinel]
severity = "info"
action = "note"
within = 0
most = 1
"""


def slots(mask: Mask) -> list[int]:
    return np.flatnonzero(mask.fails).tolist()


def short(row: list[int]) -> list[int | None]:
    """Give a day of which only the first slots were measured."""
    return [*row, *([None] * (24 - len(row)))]


@pytest.mark.parametrize(
    ("row", "factor", "fails"),
    # mako's own tests, in hundredths: mean 600, 2000 > 1800; mean 2200, 10000 < 22000.
    [([250, 250, 250, 2000, 250], 3, [3]), ([250] * 4 + [10000], 10, [])],
)
def test_a_spike_above_the_mean_which_contains_it(
    row: list[int], factor: float, fails: list[int]
) -> None:
    found = spikes.spike_mean(seen(short(row)).days, factor=factor, minimum_per_hour=0)
    assert slots(found) == fails
    assert found.limit.tolist() == [1800] * len(fails)
    high = spikes.spike_mean(seen(short(row)).days, factor=factor, minimum_per_hour=2000)
    assert slots(high) == []


def test_a_spike_above_its_neighbours_leaves_zeros_out() -> None:
    # Around slot 4: 10, 20, 30 | 30, 0, 40: median of 10 20 30 30 40 is 30.
    row = [99, 10, 20, 30, 301, 30, 0, 40] + [50] * 16
    rule = {"factor": 10.0, "neighbours": 3, "fewest": 3, "minimum_per_hour": 0.0}
    found = spikes.spike_neighbours(seen(row).timeline, **rule)
    assert (slots(found), found.observed.tolist(), found.limit.tolist()) == ([4], [301], [300])
    row[4] = 300
    assert slots(spikes.spike_neighbours(seen(row).timeline, **rule)) == []
    lonely = [0] * 10 + [5, 900, 5] + [0] * 11
    assert slots(spikes.spike_neighbours(seen(lonely).timeline, **rule)) == []


def test_a_spikes_neighbours_are_over_midnight_too() -> None:
    line = views.of(cube([[[10] * 23 + [500], [10] * 24]])).timeline
    rule = {"factor": 10.0, "neighbours": 3, "fewest": 6, "minimum_per_hour": 0.0}
    assert slots(spikes.spike_neighbours(line, **rule)) == [23]


@pytest.mark.parametrize(
    ("row", "fails"),
    # mako's Hampel test, in tenths: median 10, deviations 0 1 0 490 0 1 0, MAD 0 … the windows of
    # 11 hold 10 10 10 11 and 490: median 10 or 10.5, MAD at most 0.5.
    [([10, 11, 10, 500, 10, 11, 10], 3), ([23, 24, 23, 5000, 23, 24, 23], 3)],
)
def test_hampel(row: list[int], fails: int) -> None:
    line = seen(short(row)).timeline
    found = spikes.hampel(line, neighbours=3, deviations=3, minimum_per_hour=1)
    assert slots(found) == [fails]
    assert found.observed.tolist() == [row[fails]]


def test_hampel_takes_any_deviation_where_the_window_is_flat() -> None:
    line = seen([7] * 10 + [8] + [7] * 13).timeline
    assert slots(spikes.hampel(line, neighbours=3, deviations=3, minimum_per_hour=0)) == [10]
    assert slots(spikes.hampel(line, neighbours=3, deviations=3, minimum_per_hour=1)) == []


@given(
    hnp.arrays(np.int32, (2, 24), elements=st.integers(-50, 50)),
    hnp.arrays(np.bool_, (2, 24)),
    st.integers(1, 4),
)
def test_hampel_finds_what_plain_medians_find(
    values: NDArray[np.int32], present: NDArray[np.bool_], reach: int
) -> None:
    rows = [
        [int(v) if p else None for v, p in zip(*pair, strict=True)]
        for pair in zip(values, present, strict=True)
    ]
    line = views.of(cube([[row] for row in rows])).timeline
    found = spikes.hampel(line, neighbours=reach, deviations=3, minimum_per_hour=2)
    for row, fails in zip(rows, found.fails.tolist(), strict=True):
        for i, value in enumerate(row):
            window = [each for each in row[max(i - reach, 0) : i + reach + 1] if each is not None]
            if value is None:
                assert not fails[i]
                continue
            middle = np.median(window)
            spread = 1.4826 * np.median(np.abs(np.array(window) - middle))
            assert fails[i] == (abs(value - middle) > max(3 * spread, 2))


@pytest.mark.parametrize(
    ("row", "ranges", "fails"),
    # pvanalytics' own tests of outliers.tukey.
    [
        ([5, 9, 9, 8, 7, 1, 7, 8, 6, 8], 1.5, [5]),
        ([5, 9, 9, 8, 7, 1, 7, 8, 6, 8], 3, []),
        ([0, 1, 3, 2, 1, 3, 4, 1, 1, 9, 2], 1.5, [9]),
    ],
)
def test_tukey(row: list[int], ranges: float, fails: list[int]) -> None:
    found = spikes.tukey(seen(short(row)).days, ranges=ranges, minimum_per_hour=0)
    assert slots(found) == fails
    assert slots(spikes.tukey(seen(short(row)).days, ranges=ranges, minimum_per_hour=9)) == []


def test_a_value_is_held_against_the_last_good_one() -> None:
    # Itron: 100 * |x - last| / last > tolerance; 150 to 300 is 100 %, 300 to 149 is 50.3 %.
    row = short([150, 300, 149])
    rule = {"tolerance": 0.5, "minimum_per_hour": 0.0}
    found = spikes.consecutive_change(seen(row).timeline, **rule)
    assert (slots(found), found.limit.tolist()) == ([1, 2], [150, 300])
    assert slots(spikes.consecutive_change(seen(short([150, None, 226])).timeline, **rule)) == [2]
    down = seen(short([150, 0, 150]), codes={(0, 0, 1): quality.POWER_DOWN}).timeline
    assert slots(spikes.consecutive_change(down, **rule)) == []
    assert slots(
        spikes.consecutive_change(seen(row).timeline, tolerance=0.5, minimum_per_hour=150)
    ) == [2]


def test_demand_has_limits_but_an_outage_may_be_low() -> None:
    quarter_hours = seen(
        [26, 25, 5, 4, 4] + [9] * 91, interval_seconds=900, codes={(0, 0, 4): quality.POWER_DOWN}
    ).timeline
    found = limits.demand_limit(quarter_hours, high_per_hour=100, low_per_hour=20)
    assert (slots(found), found.limit.tolist()) == ([0, 3], [25, 5])


def test_the_peak_is_held_against_that_of_as_many_days_before() -> None:
    days_ = [[10] * 23 + [peak] for peak in (30, 40, 50, 121)]
    found = limits.peak_change(
        views.of(cube([days_])).curves, days=2, tolerance=2.0, minimum_per_hour=0
    )
    # Days 3 and 4 have 121, days 1 and 2 have 40: three times 40 would have passed.
    assert np.argwhere(found.fails).tolist() == [[0, 3]]
    assert (found.observed.tolist(), found.limit.tolist()) == ([121], [40])
    days_[3][23] = 120
    passes = views.of(cube([days_])).curves
    assert not limits.peak_change(passes, days=2, tolerance=2.0, minimum_per_hour=0).fails.any()
    holes: Any = [[*days_[0][:5], None, *days_[0][6:]], *days_[1:3], [10] * 23 + [999]]
    broken = views.of(cube([holes])).curves
    assert not limits.peak_change(broken, days=2, tolerance=2.0, minimum_per_hour=0).fails.any()
    assert not limits.peak_change(passes, days=3, tolerance=0.0, minimum_per_hour=0).fails.any()


def test_a_condition_holds_from_the_days_before_on() -> None:
    # Water that never stops: a leak. The first of the two days is history.
    flow = cube(
        [[[0] * 20 + [3, 4, 5, 6], [2, 1, 1, 0] + [3] * 5 + [0] * 15]],
        target=np.array([[False, True]]),
    )
    leak = """
    [rules.condition_run]
    severity = "issue"
    action = "note"
    least_per_hour = 1
    most_per_hour = 1000
    hours = 6
    outages = "count"
    """
    outcome = engine.run(flow, rule_set(leak))
    assert rows_of(outcome.findings) == [("condition_run", "issue", "note", 1, 0, 2)]
    assert outcome.findings.observed.tolist() == [7]


def test_an_outage_can_break_a_condition() -> None:
    line = seen([0] * 6 + [5] * 18, codes={(0, 0, 3): quality.POWER_DOWN}).timeline
    rule = {"least_per_hour": 0.0, "most_per_hour": 0.0, "hours": 4.0}
    assert slots(limits.condition_run(line, outages="count", **rule)) == list(range(6))
    assert slots(limits.condition_run(line, outages="break", **rule)) == []


def test_an_outage_breaks_runs_beside_days_of_another_length_too() -> None:
    # 25 October 2026 has 25 hours in London, the days before and after it 24.
    rows: Any = [[[5] * 24, [0] * 25, [5] * 24]]
    when: Any = {"first": date(2026, 10, 24), "zone": ZoneInfo("Europe/London")}
    under = np.zeros((1, 3, 25), np.bool_)
    under[0, 1, 2:20] = True
    rule = {"least_per_hour": 0.0, "most_per_hour": 0.0, "hours": 6.0}
    for told in (
        {"outage": under},
        {"codes": {(0, 1, n): quality.POWER_DOWN for n in range(2, 20)}},
    ):
        line = views.of(cube(rows, **when, **told)).timeline  # type: ignore[arg-type]
        assert not limits.condition_run(line, outages="break", **rule).fails.any()
        assert not plausibility.zero_run(line, hours=6).fails.any()
    line = views.of(cube(rows, **when)).timeline
    assert plausibility.zero_run(line, hours=6).fails.sum() == 25


def test_what_was_interpolated_already() -> None:
    row = [5, 9, 10, 20, 30, 40, 50, 60, 61] + [4] * 15
    found = limits.interpolated(seen(row).timeline, hours=6, within=0)
    assert (slots(found), found.observed.tolist()) == ([2, 3, 4, 5, 6, 7], [6] * 6)
    assert slots(limits.interpolated(seen(row).timeline, hours=7, within=0)) == []
    rounded = [5, 10, 13, 17, 20, 23, 27, 30] + [4] * 16
    assert slots(limits.interpolated(seen(rounded).timeline, hours=7, within=1)) == list(
        range(1, 8)
    )
    assert slots(limits.interpolated(seen([4] * 24).timeline, hours=6, within=1)) == []


def test_sentinels_and_a_day_of_too_many() -> None:
    # Energy Sparks: 186227.0864 to 186227.0866 kWh; more than seven in a day spoil the day.
    bad = 186_227_086
    rule: Any = {"values": (bad, 2_147_483_647), "within": 1, "most": 7}
    few = limits.sentinel(seen([1, bad, 2, bad + 1, bad + 2] + [3] * 19).days, **rule)
    assert (slots(few), few.limit.tolist()) == ([1, 3], [bad, bad])
    assert len(slots(limits.sentinel(seen([bad] * 7 + [3] * 17).days, **rule))) == 7
    many = limits.sentinel(seen([bad] * 8 + [3] * 15 + [None]).days, **rule)
    assert slots(many) == list(range(23))


def test_nights_without_load() -> None:
    # Twelve half hours of night; more than a tenth of them below 20 W, 10 Wh, are two or more.
    rule = {"from_hour": 22.0, "until_hour": 4.0, "below_per_hour": 20.0, "share": 0.1}
    day = [100] * 8 + [0] * 36 + [100] * 4

    def fails(day: list[int]) -> list[float]:
        curves = views.of(cube([[day]], interval_seconds=1800)).curves
        return limits.night_zero(curves, **rule).observed.tolist()

    assert fails(day) == []
    assert fails([9, *day[1:]]) == []
    assert fails([9, 9, *day[2:]]) == [2 / 12]
    assert fails([10, 10, *day[2:]]) == []


def test_a_day_of_25_hours_that_lost_one() -> None:
    # 2026-10-25 in London; 100 quarter hours are clean, 96 lost the hour that is there twice.
    def fails(*lost: int) -> list[float]:
        row: Any = [None if slot in lost else 5 for slot in range(100)]
        there = views.of(cube([[row]], first=date(2026, 10, 25), zone=LONDON, interval_seconds=900))
        return completeness.collapsed_hour(there.curves).observed.tolist()

    # From 01:00 to 02:00 of summer time, the same of winter time, and from 23:00 on.
    assert fails(4, 5, 6, 7) == [24]
    assert fails(8, 9, 10, 11) == [24]
    assert fails(96, 97, 98, 99) == [24]
    assert fails() == []
    assert fails(4, 5, 6) == []
    assert fails(12, 13, 14, 15) == []
    assert fails(*range(50)) == []


def test_use_while_supply_was_off() -> None:
    off = np.zeros((1, 1, 24), dtype=np.bool_)
    off[0, 0, 2:6] = True
    found = completeness.inactive_use(
        seen(short([9, 9, 0, 9, 2, 9, 9]), outage=off).days, tolerance_per_hour=2
    )
    assert slots(found) == [3, 5]
    assert slots(completeness.inactive_use(seen([9] * 24).days, tolerance_per_hour=0)) == []


def test_estimation_that_goes_on_and_on() -> None:
    whole, nothing = [5] * 24, [None] * 24
    given_ = cube(
        [[whole, whole, whole, nothing, nothing, whole]],
        codes={(0, 1, slot): quality.ESTIMATED_LIKE_DAY for slot in range(24)}
        | {(0, 2, slot): quality.ESTIMATED_LIKE_DAY for slot in range(23)},
    )
    found = completeness.prolonged_estimation(views.of(given_).curves, days=1)
    assert np.argwhere(found.fails).tolist() == [[0, 4]]
    assert found.observed.tolist() == [2]
    estimated = {(0, 2, 23): quality.ESTIMATED_LINEAR}
    codes = {(0, day, slot): quality.ESTIMATED_LIKE_DAY for day in (1, 2) for slot in range(24)}
    rows = [[whole, whole, whole, nothing, nothing, whole]]
    longer = views.of(cube(rows, codes=codes | estimated)).curves
    found = completeness.prolonged_estimation(longer, days=3)
    assert (np.argwhere(found.fails).tolist(), found.observed.tolist()) == ([[0, 4]], [4])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("[]", "is not a list of numbers, one or more"),
        ("7", "is not a list of numbers"),
        ('["a"]', "'a' is not a number"),
        ("[true]", "True is not a number"),
        ("[1, inf]", "inf is not a number"),
    ],
)
def test_a_list_of_numbers_is_checked(values: str, told: str) -> None:
    with pytest.raises(RuleSetError, match=told):
        rule_set(f"{SENTINEL}values = {values}")


def test_a_limit_may_be_below_zero_and_a_list_has_a_digest() -> None:
    text = f"{SENTINEL}values = [-1, 7]"
    made = rule_set(text)
    assert made.rules[0].parameters["values"] == (-1.0, 7.0)
    assert made.digest != rule_set(text.replace("7", "8")).digest
    assert isinstance(made, ruleset.RuleSet)
