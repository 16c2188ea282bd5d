"""A meter's tariff calendar, special days and push set-up, written over sockets."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta

import pytest

from drivers.activity_calendar import (
    ActivityCalendar,
    DatePattern,
    DayAction,
    DayProfile,
    Season,
    SpecialDay,
    WeekProfile,
)
from drivers.control import PushSetup, PushWindow
from drivers.dlms.session import DlmsDriver
from drivers.errors import LocalProtocolError, MeterRefused, NotOffered
from tests.drivers.dlms.secured_meter import endpoint
from tests.drivers.dlms.served import Served

# --- the tariff calendar ---

CALENDAR = ActivityCalendar(
    "KW26",
    (
        Season("summer", DatePattern(month=5, day=1), "W"),
        Season("winter", DatePattern(month=10, day=-1, weekday=7), "W", time(2, 0)),
    ),
    (WeekProfile("W", (1, 1, 1, 1, 2, 2, 1)),),
    (
        DayProfile(1, (DayAction(time(0, 0), 1), DayAction(time(13, 30), 2))),
        DayProfile(2, (DayAction(time(0, 0), 3),)),
    ),
)


async def test_a_calendar_is_written_and_comes_into_force_at_its_time(served: Served) -> None:
    at = served.now + timedelta(hours=6)
    async with DlmsDriver().session(endpoint(served)) as session:
        before = await session.read_activity_calendar()
        assert before.activate_at is None
        waiting = await session.write_activity_calendar(CALENDAR, at)
        assert (waiting.active, waiting.passive) == (before.active, CALENDAR)
        assert waiting.activate_at == at
        served.clock.seconds += 6 * 3600
        assert (await session.read_activity_calendar()).active == CALENDAR
        at_once = await session.write_activity_calendar(before.active, None)
        assert at_once.active == before.active


async def test_a_calendar_with_loose_ends_never_reaches_the_meter(served: Served) -> None:
    loose = replace(CALENDAR, days=CALENDAR.days[:1])
    async with DlmsDriver().session(endpoint(served)) as session:
        with pytest.raises(LocalProtocolError, match="names day 2, which is not there"):
            await session.write_activity_calendar(loose, None)
        assert (await session.read_activity_calendar()).passive.name == "MQS1"


async def test_special_days_are_replaced(served: Served) -> None:
    days = [
        SpecialDay(2, DatePattern(2027, 3, 20), 2),
        SpecialDay(1, DatePattern(month=2, day=25), 2),
    ]
    async with DlmsDriver().session(endpoint(served)) as session:
        assert await session.read_special_days() == []
        assert await session.write_special_days(days) == days[::-1]
        many = [SpecialDay(n, DatePattern(day=1), 1) for n in range(66)]
        with pytest.raises(MeterRefused, match="other reason"):
            await session.write_special_days(many)
        assert await session.read_special_days() == days[::-1]


async def test_a_push_setup_is_written_and_read_back(served: Served) -> None:
    wanted = PushSetup(
        1,
        ("1/0.0.42.0.0.255/2", "3/1.0.1.8.0.255/2", "7/1.0.99.1.0.255/2/4097"),
        "192.0.2.7:4059",
        windows=(PushWindow("ffffffffff060000ff8000ff", "ffffffffff070000ff8000ff"),),
        randomisation_seconds=300,
        retries=3,
        retry_seconds=60,
    )
    async with DlmsDriver().session(endpoint(served)) as session:
        assert (await session.read_push_setup(1)).destination == ""
        assert await session.write_push_setup(wanted) == wanted
        assert (await session.read_push_setup()).objects == ()
        with pytest.raises(NotOffered):
            await session.read_push_setup(9)
        bad = replace(wanted, objects=("register",))
        with pytest.raises(LocalProtocolError, match="no push object such as"):
            await session.write_push_setup(bad)
        assert await session.read_push_setup(1) == wanted
