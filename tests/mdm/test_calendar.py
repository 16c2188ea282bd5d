"""Time-of-use calendars: local clock, seasons, weekends, holidays, clear errors."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import mdm
from mdm import calendar_file
from mdm.calendar import CalendarError, local_seconds
from schemas.period import Period, local_day, slots

KUWAIT = ZoneInfo("Asia/Kuwait")
LONDON = ZoneInfo("Europe/London")

MINIMAL = """
name = "one"
[[version]]
effective_from = 2020-01-01
[version.day_types]
every = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
[[version.season]]
name = "year"
from = "01-01"
until = "12-31"
[[version.schedule]]
season = "year"
days = ["every", "holiday"]
periods = [["00:00", "night"], ["06:00", "day"]]
"""


def hours(name: str, day: date, zone: ZoneInfo) -> dict[str, int]:
    """Count a day's quarter hours by period."""
    calendar = calendar_file.named(name)
    numbers = calendar.of_day(day, zone, 900)
    return {
        period: int((numbers == number).sum())
        for number, period in enumerate(calendar.periods)
        if (numbers == number).any()
    }


@pytest.mark.parametrize(
    ("day", "kind", "expected"),
    [
        # Sunday to Thursday: off-peak 0–7 and 23–24, shoulder 7–11 and 17–23, peak 11–17.
        (date(2026, 6, 1), "weekday", {"off_peak": 32, "shoulder": 40, "peak": 24}),
        # Friday and Saturday: shoulder 11–17 only.
        (date(2026, 6, 5), "weekend", {"off_peak": 72, "shoulder": 24}),
        (date(2026, 6, 6), "weekend", {"off_peak": 72, "shoulder": 24}),
        # A Wednesday that is a holiday.
        (date(2026, 6, 17), "holiday", {"off_peak": 72, "shoulder": 24}),
        # Winter has no peak; the season changes on 1 November and on 1 April.
        (date(2026, 10, 29), "weekday", {"off_peak": 32, "shoulder": 40, "peak": 24}),
        (date(2026, 11, 1), "weekday", {"off_peak": 32, "shoulder": 64}),
        (date(2026, 3, 31), "weekday", {"off_peak": 32, "shoulder": 64}),
        (date(2026, 1, 1), "holiday", {"off_peak": 96}),
    ],
)
def test_kuwait_by_hand(day: date, kind: str, expected: dict[str, int]) -> None:
    assert calendar_file.named("kuwait").day_type(day) == kind
    assert hours("kuwait", day, KUWAIT) == expected


def test_kuwait_switches_at_the_local_hour() -> None:
    calendar = calendar_file.named("kuwait")
    numbers = calendar.of_day(date(2026, 6, 1), KUWAIT, 900)
    names = [calendar.periods[number] for number in numbers]
    # 07:00, 11:00, 17:00 and 23:00 local are slots 28, 44, 68 and 92.
    assert [slot for slot in range(1, 96) if names[slot] != names[slot - 1]] == [28, 44, 68, 92]
    assert (names[43], names[44], names[67], names[68]) == ("shoulder", "peak", "peak", "shoulder")


@pytest.mark.parametrize(
    ("day", "slots_", "night"),
    [
        (date(2026, 3, 28), 96, 28),  # 00:30–07:30 is seven hours
        (date(2026, 3, 29), 92, 24),  # 01:00–02:00 does not happen
        (date(2026, 10, 25), 100, 32),  # 01:00–02:00 happens twice
    ],
)
def test_london_where_clocks_change(day: date, slots_: int, night: int) -> None:
    found = hours("london", day, LONDON)
    assert found == {"day": slots_ - night, "night": night}


def test_local_clock_on_a_day_whose_midnight_is_skipped() -> None:
    # In Beirut the clocks go from 24:00 to 01:00: the day of 2025-03-30 begins at 01:00.
    clock = local_seconds(date(2025, 3, 30), ZoneInfo("Asia/Beirut"), 3600)
    assert clock.tolist() == [hour * 3600 for hour in range(1, 24)]


