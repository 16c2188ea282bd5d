"""gurux-dlms reads the simulated meters: every security, registers, clock, profiles in blocks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from gurux_dlms import GXDLMSException, GXDLMSExceptionResponse
from gurux_dlms.enums import Authentication, InterfaceType, ObjectType
from gurux_dlms.objects import GXDLMSClock, GXDLMSData, GXDLMSRegister
from gurux_dlms.secure import GXDLMSSecureClient

from simulators import control, stored
from simulators import fleet as fleets
from simulators.control import Running
from simulators.fleet import Fleet
from simulators.meter import ACTIVE, REACTIVE, Meter
from tests.simulators import gurux_reader

KUWAIT = timezone(timedelta(hours=3))
OPEN, LOW, HIGH = "M00001", "M00004", "M00007"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return fleets.load("small")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with control.running("small") as served:
        yield served


def _seconds(stamp: datetime) -> int:
    return int(stamp.timestamp())


@pytest.mark.parametrize(("mrid", "counter"), [(OPEN, 1), (LOW, 1), (HIGH, 1)])
def test_registers_clock_and_identity(
    fleet: Fleet, running: Running, mrid: str, counter: int
) -> None:
    meter = fleet.meter(mrid)
    with gurux_reader.reading(meter, running.dlms_port, counter=counter) as reader:
        assert bytes(reader.read(GXDLMSData("0.0.96.1.0.255"), 2)) == mrid.encode()
        assert bytes(reader.read(GXDLMSData("0.0.42.0.0.255"), 2)).startswith(b"MQS")
        energy = GXDLMSRegister("1.0.1.8.0.255")
        reader.read(energy, 3)
        assert (energy.scaler, int(energy.unit)) == (1, 30)
        assert reader.read(energy, 2) == meter.register_at(ACTIVE, fleet.now)
        volt = GXDLMSRegister("1.0.32.7.0.255")
        reader.read(volt, 3)
        assert 230 <= reader.read(volt, 2) <= 245
        clock = GXDLMSClock()
        reader.read(clock, 2)
        assert clock.time.value == fleet.period.end
        assert clock.time.value.utcoffset() == timedelta(hours=3)


@pytest.mark.parametrize(("mrid", "counter"), [(OPEN, 1), (LOW, 1), (HIGH, 1001)])
def test_a_day_of_the_load_profile_comes_in_blocks(
    fleet: Fleet, running: Running, mrid: str, counter: int
) -> None:
    meter = fleet.meter(mrid)
    first = datetime(2026, 6, 2, 0, 15, tzinfo=KUWAIT)
    with gurux_reader.reading(meter, running.dlms_port, counter=counter) as reader:
        before = reader.answers
        rows = reader.profile("1.0.99.1.0.255", first, first + timedelta(minutes=95 * 15))
        assert reader.answers - before >= 4, "2.7 kB do not fit into one PDU of 1 kB"
    assert [row[0] for row in rows] == [first + timedelta(minutes=15 * n) for n in range(96)]
    day = slice(96, 192)
    assert [row[2] for row in rows] == meter.true_intervals(ACTIVE)[day].tolist()
    assert [row[3] for row in rows] == meter.true_intervals(REACTIVE)[day].tolist()
    assert {row[1] for row in rows} == {0}


def test_midnight_registers_differ_by_the_sum_of_intervals(fleet: Fleet, running: Running) -> None:
    meter = fleet.meter(LOW)
    with gurux_reader.reading(meter, running.dlms_port) as reader:
        rows = reader.profile("1.0.99.2.0.255", fleet.period.start, fleet.period.end)
    days = meter.true_intervals(ACTIVE).reshape(-1, 96).sum(axis=1)
    assert np.diff([row[1] for row in rows]).tolist() == days.tolist()
    assert {row[0].astimezone(KUWAIT).hour for row in rows} == {0}


def test_object_list_names_every_object(fleet: Fleet, running: Running) -> None:
    with gurux_reader.reading(fleet.meter(OPEN), running.dlms_port) as reader:
        reply = reader.ask(reader.client.getObjectsRequest())
        objects = reader.client.parseObjects(reply.data, False)
        profile = objects.findByLN(ObjectType.PROFILE_GENERIC, "1.0.99.1.0.255")
        assert profile is not None
        for thing in objects:
            if thing.objectType != ObjectType.ASSOCIATION_LOGICAL_NAME:
                reply = reader.ask(reader.client.read(thing, 2))
                # gurux-dlms gives None for an array without elements.
                assert reply.value is not None or bytes(reply.data.array()) == b"\x01\x00"


def test_several_attributes_in_one_request(fleet: Fleet, running: Running) -> None:
    meter = fleet.meter(OPEN)
    wanted = [(GXDLMSRegister("1.0.1.8.0.255"), 2), (GXDLMSRegister("1.0.3.8.0.255"), 2)]
    with gurux_reader.reading(meter, running.dlms_port) as reader:
        reply = reader.ask(reader.client.readList(wanted)[0])
    assert reply.value == [meter.register_at(name, fleet.now) for name in (ACTIVE, REACTIVE)]


def test_rows_by_entry(fleet: Fleet, running: Running) -> None:
    meter = fleet.meter(OPEN)
    with gurux_reader.reading(meter, running.dlms_port) as reader:
        thing = gurux_reader.GXDLMSProfileGeneric("1.0.99.1.0.255")
        reader.read(thing, 3)
        reply = reader.ask(reader.client.readRowsByEntry(thing, 3, 4))
        reader.client.updateValue(thing, 2, reply.value)
    assert [row[2] for row in thing.buffer] == meter.true_intervals(ACTIVE)[2:6].tolist()


def test_event_log_tells_of_a_memory_error(fleet: Fleet, running: Running) -> None:
    with gurux_reader.reading(fleet.meter("M00002"), running.dlms_port) as reader:
        rows = reader.profile("0.0.99.98.0.255", fleet.period.start, fleet.period.end)
    assert [row[1] for row in rows] == [stored.POWER_UP, stored.MEMORY_ERROR]
    assert rows[1][0] == datetime(2026, 6, 2, 10, 45, tzinfo=KUWAIT)


def test_public_client_reads_the_counter_and_nothing_else(fleet: Fleet, running: Running) -> None:
    meter = fleet.meter("M00008")
    with gurux_reader.reading(meter, running.dlms_port, counter=41):
        pass
    public = GXDLMSSecureClient(True, 16, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
    with socket.create_connection((meter.host, running.dlms_port), timeout=5) as line:
        reader = gurux_reader.Reader(public, line)
        reader.associate()
        counter = reader.read(GXDLMSData("0.0.43.1.0.255"), 2)
        assert counter > 41
        with pytest.raises(GXDLMSException, match="denied"):
            reader.read(GXDLMSRegister("1.0.1.8.0.255"), 2)
    with (
        pytest.raises(GXDLMSExceptionResponse, match="Invocation counter"),
        gurux_reader.reading(meter, running.dlms_port, counter=counter),
    ):
        pytest.fail("a counter that was used before was taken")
    with gurux_reader.reading(meter, running.dlms_port, counter=counter + 1) as again:
        assert again.answers == 2


def _told(fleet: Fleet, mrid: str, *, right: bool) -> dict[str, bytes]:
    return {
        row["kind"]: bytes.fromhex(row["key_hex"])
        for row in fleet.keys(right=right)
        if row["end_device"] == mrid
    }


def test_wrong_key_is_refused_and_the_right_one_is_not(fleet: Fleet, running: Running) -> None:
    meter = fleet.meter("M00009")
    wrong, right = (_told(fleet, meter.mrid, right=is_right) for is_right in (False, True))
    with (
        pytest.raises(GXDLMSException),
        gurux_reader.reading(meter, running.dlms_port, **wrong),
    ):
        pytest.fail("the wrong key was taken")
    with gurux_reader.reading(meter, running.dlms_port, **right) as reader:
        assert bytes(reader.read(GXDLMSData("0.0.96.1.0.255"), 2)) == meter.mrid.encode()


def test_wrong_password_is_refused(fleet: Fleet, running: Running) -> None:
    with (
        pytest.raises(GXDLMSException),
        gurux_reader.reading(fleet.meter(LOW), running.dlms_port, password=b"nonsense"),
    ):
        pytest.fail("the wrong password was taken")


def _profile(fleet: Fleet, running: Running, meter: Meter) -> dict[int, list[int]]:
    """Read all active energy: values by stamp, in the order of the rows."""
    found: dict[int, list[int]] = {}
    with gurux_reader.reading(meter, running.dlms_port, counter=5000) as reader:
        for row in reader.profile("1.0.99.1.0.255", fleet.period.start, fleet.period.end):
            found.setdefault(_seconds(row[0]), []).append(row[2])
    return found


def test_gap_duplicate_and_spike_are_seen_where_the_label_says(
    fleet: Fleet, running: Running
) -> None:
    for mrid, kind in (("M00002", "gap"), ("M00003", "duplicate"), ("M00005", "spike")):
        meter = fleet.meter(mrid)
        (label,) = meter.faults
        true = meter.true_intervals(ACTIVE).tolist()
        ends = range(meter.start + 900, meter.end + 1, 900)
        found = _profile(fleet, running, meter)
        odd = {
            end - 900 for end, value in zip(ends, true, strict=True) if found.get(end) != [value]
        }
        assert odd == set(range(label.starts_at, label.ends_at, 900)), kind


def test_clock_drift_shows_in_the_clock(fleet: Fleet, running: Running) -> None:
    with gurux_reader.reading(fleet.meter("M00010"), running.dlms_port) as reader:
        clock = GXDLMSClock()
        reader.read(clock, 2)
    assert clock.time.value - fleet.period.end == timedelta(seconds=600)


def test_exchange_old_meter_keeps_its_memory_and_the_new_goes_on(
    fleet: Fleet, running: Running
) -> None:
    old = fleet.meter("M00012")
    new = next(m for m in fleet.meters if m.usage_point == old.usage_point and m is not old)
    at = datetime(2026, 6, 3, 10, tzinfo=KUWAIT)
    assert old.end == new.start == _seconds(at)
    before, after = (_profile(fleet, running, meter) for meter in (old, new))
    assert max(before) == _seconds(at)
    assert min(after) == _seconds(at) + 900
    assert len(before) + len(after) == 4 * 96
    with gurux_reader.reading(new, running.dlms_port, counter=9000) as reader:
        rows = reader.profile("1.0.99.2.0.255", fleet.period.start, fleet.period.end)
    assert rows[0][0] == at.astimezone(UTC)
    assert rows[0][1] < 10
