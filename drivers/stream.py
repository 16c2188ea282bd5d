"""Waiting for bytes: a TCP connection that gives whole frames, or an error by what to do next.

What a frame is, the protocol's framer says. Nothing else in the drivers that use this waits.
"""

from __future__ import annotations

import asyncio
from typing import Final, Generic, Protocol, TypeVar, cast

from drivers.errors import Broken, DriverError, Refused, TimedOut, Unreachable

F_co = TypeVar("F_co", covariant=True)
F = TypeVar("F")

# A peer that sends without end is not read further until somebody wants what it sent.
_MOST_WAITING: Final = 256 << 10


class Framer(Protocol[F_co]):
    """Cuts bytes into frames, whatever pieces they come in."""

    @property
    def waiting(self) -> int:
        """Bytes that came and were not given out."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""

    def next(self) -> F_co | None:
        """Give the next whole frame, None while it has not come whole."""


async def connect(host: str, port: int, framer: Framer[F], *, timeout: float) -> Stream[F]:  # noqa: ASYNC109  # the endpoint's own setting
    """Connect to a peer.

    Parameters
    ----------
    timeout : longest wait for the connection, and later for each whole frame [s]

    Raises
    ------
    Refused, Unreachable
        if nobody listens there, or no connection could be made in time.
    """
    loop = asyncio.get_running_loop()
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            _, stream = await loop.create_connection(
                lambda: Stream(framer, where, timeout), host, port
            )
    except TimeoutError:
        raise Unreachable(
            f"no connection to {where} within {timeout:g} s; check the address and the network"
        ) from None
    except ConnectionRefusedError:
        raise Refused(f"nobody listens at {where}; check the port, or whether it is busy") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(f"no connection to {where}: {reason}; check the address") from error
    return stream


class Stream(asyncio.Protocol, Generic[F]):
    """A connection; made by ``connect``. One task at a time talks over it."""

    def __init__(self, framer: Framer[F], where: str, timeout: float) -> None:
        self._framer = framer
        self._where = where
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[F] | None = None
        self._ended: DriverError | None = None
        self._paused = False
        # One timer for all waits: setting one up for each costs more than parsing the answer.
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    def send(self, data: bytes) -> None:
        """Send bytes; what cannot be sent shows when the answer is awaited."""
        if self._transport is not None and self._ended is None:
            self._transport.write(data)

    async def receive(self) -> F:
        """Wait for the next whole frame.

        Raises
        ------
        TimedOut
            if it does not come whole in time.
        Broken
            if the connection ends before.
        RemoteProtocolError
            if the bytes are no frame.
        """
        frame = self._framer.next()
        if frame is not None:
            return frame
        if self._ended is not None:
            raise self._ended
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._waiter = self._loop.create_future()
        self._deadline = self._loop.time() + self._timeout
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._expire)
        try:
            return await self._waiter
        finally:
            self._waiter = None

    async def exchange(self, request: bytes) -> F:
        """Send a request and wait for the next whole frame."""
        self.send(request)
        return await self.receive()

    def close(self) -> None:
        """Close the connection after what was sent has left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes (called by asyncio)."""
        self._framer.feed(data)
        if self._waiter is not None and not self._waiter.done():
            self._hand_over(self._waiter)
        if self._framer.waiting > _MOST_WAITING and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end (called by asyncio)."""
        how = "was closed by the peer" if exc is None else f"broke: {exc}"
        self._end(Broken(f"the connection to {self._where} {how}"))

    def _hand_over(self, waiter: asyncio.Future[F]) -> None:
        try:
            frame = self._framer.next()
        except DriverError as error:
            self._end(error)
            return
        if frame is not None:
            waiter.set_result(frame)

    def _expire(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._expire)
            return
        came = f"{self._framer.waiting} bytes of it came" if self._framer.waiting else "none came"
        self._end(TimedOut(f"no whole answer from {self._where} in {self._timeout:g} s; {came}"))

    def _end(self, error: DriverError) -> None:
        """Give up the connection: what comes after a failure cannot be told from the answer."""
        if self._ended is None:
            self._ended = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        if self._transport is not None:
            self._transport.abort()
