"""Objects' values and requests: against gurux-dlms, round trips, and what is no such value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time
from typing import Any

import pytest
from gurux_dlms.objects import (
    GXDLMSActionSchedule,
    GXDLMSActivityCalendar,
    GXDLMSClock,
    GXDLMSDisconnectControl,
    GXDLMSImageTransfer,
    GXDLMSPushSetup,
    GXDLMSSecuritySetup,
    GXDLMSSpecialDaysTable,
)
from gurux_dlms.objects.enums import GlobalKeyType
from hypothesis import given
from hypothesis import strategies as st

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
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import (
    calendar,
    checks,
    clock,
    dates,
    disconnect,
    image_transfer,
    object_list,
    push_setup,
    schedule,
    security_setup,
    special_days,
)
from drivers.dlms.steps import Step
from drivers.errors import LocalProtocolError, RemoteProtocolError
from drivers.meter_profile import AttributeAccess, MethodAccess
from schemas.obis import Obis
from tests.drivers.dlms import by_gurux
from tests.drivers.dlms.meter_script import Meter, opened

SCRIPT = Obis(0, 0, 10, 0, 100, 255)
CALENDAR = ActivityCalendar(
    "KW26",
    (Season("S1", DatePattern(month=5, day=1), "W1"), Season("S2", DatePattern(month=10), "W1")),
    (WeekProfile("W1", (1, 1, 1, 1, 2, 2, 1)),),
    (
        DayProfile(1, (DayAction(time(0, 0), 1), DayAction(time(13, 30), 2))),
        DayProfile(2, (DayAction(time(0, 0), 3),)),
    ),
)


def association() -> Association:
    return opened(Meter(ciphered=False))


def asked(make: Callable[[Association], Step[Any]]) -> bytes:
    """Give the first request of a step, behind its invocation id."""
    step = make(association())
    request = next(step)
    step.close()
    assert isinstance(request, bytes)
    return request[3:]


def by_them(frames: Any) -> bytes:
    """Give gurux's only request, behind wrapper header and invocation id."""
    frame = frames
    while isinstance(frame, list):
        (frame,) = frame
    return bytes(frame)[8 + 3 :]


def taken(thing: Any, index: int, data: bytes) -> Any:
    """Let gurux read an attribute's value that we wrote."""
    by_gurux.client().updateValue(thing, index, by_gurux.decoded(data))
    return thing


def attribute(thing: Any, index: int) -> Attribute:
    return Attribute(int(thing.objectType), Obis.parse(thing.logicalName), index)


# --- requests, byte by byte ---


def test_switching_asks_what_gurux_asks() -> None:
    thing = GXDLMSDisconnectControl("0.0.96.3.10.255")
    ours = {
        number: asked(
            lambda one, number=number: one.action(
                attribute(thing, number), axdr.encode_number(15, 0)
            )
        )
        for number in (1, 2)
    }
    client = by_gurux.client()
    assert ours[1] == by_them(thing.remoteDisconnect(client))
    assert ours[2] == by_them(thing.remoteReconnect(client))
    assert {disconnect._METHODS["disconnect"], disconnect._METHODS["arm"]} == {1, 2}


def test_an_image_is_announced_and_sent_as_gurux_does_it() -> None:
    client, thing = by_gurux.client(), GXDLMSImageTransfer("0.0.44.0.0.255")
    thing.imageBlockSize = 100
    image, where = bytes(range(250)), attribute(thing, 2)
    assert asked(lambda one: image_transfer.initiate(one, where, b"FW", len(image))) == by_them(
        thing.imageTransferInitiate(client, "FW", len(image))
    )
    theirs = [by_them(one) for one in thing.imageBlockTransfer(client, image, [0])]
    ours = [
        asked(
            lambda one, number=number: image_transfer.transfer(
                one, where, number, image[number * 100 : (number + 1) * 100]
            )
        )
        for number in range(3)
    ]
    assert ours == theirs
    assert asked(lambda one: image_transfer.verify(one, where)) == by_them(
        thing.imageVerify(client)
    )
    assert asked(lambda one: image_transfer.activate(one, where)) == by_them(
        thing.imageActivate(client)
    )


