"""gurux-dlms writes, runs methods, and goes by short names at simulated meters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gurux_dlms import GXDLMSException, GXReplyData
from gurux_dlms.enums import Conformance, DataType, ObjectType
from gurux_dlms.GXDLMSSettings import GXDLMSSettings
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)

from simulators import dlms_codec, dlms_wrapper
from simulators import fleet as fleets
from simulators.clock import Clock
from simulators.dlms_desk import Desk
from simulators.dlms_model import DlmsModel
from simulators.meter import ACTIVE
from tests.simulators import gurux_reader

FLEET = fleets.load("small")
METERS = {"none": "M00001", "lls": "M00004", "hls-gmac": "M00007"}
NOTE, ECHO = "0.0.128.0.0.255", "0.0.128.0.0.255"
LONG = bytes(range(256)) * 4


class Line:
    """A socket's two methods, with a meter at the other end."""

    def __init__(self, model: DlmsModel) -> None:
        self._talk = dlms_wrapper.Talk(Desk([model], Clock(FLEET.now)))
        self._coming = b""

    def sendall(self, data: bytes) -> None:
        self._coming += self._talk.receive(bytes(data))

    def recv(self, _count: int) -> bytes:
        """Give one frame at a time: gurux drops what follows in the same piece."""
        end = 8 + int.from_bytes(self._coming[6:8], "big")
        came, self._coming = self._coming[:end], self._coming[end:]
        return came


def reading(
    security: str = "none",
    *,
    short_names: bool = False,
    proposing: Conformance = Conformance.NONE,
    **options: Any,
) -> gurux_reader.Reader:
    """Associate with a meter."""
    meter = FLEET.meter(METERS[security])
    meter = replace(meter, options={**meter.options, **options})
    model = DlmsModel(meter)
    made = gurux_reader.client(meter, short_names=short_names)
    made.proposedConformance |= proposing
    reader = gurux_reader.Reader(made, Line(model))  # type: ignore[arg-type]
    reader.associate()
    reader.model = model  # type: ignore[attr-defined]
    return reader


