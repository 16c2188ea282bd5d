"""Estimators by tables of days, averages over weeks, and a gap's edges: worked by hand."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from schemas import quality
from tests.validation.vee_cubes import GAP, SUNDAY, Row, cube, rule_set
from validation import days, engine, lookups
from validation.engine import Outcome
from validation.matrix import Cube

TWO_WEEK = '[[estimators]]\nmethod = "two_week"\n'
YEAR_AGO = '[[estimators]]\nmethod = "year_ago"\n'
NEAREST = '[[estimators]]\nmethod = "nearest_equivalent"\nweeks = 1\n'
AVERAGE = '[[estimators]]\nmethod = "average_like_day"\n'
ZERO = '[[estimators]]\nmethod = "zero"\nbetween_outages = true\n'
# The lists as published, in days before the gap: "Tuesday: Tue -1w, Wed -1w, Thu -1w" and so on.
# Kuwait's Sunday is the published Monday.
TWO_WEEKS = [
    (0, [-7, -14]),
    (1, [-7, -6, -5]),
    (2, [-7, -1, -8, -6]),
    (3, [-7, -1, -8, -2, -9]),
    (4, [-7]),
    (5, [-7]),
    (6, [-7]),
]
EQUIVALENT = [
    (0, [-7]),
    (1, [-7, -6, -5, 1, 2]),
    (2, [-7, -8, -6, -1, 1]),
    (3, [-7, -8, -9, -1, -2]),
    (4, [-7]),
    (5, [-7]),
    (6, [-7]),
]


def multi_week(before: int, after: int, fewest: int = 1) -> str:
    return (
        f'[[estimators]]\nmethod = "multi_week"\nbefore = {before}\nafter = {after}\n'
        f"fewest = {fewest}\n"
    )


def hold(hours: float) -> str:
    return f'[[estimators]]\nmethod = "hold"\nlimit_hours = {hours}\n'


def daily_load(within: int = 30, fewest: int = 1) -> str:
    return f'[[estimators]]\nmethod = "daily_load"\nwithin_days = {within}\nfewest = {fewest}\n'


def filled(given: Cube, estimators: str) -> Outcome:
    return engine.run(given, rule_set(GAP, estimators))


def day(value: int | None) -> Row:
    return [value] * 24


def numbered(count: int, gap: int, blank: list[int], **given: object) -> Cube:
    """Give days that each hold their number, without the blank ones; the gap alone is repaired."""
    rows = [[day(None if i == gap or i in blank else i) for i in range(count)]]
    target = np.zeros((1, count), np.bool_)
    target[0, gap] = True
    return cube(rows, target=target, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("estimators", "table"), [(TWO_WEEK, TWO_WEEKS), (NEAREST, EQUIVALENT)], ids=["itron", "wa"]
)
def test_the_first_sound_day_of_the_published_list_is_copied(
    estimators: str, table: list[tuple[int, list[int]]]
) -> None:
    for place, offsets in table:
        gap = 14 + place
        for taken in range(len(offsets)):
            blank = [gap + offset for offset in offsets[:taken]]
            outcome = filled(numbered(24, gap, blank), estimators)
            expected = gap + offsets[taken]
            assert set(outcome.values[0, gap].tolist()) == {expected}, (place, taken)
        nothing = filled(numbered(24, gap, [gap + offset for offset in offsets]), estimators)
        assert nothing.counters.left == 24, place


def test_a_holiday_takes_the_last_rest_day_before_it() -> None:
    # Itron: Sunday this week, Sunday -1w. Kuwait rests on Friday and Saturday, days 13 and 6.
    gap = 16
    holidays = frozenset({SUNDAY + timedelta(days=gap)})
    given = numbered(20, gap, [], holidays=holidays)
    assert set(filled(given, TWO_WEEK).values[0, gap].tolist()) == {13}
    earlier = numbered(20, gap, [13], holidays=holidays)
    assert set(filled(earlier, TWO_WEEK).values[0, gap].tolist()) == {6}
    assert filled(given, NEAREST).counters.left == 24


def test_a_holiday_is_copied_for_holidays_only() -> None:
    holidays = frozenset({SUNDAY + timedelta(days=7)})
    given = numbered(20, 14, [], holidays=holidays)
    assert set(filled(given, TWO_WEEK).values[0, 14].tolist()) == {0}


def test_the_week_begins_after_the_calendars_rest() -> None:
    def placed(weekend: set[int], count: int = 8) -> list[int] | None:
        table = days.of(date(2026, 6, 1), count, ZoneInfo("UTC"), 3600, weekend=weekend)
        found = lookups.places(table)
        return None if found is None else found.tolist()

    # 2026-06-01 is a Monday.
    assert placed({5, 6}) == [0, 1, 2, 3, 4, 5, 6, 0]
    assert placed({4, 5}) == [1, 2, 3, 4, 5, 6, 0, 1]
    assert placed({5, 6}, count=3) is None


def test_fifty_two_weeks_earlier_the_same_list_holds() -> None:
    gap = 52 * 7 + 14
    for blank, expected in (([], gap - 364 - 7), ([gap - 371], gap - 364 - 14)):
        outcome = filled(numbered(gap + 1, gap, blank), YEAR_AGO)
        assert set(outcome.values[0, gap].tolist()) == {expected}
        assert set(outcome.quality[0, gap].tolist()) == {quality.ESTIMATED_YEAR_AGO}
    assert quality.aemo_of(quality.ESTIMATED_YEAR_AGO) == "S23"


def test_a_copied_day_is_matched_by_local_time() -> None:
    # London 2026-03-29 lacks 01:00; the Sunday after takes it from the week before that.
    london = ZoneInfo("Europe/London")
    rows = [[day(1)] * 7 + [list(range(23))] + [day(1)] * 6 + [day(None)]]
    target = np.zeros((1, 15), np.bool_)
    target[0, 14] = True
    outcome = filled(cube(rows, first=date(2026, 3, 22), zone=london, target=target), TWO_WEEK)
    assert outcome.values[0, 14].tolist() == [0, 1, *range(1, 23)]


def test_average_like_day_is_the_mean_of_the_previous_four_weeks() -> None:
    # AEMO 15: days 28, 21, 14 and 7 before; 5, 12, 19, 26 -> 15.5, rounded half up.
    outcome = filled(numbered(40, 33, []), AVERAGE)
    assert set(outcome.values[0, 33].tolist()) == {16}
    assert set(outcome.quality[0, 33].tolist()) == {quality.ESTIMATED_AVERAGE_DAY}
    # Of available reads: 12, 19 and 26.
    assert set(filled(numbered(40, 33, [5]), AVERAGE).values[0, 33].tolist()) == {19}
    assert filled(numbered(40, 6, []), AVERAGE).counters.left == 24


def test_slots_with_outages_and_estimates_are_in_no_average() -> None:
    codes = {(0, 0, 3): quality.POWER_DOWN, (0, 7, 3): quality.ESTIMATED}
    rows = [[day(i) for i in range(21)] + [day(None)]]
    outcome = filled(cube(rows, codes=codes), AVERAGE)
    assert outcome.values[0, 21, :5].tolist() == [7, 7, 7, 14, 7]


def test_multi_week_takes_chosen_weeks_and_no_holiday() -> None:
    holiday = frozenset({SUNDAY + timedelta(days=7)})
    outcome = filled(numbered(29, 14, [], holidays=holiday), multi_week(2, 2))
    # Days 0, 21 and 28 of 0, 7 (holiday), 21, 28: 49 / 3.
    assert set(outcome.values[0, 14].tolist()) == {16}
    assert filled(numbered(29, 14, [], holidays=holiday), multi_week(2, 2, 4)).counters.left == 24
    on_holiday = numbered(29, 7, [], holidays=holiday)
    assert filled(on_holiday, multi_week(2, 2)).counters.left == 24


def test_the_german_reference_week_and_else_the_last_value() -> None:
    # mako: 3.0 a week before, neighbours 2.0 and 4.0 -> 3.0; without a match 2.5 is carried on.
    reference = multi_week(1, 0) + hold(24)
    rows = [[[3000] * 24] + [day(7000)] * 6 + [[*[2000] * 5, None, *[4000] * 18]]]
    assert filled(cube(rows), reference).values[0, 7, 5] == 3000
    alone = [[[2500] * 5 + [None] + [4000] * 18]]
    outcome = filled(cube(alone), reference)
    assert outcome.values[0, 0, 5] == 2500
    assert outcome.quality[0, 0, 5] == quality.ESTIMATED_HOLD


def test_the_last_value_goes_on_for_some_hours_and_from_a_good_one() -> None:
    assert filled(cube([[[3000, None, *[5] * 22]]]), hold(1)).values[0, 0, 1] == 3000
    assert filled(cube([[[3000, None, None, *[5] * 21]]]), hold(1)).counters.left == 2
    assert filled(cube([[[None, *[5] * 23]]]), hold(1)).counters.left == 1
    down = cube([[[3000, None, *[5] * 22]]], codes={(0, 0, 0): quality.POWER_DOWN})
    assert filled(down, hold(1)).counters.left == 1


def test_zero_needs_an_outage_on_both_sides_or_on_record() -> None:
    # mako's long gap: 10, seven missing, 20: all seven are 0, the last two too.
    row: Row = [10, *[None] * 7, 20, *[5] * 15]
    both = {(0, 0, 0): quality.POWER_DOWN, (0, 0, 8): quality.POWER_DOWN}
    outcome = filled(cube([[row]], codes=both), ZERO)
    assert outcome.values[0, 0, :9].tolist() == [10, *[0] * 7, 20]
    assert outcome.quality[0, 0, 1:8].tolist() == [quality.ESTIMATED_ZERO] * 7
    one = {(0, 0, 0): quality.POWER_DOWN}
    assert filled(cube([[row]], codes=one), ZERO).counters.left == 7
    strict = ZERO.replace("true", "false")
    assert filled(cube([[row]], codes=both), strict).counters.left == 7
    outage = np.zeros((1, 1, 24), np.bool_)
    outage[0, 0, 1:5] = True
    recorded = filled(cube([[row]], outage=outage), strict)
    assert recorded.quality[0, 0, 1:5].tolist() == [quality.ESTIMATED_ZERO] * 4
    assert recorded.counters.left == 3


def test_the_average_day_is_flat_and_whole() -> None:
    # ADL of 24, 72 and 48 x 24 = 1,152 -> mean 1152 / 24 = 48; 50 more are shared out evenly.
    rows = [[day(24), day(72), day(None), day(48)]]
    assert set(filled(cube(rows), daily_load()).values[0, 2].tolist()) == {48}
    uneven = [[[50, *[0] * 23], day(None)]]
    outcome = filled(cube(uneven), daily_load())
    assert int(outcome.values[0, 1].sum()) == 50
    assert set(outcome.values[0, 1].tolist()) == {2, 3}
    assert filled(cube(uneven), daily_load(fewest=2)).counters.left == 24
    far = [[day(24), day(None), day(None), day(None)]]
    assert filled(cube(far), daily_load(within=1)).counters.left == 48


def test_the_average_day_fits_days_of_other_lengths() -> None:
    # Berlin, 25 h: the day adds up to what an average day has, not to more.
    berlin = ZoneInfo("Europe/Berlin")
    rows = [[day(100), [None] * 25]]
    outcome = filled(cube(rows, first=date(2026, 10, 24), zone=berlin), daily_load())
    assert outcome.values[0, 1].tolist() == [96] * 25


def test_everything_that_was_tried_is_counted_with_its_reason() -> None:
    row: Row = [5, None, 5, *[None] * 6, *[5] * 15]
    given = cube([[row]], codes={(0, 0, 0): quality.POWER_DOWN, (0, 0, 2): quality.POWER_DOWN})
    linear = (
        '[[estimators]]\nmethod = "linear"\nlimit_hours = 2\ninclusive = true\n'
        'one_anchor = "decline"\nbeside_bad = "decline"\n'
    )
    tried = filled(given, ZERO + linear + linear + TWO_WEEK).counters.attempts
    assert [(each.method, each.tried, each.filled, dict(each.declined)) for each in tried] == [
        ("zero", 7, 1, {"no outage covers it": 6}),
        ("linear", 6, 0, {"gap too long": 6}),
        ("linear", 6, 0, {"gap too long": 6}),
        ("two_week", 6, 0, {"no sound day in the table": 6}),
    ]