def test_keys_are_wrapped_and_sent_as_gurux_does_it() -> None:
    client, thing = by_gurux.client(), GXDLMSSecuritySetup()
    master, encryption, authentication = bytes(16), bytes(range(16)), bytes(range(16, 32))
    theirs = thing.globalKeyTransfer(
        client,
        master,
        [
            (GlobalKeyType.UNICAST_ENCRYPTION, encryption),
            (GlobalKeyType.AUTHENTICATION, authentication),
        ],
    )
    keys = {"authentication": authentication, "encryption": encryption}
    where = attribute(thing, 2)
    assert asked(lambda one: security_setup.transfer(one, where, keys, master)) == by_them(theirs)


def test_a_clock_is_shifted_by_a_long() -> None:
    where = attribute(GXDLMSClock(), 2)
    assert asked(lambda one: clock.shift(one, where, -90)).hex() == (
        "0008" + "0000010000ff" + "06" + "01" + "10ffa6"
    )
    with pytest.raises(LocalProtocolError, match="at most 900 s"):
        next(clock.shift(association(), where, 901))


# --- values that gurux takes ---


def test_gurux_reads_the_calendar_that_we_write() -> None:
    thing = GXDLMSActivityCalendar()
    for index, data in zip((6, 7, 8, 9), calendar.encode(CALENDAR, SCRIPT), strict=True):
        taken(thing, index, data)
    assert thing.calendarNamePassive == "KW26"
    assert [bytes(one.name) for one in thing.seasonProfilePassive] == [b"S1", b"S2"]
    (week,) = thing.weekProfileTablePassive
    days = (week.monday, week.thursday, week.friday, week.saturday, week.sunday)
    assert days == (1, 1, 2, 2, 1)
    first, second = thing.dayProfileTablePassive
    assert (first.dayId, second.dayId) == (1, 2)
    actions = [(one.scriptLogicalName, one.scriptSelector) for one in first.daySchedules]
    assert actions == [(str(SCRIPT), 1), (str(SCRIPT), 2)]
    again = [
        axdr.decode(by_them(by_gurux.client().write(thing, index))[10:])[0]
        for index in (6, 7, 8, 9)
    ]
    assert calendar.decode(*again) == CALENDAR


def test_gurux_reads_the_special_days_that_we_write() -> None:
    days = [SpecialDay(1, DatePattern(2027, 3, 20), 2), SpecialDay(2, DatePattern(month=2), 2)]
    thing = taken(GXDLMSSpecialDaysTable("0.0.11.0.0.255"), 2, special_days.encode(days))
    assert [(one.index, one.dayId) for one in thing.entries] == [(1, 2), (2, 2)]
    data = by_them(by_gurux.client().write(thing, 2))[10:]
    assert special_days.decode(axdr.decode(data)[0]) == days


def test_gurux_reads_the_push_setup_that_we_write() -> None:
    setup = PushSetup(
        1,
        ("1/0.0.42.0.0.255/2", "3/1.0.1.8.0.255/2"),
        "192.0.2.7:4059",
        windows=(PushWindow("07ea0101ff060000ff8000ff", "07ea0101ff070000ff8000ff"),),
        randomisation_seconds=300,
        retries=3,
        retry_seconds=60,
    )
    thing = GXDLMSPushSetup("0.1.25.9.0.255")
    thing.version = 0
    for index, data in enumerate(push_setup.encode(setup, 0), 2):
        taken(thing, index, data)
    assert (thing.destination, thing.numberOfRetries, thing.repetitionDelay) == (
        "192.0.2.7:4059",
        3,
        60,
    )
    assert [one.logicalName for one, _ in thing.pushObjectList] == [
        "0.0.42.0.0.255",
        "1.0.1.8.0.255",
    ]
    again = [
        axdr.decode(by_them(by_gurux.client().write(thing, index))[10:])[0] for index in (2, 3)
    ]
    values = [axdr.decode(data)[0] for data in push_setup.encode(setup, 0)]
    assert push_setup.decode(1, [*again, *values[2:]]) == setup
    # Since version 1 the delay is a structure of three.
    later = axdr.decode(push_setup.encode(setup, (30, 10, 600))[-1])[0]
    assert later == (60, 10, 600)
    assert push_setup.decode(1, [*values[:-1], later]) == setup


def test_gurux_reads_the_execution_time_that_we_write() -> None:
    at = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)
    thing = taken(GXDLMSActionSchedule("0.0.15.0.2.255"), 4, schedule._times(at, -180))
    (moment,) = thing.executionTime
    assert (moment.value.year, moment.value.month, moment.value.day) == (2026, 7, 2)
    assert (moment.value.hour, moment.value.minute) == (0, 30)


