"""Lines that frames come over: serial ports, on pseudo-terminals, and datagrams."""

from __future__ import annotations

import asyncio
import os
import socket
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from drivers import stream
from drivers.errors import (
    Broken,
    LocalProtocolError,
    Refused,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
)
from drivers.serial_port import Characters
from drivers.stream import Stream


class Words:
    """Frames that end with a point, for tests."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def waiting(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> bytes | None:
        word, point, rest = self._buffer.partition(b".")
        if not point:
            return None
        self._buffer = rest
        return word


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    """The meter's end of a serial line, and the path of ours."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


@asynccontextmanager
async def opened(
    path: str, *, seconds: float = 2.0, baud: int = 9600
) -> AsyncIterator[Stream[bytes]]:
    line = await stream.open_serial(path, Characters(baud), Words(), timeout=seconds)
    try:
        yield line
    finally:
        line.close()
        await asyncio.sleep(0)


async def test_a_serial_line_carries_frames_both_ways(pty: tuple[int, str]) -> None:
    master, path = pty
    async with opened(path) as line:
        line.send(b"how much.")
        await asyncio.sleep(0.01)
        assert os.read(master, 100) == b"how much."
        os.write(master, b"ni")
        os.write(master, b"ne.ten.")
        assert [await line.receive(), await line.receive()] == [b"nine", b"ten"]


async def test_more_than_the_port_takes_at_once_is_sent_whole(pty: tuple[int, str]) -> None:
    master, path = pty
    came = bytearray()
    ready = asyncio.get_running_loop()
    async with opened(path) as line:
        line.send(bytes(200_000))
        line.send(b"end")
        ready.add_reader(master, lambda: came.extend(os.read(master, 65_536)))
        try:
            for _ in range(1000):
                if len(came) == 200_003:
                    break
                await asyncio.sleep(0.01)
        finally:
            ready.remove_reader(master)
    assert came == bytes(200_000) + b"end"


async def test_a_port_is_ours_alone(pty: tuple[int, str]) -> None:
    async with opened(pty[1]):
        with pytest.raises(Refused, match="another program"):
            async with opened(pty[1]):
                pass
    async with opened(pty[1]):
        pass


async def test_what_is_no_port_is_named(tmp_path: object) -> None:
    with pytest.raises(Unreachable, match="check the path"):
        async with opened(f"{tmp_path}/none"):
            pass
    with pytest.raises(Unreachable, match="check the path"):
        async with opened("/dev/null"):
            pass


async def test_characters_that_no_port_has_are_our_error(pty: tuple[int, str]) -> None:
    with pytest.raises(LocalProtocolError, match="correct"):
        async with opened(pty[1], baud=-1):
            pass


async def test_a_line_that_is_pulled_is_broken() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    async with opened(os.ttyname(slave)) as line:
        os.close(slave)
        os.close(master)
        with pytest.raises(Broken):
            await line.receive()


async def test_the_baud_rate_changes_once_all_is_sent(pty: tuple[int, str]) -> None:
    master, path = pty
    line = await stream.open_serial(path, Characters(300), Words(), timeout=1)
    speed = lambda: termios.tcgetattr(master)[5]  # noqa: E731
    try:
        assert speed() == termios.B300
        line.send(b"\x06050.")
        await line.set_characters(Characters(9600))
        assert speed() == termios.B9600
        assert os.read(master, 100) == b"\x06050."
    finally:
        line.close()


async def test_another_stream_takes_a_line_over(pty: tuple[int, str]) -> None:
    master, path = pty
    async with opened(path) as first:
        second = first.take_over(Words())
        os.write(master, b"now.")
        assert await second.receive() == b"now"
        with pytest.raises(LocalProtocolError):
            await first.receive()
        second.close()


async def test_a_wait_that_was_vain_leaves_the_line_as_it_was(pty: tuple[int, str]) -> None:
    master, path = pty
    async with opened(path, seconds=0.05) as line:
        os.write(master, b"la")
        assert await line.wait(0.01) is None
        os.write(master, b"te.")
        assert await line.wait(1) == b"late"
        with pytest.raises(TimedOut, match="none came"):
            await line.receive()


def test_the_time_that_characters_take() -> None:
    assert Characters(300, 7, "E").seconds(3) == pytest.approx(0.1)
    assert Characters(9600).seconds(960) == pytest.approx(1.0)


def decode(datagram: bytes) -> bytes:
    if not datagram.endswith(b"."):
        raise RemoteProtocolError("no point")
    return datagram[:-1]


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[socket.socket, Stream[bytes], tuple[str, int]]]:
    """A peer's socket, a stream to it, and the stream's own address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(2)
        line = await stream.connect_datagram(*peer.getsockname(), decode, timeout=1)
        try:
            line.send(b"hello.")
            data, address = peer.recvfrom(100)
            assert data == b"hello."
            yield peer, line, address
        finally:
            line.close()


async def test_a_datagram_is_a_frame() -> None:
    async with talking() as (peer, line, us):
        peer.sendto(b"one.", us)
        peer.sendto(b"garbage", us)
        peer.sendto(b"", us)
        peer.sendto(b"two.", us)
        assert [await line.receive(), await line.receive()] == [b"one", b"two"]


async def test_a_stranger_s_datagram_is_not_taken() -> None:
    async with talking() as (peer, line, us):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"wrong.", us)
        await asyncio.sleep(0.01)
        peer.sendto(b"right.", us)
        assert await line.receive() == b"right"


async def test_a_flood_of_datagrams_is_bounded() -> None:
    async with talking() as (peer, line, us):
        for _ in range(10):
            for _ in range(20):
                peer.sendto(b"x" * 1000 + b".", us)
            await asyncio.sleep(0.002)
        came = 0
        while await line.wait(0.01) is not None:
            came += 1
        assert came == 64


async def test_nobody_at_a_udp_port_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        where = unused.getsockname()
    line = await stream.connect_datagram(*where, decode, timeout=2)
    line.send(b"hello.")
    with pytest.raises(Refused, match="nobody listens"):
        await line.receive()
    line.close()


async def test_a_silent_udp_peer_times_out() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        line = await stream.connect_datagram(*peer.getsockname(), decode, timeout=0.05)
        with pytest.raises(TimedOut):
            await line.exchange(b"hello.")
        line.close()