class Note(GXDLMSData):
    """The meters' own object that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(NOTE)
        self.objectType = 32768

    def getDataType(self, index: int) -> DataType:  # noqa: N802  # gurux's name
        return DataType.OCTET_STRING


@pytest.mark.parametrize("security", METERS)
@pytest.mark.parametrize("size", [128, 1024])
def test_gurux_writes_in_blocks_and_reads_back(security: str, size: int) -> None:
    reader = reading(security, pdu_size=size)
    thing = Note()
    thing.value = LONG
    frames = reader.client.write(thing, 2)
    assert len(frames) >= len(LONG) // size
    reader.ask(frames)
    assert reader.model.kept["note"] == dlms_codec.octets(LONG)  # type: ignore[attr-defined]
    assert bytes(reader.ask(reader.client.read(thing, 2)).value) == LONG


@pytest.mark.parametrize("security", METERS)
@pytest.mark.parametrize("length", [5, 1500])
def test_gurux_runs_methods(security: str, length: int) -> None:
    reader = reading(security, pdu_size=512)
    given = bytes(length % 251 for length in range(length))
    reply = reader.ask(reader.client.method(Note(), 1, given, DataType.OCTET_STRING))
    assert bytes(reply.value) == given


def test_gurux_is_told_what_it_may_not_do() -> None:
    reader = reading()
    serial = GXDLMSData("0.0.96.1.0.255")
    serial.value = b"other"
    serial.setDataType(2, DataType.OCTET_STRING)
    with pytest.raises(GXDLMSException, match="denied"):
        reader.ask(reader.client.write(serial, 2))
    with pytest.raises(GXDLMSException, match="denied"):
        reader.ask(reader.client.method(GXDLMSClock(), 9, 0, DataType.INT8))


class Streamed(gurux_reader.Reader):
    """A reader that asks for no more while parts are still on their way."""

    def ask(self, frames: Any) -> GXReplyData:
        reply = GXReplyData()
        self._exchange(frames[0] if isinstance(frames, list) else frames, reply)
        while reply.isMoreData():
            streamed = reply.isStreaming()
            self._exchange(b"" if streamed else self.client.receiverReady(reply), reply)
        return reply


@pytest.mark.parametrize("security", METERS)
@pytest.mark.parametrize("window", [1, 6])
def test_gurux_takes_parts(security: str, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # gurux numbers its acknowledgements with what it never sets; counted it has them.
    number = property(lambda settings: settings.blockIndex)
    monkeypatch.setattr(GXDLMSSettings, "blockNumber", number, raising=False)
    reader = reading(security, proposing=Conformance.GENERAL_BLOCK_TRANSFER, pdu_size=256)
    reader.__class__ = Streamed
    reader.client.settings.gbtWindowSize = window
    thing = GXDLMSProfileGeneric("1.0.99.1.0.255")
    reader.read(thing, 3)
    before = reader.answers
    reader.read(thing, 2)
    true = reader.model.meter.true_intervals(ACTIVE)  # type: ignore[attr-defined]
    assert [row[2] for row in thing.buffer] == true.tolist()
    assert reader.answers - before > 20


@pytest.mark.parametrize("security", ["none", "lls"])
def test_gurux_finds_and_reads_objects_by_short_names(security: str) -> None:
    """Not with ciphering and not in blocks: gurux stumbles over itself there."""
    reader = reading(security, short_names=True, pdu_size=50_000)
    reply = reader.ask(reader.client.getObjectsRequest())
    objects = reader.client.parseObjects(reply.data, False)
    energy = objects.findByLN(ObjectType.REGISTER, "1.0.1.8.0.255")
    reader.read(energy, 3)
    meter = reader.model.meter  # type: ignore[attr-defined]
    assert (energy.scaler, int(energy.unit)) == (1, 30)
    assert reader.read(energy, 2) == meter.register_at(ACTIVE, FLEET.now)
    serial = objects.findByLN(ObjectType.DATA, "0.0.96.1.0.255")
    assert reader.read(serial, 2) == meter.mrid
    profile = objects.findByLN(ObjectType.PROFILE_GENERIC, "1.0.99.1.0.255")
    reader.read(profile, 3)
    reply = reader.ask(reader.client.readRowsByEntry(profile, 3, 4))
    reader.client.updateValue(profile, 2, reply.value)
    assert [row[2] for row in profile.buffer] == meter.true_intervals(ACTIVE)[2:6].tolist()
    profile.buffer.clear()
    reader.read(profile, 2)
    assert len(profile.buffer) == 384


def test_gurux_switches_by_short_names() -> None:
    reader = reading(short_names=True, pdu_size=50_000)
    reply = reader.ask(reader.client.getObjectsRequest())
    objects = reader.client.parseObjects(reply.data, False)
    switch = objects.findByLN(ObjectType.DISCONNECT_CONTROL, "0.0.96.3.10.255")
    assert isinstance(switch, GXDLMSDisconnectControl)
    assert reader.read(switch, 2) is True
    reader.ask(reader.client.method(switch, 1, 0, DataType.INT8))
    assert reader.read(switch, 2) is False


def test_gurux_reads_a_list_by_short_names() -> None:
    reader = reading(short_names=True, pdu_size=50_000)
    reply = reader.ask(reader.client.getObjectsRequest())
    objects = reader.client.parseObjects(reply.data, False)
    names = ["1.0.1.8.0.255", "1.0.32.7.0.255"]
    registers = [objects.findByLN(ObjectType.REGISTER, name) for name in names]
    assert all(isinstance(one, GXDLMSRegister) for one in registers)
    (frames,) = reader.client.readList([(one, 2) for one in registers])
    reply = reader.ask(frames)
    assert reply.value[0] == reader.model.meter.register_at(ACTIVE, FLEET.now)  # type: ignore[attr-defined]
