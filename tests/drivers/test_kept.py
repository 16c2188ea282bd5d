"""The drivers' values survive JSON, and a person's slip in a file is named."""

from __future__ import annotations

import json
from datetime import time
from typing import Any

import pytest

from drivers import activity_calendar, kept
from drivers.activity_calendar import (
    ActivityCalendar,
    DatePattern,
    DayAction,
    DayProfile,
    Season,
    SpecialDay,
    WeekProfile,
)
from drivers.control import PushSetup, PushWindow, SwitchState
from drivers.meter_profile import (
    AttributeAccess,
    Capture,
    MeterProfile,
    MethodAccess,
    OfferedObject,
    StoredProfile,
)

CALENDAR = ActivityCalendar(
    "summer27",
    (Season("S1", DatePattern(month=5, day=1), "W1"), Season("S2", DatePattern(month=10), "W1")),
    (WeekProfile("W1", (1, 1, 1, 1, 1, 2, 2)),),
    (
        DayProfile(1, (DayAction(time(0, 0), 1), DayAction(time(7, 30), 2))),
        DayProfile(2, (DayAction(time(0, 0), 1),)),
    ),
)
PROFILE = MeterProfile(
    "generic",
    (
        OfferedObject(
            8,
            0,
            "0.0.1.0.0.255",
            (AttributeAccess(2, "read_write", secured=True),),
            (MethodAccess(6, allowed=True),),
        ),
    ),
    (
        StoredProfile(
            "load_profile",
            "7/1.0.99.1.0.255/2",
            900,
            (
                Capture("8/0.0.1.0.0.255/2", None, None, None),
                Capture("3/1.0.1.29.0.255/2", "active_energy_import_interval", 0, 30),
            ),
        ),
    ),
    ("voltage_l1",),
)


@pytest.mark.parametrize(
    "value",
    [
        CALENDAR,
        PROFILE,
        SwitchState("ready_for_reconnection", supplied=False, control_mode=1),
        PushSetup(
            1, ("3/1.0.1.8.0.255/2",), "192.0.2.7:4059", windows=(PushWindow("f" * 24, "0" * 24),)
        ),
        SpecialDay(3, DatePattern(month="dst_begins", day=-1, weekday=7), 2),
    ],
)
def test_values_come_back_from_json(value: Any) -> None:
    assert kept.loaded(type(value), json.loads(json.dumps(kept.dumped(value)))) == value


def test_a_slip_in_a_file_is_named() -> None:
    good = kept.dumped(CALENDAR)
    with pytest.raises(ValueError, match="nmae: there is no such field"):
        kept.loaded(ActivityCalendar, {**good, "nmae": "x"})
    days = [{"number": 1, "actions": [{"at": "00:00", "tariff": 1, "tarif": 2}]}]
    with pytest.raises(ValueError, match=r"days\.0\.actions\.0\.tarif: there is no such field"):
        kept.loaded(ActivityCalendar, {**good, "days": days})
    with pytest.raises(ValueError, match=r"days\.0.*needs 1 … 48 actions"):
        kept.loaded(ActivityCalendar, {**good, "days": [{"number": 1, "actions": []}]})
    with pytest.raises(ValueError, match="name"):
        kept.loaded(ActivityCalendar, {key: good[key] for key in good if key != "name"})


def test_a_profile_tells_the_channels() -> None:
    told = [(one.reading_type, one.interval_seconds, one.profile) for one in PROFILE.channels]
    assert told == [
        ("active_energy_import_interval", 900, "load_profile"),
        ("voltage_l1", 0, ""),
    ]
    assert PROFILE.stored("7/1.0.99.1.0.255/2") is PROFILE.profiles[0]
    assert PROFILE.stored("7/1.0.99.2.0.255/2") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seasons": ()}, "seasons with weeks or neither"),
        ({"days": CALENDAR.days[:1]}, "week W1 names day 2"),
        ({"weeks": (WeekProfile("W2", (1,) * 7),)}, "season S1 names week W1"),
        ({"days": ()}, "needs days"),
    ],
)
def test_a_calendar_with_loose_ends_is_refused(changes: dict[str, Any], message: str) -> None:
    whole = {name: getattr(CALENDAR, name) for name in ("name", "seasons", "weeks", "days")}
    assert activity_calendar.checked(CALENDAR) is CALENDAR
    with pytest.raises(ValueError, match=message):
        activity_calendar.checked(ActivityCalendar(**whole | changes))


def test_values_that_no_meter_takes_are_refused() -> None:
    for wrong in ({"month": 13}, {"day": 0}, {"day": -3}, {"weekday": 8}, {"year": 0}):
        with pytest.raises(ValueError, match="none of"):
            DatePattern(**wrong)
    with pytest.raises(ValueError, match="each later than the last"):
        DayProfile(1, (DayAction(time(8), 1), DayAction(time(7), 2)))
    with pytest.raises(ValueError, match="Latin"):
        WeekProfile("أسبوع", (1,) * 7)
    with pytest.raises(ValueError, match="is there twice"):
        activity_calendar.checked_days([SpecialDay(1, DatePattern(day=1), 1)] * 2)
    with pytest.raises(ValueError, match="retries is 300"):
        PushSetup(0, (), "", retries=300)


def test_a_switch_says_which_commands_it_follows() -> None:
    commands = {
        mode: sorted(SwitchState("connected", supplied=True, control_mode=mode).remote_commands)
        for mode in range(7)
    }
    assert commands[0] == []
    assert commands[1] == commands[3] == commands[5] == commands[6] == ["arm", "disconnect"]
    assert commands[2] == commands[4] == ["connect", "disconnect"]
    stuck = SwitchState("connected", supplied=False, control_mode=4)
    assert not stuck.obeys("connect")
    assert SwitchState("connected", supplied=True, control_mode=4).obeys("connect")
    assert SwitchState("ready_for_reconnection", supplied=False, control_mode=1).obeys("arm")
