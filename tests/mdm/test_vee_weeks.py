"""Weekends and holidays by time zone."""

from datetime import date

import pytest

from mdm import calendar_file, vee_weeks


def test_kuwait_rests_on_friday_and_saturday_and_on_its_calendars_holidays() -> None:
    week = vee_weeks.shipped().of("Asia/Kuwait")
    assert week.weekend == {date(2026, 6, 5).weekday(), date(2026, 6, 6).weekday()}
    assert week.holidays == set(calendar_file.named("kuwait").holidays)
    assert week.holidays


def test_an_unnamed_zone_rests_on_saturday_and_sunday() -> None:
    assert vee_weeks.shipped().of("America/Chicago").weekend == {5, 6}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["Mars/Olympus"]\nweekend = []', "no time zone 'Mars/Olympus'"),
        ('["Asia/Kuwait"]\nweekend = ["someday"]', "Asia/Kuwait: 'someday' is no weekday"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vee_weeks.parse(text)
