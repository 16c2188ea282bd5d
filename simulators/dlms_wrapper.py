"""The wrapper of the simulated DLMS meters (IEC 62056-4-7): over TCP and over UDP.

Header: version 1, source, destination and length, two octets each.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, cast

from simulators.clock import Clock
from simulators.dlms_desk import Desk
from simulators.line import HangUp
from simulators.meter import Meter

_HEADER: Final = 8
_VERSION: Final = b"\x00\x01"
# Clients that a meter on UDP remembers; the one that was silent longest is forgotten.
_MOST_CLIENTS: Final = 64

Peer = tuple[str, int]


class Talk:
    """One TCP client's talk with what is behind an endpoint."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting = b""

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come; give the answers to whole frames.

        Raises
        ------
        HangUp
            if they are not frames of the wrapper.
        """
        self._waiting += data
        answers = b""
        while len(self._waiting) >= _HEADER:
            if self._waiting[:2] != _VERSION:
                raise HangUp("not a wrapper frame")
            end = _HEADER + int.from_bytes(self._waiting[6:8], "big")
            if len(self._waiting) < end:
                break
            frame, self._waiting = self._waiting[:end], self._waiting[end:]
            answers += b"".join(_answered(self._desk, frame))
        return answers


def _answered(desk: Desk, frame: bytes) -> list[bytes]:
    client, server = frame[2:4], frame[4:6]
    apdus = desk.answers(
        int.from_bytes(client, "big"), int.from_bytes(server, "big"), frame[_HEADER:]
    )
    return [_VERSION + server + client + len(apdu).to_bytes(2, "big") + apdu for apdu in apdus]


class Datagrams(asyncio.DatagramProtocol):
    """The meters behind one UDP address; each datagram carries one APDU.

    A request that comes a second time gets the answer that it got, and nothing is done twice.
    """

    def __init__(self, head: Meter, clock: Clock, opening: Callable[[], Desk]) -> None:
        self.requests = 0
        self._head, self._clock, self._opening = head, clock, opening
        self._clients: OrderedDict[Peer, tuple[Desk, bytes, list[bytes]]] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        """Answer a datagram (called by asyncio)."""
        seconds = self._clock.seconds
        if self._head.fault("dead_line", seconds) is not None or seconds < self._head.start:
            return
        whole = data[:2] == _VERSION and len(data) == _HEADER + int.from_bytes(data[6:8], "big")
        if not whole:
            return
        self.requests += 1
        every = int(self._head.options.get("noise", 0))
        if every and self.requests % every == 0:
            return  # the request is lost
        desk, last, answers = self._clients.pop(addr, (None, b"", []))
        desk = desk or self._opening()
        if data != last:
            answers = _answered(desk, data)
        self._clients[addr] = desk, data, answers
        while len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        if every and self.requests % every == 1:
            return  # the answer is lost
        for answer in answers:
            self._send(answer, addr)
            if every and self.requests % every == 2 % every:
                self._send(answer, addr)  # and here it comes twice

    def _send(self, answer: bytes, addr: Peer) -> None:
        if self._transport is not None:
            self._transport.sendto(answer, addr)

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()


async def listen(where: tuple[str, int], datagrams: Datagrams) -> None:
    """Listen for a meter's datagrams at its own address.

    Raises
    ------
    OSError
        if the port is taken.
    """
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.ExitStack() as undo:
        undo.callback(own.close)
        own.setblocking(False)
        own.bind(where)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: datagrams, sock=own)
        undo.pop_all()
