"""RTU frames over TCP: the vendor's own frames, what goes wrong with them, and gateways.

Sources: Eastron SDM120-Modbus protocol document, whose examples print frames with their CRC.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import errors
from drivers.driver import Endpoint
from drivers.modbus import answer, rtu
from drivers.modbus.answer import Request
from drivers.modbus.line import Line
from drivers.modbus.place import Framing, Place
from drivers.modbus.register_map import Span
from drivers.modbus.session import ModbusDriver

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ASKED = bytes.fromhex("01 04 00 00 00 02 71 CB")
SAID = bytes.fromhex("01 04 04 43 66 33 34 1B 38")
VOLTAGE = Request(0, 1, Span(4, 0, 2))
Step = bytes | float | None
Answer = Callable[[bytes], Sequence[Step]]


def endpoint(port: int, profile: str, **address: int | str) -> Endpoint:
    """A meter behind a gateway that sends RTU frames over TCP, unless the address says else."""
    address = {"framing": "rtu", **address}
    return Endpoint("M-1", "127.0.0.1", port, profile, address, 3600, timeout=5)


@pytest.mark.parametrize(
    "frame",
    [
        "01 04 00 00 00 02 71 CB",
        "01 04 04 43 66 33 34 1B 38",
        "01 03 00 00 00 02 C4 0B",
        "01 03 04 3F 80 00 00 F7 CF",
    ],
)
def test_the_crc_is_the_vendors(frame: str) -> None:
    octets = bytes.fromhex(frame)
    assert rtu.crc(octets[:-2]) == octets[-2:]


def test_a_request_is_the_vendors() -> None:
    assert rtu.frame(VOLTAGE) == ASKED


def test_a_good_answer_is_never_at_fault_wherever_it_is_cut() -> None:
    assert [rtu.fault(SAID[:cut], VOLTAGE) for cut in range(len(SAID) + 1)] == [None] * 10
    assert [rtu.progress(SAID[:cut]) for cut in (0, 2, 5)] == [
        "no answer",
        "half an answer: 2 bytes, not even a whole header",
        "half an answer: 5 of 9 bytes",
    ]


@given(st.integers(0, len(SAID) * 8 - 1))
def test_any_flipped_bit_is_seen(bit: int) -> None:
    flipped = bytearray(SAID)
    flipped[bit // 8] ^= 1 << bit % 8
    found = rtu.fault(bytes(flipped), VOLTAGE)
    # A count that became larger but is still possible would be waited for; 2 words leave none.
    assert isinstance(found, answer.Fault)
    assert type(found.error) in (errors.RemoteProtocolError, errors.Garbled)
    assert not found.in_step


@given(st.binary(max_size=300))
def test_garbage_is_awaited_or_a_fault(garbage: bytes) -> None:
    found = rtu.fault(garbage, VOLTAGE)
    assert found is None or isinstance(found.error, errors.DriverError)
    assert len(garbage) <= 9 or found is not None
    assert rtu.progress(garbage)


@asynccontextmanager
async def peer(*answers: Answer) -> AsyncIterator[int]:
    """A scripted peer: each answer takes a request and gives bytes, pauses [s], None to close."""
    script = iter(answers)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = False
        while not ended and (request := await reader.read(12)):
            for step in next(script, lambda _: ())(request):
                if isinstance(step, bytes):
                    writer.write(step)
                elif step is None:
                    ended = True
                else:
                    await asyncio.sleep(step)
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


def sealed(*octets: int) -> bytes:
    """A frame with its CRC."""
    return bytes(octets) + rtu.crc(bytes(octets))


async def ask(port: int, seconds: float = 5) -> tuple[int, ...]:
    line = Line(Place("127.0.0.1", port, "rtu"))
    try:
        return await line.read(1, Span(4, 0, 2), seconds)
    finally:
        line.close()


async def test_the_vendors_frames_on_the_wire() -> None:
    heard: list[bytes] = []

    def voltage(request: bytes) -> list[Step]:
        heard.append(request)
        return [SAID]

    async with (
        peer(voltage) as port,
        ModbusDriver().session(endpoint(port, "eastron-sdm120")) as session,
    ):
        (reading,) = await session.read_registers(["voltage_l1"], now=NOW)
    assert heard == [ASKED]
    assert reading.value == 2302


@pytest.mark.parametrize("cut", range(1, len(SAID)))
async def test_an_answer_in_two_pieces_is_the_answer(cut: int) -> None:
    async with peer(lambda _: [SAID[:cut], 0.02, SAID[cut:]]) as port:
        assert await ask(port) == (0x4366, 0x3334)


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (lambda _: [SAID[:-1] + b"\0"], errors.Garbled, "CRC 1b 00, not 1b 38"),
        (lambda _: [SAID + SAID], errors.OutOfStep, "the same answer twice"),
        (lambda _: [SAID + b"\0"], errors.RemoteProtocolError, "1 bytes more"),
        (lambda _: [sealed(2, 4, 4, 0, 0, 0, 0)], errors.WrongUnit, "unit 2 answered .* unit 1"),
        (lambda _: [sealed(1, 3, 4, 0, 0, 0, 0)], errors.RemoteProtocolError, "to function 4"),
        (lambda _: [sealed(1, 4, 2, 0, 0)], errors.RemoteProtocolError, "2 bytes, not 4"),
        (lambda _: [sealed(1, 4, 0)], errors.RemoteProtocolError, "0 bytes, not 4"),
        (lambda _: [b"\1\4\xff"], errors.RemoteProtocolError, "255 bytes, not 4"),
        (lambda _: [b"HTTP/1.1 400 Bad"], errors.RemoteProtocolError, "48 54 54 50"),
        (lambda _: [os.urandom(1) + b"\1" * 5000], errors.RemoteProtocolError, "01 01 01"),
        (lambda _: [], errors.TimedOut, "no answer in 0.3 s"),
        (lambda _: [SAID[:6]], errors.HalfAnswer, "half an answer: 6 of 9 bytes"),
        (lambda _: [SAID[:6], None], errors.Broken, "6 of 9 bytes"),
        # A gateway that translates answers with the header of Modbus TCP.
        (
            lambda _: [struct.pack(">HHHB", 1, 0, 7, 1) + SAID[1:-2]],
            errors.RemoteProtocolError,
            "no RTU answer to function 4 begins",
        ),
    ],
)
async def test_what_goes_wrong_is_told_apart(
    said: Answer, error: type[errors.DriverError], words: str
) -> None:
    async with peer(said) as port:
        with pytest.raises(error, match=words) as raised:
            await ask(port, seconds=0.3)
    assert raised.type is error


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
async def test_who_hangs_up_after_the_answer_has_answered(framing: Framing) -> None:
    def answer_and_close(request: bytes) -> list[Step]:
        with_header = request[:4] + struct.pack(">H", 7) + SAID[:-2]
        return [SAID if framing == "rtu" else with_header, None]

    async with peer(*[answer_and_close] * 20) as port:
        line = Line(Place("127.0.0.1", port, framing))
        for _ in range(20):
            assert await line.read(1, Span(4, 0, 2), 5) == (0x4366, 0x3334)
            await asyncio.sleep(0.01)
        line.close()


async def test_an_exception_leaves_the_connection_standing() -> None:
    async with peer(lambda _: [sealed(1, 0x84, 2)], lambda _: [SAID]) as port:
        line = Line(Place("127.0.0.1", port, "rtu"))
        with pytest.raises(errors.NotOffered, match="no such registers"):
            await line.read(1, Span(4, 0, 2), 5)
        assert await line.read(1, Span(4, 0, 2), 5) == (0x4366, 0x3334)
        line.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"framing": "ascii"}, "framing=ascii is none of tcp, rtu"),
        ({"unit": 0}, "unit=0 is not a unit 1 … 247"),
        ({"unit": 248}, "unit=248 is not a unit 1 … 247"),
    ],
)
async def test_an_address_that_is_wrong_is_our_mistake(
    address: dict[str, int | str], said: str
) -> None:
    with pytest.raises(errors.LocalProtocolError, match=said):
        async with ModbusDriver().session(endpoint(1, "abb-b23", **address)):
            pass


class Gateway:
    """Eight meters behind one address that takes one request at a time, in either framing."""

    def __init__(self, framing: str) -> None:
        self.framing, self.connections, self.early = framing, 0, 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        following = asyncio.ensure_future(reader.read(4096))
        while len(request := await following) == (8 if self.framing == "rtu" else 12):
            following = asyncio.ensure_future(reader.read(4096))
            # Whoever sends the next request before the answer to this one is caught here.
            await asyncio.wait([following], timeout=0.02)
            self.early += following.done()
            unit = request[0] if self.framing == "rtu" else request[6]
            said = bytes([unit, 3, 8, 0, 0, 0, 0, 0, 0, 0, unit])
            head = request[:4] + struct.pack(">H", len(said))
            writer.write(said + rtu.crc(said) if self.framing == "rtu" else head + said)
        writer.close()


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_units_of_a_gateway_take_turns_on_one_connection(framing: str) -> None:
    gateway = Gateway(framing)
    listening = await asyncio.start_server(gateway.talk, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    driver = ModbusDriver()

    async def read(unit: int) -> int:
        at = endpoint(port, "abb-b23", unit=unit, framing=framing)
        async with driver.session(at) as session:
            (reading,) = await session.read_registers(["active_energy_import"], now=NOW)
            return reading.value

    assert await asyncio.gather(*map(read, range(1, 9))) == [unit * 10 for unit in range(1, 9)]
    assert gateway.connections == 1
    assert gateway.early == 0, "a request was sent before the last one was answered"
    listening.close()


async def test_against_a_server_with_rtu_frames() -> None:
    words = SimData(0, datatype=DataType.REGISTERS, values=[0x4366, 0x3334] + [0] * 100)
    server = ModbusTcpServer(
        SimDevice(9, simdata=[words]), framer=FramerType.RTU, address=("127.0.0.1", 0)
    )
    await server.listen()
    assert isinstance(server.transport, asyncio.Server)
    port = server.transport.sockets[0].getsockname()[1]
    async with ModbusDriver().session(endpoint(port, "eastron-sdm120", unit=9)) as session:
        readings = await session.read_registers(["voltage_l1", "frequency"], now=NOW)
    assert [reading.value for reading in readings] == [2302, 0]
    await server.shutdown()  # type: ignore[no-untyped-call]
