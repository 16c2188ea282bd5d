"""Peers on the wire that are no good meters: each gets a named diagnosis, in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from drivers import stream
from drivers.dlms import wrapper
from drivers.dlms.session import DlmsDriver
from drivers.driver import ClockReading, Endpoint
from drivers.errors import (
    Broken,
    DriverError,
    LinkError,
    NotOffered,
    ProtocolError,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
)
from tests.drivers.dlms.meter_script import Meter

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
CLOCK = bytes.fromhex("090c07ea0701030c000000ff4c00")
RELEASED = bytes.fromhex("6303800100")

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Respond = Callable[[bytes], list[bytes]]


def clock_meter() -> Meter:
    """A meter without security whose clock says noon in Kuwait."""
    return Meter(ciphered=False, answer=lambda plain: bytes((0xC4, 1, plain[2], 0)) + CLOCK)


def framed(apdu: bytes, source: int = 1, destination: int = 1) -> bytes:
    return wrapper.encode(wrapper.Frame(source, destination, apdu))


def replying(respond: Respond) -> Behaviour:
    """Answer each frame with what ``respond`` makes of its APDU, piece by piece."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(head := await reader.read(8)) == 8:
            apdu = await reader.readexactly(int.from_bytes(head[6:8]))
            for piece in respond(apdu):
                writer.write(piece)
                await writer.drain()

    return serve


