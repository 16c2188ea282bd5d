"""The connections that pushes come by: TCP lines and UDP sockets, into one inbox."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from drivers.dlms import push_stream
from drivers.dlms.push_inbox import Inbox, Received
from drivers.dlms.push_stream import PushStream, Sent
from drivers.errors import RemoteProtocolError

# As much as one frame's end leaves behind (HDLC's flag) is no unfinished frame.
_REST: Final = 1
_DATAGRAMS_AT_ONCE: Final = 256
_LARGEST_DATAGRAM: Final = 0xFFFF
_RECEIVE_BUFFER: Final = 8 << 20
# Goes beyond the system's limit, which only root may; not named by Python's socket module.
_SO_RCVBUFFORCE: Final = 33
_KERNEL_TABLES: Final = ("/proc/net/udp", "/proc/net/udp6")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much peers may ask of us.

    Attributes
    ----------
    connections : most TCP connections at a time
    idle : a connection that sends nothing is closed after [s]
    unfinished : a frame that was begun must be whole after [s]
    """

    connections: int = 2000
    idle: float = 900.0
    unfinished: float = 30.0


@dataclass(slots=True)
class Traffic:
    """What has come in: pushes, connections, and what was not taken.

    ``broken`` counts connections and datagrams whose bytes are no frames, ``timed_out`` connections
    that were silent or too slow, ``turned_away`` those above the limit.
    """

    pushes: int = 0
    connections: int = 0
    open: int = 0
    broken: int = 0
    timed_out: int = 0
    turned_away: int = 0


@dataclass(eq=False)
class Hub:
    """What all connections of a receiver share; used in its loop's thread only.

    ``refused`` is told of each peer whose bytes are no frames, and why.
    """

    inbox: Inbox
    clock: Callable[[], int]
    limits: Limits
    refused: Callable[[str, str], None]

    def __post_init__(self) -> None:
        self.traffic = Traffic()
        self.lines: set[TcpLine] = set()
        self.held = False

    def put(self, sent: list[Sent], host: str, transport: str, line: TcpLine | None) -> None:
        """Hand on what has come whole."""
        at = self.clock()
        self.traffic.pushes += len(sent)
        self.inbox.put([
            Received(one, host, transport, at, line if one.answerable else None) for one in sent
        ])  # fmt: skip
        if self.inbox.full:
            self.hold(held=True)

    def hold(self, *, held: bool) -> None:
        """Read from nobody while the inbox is full."""
        self.held = held
        for line in self.lines:
            line.hold(held=held)

    def break_with(self, host: str, reason: str) -> None:
        """Count a peer whose bytes are no frames."""
        self.traffic.broken += 1
        self.refused(host, reason)

    def sweep(self, now: float) -> None:
        """Close connections that are silent or too slow.

        Parameters
        ----------
        now : the loop's time [s]
        """
        for line in [line for line in self.lines if line.is_late(now)]:
            self.traffic.timed_out += 1
            line.close()


class TcpLine(asyncio.Protocol):
    """One TCP connection of a meter or a gateway."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub, self._loop = hub, loop
        self._stream = PushStream()
        self._transport: asyncio.Transport | None = None
        self._host = ""
        self._heard = self._begun = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, if there is room for it (called by asyncio)."""
        hub = self._hub
        self._transport = cast("asyncio.Transport", transport)
        self._host = str(transport.get_extra_info("peername", ("?",))[0])
        if len(hub.lines) >= hub.limits.connections:
            hub.traffic.turned_away += 1
            self._transport.abort()
            return
        hub.lines.add(self)
        hub.traffic.connections += 1
        hub.traffic.open = len(hub.lines)
        self.hold(held=hub.held)

    def data_received(self, data: bytes) -> None:
        """Take bytes (called by asyncio)."""
        self._heard = self._loop.time()
        if self._stream.waiting <= _REST:
            self._begun = self._heard
        whole: list[Sent] = []
        try:
            self._stream.feed(data)
            whole.extend(iter(self._stream.next, None))
        except RemoteProtocolError as error:
            self._hub.break_with(self._host, str(error))
            self.close()
        if whole:
            self._begun = self._heard
            self._hub.put(whole, self._host, "tcp", self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection (called by asyncio)."""
        self._transport = None
        self._hub.lines.discard(self)
        self._hub.traffic.open = len(self._hub.lines)

    def is_late(self, now: float) -> bool:
        """Tell whether the peer is silent for too long or too slow with a frame."""
        limits = self._hub.limits
        if self._hub.held:
            # It is we who do not read.
            self._heard = self._begun = now
        unfinished = self._stream.waiting > _REST
        return now - self._heard > limits.idle or (
            unfinished and now - self._begun > limits.unfinished
        )

    def hold(self, *, held: bool) -> None:
        """Stop reading, or go on."""
        if self._transport is not None and not self._transport.is_closing():
            if held:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def answer(self, data: bytes) -> None:
        """Send bytes back, from any thread; nothing happens if the connection is gone."""
        with suppress(RuntimeError):  # the loop is closed: we are stopping
            self._loop.call_soon_threadsafe(self._write, data)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        # A peer that does not read its answers is not to fill our memory with them.
        if self._transport is not None and self._transport.get_write_buffer_size() < 1 << 16:
            self._transport.write(data)


class UdpSocket:
    """A UDP socket; while the inbox is full its datagrams wait, or are dropped, in the kernel."""

    def __init__(self, hub: Hub, bound: socket.socket) -> None:
        self._hub, self._socket = hub, bound
        self._joiners = push_stream.Joiners()
        bound.setblocking(False)
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
            with suppress(OSError):
                bound.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)
                break
        self.buffer = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._inode = str(os.fstat(bound.fileno()).st_ino)

    def fileno(self) -> int:
        """Give the file descriptor, for the loop."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take the datagrams that are there, some at a time (called by the loop)."""
        if self._hub.held:
            return
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                data, peer = self._socket.recvfrom(_LARGEST_DATAGRAM)
            except OSError as error:
                # An earlier answer of ours could not be delivered: says nothing of what comes.
                if error.errno == errno.ECONNREFUSED:
                    continue
                return
            try:
                whole = push_stream.datagram(data, self._joiners.of(peer))
                self._hub.put(whole, str(peer[0]), "udp", None)
            except RemoteProtocolError as error:
                self._hub.break_with(str(peer[0]), str(error))
            if self._hub.held:
                return

    def dropped(self) -> int:
        """Count the datagrams that the kernel dropped for lack of room; 0 where it does not say."""
        for table in _KERNEL_TABLES:
            with suppress(OSError):
                for line in Path(table).read_text("ascii").splitlines()[1:]:
                    cells = line.split()
                    if len(cells) > 12 and cells[9] == self._inode:
                        return int(cells[-1])
        return 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
