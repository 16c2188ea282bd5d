from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend import crontab, schedule
from headend.schedule import Schedule

ZONES = [
    "Asia/Kuwait",
    "Africa/Cairo",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "UTC",
]


def make(cron: str | None = None, interval: int | None = None, zone: str = "UTC") -> Schedule:
    return Schedule(1, "s", "g", cron, interval, zone, ("clock",), 0, "once", 300, enabled=True)


def local(moments: list[datetime], zone: str) -> list[str]:
    return [moment.astimezone(ZoneInfo(zone)).strftime("%a %d %H:%M") for moment in moments]


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
    st.sampled_from(ZONES),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_a_daily_schedule_fires_once_on_every_local_day(
    start: datetime, zone: str, hour: int, minute: int
) -> None:
    since = start.replace(tzinfo=UTC)
    found = list(
        schedule.fires(make(f"{minute} {hour} * * *", zone=zone), since, since + timedelta(days=9))
    )
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in found]
    assert days == [days[0] + timedelta(days=i) for i in range(len(days))]
    assert len(days) in (8, 9, 10)


@given(
    st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30)),  # noqa: DTZ001
    st.sampled_from(ZONES),
    st.sampled_from(["*/15 * * * *", "0 * * * *", "30 2 * * *", "0 0 1 * *", "0 6 * * 5,6"]),
    st.integers(1, 100_000),
)
def test_no_fire_is_lost_or_doubled_however_time_is_cut(
    start: datetime, zone: str, cron: str, seconds: int
) -> None:
    one = make(cron, zone=zone)
    since = start.replace(tzinfo=UTC)
    cut, end = since + timedelta(seconds=seconds), since + timedelta(seconds=100_000)
    whole = list(schedule.fires(one, since, end))
    parts = [*schedule.fires(one, since, cut), *schedule.fires(one, cut, end)]
    assert parts == whole
    if whole:
        assert schedule.following(one, since) == whole[0]
        assert schedule.previous(one, end) == whole[-1]
        assert schedule.preview(one, since, 2) == whole[:2] or len(whole) < 2


@pytest.mark.parametrize(
    ("cron", "first", "expected"),
    [
        # A time that does not exist moves on with the clock; one that comes twice fires once.
        ("30 2 * * *", (2026, 3, 28, 12), ["Sun 29 03:30", "Mon 30 02:30"]),
        ("30 2 * * *", (2026, 10, 24, 12), ["Sun 25 02:30", "Mon 26 02:30"]),
        ("*/30 2 * * *", (2026, 3, 28, 12), ["Sun 29 03:00", "Sun 29 03:30", "Mon 30 02:00"]),
        # The midnight after the change is one like any other.
        ("0 0 * * *", (2025, 3, 29, 12), ["Sun 30 00:00", "Mon 31 00:00", "Tue 01 00:00"]),
        # Every hour is every hour that passes.
        ("0 * * * *", (2026, 10, 24, 23), ["Sun 25 02:00", "Sun 25 02:00", "Sun 25 03:00"]),
        # Cron's weekdays begin on Sunday, and 7 is Sunday too.
        ("0 6 * * 0", (2026, 6, 1, 0), ["Sun 07 06:00"]),
        ("0 6 * * 7", (2026, 6, 1, 0), ["Sun 07 06:00"]),
        ("0 6 * * fri-sat", (2026, 6, 1, 0), ["Fri 05 06:00", "Sat 06 06:00", "Fri 12 06:00"]),
        ("0 6 * * 1-5/2", (2026, 6, 1, 12), ["Wed 03 06:00", "Fri 05 06:00", "Mon 08 06:00"]),
        # Day of month or weekday, where both are restricted.
        ("0 6 3 * 5", (2026, 6, 1, 0), ["Wed 03 06:00", "Fri 05 06:00", "Fri 12 06:00"]),
    ],
)
def test_cron_means_what_cron_means(cron: str, first: tuple[int, ...], expected: list[str]) -> None:
    zone = "Europe/Berlin"
    since = datetime(*first, tzinfo=UTC)  # type: ignore[misc,arg-type]
    found = schedule.preview(make(cron, zone=zone), since, len(expected))
    assert local(found, zone) == expected


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("61 * * * *", "field 1 (minute) is '61', and must be of 0-59"),
        ("* 24 * * *", "field 2 (hour) is '24'"),
        ("* * * 13 *", "field 4 (month) is '13'"),
        ("* * * * mondag", "field 5 (day of week) is 'mondag'"),
        ("* * * * 5-2", "field 5 (day of week) is '5-2'"),
        ("* * *", "has 3 fields, not 5"),
    ],
)
def test_a_bad_expression_is_told_what_where_and_how(cron: str, words: str) -> None:
    with pytest.raises(crontab.BadCron) as caught:
        crontab.trigger(cron, ZoneInfo("UTC"))
    assert words in str(caught.value)
    assert cron in str(caught.value)
    assert "for example '15 0 * * *'" in str(caught.value)


def test_intervals_count_from_a_local_midnight() -> None:
    found = schedule.preview(
        make(interval=6 * 3600, zone="Asia/Kuwait"), datetime(2026, 6, 1, 1, tzinfo=UTC), 3
    )
    assert local(found, "Asia/Kuwait") == ["Mon 01 06:00", "Mon 01 12:00", "Mon 01 18:00"]


@pytest.mark.parametrize(
    ("misfire", "late", "run"),
    [("skip", 200, [3]), ("skip", 400, []), ("once", 400, [3]), ("all", 400, [1, 2, 3])],
)
def test_misfires(misfire: schedule.Misfire, late: int, run: list[int]) -> None:
    due = [datetime(2026, 6, 1, hour, tzinfo=UTC) for hour in (1, 2, 3)]
    decision = schedule.decide(
        due, due[-1] + timedelta(seconds=late), misfire, timedelta(seconds=300)
    )
    assert [moment.hour for moment in decision.run] == run
    assert sorted(decision.run + decision.missed) == due


def test_due_lists_enabled_schedules_in_time_order() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    quarter, hour = make("*/15 * * * *"), make("0 * * * *")
    found = schedule.due([hour, quarter], at, at + timedelta(hours=1))
    assert [moment.minute for moment, _ in found] == [15, 30, 45, 0, 0]
