"""Listens for pushes over TCP and UDP, in a thread of its own, into a bounded inbox.

::

    with Receiver([Address.parse("tcp://0.0.0.0:4059")], clock=now) as receiver:
        pushes = receiver.inbox.take(5000, wait=1, linger=1)
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from drivers import errors
from drivers.dlms.push_inbox import Inbox
from drivers.dlms.push_lines import Hub, Limits, TcpLine, Traffic, UdpSocket

DEFAULT_PORT: Final = 4059
_BACKLOG: Final = 1024
_SWEEP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: ``tcp`` or ``udp``, host and port; port 0 takes a free one."""

    transport: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``tcp://host:port`` or ``udp://host:port``; the port is 4059 if it is not given.

        Raises
        ------
        ValueError
            if it is no such address.
        """
        url = urlsplit(text)
        if url.scheme not in ("tcp", "udp") or not url.hostname or url.path not in ("", "/"):
            raise ValueError(f"{text!r} is no address such as tcp://0.0.0.0:4059 or udp://…")
        return cls(url.scheme, url.hostname, DEFAULT_PORT if url.port is None else url.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


class Receiver:
    """Listens at addresses for the length of a ``with`` block.

    Parameters
    ----------
    clock : gives the time of receipt [µs since 1970-01-01 UTC]
    refused : is told, in the receiver's thread, of a peer whose bytes are no frames, and why

    Raises
    ------
    drivers.errors.LinkError
        on entering, if an address cannot be listened at.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        clock: Callable[[], int],
        limits: Limits | None = None,
        inbox: Inbox | None = None,
        refused: Callable[[str, str], None] = lambda _host, _reason: None,
    ) -> None:
        self.inbox = inbox or Inbox()
        self._wanted = tuple(addresses)
        self._hub = Hub(self.inbox, clock, limits or Limits(), refused)
        self._sockets: list[socket.socket] = []
        self._udp: list[UdpSocket] = []
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="miqyas-push-receiver")

    @property
    def traffic(self) -> Traffic:
        """What has come in up to now."""
        return self._hub.traffic

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, in the order in which they were asked for."""
        return tuple(
            Address(wanted.transport, wanted.host, bound.getsockname()[1])
            for wanted, bound in zip(self._wanted, self._sockets, strict=True)
        )

    @property
    def buffers(self) -> tuple[int, ...]:
        """Sizes of the kernel's buffers of the UDP addresses, as it granted them [B]."""
        return tuple(one.buffer for one in self._udp)

    def dropped(self) -> int:
        """Count the datagrams that the kernel dropped because we were too slow."""
        return sum(one.dropped() for one in self._udp)

    def __enter__(self) -> Self:
        try:
            for wanted in self._wanted:
                self._sockets.append(_bound(wanted))
        except BaseException:
            self._close_sockets()
            raise
        self._udp = [
            UdpSocket(self._hub, bound)
            for wanted, bound in zip(self._wanted, self._sockets, strict=True)
            if wanted.transport == "udp"
        ]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._close_sockets()
        self.inbox.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        loop, hub = self._loop, self._hub
        self.inbox.has_room = lambda: self._tell(self._resume)
        servers = [
            await loop.create_server(lambda: TcpLine(hub, loop), sock=bound, backlog=_BACKLOG)
            for wanted, bound in zip(self._wanted, self._sockets, strict=True)
            if wanted.transport == "tcp"
        ]
        for one in self._udp:
            loop.add_reader(one.fileno(), self._read, one)
        sweeper = asyncio.create_task(self._sweep())
        await self._stopping.wait()
        sweeper.cancel()
        for server in servers:
            server.close()
        for one in self._udp:
            loop.remove_reader(one.fileno())
        for line in list(hub.lines):
            line.close()
        # Aborted connections say goodbye in the loop's next turn.
        await asyncio.sleep(0)

    def _read(self, one: UdpSocket) -> None:
        one.read()
        if self._hub.held:
            for other in self._udp:
                self._loop.remove_reader(other.fileno())

    def _resume(self) -> None:
        self._hub.hold(held=False)
        for one in self._udp:
            self._loop.add_reader(one.fileno(), self._read, one)

    def _tell(self, what: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    async def _sweep(self) -> None:
        limits = self._hub.limits
        pause = min(_SWEEP_SECONDS, limits.unfinished / 4, limits.idle / 4)
        while True:
            await asyncio.sleep(pause)
            self._hub.sweep(self._loop.time())

    def _close_sockets(self) -> None:
        for bound in self._sockets:
            bound.close()


def _bound(address: Address) -> socket.socket:
    kind = socket.SOCK_STREAM if address.transport == "tcp" else socket.SOCK_DGRAM
    try:
        family, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=kind)[0]
        bound = socket.socket(family, kind)
    except OSError as error:
        raise errors.Unreachable(f"cannot listen at {address}: {error.strerror}") from error
    try:
        if address.transport == "tcp":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        if address.transport == "tcp":
            # From here on nobody is turned away, though the loop comes to it later.
            bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise errors.Refused(
            f"cannot listen at {address}: {error.strerror}; choose another port, or stop what "
            "listens there"
        ) from error
    return bound
