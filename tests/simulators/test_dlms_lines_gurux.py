"""The simulated meters' HDLC, held against gurux-dlms as the client."""

from __future__ import annotations

import asyncio
import os
import socket
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import InterfaceType
from gurux_dlms.objects import GXDLMSData, GXDLMSProfileGeneric
from gurux_dlms.secure import GXDLMSSecureClient

from simulators import dlms_meter, fleet, line
from simulators.clock import Clock
from simulators.meter import Meter
from tests.simulators import gurux_reader

FLEET = fleet.load("lines")


class HdlcReader(gurux_reader.Reader):
    """A plain gurux client with HDLC, on whatever takes and gives bytes."""

    def __init__(
        self,
        made: GXDLMSSecureClient,
        send: Callable[[bytes], object],
        receive: Callable[[], bytes],
    ) -> None:
        self.client, self.answers = made, 0
        self._send, self._receive = send, receive

    def _exchange(self, frame: Any, reply: GXReplyData) -> None:
        self._send(bytes(frame))
        buffer = GXByteBuffer()
        for _ in range(10_000):
            buffer.set(self._receive())
            if self.client.getData(buffer, reply, GXReplyData()):
                break
        self.answers += 1

    def connect(self) -> None:
        reply = self.ask(self.client.snrmRequest())
        self.client.parseUAResponse(reply.data)


def client(meter: Meter, *, information: int, window: int) -> GXDLMSSecureClient:
    made = gurux_reader.client(meter)
    made.interfaceType = InterfaceType.HDLC
    address = meter.address
    made.clientAddress = int(address["client"])
    made.serverAddress = int(address["server"])
    if "physical" in address:
        made.serverAddress = GXDLMSSecureClient.getServerAddress(
            int(address["server"]), int(address["physical"]), int(address.get("address_size", 0))
        )
    made.serverAddressSize = int(address.get("address_size", 0))
    for setting in ("maxInfoTX", "maxInfoRX"):
        setattr(made.hdlcSettings, setting, information)
    for setting in ("windowSizeTX", "windowSizeRX"):
        setattr(made.hdlcSettings, setting, window)
    return made


def read_everything(reader: HdlcReader, meter: Meter) -> None:
    reader.connect()
    reader.associate()
    assert bytes(reader.read(GXDLMSData("0.0.96.1.0.255"), 2)).decode() == meter.mrid
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    reader.read(profile, 3)
    reply = reader.ask(reader.client.readRowsByEntry(profile, 1, 96))
    reader.client.updateValue(profile, 2, reply.value)
    assert len(profile.buffer) == 96
    reader.ask(reader.client.disconnectRequest(True))


@pytest.mark.parametrize("mrid", ["M00001", "M00007", "M00010"])
@pytest.mark.parametrize(("information", "window"), [(128, 1), (1024, 1)])
async def test_gurux_reads_over_hdlc(mrid: str, information: int, window: int) -> None:
    meter = FLEET.meter(mrid)
    behind = [one for one in FLEET.meters if one.host == meter.host]
    lines = await dlms_meter.serve(behind, Clock(FLEET.now), port=0)

    def run() -> None:
        with socket.create_connection(line.endpoint(meter, lines.port), timeout=5) as own:
            made = client(meter, information=information, window=window)
            reader = HdlcReader(made, own.sendall, lambda: own.recv(65_536))
            read_everything(reader, meter)

    try:
        await asyncio.to_thread(run)
    finally:
        await lines.close()


async def test_gurux_reads_a_serial_port(tmp_path: Path) -> None:
    meters = [meter for meter in FLEET.meters if "line" in meter.address]
    lines = await dlms_meter.serve(meters, Clock(FLEET.now), port=0, serial_folder=tmp_path)
    meter = next(meter for meter in meters if meter.address["line"] == "bus-1")

    def run() -> None:
        port = os.open(tmp_path / "bus-1", os.O_RDWR | os.O_NOCTTY)
        try:
            settings = termios.tcgetattr(port)
            settings[4] = settings[5] = termios.B9600
            termios.tcsetattr(port, termios.TCSANOW, settings)
            reader = HdlcReader(
                client(meter, information=128, window=1),
                lambda data: os.write(port, data),
                lambda: os.read(port, 4096),
            )
            read_everything(reader, meter)
        finally:
            os.close(port)

    try:
        await asyncio.to_thread(run)
    finally:
        await lines.close()
