"""Peers that do what no meter should, in every protocol: each has a name that a person can act on.

A good meter stands behind a line that spoils what it says. The verdict is the one that the
head-end shows, in its own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from drivers import catalogue, errors
from drivers.driver import Endpoint
from drivers.modbus import rtu
from headend import diagnosis
from headend.diagnosis import Condition
from tests.drivers.dlms.meter_script import Meter
from tests.drivers.dlms.test_dlms_peers import CLOCK, RELEASED, framed

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
SECONDS = 0.3

Spoil = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Wire:
    """One protocol: its good meter, and how its answers would look to somebody else.

    Attributes
    ----------
    request : bytes of the shortest request
    answer : makes the good meter's answer to a request
    other : turns an answer into one for somebody else
    """

    protocol: str
    profile: str
    address: dict[str, int | str]
    request: int
    answer: Callable[[bytes], bytes]
    other: Callable[[bytes], bytes]


def _dlms(request: bytes) -> bytes:
    meter = Meter(ciphered=False, answer=lambda plain: bytes((0xC4, 1, plain[2], 0)) + CLOCK)
    apdu = request[8:]
    return framed(RELEASED if apdu[0] == 0x62 else meter.reply(apdu))


def _tcp(request: bytes) -> bytes:
    count = int.from_bytes(request[10:12])
    said = bytes([request[6], request[7], 2 * count]) + bytes(2 * count)
    return request[:4] + struct.pack(">H", len(said)) + said


def _rtu(request: bytes) -> bytes:
    count = int.from_bytes(request[4:6])
    said = request[:2] + bytes([2 * count]) + bytes(2 * count)
    return said + rtu.crc(said)


def _other_unit(said: bytes) -> bytes:
    told = b"\x09" + said[1:-2]
    return told + rtu.crc(told)


WIRES = {
    "dlms": Wire(
        "dlms", "generic", {}, 9, _dlms, lambda said: said[:4] + b"\x00\x05" + said[6:]
    ),
    "modbus": Wire(
        "modbus", "eastron-sdm630", {"unit": 3}, 12, _tcp,
        lambda said: bytes([said[0] ^ 1]) + said[1:],
    ),
    "rtu": Wire(
        "modbus", "eastron-sdm630", {"unit": 3, "framing": "rtu"}, 8, _rtu, _other_unit
    ),
}  # fmt: skip


@asynccontextmanager
async def spoiled(wire: Wire, spoil: Spoil) -> AsyncIterator[Endpoint]:
    """Serve the good meter behind a line that spoils its answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while len(request := await reader.read(4096)) >= wire.request:
                await spoil(wire.answer(request), writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint("M1", "127.0.0.1", port, wire.profile, wire.address, 900, timeout=SECONDS)


async def read(wire: Wire, endpoint: Endpoint) -> None:
    """Two exchanges of one conversation: what DLMS has a clock for, Modbus has registers for."""
    driver = catalogue.polled()[wire.protocol]
    async with driver.session(endpoint) as session:
        for _ in range(2):
            if wire.protocol == "dlms":
                await session.read_clock(now=NOW)
            else:
                await session.read_registers(["active_energy_import"], now=NOW)


def named(error: BaseException) -> str:
    """The verdict that a person is shown when a conversation ended so."""
    condition = Condition(last_attempt=NOW, failing_since=NOW, error=type(error).__name__)
    verdict = diagnosis.verdict(condition, now=NOW)
    words = verdict.words
    assert all((words.text_en, words.text_ar, words.advice_en, words.advice_ar))
    return verdict.name


async def verdict(wire: Wire, spoil: Spoil) -> str:
    async with spoiled(wire, spoil) as endpoint:
        with pytest.raises(errors.DriverError, match="M1") as raised:
            await read(wire, endpoint)
    return named(raised.value)


async def drips(said: bytes, writer: asyncio.StreamWriter) -> None:
    """One byte a second, in the test's time."""
    for octet in said:
        writer.write(bytes((octet,)))
        await asyncio.sleep(SECONDS / 3)


async def is_silent(said: bytes, _: asyncio.StreamWriter) -> None:
    assert said


async def answers_twice(said: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(said + said)


@pytest.mark.parametrize("protocol", WIRES)
async def test_the_good_meter_is_read(protocol: str) -> None:
    async def well(said: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with spoiled(WIRES[protocol], well) as endpoint:
        await read(WIRES[protocol], endpoint)


@pytest.mark.parametrize("protocol", WIRES)
@pytest.mark.parametrize(("spoil", "name"), [(drips, "half_answer"), (is_silent, "no_answer")])
async def test_one_that_is_too_slow_holds_nobody_for_long(
    protocol: str, spoil: Spoil, name: str
) -> None:
    began = time.monotonic()
    assert await verdict(WIRES[protocol], spoil) == name
    assert time.monotonic() - began < 10 * SECONDS


@pytest.mark.parametrize("protocol", WIRES)
async def test_one_that_closes_at_any_byte(protocol: str) -> None:
    wire = WIRES[protocol]
    # The AARE of a meter without security; one register of two words, by either framing.
    whole = {"dlms": 50, "modbus": 13, "rtu": 9}[protocol]
    for kept in range(whole):

        async def closes(said: bytes, writer: asyncio.StreamWriter, kept: int = kept) -> None:
            writer.write(said[:kept])
            await writer.drain()
            writer.close()

        name = await verdict(wire, closes)
        assert name == ("line_breaks" if kept else "hangs_up"), kept


@pytest.mark.parametrize("protocol", WIRES)
async def test_one_that_answers_twice_gives_no_second_reading(protocol: str) -> None:
    wire = WIRES[protocol]
    if protocol == "modbus":
        # Its transactions have numbers: what comes twice is passed over, and all is well.
        async with spoiled(wire, answers_twice) as endpoint:
            await read(wire, endpoint)
    else:
        assert await verdict(wire, answers_twice) == "out_of_step"


@pytest.mark.parametrize("protocol", WIRES)
async def test_one_that_answers_for_somebody_else(protocol: str) -> None:
    wire = WIRES[protocol]

    async def misleads(said: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(wire.other(said))

    assert await verdict(wire, misleads) == ("wrong_unit" if protocol == "rtu" else "out_of_step")


async def test_noise_on_a_serial_line() -> None:
    async def garbles(said: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said[:4] + bytes([said[4] ^ 0x10]) + said[5:])

    assert await verdict(WIRES["rtu"], garbles) == "garbled"


async def test_another_unit_of_a_gateway() -> None:
    async def misleads(said: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said[:6] + b"\x09" + said[7:])

    assert await verdict(WIRES["modbus"], misleads) == "wrong_unit"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (1, "not_offered"), (2, "not_offered"), (3, "access_denied"), (4, "faulty"), (5, "busy"),
        (6, "busy"), (8, "faulty"), (10, "unreachable"), (11, "no_unit"), (99, "access_denied"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("protocol", ["modbus", "rtu"])
async def test_every_exception_has_its_name(protocol: str, code: int, name: str) -> None:
    async def refuses(said: bytes, writer: asyncio.StreamWriter) -> None:
        if protocol == "rtu":
            told = bytes([said[0], said[1] | 0x80, code])
            writer.write(told + rtu.crc(told))
        else:
            writer.write(said[:4] + b"\0\3" + bytes([said[6], said[7] | 0x80, code]))

    assert await verdict(WIRES[protocol], refuses) == name


@pytest.mark.parametrize("protocol", ["modbus", "rtu"])
async def test_success_with_nothing_in_it(protocol: str) -> None:
    async def nods(said: bytes, writer: asyncio.StreamWriter) -> None:
        if protocol == "rtu":
            told = said[:2] + b"\0"
            writer.write(told + rtu.crc(told))
        else:
            writer.write(said[:4] + b"\0\3" + said[6:8] + b"\0")

    async with spoiled(WIRES[protocol], nods) as endpoint:
        with pytest.raises(
            errors.RemoteProtocolError, match="says yes and gives nothing"
        ) as raised:
            await read(WIRES[protocol], endpoint)
    assert named(raised.value) == "protocol"


@pytest.mark.parametrize("protocol", WIRES)
async def test_a_meter_that_serves_one_client_at_a_time(protocol: str) -> None:
    wire = WIRES[protocol]
    taken = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        if not taken:
            taken = True
            with contextlib.suppress(ConnectionError):
                while len(request := await reader.read(4096)) >= wire.request:
                    writer.write(wire.answer(request))
            taken = False
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(
            "M1", "127.0.0.1", port, wire.profile, wire.address, 900, timeout=SECONDS
        )
        _, other = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(errors.HungUp, match="is another client connected") as raised:
            await read(wire, endpoint)
        assert named(raised.value) == "hangs_up"
        other.close()
        await other.wait_closed()
        await asyncio.sleep(0.05)
        # It is free again, and two conversations of ours share its one connection, or take turns.
        await read(wire, endpoint)
        if protocol != "dlms":
            driver = catalogue.polled()["modbus"]

            async def again() -> None:
                async with driver.session(endpoint) as session:
                    await session.read_registers(["active_energy_import"], now=NOW)

            await asyncio.sleep(0.05)
            await asyncio.gather(*(again() for _ in range(5)))
