"""Sessions against peers that misbehave byte by byte."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import errors
from drivers.driver import Endpoint
from drivers.modbus.line import Line, Lines
from drivers.modbus.place import Place
from drivers.modbus.register_map import Span
from drivers.modbus.session import ModbusDriver

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def endpoint(port: int, profile: str, **address: int | str) -> Endpoint:
    return Endpoint("M-1", "127.0.0.1", port, profile, address, 3600, timeout=5)


@asynccontextmanager
async def peer(*answers: Callable[[bytes], Sequence[bytes | float | None]]) -> AsyncIterator[int]:
    """A scripted peer: each answer takes a request and gives bytes, pauses [s], None to close."""
    script = iter(answers)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_end = False
        while not with_end and (request := await reader.read(12)):
            for step in next(script, lambda _: ())(request):
                if step is None:
                    with_end = True
                elif isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                else:
                    await asyncio.sleep(step)
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


def frame(
    request: bytes,
    pdu: bytes,
    *,
    transaction: int | None = None,
    unit: int | None = None,
    protocol: int = 0,
) -> bytes:
    """An answer to a request, right unless told otherwise."""
    asked = struct.unpack(">HHHB", request[:7])
    header = (
        asked[0] if transaction is None else transaction,
        protocol,
        len(pdu) + 1,
        asked[3] if unit is None else unit,
    )
    return struct.pack(">HHHB", *header) + pdu


GOOD = bytes([3, 4, 0x00, 0x01, 0xE2, 0x40])


def good(request: bytes) -> list[bytes | float | None]:
    return [frame(request, GOOD)]


async def ask(port: int, seconds: float = 5) -> tuple[int, ...]:
    line = Line(Place("127.0.0.1", port))
    try:
        return await line.read(3, Span(3, 0x10, 2), seconds)
    finally:
        line.close()


@pytest.mark.parametrize("cut", range(1, 13))
async def test_an_answer_in_two_pieces_is_the_answer(cut: int) -> None:
    async with peer(lambda r: [frame(r, GOOD)[:cut], 0.02, frame(r, GOOD)[cut:]]) as port:
        assert await ask(port) == (1, 0xE240)


async def test_an_answer_byte_by_byte_is_the_answer() -> None:
    async with peer(
        lambda r: [part for byte in frame(r, GOOD) for part in (bytes([byte]), 0.005)]
    ) as port:
        assert await ask(port) == (1, 0xE240)


async def test_a_late_answer_to_an_earlier_request_is_passed_over() -> None:
    def late_then_good(request: bytes) -> list[bytes | float | None]:
        return [frame(request, bytes([3, 4, 9, 9, 9, 9]), transaction=900), *good(request)]

    async with peer(late_then_good) as port:
        assert await ask(port) == (1, 0xE240)


async def test_a_second_answer_is_not_taken_for_the_next_one() -> None:
    def twice(request: bytes) -> list[bytes | float | None]:
        return good(request) * 2

    def other(request: bytes) -> list[bytes | float | None]:
        return [0.05, frame(request, bytes([3, 4, 0, 2, 0, 2]))]

    async with peer(twice, other) as port:
        line = Line(Place("127.0.0.1", port))
        assert await line.read(3, Span(3, 0x10, 2), 5) == (1, 0xE240)
        assert await line.read(3, Span(3, 0x10, 2), 5) == (2, 2)
        line.close()


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (1, errors.NotOffered, "illegal function"),
        (2, errors.NotOffered, "no such registers"),
        (3, errors.MeterRefused, "start or count"),
        (4, errors.Faulty, "has a fault"),
        (5, errors.Busy, "still at work"),
        (6, errors.Busy, "busy"),
        (8, errors.Faulty, "memory parity"),
        (10, errors.Unreachable, "gateway"),
        (11, errors.NoUnit, "nobody answers as this unit"),
        (77, errors.MeterRefused, "exception 77"),
    ],
)
async def test_exceptions_say_what_to_do(
    code: int, error: type[errors.DriverError], said: str
) -> None:
    async with peer(lambda r: [frame(r, bytes([0x83, code]))], good) as port:
        line = Line(Place("127.0.0.1", port))
        with pytest.raises(error, match=said) as raised:
            await line.read(3, Span(3, 0x10, 2), 5)
        assert raised.type is error
        # The connection stays: other units of the gateway go on with it.
        assert await line.read(3, Span(3, 0x10, 2), 5) == (1, 0xE240)
        line.close()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda _: [], errors.TimedOut, "no answer in 0.3 s"),
        (lambda r: [frame(r, GOOD)[:3]], errors.HalfAnswer, "3 bytes, not even a whole header"),
        (lambda r: [frame(r, GOOD)[:9]], errors.HalfAnswer, "half an answer: 9 of 13 bytes"),
        (
            lambda r: [part for b in frame(r, GOOD) for part in (bytes([b]), 0.1)],
            errors.HalfAnswer,
            "half an answer",
        ),
        (lambda _: [None], errors.HungUp, "before a byte came; is another client .*; no answer"),
        (lambda r: [frame(r, GOOD)[:9], None], errors.Broken, "9 of 13 bytes"),
        (lambda r: [frame(r, GOOD, unit=4)], errors.WrongUnit, "unit 4 answered .* unit 3"),
        (
            lambda r: [frame(r, GOOD, transaction=77)],
            errors.OutOfStep,
            "1 answers to other requests",
        ),
        (lambda r: [frame(r, GOOD, protocol=1)], errors.RemoteProtocolError, "no Modbus TCP"),
        (lambda _: [b"HTTP/1.1 400 Bad\r\n\r\n"], errors.RemoteProtocolError, "48 54 54 50"),
        (lambda _: [os.urandom(2) + b"\1" * 5000], errors.RemoteProtocolError, "no Modbus TCP"),
        (lambda r: [frame(r, b"\x04" + GOOD[1:])], errors.RemoteProtocolError, "function 4"),
        # What a server was seen to do past the end of its registers: success with nothing in it.
        (
            lambda r: [frame(r, bytes([3, 0]))],
            errors.RemoteProtocolError,
            "success with 0 bytes, not 4",
        ),
        (lambda r: [frame(r, GOOD[:4])], errors.RemoteProtocolError, "4 bytes in a frame for 2"),
        (lambda r: [frame(r, GOOD + b"\0\0")], errors.RemoteProtocolError, "frame for 6, not 4"),
        (lambda r: [frame(r, bytes([3, 3, 1, 1, 1]))], errors.RemoteProtocolError, "not 4"),
    ],
)
async def test_what_goes_wrong_is_told_apart(
    answer: Callable[[bytes], Sequence[bytes | float | None]],
    error: type[errors.DriverError],
    said: str,
) -> None:
    async with peer(answer) as port:
        with pytest.raises(error, match=said) as raised:
            await ask(port, seconds=0.3)
    assert raised.type is error


async def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(errors.Refused, match=r"M-1: nobody listens at 127\.0\.0\.1"):
        async with ModbusDriver().session(endpoint(port, "abb-b23")):
            pass


async def test_a_full_backlog_is_unreachable() -> None:
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        await asyncio.sleep(0.05)
        with pytest.raises(errors.Unreachable, match=r"within 0\.3 s"):
            await ask(listening.getsockname()[1], seconds=0.3)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_a_driver_error_and_nothing_else(garbage: bytes, closes: bool) -> None:
    async def run() -> None:
        async with peer(lambda _: [garbage, None] if closes else [garbage]) as port:
            with pytest.raises(errors.DriverError):
                await ask(port, seconds=0.05)

    asyncio.run(run())


async def test_after_a_failure_the_next_read_gets_its_own_answer() -> None:
    def half(request: bytes) -> list[bytes | float | None]:
        return [frame(request, GOOD)[:9], 0.4, frame(request, GOOD)[9:]]

    async with peer(half, good) as port:
        line = Line(Place("127.0.0.1", port))
        with pytest.raises(errors.TimedOut):
            await line.read(3, Span(3, 0x10, 2), 0.2)
        assert await line.read(3, Span(3, 0x10, 2), 5) == (1, 0xE240)
        line.close()


async def test_an_answer_that_a_gateway_brings_to_the_next_connection_is_passed_over() -> None:
    """Its meter answered late, when the one who had asked was gone: same unit, same words."""
    asked: list[bytes] = []

    def nothing(request: bytes) -> list[bytes | float | None]:
        asked.append(request)
        return [0.3]

    def late(request: bytes) -> list[bytes | float | None]:
        asked.append(request)
        return [frame(asked[0], bytes([3, 4, 9, 9, 9, 9])), 0.02, frame(request, GOOD)]

    async with peer(nothing, late, late) as port:
        lines, place = Lines(), Place("127.0.0.1", port)
        with lines.line(place) as line, pytest.raises(errors.TimedOut):
            await line.read(3, Span(3, 0x10, 2), 0.1)
        for _ in range(2):
            with lines.line(place) as line:
                assert await line.read(3, Span(3, 0x10, 2), 5) == (1, 0xE240)
    assert len({request[:2] for request in asked}) == 3


async def test_units_of_a_gateway_share_a_connection() -> None:
    connections = 0

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        busy = False
        while request := await reader.read(12):
            assert not busy, "two requests at once"
            busy = True
            assert len(request) == 12
            await asyncio.sleep(0.01)
            writer.write(frame(request, bytes([3, 8, 0, 0, 0, 0, 0, 0, 0, request[6]])))
            busy = False
        writer.close()

    listening = await asyncio.start_server(gateway, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    driver = ModbusDriver()

    async def read(unit: int) -> int:
        async with driver.session(endpoint(port, "abb-b23", unit=unit)) as session:
            readings = await session.read_registers(["active_energy_import"], now=NOW)
            return readings[0].value

    assert await asyncio.gather(*map(read, range(1, 9))) == [unit * 10 for unit in range(1, 9)]
    assert connections == 1
    assert await read(9) == 90
    assert connections == 2, "the last one to leave closes"
    listening.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_failing_sessions_leave_no_socket_open() -> None:
    async with peer(*[lambda _: [b"\xff" * 8]] * 25, *[lambda _: [None]] * 25) as port:
        before = open_files()
        driver = ModbusDriver()
        for _ in range(50):
            with pytest.raises(errors.DriverError):
                async with driver.session(endpoint(port, "abb-b23")) as session:
                    await session.read_registers(["active_energy_import"], now=NOW)
        await asyncio.sleep(0.05)
        gc.collect()
        assert open_files() <= before + 2
