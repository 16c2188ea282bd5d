"""Lines of simulated meters on real sockets: dead, slow, reset, refused, and a thousand at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from simulators import dlms_meter, fleet, line
from simulators.clock import Clock
from simulators.faults import Fault
from simulators.line import Lines
from simulators.meter import Meter

AARQ = bytes.fromhex("601da109060760857405080101be10040e01000000065f1f0400001e1dffff")
GET_PROFILE = bytes.fromhex("c001c100070100630100ff0200")
FOREVER = 2**40


def _frame(apdu: bytes) -> bytes:
    return struct.pack(">4H", 1, 1, 1, len(apdu)) + apdu


def _meter(*faults: Fault, number: int = 0, host: str = "127.13.0.1") -> Meter:
    made = fleet.load("small").meters[number]
    return replace(made, faults=faults, host=host)


@asynccontextmanager
async def serving(*meters: Meter, now: int | None = None) -> AsyncIterator[Lines]:
    lines = await dlms_meter.serve(meters, Clock(now or meters[0].end), port=0)
    try:
        yield lines
    finally:
        await lines.close()


async def _connected(
    lines: Lines, meter: Meter
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*line.endpoint(meter, lines.port))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readexactly(8), 5)
    return await asyncio.wait_for(reader.readexactly(int.from_bytes(head[6:8], "big")), 5)


async def _day(lines: Lines, meter: Meter) -> bytes:
    """Associate and ask for the first block of the load profile."""
    reader, writer = await _connected(lines, meter)
    try:
        writer.write(_frame(AARQ))
        assert (await _answer(reader))[0] == 0x61
        writer.write(_frame(GET_PROFILE))
        return await _answer(reader)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_silent_line_connects_and_never_answers_until_it_is_back() -> None:
    meter = _meter(Fault("dead_line", 0, 1_780_500_000, {"mode": "silent"}))
    async with serving(meter, now=1_780_400_000) as lines:
        reader, writer = await _connected(lines, meter)
        writer.write(_frame(AARQ))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()
        lines.clock.move(datetime.fromtimestamp(1_780_500_000, UTC))
        assert (await _day(lines, meter))[:2] == b"\xc4\x02"


async def test_line_that_dies_in_the_middle_falls_silent() -> None:
    meter = _meter(Fault("dead_line", 1_780_500_000, FOREVER, {"mode": "silent"}))
    async with serving(meter, now=1_780_400_000) as lines:
        reader, writer = await _connected(lines, meter)
        writer.write(_frame(AARQ))
        assert (await _answer(reader))[0] == 0x61
        lines.clock.move(datetime.fromtimestamp(1_780_500_000, UTC))
        writer.write(_frame(GET_PROFILE))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()


async def test_resetting_line_cuts_at_once() -> None:
    meter = _meter(Fault("dead_line", 0, FOREVER, {"mode": "reset"}))
    async with serving(meter) as lines:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _day(lines, meter)


async def test_refusing_line_is_refused_by_the_system_and_comes_back() -> None:
    meter = _meter(Fault("dead_line", 1_780_400_000, 1_780_500_000, {"mode": "refused"}))
    async with serving(meter, now=1_780_300_000) as lines:
        assert (await _day(lines, meter))[:2] == b"\xc4\x02"
        lines.clock.move(datetime.fromtimestamp(1_780_400_000, UTC))
        await lines.catch_up()
        with pytest.raises(ConnectionRefusedError):
            await _connected(lines, meter)
        lines.clock.move(datetime.fromtimestamp(1_780_500_000, UTC))
        await lines.catch_up()
        assert (await _day(lines, meter))[:2] == b"\xc4\x02"


async def test_transfer_is_reset_where_the_label_says_and_works_then() -> None:
    fault = Fault("reset_in_transfer", 0, FOREVER, {"times": 2, "after": 300})
    meter = _meter(fault)
    async with serving(meter) as lines:
        for _ in range(2):
            reader, writer = await _connected(lines, meter)
            writer.write(_frame(AARQ))
            got = 8 + len(await _answer(reader))
            writer.write(_frame(GET_PROFILE))
            assert await asyncio.wait_for(reader.readexactly(300 - got), 5)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(1), 5)
            writer.close()
        assert (await _day(lines, meter))[:2] == b"\xc4\x02"


async def test_slow_line_answers_late_and_in_pieces() -> None:
    meter = _meter(Fault("slow_line", 0, FOREVER, {"latency": 0.2, "chunk": 100}))
    async with serving(meter) as lines:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await _day(lines, meter))[:2] == b"\xc4\x02"
        assert loop.time() - began >= 0.4


async def test_nobody_lives_at_other_addresses_and_not_before_installation() -> None:
    meter = _meter()
    async with serving(meter) as lines:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _day(lines, replace(meter, host="127.13.0.2"))
    later = replace(meter, start=meter.end - 86_400)
    async with serving(later, now=meter.end - 90_000) as lines:
        reader, writer = await _connected(lines, later)
        writer.write(_frame(AARQ))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()


async def test_garbage_is_hung_up_on() -> None:
    meter = _meter()
    async with serving(meter) as lines:
        reader, writer = await _connected(lines, meter)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 5)
        writer.close()


async def test_only_loopback_reaches_the_meters() -> None:
    """Where this machine has another address, nobody answers there."""
    meter = _meter()
    async with serving(meter) as lines:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; picks the address that would be used
            own = probe.getsockname()[0]
        if own.startswith("127."):
            pytest.skip("this machine has no address but loopback")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _day(lines, replace(meter, host=own))


async def test_a_port_for_every_meter_where_loopback_has_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line, "OWN_ADDRESSES", False)
    meters = [_meter(number=number, host=f"127.13.0.{number + 1}") for number in range(3)]
    async with serving(*meters) as lines:
        ends = {line.endpoint(meter, lines.port) for meter in meters}
        assert {host for host, _ in ends} == {"127.0.0.1"}
        assert len(ends) == 3
        for meter in meters[:2]:
            assert (await _day(lines, meter))[:2] == b"\xc4\x02"


async def test_a_thousand_meters_of_one_process_answer_at_once() -> None:
    made = _meter()
    meters = [replace(made, host=f"127.14.{n // 250}.{n % 250 + 1}") for n in range(1000)]
    async with serving(*meters) as lines:
        answers = await asyncio.gather(*(_day(lines, meter) for meter in meters))
        assert lines.connections == 1000
    assert {answer[:2] for answer in answers} == {b"\xc4\x02"}
