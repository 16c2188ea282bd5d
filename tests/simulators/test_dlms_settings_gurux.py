"""gurux-dlms acts on the simulated meters: clock, switch, calendar, push set-up, keys, image."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from gurux_dlms import GXDateTime, GXDLMSException
from gurux_dlms.enums import DataType, ObjectType
from gurux_dlms.objects import (
    GXDLMSActivityCalendar,
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSImageTransfer,
    GXDLMSPushSetup,
    GXDLMSSecuritySetup,
    GXDLMSSpecialDaysTable,
)
from gurux_dlms.objects.enums import ControlMode, ControlState, GlobalKeyType, ImageTransferStatus

from simulators import control, dlms_state, keys
from simulators import fleet as fleets
from simulators.control import Running
from simulators.fleet import Fleet
from tests.simulators import gurux_reader
from tests.simulators.gurux_reader import Reader

KUWAIT = timezone(timedelta(hours=3))
HIGH = "M00007"
COUNTERS = iter(range(1, 1_000_000, 1_000))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return fleets.load("small")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with control.running("small") as served:
        yield served


@pytest.fixture
def reader(fleet: Fleet, running: Running) -> Iterator[Reader]:
    meter = fleet.meter(HIGH)
    with gurux_reader.reading(meter, running.dlms_port, counter=next(COUNTERS)) as one:
        yield one


def write(reader: Reader, thing: Any, *attributes: int) -> None:
    for attribute in attributes:
        reader.ask(reader.client.write(thing, attribute))


def test_a_clock_is_set_and_shifted(reader: Reader, fleet: Fleet) -> None:
    clock = GXDLMSClock()
    wanted = fleet.period.end + timedelta(seconds=90)
    clock.time = GXDateTime(wanted.astimezone(KUWAIT))
    write(reader, clock, 2)
    reader.read(clock, 2)
    assert clock.time.value == wanted
    reader.ask(reader.client.method(clock, 6, -90, DataType.INT16))
    reader.read(clock, 2)
    assert clock.time.value == fleet.period.end
    with pytest.raises(GXDLMSException):
        reader.ask(reader.client.method(clock, 6, 1000, DataType.INT16))


def test_a_switch_goes_where_it_is_sent(reader: Reader) -> None:
    switch = GXDLMSDisconnectControl("0.0.96.3.10.255")

    def state() -> tuple[bool, ControlState, ControlMode]:
        for attribute in (2, 3, 4):
            reader.read(switch, attribute)
        return switch.outputState, switch.controlState, switch.controlMode

    assert state() == (True, ControlState.CONNECTED, ControlMode.MODE_2)
    reader.ask(switch.remoteDisconnect(reader.client))
    assert state() == (False, ControlState.DISCONNECTED, ControlMode.MODE_2)
    switch.controlMode = ControlMode.MODE_3
    write(reader, switch, 4)
    reader.ask(switch.remoteReconnect(reader.client))
    assert state() == (False, ControlState.READY_FOR_RECONNECTION, ControlMode.MODE_3)
    rows = reader.profile(
        "0.0.99.98.2.255",
        datetime(2026, 1, 1, tzinfo=KUWAIT),
        datetime(2030, 1, 1, tzinfo=KUWAIT),
    )
    assert [row[1] for row in rows] == [62, 59]


def test_a_passive_calendar_becomes_the_active_one(reader: Reader) -> None:
    first, second = GXDLMSActivityCalendar(), GXDLMSActivityCalendar()
    for attribute in range(2, 10):
        reader.read(first, attribute)
    assert first.calendarNameActive == "MQS1"
    assert len(first.dayProfileTableActive) == 1
    first.calendarNamePassive = "NEXT"
    write(reader, first, 6, 7, 8, 9)
    reader.ask(first.activatePassiveCalendar(reader.client))
    for attribute in (2, 3, 4, 5):
        reader.read(second, attribute)
    assert second.calendarNameActive == "NEXT"
    assert len(second.weekProfileTableActive) == 1


def test_special_days_and_push_setups_are_kept(reader: Reader) -> None:
    days = GXDLMSSpecialDaysTable("0.0.11.0.0.255")
    reader.read(days, 2)
    assert not days.entries
    push = GXDLMSPushSetup("0.2.25.9.0.255")
    push.version = 0
    for attribute in range(2, 8):
        reader.read(push, attribute)
    push.destination, push.numberOfRetries, push.repetitionDelay = "192.0.2.1:4059", 3, 60
    push.randomisationStartInterval = 120
    push.pushObjectList.append((GXDLMSData("0.0.42.0.0.255"), _selected()))
    write(reader, push, 2, 3, 5, 6, 7)
    again = GXDLMSPushSetup("0.2.25.9.0.255")
    again.version = 0
    for attribute in range(2, 8):
        reader.read(again, attribute)
    assert (again.destination, again.numberOfRetries) == ("192.0.2.1:4059", 3)
    assert again.randomisationStartInterval == 120
    ((thing, _),) = again.pushObjectList
    assert (thing.objectType, thing.logicalName) == (ObjectType.DATA, "0.0.42.0.0.255")


def _selected() -> Any:
    return GXDLMSCaptureObject(2, 0)


def test_keys_that_gurux_wraps_are_in_force_next_time(fleet: Fleet, running: Running) -> None:
    meter, new = fleet.meter("M00008"), bytes(range(32, 48))
    with gurux_reader.reading(meter, running.dlms_port, counter=1) as one:
        wrapped = [(GlobalKeyType.UNICAST_ENCRYPTION, new)]
        one.ask(
            GXDLMSSecuritySetup().globalKeyTransfer(one.client, keys.of(meter, "master"), wrapped)
        )
        assert one.read(GXDLMSData("0.0.96.1.0.255"), 2), (
            "this association goes on with the old one"
        )
    with (
        pytest.raises(GXDLMSException),
        gurux_reader.reading(meter, running.dlms_port, counter=1000),
    ):
        pytest.fail("the old key was taken")
    with gurux_reader.reading(meter, running.dlms_port, counter=2000, encryption=new) as one:
        assert bytes(one.read(GXDLMSData("0.0.96.1.0.255"), 2)) == meter.mrid.encode()


def test_an_image_is_taken_in_blocks_and_activated(reader: Reader) -> None:
    image = dlms_state.signed(bytes(range(256)) * 3)
    transfer = GXDLMSImageTransfer()

    def status() -> ImageTransferStatus:
        reader.read(transfer, 6)
        return transfer.imageTransferStatus

    reader.read(transfer, 2)
    reader.ask(transfer.imageTransferInitiate(reader.client, "gurux", len(image)))
    blocks = transfer.imageBlockTransfer(reader.client, image, [0])
    assert len(blocks) == 4
    for block in (*blocks[:2], blocks[3]):
        reader.ask(block)
    reader.read(transfer, 4)
    assert transfer.imageFirstNotTransferredBlockNumber == 2
    reader.read(transfer, 3)
    assert str(transfer.imageTransferredBlocksStatus) == "1101"
    with pytest.raises(GXDLMSException):
        reader.ask(transfer.imageVerify(reader.client))
    assert status() == ImageTransferStatus.IMAGE_VERIFICATION_FAILED
    reader.ask(transfer.imageTransferInitiate(reader.client, "gurux", len(image)))
    for block in transfer.imageBlockTransfer(reader.client, image, [0]):
        reader.ask(block)
    reader.ask(transfer.imageVerify(reader.client))
    assert status() == ImageTransferStatus.IMAGE_VERIFICATION_SUCCESSFUL
    reader.read(transfer, 7)
    (info,) = transfer.imageActivateInfo
    assert (info.size, bytes(info.identification)) == (len(image), b"gurux")
    reader.ask(transfer.imageActivate(reader.client))
    assert status() == ImageTransferStatus.IMAGE_ACTIVATION_SUCCESSFUL
    assert bytes(reader.read(GXDLMSData("1.0.0.2.0.255"), 2)) == b"gurux"