# --- round trips ---

MONTHS = st.one_of(st.none(), st.integers(1, 12), st.sampled_from(["dst_begins", "dst_ends"]))
DATES = st.builds(
    DatePattern,
    st.one_of(st.none(), st.integers(1, 9999)),
    MONTHS,
    st.one_of(st.none(), st.integers(1, 31), st.sampled_from([-1, -2])),
    st.one_of(st.none(), st.integers(1, 7)),
)
TIMES = st.times().map(lambda one: one.replace(microsecond=0, fold=0))


@given(DATES, TIMES)
def test_dates_and_times_with_open_parts_come_back(date: DatePattern, moment: time) -> None:
    assert dates.decode_date(dates.encode_date(date)) == date
    assert dates.decode_time(dates.encode_time(moment)) == moment
    assert dates.decode_date_time(dates.encode_date_time(date, moment)) == (date, moment)


@given(st.lists(st.builds(SpecialDay, st.integers(0, 0xFFFF), DATES, st.integers(0, 255))))
def test_special_days_come_back_by_their_index(days: list[SpecialDay]) -> None:
    again = special_days.decode(axdr.decode(special_days.encode(days))[0])
    assert again == sorted(days, key=lambda day: day.index)


DECODERS: dict[str, Callable[[Any], Any]] = {
    "special days": special_days.decode,
    "calendar": lambda value: calendar.decode(b"name", value, value, value),
    "calendar days": lambda value: calendar.decode(b"name", [], [], value),
    "push setup": lambda value: push_setup.decode(0, [value, value, value, 0, 0, value]),
    "object list": object_list.decode,
    "date-time": lambda value: dates.decode_date_time(checks.parts((value,), "one", bytes)[0]),
}
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 300), st.binary(max_size=14)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.lists(inner, max_size=8).map(tuple)),
    max_leaves=20,
)


@pytest.mark.parametrize("name", DECODERS)
@given(VALUES)
def test_anything_else_is_a_protocol_error(name: str, value: Any) -> None:
    with suppress(RemoteProtocolError):
        DECODERS[name](value)


# --- the association view ---


def listed(version: int, attribute_mode: int, method_mode: int | bool) -> Any:
    clock_entry = (8, 0, bytes(Obis.parse("0.0.1.0.0.255")))
    rights = ([(2, attribute_mode, None)], [(6, method_mode)])
    own = (15, version, bytes(Obis.parse("0.0.40.0.0.255")), ([(2, 1, [1, 2])], []))
    return [(*clock_entry, rights), own]


@pytest.mark.parametrize(
    ("version", "mode", "method", "access", "allowed"),
    [
        (0, 3, True, AttributeAccess(2, "read_write"), MethodAccess(6, allowed=True)),
        (1, 0, 0, AttributeAccess(2, "none"), MethodAccess(6, allowed=False)),
        (
            1,
            6,
            2,
            AttributeAccess(2, "read_write", secured=True),
            MethodAccess(6, allowed=True, secured=True),
        ),
        (
            3,
            0b0000_1111,
            0b0000_1101,
            AttributeAccess(2, "read_write", secured=True),
            MethodAccess(6, allowed=True, secured=True),
        ),
        (3, 0b0100_0001, 1, AttributeAccess(2, "read"), MethodAccess(6, allowed=True)),
        (3, 0b0000_0100, 0, AttributeAccess(2, "none", secured=True), MethodAccess(6, False)),
    ],
)
def test_rights_are_read_by_the_associations_version(
    version: int, mode: int, method: int, access: AttributeAccess, allowed: MethodAccess
) -> None:
    one, own = object_list.decode(listed(version, mode, method))
    assert one.obis == "0.0.1.0.0.255"
    assert one.attributes == (access,)
    assert one.methods == (allowed,)
    assert own.attributes[0].readable


def test_image_identifiers_are_text_or_hexadecimal() -> None:
    assert image_transfer.identifier_octets("FW 1.2") == b"FW 1.2"
    assert image_transfer.identifier_octets("0x00ff") == b"\x00\xff"
    for wrong in ("", "0x", "0xzz", "برنامج"):
        with pytest.raises(LocalProtocolError, match="neither"):
            image_transfer.identifier_octets(wrong)
