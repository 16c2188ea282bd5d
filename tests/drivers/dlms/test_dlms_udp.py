"""APDUs over UDP with peers that lose, repeat and delay: answers and questions are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers import stream
from drivers.dlms import wrapper
from drivers.dlms.line_settings import LineSettings
from drivers.dlms.wrapper_line import Datagrams
from drivers.driver import Endpoint
from drivers.errors import Broken, Refused, RemoteProtocolError, TimedOut

COUNTER_ERROR = bytes.fromhex("d80106 00000009".replace(" ", ""))


def get(invoke: int) -> bytes:
    return bytes((0xC0, 1, 0xC0 | invoke)) + bytes(10)


def got(invoke: int, value: int = 7) -> bytes:
    return bytes((0xC4, 1, 0xC0 | invoke, 0, 0x11, value))


class Peer(asyncio.DatagramProtocol):
    """A peer that says to each request what a list says, in its turn."""

    def __init__(self, answers: Sequence[Sequence[bytes]]) -> None:
        self.answers = list(answers)
        self.heard: list[bytes] = []
        self.transport: Any = None
        self.addr: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(wrapper.decode(data).apdu)
        self.addr = addr
        for answer in self.answers.pop(0) if self.answers else ():
            self.say(answer)

    def say(self, apdu: bytes, *, source: int = 1) -> None:
        self.transport.sendto(wrapper.encode(wrapper.Frame(source, 1, apdu)), self.addr)


@asynccontextmanager
async def talking(
    *answers: Sequence[bytes], seconds: float = 0.15, **address: int | str
) -> AsyncIterator[tuple[Datagrams, Peer]]:
    peer = Peer(answers)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: peer, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    endpoint = Endpoint("M1", host, port, "generic", {"framing": "udp", **address}, 900)
    line = await stream.connect_datagram(host, port, wrapper.decode, timeout=seconds)
    link = Datagrams(line, 1, 1, LineSettings.of(endpoint), seconds)
    try:
        yield link, peer
    finally:
        link.close()
        transport.close()


async def test_a_lost_request_is_sent_again_as_it_was() -> None:
    async with talking([], [], [got(1)]) as (link, peer):
        assert await link.exchange(get(1)) == got(1)
        assert peer.heard == [get(1)] * 3


async def test_who_never_answers_is_given_up() -> None:
    async with talking() as (link, peer):
        with pytest.raises(TimedOut, match="asked 3 times"):
            await link.exchange(get(1))
        assert len(peer.heard) == 3
    async with talking(retries=0) as (link, peer):
        with pytest.raises(TimedOut, match="asked 1 times"):
            await link.exchange(get(1))
        assert len(peer.heard) == 1


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(got(1), id="the same again"),
        pytest.param(got(1, 8), id="made anew"),
        pytest.param(COUNTER_ERROR, id="refused as had before"),
        pytest.param(bytes.fromhex("6303800100"), id="another service"),
        pytest.param(bytes.fromhex("6100"), id="an old association"),
    ],
)
async def test_an_answer_to_an_earlier_request_is_passed_over(late: bytes) -> None:
    async with talking([], [got(1)], [late, got(2)]) as (link, _):
        assert await link.exchange(get(1)) == got(1)
        assert await link.exchange(get(2)) == got(2)


async def test_parts_that_are_the_same_by_right_are_not_passed_over() -> None:
    part = bytes.fromhex("e080 0002 0001 02 1107".replace(" ", ""))
    async with talking([part], [part]) as (link, _):
        assert await link.burst([get(1)]) == part
        assert await link.burst([get(2)]) == part


async def test_a_doubled_answer_is_taken_once() -> None:
    async with talking([got(1), got(1)], [got(2), got(2)]) as (link, _):
        assert await link.exchange(get(1)) == got(1)
        assert await link.exchange(get(2)) == got(2)


async def test_a_lost_answer_that_the_meter_does_not_repeat_is_named() -> None:
    async with talking([], [COUNTER_ERROR]) as (link, _):
        with pytest.raises(Broken, match="does not repeat"):
            await link.exchange(get(1))


async def test_a_counter_error_to_a_request_that_was_sent_once_is_the_answer() -> None:
    async with talking([COUNTER_ERROR]) as (link, _):
        assert await link.exchange(get(1)) == COUNTER_ERROR


async def test_what_others_say_is_passed_over() -> None:
    async with talking([], [got(1)]) as (link, peer):
        asked = asyncio.create_task(link.exchange(get(1)))
        await asyncio.sleep(0.01)
        peer.say(got(1, 99), source=5)
        peer.transport.sendto(b"garbage", peer.addr)
        assert await asked == got(1)


async def test_a_flood_of_old_answers_ends() -> None:
    async with talking([], [got(1)], [got(1)] * 100, [got(2)]) as (link, _):
        assert await link.exchange(get(1)) == got(1)
        assert await link.exchange(get(2)) == got(2)


async def test_several_apdus_in_a_row_wait_for_one_answer() -> None:
    async with talking([], [got(1)]) as (link, peer):
        assert await link.burst([get(1), get(1)]) == got(1)
        assert await link.burst([]) is None
        assert len(peer.heard) == 2


async def test_a_gateway_s_meter_is_asked_through_it() -> None:
    through: Callable[[int, bytes], bytes] = lambda tag, apdu: bytes((tag, 3, 1, 9)) + apdu  # noqa: E731
    async with talking([through(0xE7, got(1))], network=3, device="09") as (link, peer):
        assert await link.exchange(get(1)) == got(1)
        assert peer.heard == [through(0xE6, get(1))]
    async with talking([got(1)], network=3, device="09") as (link, _):
        with pytest.raises(RemoteProtocolError, match="no gateway"):
            await link.exchange(get(1))


async def test_a_port_where_nobody_is_is_told() -> None:
    async with talking() as (link, peer):
        peer.transport.close()
        await asyncio.sleep(0.01)
        with pytest.raises(Refused):
            await link.exchange(get(1))