@asynccontextmanager
async def peer(behaviour: Behaviour) -> AsyncIterator[Endpoint]:
    """Serve a peer at a free port, and give the endpoint that leads to it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that hangs up in the middle is what most of these tests are about.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await behaviour(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint("M1", "127.0.0.1", port, "generic", {}, 900, timeout=0.5)


async def read_clock(endpoint: Endpoint) -> ClockReading:
    async with DlmsDriver().session(endpoint) as session:
        return await session.read_clock(now=NOW)


def answer(meter: Meter, apdu: bytes) -> bytes:
    return RELEASED if apdu[0] == 0x62 else meter.reply(apdu)


async def test_a_good_meter_is_read() -> None:
    meter = clock_meter()
    async with peer(replying(lambda apdu: [framed(answer(meter, apdu))])) as endpoint:
        assert (await read_clock(endpoint)).meter == NOW


async def test_one_byte_at_a_time_is_only_slow() -> None:
    meter = clock_meter()

    def respond(apdu: bytes) -> list[bytes]:
        return [bytes((octet,)) for octet in framed(answer(meter, apdu))]

    async with peer(replying(respond)) as endpoint:
        assert (await read_clock(endpoint)).meter == NOW


async def test_a_peer_that_drips_does_not_hold_the_session() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octet in framed(bytes(60)):
            writer.write(bytes((octet,)))
            await asyncio.sleep(0.1)

    async with peer(drip) as endpoint:
        began = time.monotonic()
        with pytest.raises(TimedOut, match="bytes of it came"):
            await read_clock(endpoint)
        assert time.monotonic() - began < 3


async def test_a_peer_that_never_answers_times_out() -> None:
    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(silence) as endpoint:
        with pytest.raises(TimedOut, match=r"M1: no whole answer .* none came"):
            await read_clock(endpoint)


async def test_a_peer_that_closes_at_any_byte_is_broken() -> None:
    whole = framed(clock_meter().aare())
    for kept in range(0, len(whole), 7):

        async def cut(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: int = kept
        ) -> None:
            await reader.read(8)
            writer.write(whole[:kept])

        async with peer(cut) as endpoint:
            with pytest.raises(LinkError, match="M1"):
                await read_clock(endpoint)


async def test_a_clock_answer_cut_at_any_byte_is_an_error_of_ours() -> None:
    whole = framed(bytes((0xC4, 1, 0xC1, 0)) + CLOCK)
    for kept in range(len(whole)):
        meter = clock_meter()

        def respond(apdu: bytes, meter: Meter = meter, kept: int = kept) -> list[bytes]:
            said = framed(answer(meter, apdu))
            return [said[:kept], b""] if apdu[0] == 0xC0 else [said]

        async with peer(replying(respond)) as endpoint:
            quick = Endpoint("M1", endpoint.host, endpoint.port, "generic", {}, 900, timeout=0.05)
            with pytest.raises(TimedOut):
                await read_clock(quick)


async def test_what_is_not_dlms_is_told_at_once() -> None:
    async def web(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await asyncio.sleep(1)

    async with peer(web) as endpoint:
        with pytest.raises(RemoteProtocolError, match="check that the port"):
            await read_clock(endpoint)


async def test_an_answer_for_somebody_else_is_no_reading() -> None:
    meter = clock_meter()

    def respond(apdu: bytes) -> list[bytes]:
        client = 2 if apdu[0] == 0xC0 else 1
        return [framed(answer(meter, apdu), destination=client)]

    async with peer(replying(respond)) as endpoint:
        with pytest.raises(RemoteProtocolError, match="client 2"):
            await read_clock(endpoint)


async def test_an_answer_that_comes_twice_is_no_second_reading() -> None:
    meter = clock_meter()

    def respond(apdu: bytes) -> list[bytes]:
        said = framed(answer(meter, apdu))
        return [said + said] if apdu[0] == 0xC0 else [said]

    async with peer(replying(respond)) as endpoint, DlmsDriver().session(endpoint) as session:
        assert (await session.read_clock(now=NOW)).meter == NOW
        with pytest.raises(RemoteProtocolError, match="twice or late"):
            await session.read_clock(now=NOW)
        with pytest.raises(Broken, match="open a new one"):
            await session.read_clock(now=NOW)


async def test_a_notification_before_the_answer_is_passed_over() -> None:
    meter = clock_meter()
    notification = framed(bytes.fromhex("c20000010000600b00ff021102"))

    def respond(apdu: bytes) -> list[bytes]:
        said = framed(answer(meter, apdu))
        return [notification * 3 + said] if apdu[0] == 0xC0 else [said]

    async with peer(replying(respond)) as endpoint:
        assert (await read_clock(endpoint)).meter == NOW


async def test_notifications_without_end_are_a_protocol_error() -> None:
    async def chatter(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _round in range(1000):
            writer.write(framed(b"\x0f\x00\x00\x00\x01\x00\x00"))
            await writer.drain()

    async with peer(chatter) as endpoint:
        with pytest.raises(RemoteProtocolError, match="no answer"):
            await read_clock(endpoint)


async def test_a_peer_that_sends_without_end_takes_no_memory() -> None:
    sent = 0
    meter = clock_meter()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = await reader.readexactly(8)
        await reader.readexactly(int.from_bytes(head[6:8]))
        writer.write(framed(meter.aare()))
        for _ in range(2000):
            writer.write(bytes(65_536))
            await writer.drain()
            sent += 65_536

    async with peer(flood) as endpoint:
        async with DlmsDriver().session(endpoint):
            await asyncio.sleep(0.3)
        # The kernel's buffers on both sides, the peer's own, and ours.
        assert sent < 40 << 20


async def test_any_garbage_for_any_answer_is_an_error_of_ours() -> None:
    said = [b"\x00", b"\xc4\x01\xc1\x00", b"\xc4\x01\xc1\x00\x09\x0c" + b"\xff" * 12, b"\x61\x00",
            b"\xc4\x02\xc1\x00" + bytes(12), b"\xd8\x01\x02", b""]  # fmt: skip
    for garbage in said:
        meter = clock_meter()

        def respond(apdu: bytes, meter: Meter = meter, garbage: bytes = garbage) -> list[bytes]:
            return [framed(garbage if apdu[0] == 0xC0 else answer(meter, apdu))]

        async with peer(replying(respond)) as endpoint:
            with pytest.raises(DriverError, match="M1"):
                await read_clock(endpoint)


async def read_clock_and_fail(endpoint: Endpoint) -> None:
    async with DlmsDriver().session(endpoint) as session:
        await session.read_clock(now=NOW)
        raise ZeroDivisionError


REFUSED = b"\xc4\x01\xc1\x01\x04"
NO_TIME = b"\xc4\x01\xc1\x00\x00"


@pytest.mark.parametrize(
    ("said", "read", "kind"),
    [
        pytest.param(None, read_clock_and_fail, ZeroDivisionError, id="our own accident"),
        pytest.param(REFUSED, read_clock, NotOffered, id="a refusal"),
        pytest.param(NO_TIME, read_clock, RemoteProtocolError, id="nonsense"),
    ],
)
async def test_the_association_is_released_whatever_happens(
    said: bytes | None, read: Callable[[Endpoint], Awaitable[object]], kind: type[Exception]
) -> None:
    meter = clock_meter()
    released = asyncio.Event()

    def respond(apdu: bytes) -> list[bytes]:
        if apdu[0] == 0x62:
            released.set()
        return [framed(said if said and apdu[0] == 0xC0 else answer(meter, apdu))]

    async with peer(replying(respond)) as endpoint:
        with pytest.raises(kind):
            await read(endpoint)
        async with asyncio.timeout(2):
            await released.wait()


async def test_a_clock_without_deviation_says_what_to_register() -> None:
    meter = clock_meter()
    meter.answer = lambda plain: (
        bytes((0xC4, 1, plain[2], 0)) + CLOCK.replace(b"\xff\x4c", b"\x80\x00")
    )
    async with peer(replying(lambda apdu: [framed(answer(meter, apdu))])) as endpoint:
        with pytest.raises(ProtocolError, match="deviation=-180"):
            await read_clock(endpoint)
        told = Endpoint(
            "M1", endpoint.host, endpoint.port, "generic", {"deviation": "-180"}, 900, timeout=0.5
        )
        assert (await read_clock(told)).meter == NOW


async def connect_often(port: int) -> None:
    """Fill the backlog of a listener that accepts nobody."""
    with contextlib.ExitStack() as held:
        for _ in range(8):
            line = await stream.connect("127.0.0.1", port, wrapper.Frames(), timeout=0.3)
            held.callback(line.close)


async def test_a_network_that_does_not_answer_is_unreachable() -> None:
    # A full backlog: the kernel takes no further connection and refuses none.
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1) as listener,
        pytest.raises(Unreachable, match=r"no connection to 127\.0\.0\.1"),
    ):
        await connect_often(listener.getsockname()[1])