def test_a_half_hour_change_gives_half_hours() -> None:
    # Lord Howe moves its clocks by 30 minutes: 2026-04-05 has 24.5 hours.
    clock = local_seconds(date(2026, 4, 5), ZoneInfo("Australia/Lord_Howe"), 1800)
    assert len(clock) == 49
    assert clock[3:5].tolist() == [5400, 5400]
    with pytest.raises(CalendarError, match="not a whole number of 3600 s"):
        local_seconds(date(2026, 4, 5), ZoneInfo("Australia/Lord_Howe"), 3600)


def test_a_period_is_its_days_one_after_another() -> None:
    calendar = calendar_file.named("london")
    period = Period(
        local_day(date(2026, 3, 28), LONDON).start, local_day(date(2026, 3, 30), LONDON).end
    )
    days = [calendar.of_day(date(2026, 3, day), LONDON, 1800) for day in (28, 29, 30)]
    found = calendar.of_period(period, LONDON, 1800)
    assert len(found) == slots(period, 1800) == 48 + 46 + 48
    np.testing.assert_array_equal(found, np.concatenate(days))


def test_a_period_must_be_whole_local_days() -> None:
    period = Period(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC))
    with pytest.raises(CalendarError, match="not made of whole local days of Asia/Kuwait"):
        calendar_file.named("kuwait").of_period(period, KUWAIT, 900)


def test_versions_take_over_on_their_day() -> None:
    later = MINIMAL[MINIMAL.index("[[version]]") :].replace("2020-01-01", "2026-07-01")
    text = MINIMAL + later.replace("06:00", "08:00")
    calendar = calendar_file.parse(text, "two.toml")
    assert calendar.schedule(date(2026, 6, 30)).starts == (0, 6 * 3600)
    assert calendar.schedule(date(2026, 7, 1)).starts == (0, 8 * 3600)
    with pytest.raises(CalendarError, match="begins on 2020-01-01; add a version"):
        calendar.on(date(2019, 12, 31))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('until = "12-31"', 'until = "11-30"', "12-01 must be in one season, is in no season"),
        ('"sunday"]', "]", "must name each weekday once"),
        ('"00:00", "night"', '"01:00", "night"', 'begin at "00:00"'),
        ('"06:00"', '"25:00"', "no time of day"),
        ('"06:00"', '"six"', "invalid literal"),
        ('"every", "holiday"', '"every"', "no schedule for year, holiday"),
        ('"every", "holiday"', '"every", "holiday", "monday"', "unknown or there twice"),
        ("effective_from = 2020-01-01\n", "", "'effective_from' is missing"),
        ('name = "one"', 'name = "one', "calendar.toml"),
        (MINIMAL, 'name = "one"', "needs versions"),
        (MINIMAL, 'name = "one"\nversion = 3', "needs versions"),
    ],
)
def test_errors_say_what_and_where(old: str, new: str, message: str) -> None:
    with pytest.raises(CalendarError, match=r"calendar\.toml") as caught:
        calendar_file.parse(MINIMAL.replace(old, new), "calendar.toml")
    assert message in str(caught.value)


def test_a_holiday_twice_is_refused() -> None:
    twice = '[[holiday]]\nname = "A"\ndates = [2026-01-01]\n' * 2
    with pytest.raises(CalendarError, match="2026-01-01 is there twice: A and A"):
        calendar_file.parse(MINIMAL + twice, "calendar.toml")


def test_an_unknown_calendar_names_the_known() -> None:
    with pytest.raises(CalendarError, match=r"known: .*kuwait, london"):
        calendar_file.named("atlantis")


def test_every_calendar_stands_and_can_be_made_again() -> None:
    files = sorted((Path(mdm.__file__).parent / "calendars").glob("*.toml"))
    assert files
    for file in files:
        calendar = calendar_file.named(file.stem)
        assert calendar.name == file.stem
        assert calendar_file.restored(calendar.definition) == calendar
        assert len(calendar.digest) == 64
