"""TCP meters on loopback: one socket for a whole fleet, with the faults of the line.

On Linux all of 127.0.0.0/8 is loopback: one socket listens, and the address that the client
connected to says which meter is meant. ``SO_BINDTODEVICE`` keeps the socket off every other
interface and needs no root. Elsewhere every meter gets a port of its own at 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from simulators.clock import Clock
from simulators.meter import Meter

OWN_ADDRESSES: Final = sys.platform == "linux"
"""Whether every meter has an address of its own (else: a port of its own)."""

SERIAL_FOLDER: Final = Path(tempfile.gettempdir()) / "miqyas-serial"
"""Where the serial ports of simulated meters appear if nothing else is said."""

_BACKLOG: Final = 4096
# A connection that is just being closed is no other client's.
_GRACE_SECONDS: Final = 0.05
_MOST_FILES: Final = 65_536
_DAY: Final = 86_400


class HangUp(Exception):
    """Raised by a conversation that ends the connection: the bytes make no sense."""


class Conversation(Protocol):
    """One client's talk with one meter, without I/O."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come, give what to answer; empty while more is needed.

        Raises
        ------
        HangUp
            to close the connection without an answer.
        """


Opening = Callable[[Meter], Conversation]
"""Starts a conversation with a meter."""


def endpoint(meter: Meter, port: int) -> tuple[str, int]:
    """Tell where a TCP meter listens when its service's port is ``port``."""
    if refuses(meter):
        port += 1
    return (meter.host, port) if OWN_ADDRESSES else ("127.0.0.1", port + 2 * meter.number)


def refuses(meter: Meter) -> bool:
    """Tell whether a meter needs a socket of its own, because its line refuses at times."""
    return any(fault.text("mode", "silent") == "refused" for fault in meter.having("dead_line"))


