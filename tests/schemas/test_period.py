from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from schemas import period
from schemas.period import Period

KUWAIT = ZoneInfo("Asia/Kuwait")
LONDON = ZoneInfo("Europe/London")


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_bounds_are_turned_into_utc() -> None:
    local = datetime(2026, 3, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    assert Period(local, at(2)).start == at(1)


def test_the_start_is_in_it_and_the_end_is_not() -> None:
    one = Period(at(1), at(2))
    assert at(1) in one
    assert at(2) not in one


def test_a_naive_or_reversed_period_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Period(datetime(2026, 3, 1), at(2))  # noqa: DTZ001
    with pytest.raises(ValueError, match="before it starts"):
        Period(at(2), at(1))


def test_intersection() -> None:
    assert Period(at(1), at(3)).intersection(Period(at(2), at(4))) == Period(at(2), at(3))
    assert Period(at(1), at(2)).intersection(Period(at(2), at(3))) is None


@pytest.mark.parametrize(
    ("day", "quarter_hours"),
    [(date(2026, 3, 28), 96), (date(2026, 3, 29), 92), (date(2026, 10, 25), 100)],
)
def test_a_local_day_has_92_96_or_100_quarter_hours(day: date, quarter_hours: int) -> None:
    assert period.slots(period.local_day(day, LONDON), 900) == quarter_hours


def test_kuwait_days_start_at_21_utc() -> None:
    days = list(period.local_days(Period(at(1, 20), at(2, 22)), KUWAIT))
    assert [day for day, _ in days] == [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
    assert days[1][1] == Period(at(1, 21), at(2, 21))


def test_floor() -> None:
    assert period.floor(at(1) + timedelta(minutes=29, seconds=59), 900) == at(1) + timedelta(
        minutes=15
    )