class Lines:
    """The listening sockets of a fleet's TCP meters of one protocol."""

    def __init__(self, meters: Sequence[Meter], clock: Clock, opening: Opening) -> None:
        self.meters = meters
        self.clock = clock
        self.opening = opening
        self.port = 0
        self.connections = 0
        self.turned_away = 0
        self.resets: Counter[tuple[str, int]] = Counter()
        self._by_address: dict[tuple[str, int], Meter] = {}
        self._servers: list[asyncio.Server] = []
        self._refusing: dict[Meter, asyncio.Server] = {}
        self._open: set[_Line] = set()
        self._talking: Counter[Meter] = Counter()

    async def start(self, port: int) -> None:
        """Listen; port 0 takes a free one.

        Raises
        ------
        OSError
            if the port is taken.
        """
        _allow_many_connections()
        first = _listener(port)
        self.port = first.getsockname()[1]
        self._by_address = {endpoint(meter, self.port): meter for meter in self.meters}
        self._servers.append(await self._serve(first))
        if not OWN_ADDRESSES:
            for _, own in self._by_address:
                self._servers.append(await self._serve(_bound("127.0.0.1", own)))
        await self.catch_up()

    async def catch_up(self) -> int:
        """Open and close the sockets of lines that refuse at times; publish nothing."""
        for meter in filter(refuses, self.meters if OWN_ADDRESSES else ()):
            dead = meter.fault("dead_line", self.clock.seconds) is not None
            if dead and meter in self._refusing:
                await _close(self._refusing.pop(meter))
            elif not dead and meter not in self._refusing:
                own = _bound(*endpoint(meter, self.port))
                self._refusing[meter] = await self._serve(own)
        return 0

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        for line in list(self._open):
            line.cut()
        for server in [*self._servers, *self._refusing.values()]:
            await _close(server)

    def meter_at(self, address: tuple[str, int]) -> Meter | None:
        """Find the meter that a client connected to."""
        return self._by_address.get(address)

    def take_reset(self, meter: Meter) -> int | None:
        """Tell after how many bytes this connection is to be reset, None if it is not."""
        fault = meter.fault("reset_in_transfer", self.clock.seconds)
        day = (meter.mrid, self.clock.seconds // _DAY)
        if fault is None or self.resets[day] >= fault.number("times", 1):
            return None
        return fault.number("after", 600)

    def count_reset(self, meter: Meter) -> None:
        """Note that a connection was reset by fault."""
        self.resets[meter.mrid, self.clock.seconds // _DAY] += 1

    def opened(self, line: _Line) -> Meter | None:
        """Note a new connection; give the meter that it is to."""
        self.connections += 1
        self._open.add(line)
        meter = self.meter_at(line.address)
        if meter is not None:
            self._talking[meter] += 1
        return meter

    def closed(self, line: _Line, meter: Meter | None) -> None:
        """Forget a connection."""
        self._open.discard(line)
        if meter is not None:
            self._talking[meter] -= 1

    def lets_in(self, meter: Meter) -> bool:
        """Tell whether a meter has no more connections than ``sessions`` in its options."""
        most = int(meter.options.get("sessions", 0))
        return not most or self._talking[meter] <= most

    async def _serve(self, listener: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Line(self), sock=listener, backlog=_BACKLOG)


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.address = ("", 0)
        self._transport: asyncio.Transport | None = None
        self._meter: Meter | None = None
        self._conversation: Conversation | None = None
        self._reset_after: int | None = None
        self._sent = 0
        self._ready_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # TCP gives no other
        self._transport = transport
        self.address = transport.get_extra_info("sockname")
        self._meter = meter = self._lines.opened(self)
        if meter is None:
            self.cut()
        elif self._lines.lets_in(meter):
            self._begin(meter)
        else:
            transport.pause_reading()
            asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._begin_late, meter)

    def _begin_late(self, meter: Meter) -> None:
        if self._transport is None:
            return
        if self._lines.lets_in(meter):
            self._begin(meter)
            self._transport.resume_reading()
        else:
            self._lines.turned_away += 1
            self.cut()

    def _begin(self, meter: Meter) -> None:
        dead = meter.fault("dead_line", self._lines.clock.seconds)
        if self._lines.clock.seconds < meter.start:
            return  # not installed yet: nobody answers
        if dead is None:
            self._conversation = self._lines.opening(meter)
            self._reset_after = self._lines.take_reset(meter)
        elif dead.text("mode", "silent") != "silent":
            self.cut()

    def data_received(self, data: bytes) -> None:
        if self._conversation is None or self._meter is None:
            return
        if self._meter.fault("dead_line", self._lines.clock.seconds) is not None:
            return
        try:
            answer = self._conversation.receive(data)
        except HangUp:
            self.cut()
            return
        if answer:
            self._answer(answer, self._meter)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.closed(self, self._meter)
        self._transport = None

    def cut(self) -> None:
        """Reset the connection (RST, not FIN)."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # the client may have been faster
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _answer(self, answer: bytes, meter: Meter) -> None:
        """Send an answer as the line's faults let it pass."""
        left = None if self._reset_after is None else self._reset_after - self._sent
        self._sent += len(answer)
        if left is not None and len(answer) > left:
            self._reset_after = None
            self._conversation = None
            self._lines.count_reset(meter)
            self._write(answer[:left])
            # Bytes that wait in the socket die with a reset; let them reach the client first.
            asyncio.get_running_loop().call_later(0.02, self.cut)
        elif (slow := meter.fault("slow_line", self._lines.clock.seconds)) is not None:
            self._dribble(answer, float(slow.settings.get("latency", 0.2)), slow.number("chunk"))
        else:
            self._write(answer)

    def _dribble(self, answer: bytes, latency: float, chunk: int) -> None:
        """Send an answer late and in pieces, never before what was promised earlier."""
        loop = asyncio.get_running_loop()
        size = chunk or len(answer)
        self._ready_at = max(self._ready_at, loop.time()) + latency
        for at in range(0, len(answer), size):
            loop.call_at(self._ready_at, self._write, answer[at : at + size])
            self._ready_at += 0.002

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _allow_many_connections() -> None:
    """Lift the limit of open files as far as an account may: the usual 1,024 are few meters."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listener(port: int) -> socket.socket:
    """Make the socket on which every meter with an address of its own is reached."""
    if not OWN_ADDRESSES:
        return _bound("127.0.0.1", port)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    listener.bind(("0.0.0.0", port))  # noqa: S104  # bound to the loopback device above
    return listener


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()
