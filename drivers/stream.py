"""Waiting for bytes: TCP, UDP and serial lines that give whole frames, or an error by what to do.

What a frame is, the protocol's framer says. Nothing else in the drivers that use this waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, cast

from drivers import serial_port
from drivers.errors import (
    Broken,
    DriverError,
    HalfAnswer,
    HungUp,
    LocalProtocolError,
    Refused,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
)
from drivers.serial_port import Characters, SerialTransport

F_co = TypeVar("F_co", covariant=True)
F = TypeVar("F")
G = TypeVar("G")

# A peer that sends without end is not read further until somebody wants what it sent.
_MOST_WAITING: Final = 256 << 10
_MOST_DATAGRAMS: Final = 64
_LOOK_SECONDS: Final = 0.005


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
    """Connect to a peer by TCP.

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


async def connect_datagram(
    host: str,
    port: int,
    decode: Callable[[bytes], F],
    *,
    timeout: float,  # noqa: ASYNC109  # the endpoint's own setting
) -> Stream[F]:
    """Talk to a peer by UDP; whether it is there shows when it answers.

    Parameters
    ----------
    decode : reads a datagram; one that it refuses is passed over, since anybody can send one
    timeout : longest wait for each frame [s]

    Raises
    ------
    Unreachable
        if the address cannot be found.
    """
    loop = asyncio.get_running_loop()
    where = f"{host}:{port} (UDP)"
    try:
        async with asyncio.timeout(timeout):
            _, stream = await loop.create_datagram_endpoint(
                lambda: _DatagramStream(decode, where, timeout), remote_addr=(host, port)
            )
    except TimeoutError:
        raise Unreachable(f"no address of {where} within {timeout:g} s; check the name") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(f"no way to {where}: {reason}; check the address") from error
    return stream


async def open_serial(
    path: str,
    characters: Characters,
    framer: Framer[F],
    *,
    timeout: float,  # noqa: ASYNC109  # the endpoint's own setting
) -> Stream[F]:
    """Open a serial line for us alone.

    Parameters
    ----------
    path : of the port, such as ``/dev/ttyUSB0``
    timeout : longest wait for each whole frame [s]

    Raises
    ------
    Refused
        if another program has the port.
    Unreachable
        if there is no such port, or this account may not use it.
    LocalProtocolError
        if the port cannot be set so.
    """
    port = serial_port.open_port(path, characters)
    stream = Stream(framer, path, timeout)
    SerialTransport(port, stream)
    # The transport introduces itself in the loop's next turn.
    await asyncio.sleep(0)
    return stream


class Stream(asyncio.Protocol, Generic[F]):
    """A line to a peer; made by the functions above. One task at a time talks over it."""

    def __init__(self, framer: Framer[F], where: str, timeout: float) -> None:
        self.where = where
        self._framer = framer
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[F | None] | None = None
        self._ended: DriverError | None = None
        self._heard = False
        self._paused = False
        # One timer for all waits: setting one up for each costs more than parsing the answer.
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    @property
    def ended(self) -> bool:
        """Whether the line has been given up, or the peer has closed it."""
        return self._ended is not None

    def send(self, data: bytes) -> None:
        """Send bytes; what cannot be sent shows when the answer is awaited."""
        if self._transport is not None and self._ended is None:
            self._transport.write(data)

    async def receive(self) -> F:
        """Wait for the next whole frame.

        Raises
        ------
        TimedOut
            if it does not come whole in time; the line is given up then.
        Broken
            if the connection ends before.
        RemoteProtocolError
            if the bytes are no frame.
        """
        frame = await self.wait(self._timeout)
        if frame is None:
            waiting = self._framer.waiting
            came = f"{waiting} bytes of it came" if waiting else "none came"
            said = f"no whole answer from {self.where} in {self._timeout:g} s; {came}"
            raise self._end(HalfAnswer(said) if waiting else TimedOut(said))
        return frame

    async def wait(self, seconds: float) -> F | None:
        """Wait for the next whole frame, None if it does not come in time; the line stands.

        For lines on which what was lost is sent again.

        Raises
        ------
        Broken, RemoteProtocolError
            as ``receive`` does.
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
        self._set_timer(self._loop.time() + seconds)
        try:
            return await self._waiter
        finally:
            self._waiter = None

    async def exchange(self, request: bytes) -> F:
        """Send a request and wait for the next whole frame."""
        self.send(request)
        return await self.receive()

    def take_over(self, framer: Framer[G]) -> Stream[G]:
        """Give a stream of other frames on the same line; this one ends without closing it."""
        other = Stream(framer, self.where, self._timeout)
        line, self._transport = self._transport, None
        if self._ended is not None:
            other._end(self._ended)
        elif line is not None:
            other._transport = line
            line.set_protocol(other)
        self._end(LocalProtocolError(f"another stream has taken {self.where} over"))
        return other

    async def set_characters(self, characters: Characters) -> None:
        """Set a serial line's characters anew, once all that was sent has left.

        Raises
        ------
        LocalProtocolError
            if this is no serial line, or it cannot be set so.
        """
        line = self._transport
        if not isinstance(line, SerialTransport):
            raise LocalProtocolError(f"{self.where} is no serial line")
        for _ in range(int(self._timeout / _LOOK_SECONDS)):
            if not line.unsent:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        line.set_characters(characters)

    async def pause(self, seconds: float) -> None:
        """Keep silent, as some lines ask for between two frames [s]."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Close the line after what was sent has left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes (called by asyncio)."""
        self._heard = True
        self._framer.feed(data)
        if self._waiter is not None and not self._waiter.done():
            self._hand_over(self._waiter)
        if self._framer.waiting > _MOST_WAITING and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end (called by asyncio)."""
        how = "was closed by the peer" if exc is None else f"broke: {exc}"
        if self._heard:
            self._end(Broken(f"the connection to {self.where} {how}"))
        else:
            told = "before a byte came; is another client connected to it?"
            self._end(HungUp(f"the connection to {self.where} {how} {told}"))

    def _hand_over(self, waiter: asyncio.Future[F | None]) -> None:
        try:
            frame = self._framer.next()
        except DriverError as error:
            self._end(error)
            return
        if frame is not None:
            waiter.set_result(frame)

    def _set_timer(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._expire)
            return
        self._waiter.set_result(None)

    def _end(self, error: DriverError) -> DriverError:
        """Give up the line: what comes after a failure cannot be told from the answer."""
        if self._ended is None:
            self._ended = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        return error


class _DatagramStream(Stream[F], asyncio.DatagramProtocol):
    """The same over UDP."""

    def __init__(self, decode: Callable[[bytes], F], where: str, timeout: float) -> None:
        super().__init__(_Datagrams(decode), where, timeout)

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        if self._transport is not None and self._ended is None:
            cast("asyncio.DatagramTransport", self._transport).sendto(data)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Take a datagram (called by asyncio); the socket takes none but the peer's."""
        self._framer.feed(data)
        if self._waiter is not None and not self._waiter.done():
            self._hand_over(self._waiter)

    def error_received(self, exc: Exception) -> None:
        """Hear from the network that a datagram did not arrive (called by asyncio)."""
        if isinstance(exc, ConnectionRefusedError):
            self._end(Refused(f"nobody listens at {self.where}; check the port"))
            return
        self._end(Unreachable(f"no way to {self.where}: {exc}; check the address"))


class _Datagrams(Generic[F]):
    """Datagrams as they came; those that are no frames are passed over."""

    def __init__(self, decode: Callable[[bytes], F]) -> None:
        self._decode = decode
        self._came: deque[bytes] = deque()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._came))

    def feed(self, data: bytes) -> None:
        # Who sends faster than anybody asks loses what he sends, as UDP may at any time.
        if len(self._came) < _MOST_DATAGRAMS:
            self._came.append(data)

    def next(self) -> F | None:
        while self._came:
            try:
                return self._decode(self._came.popleft())
            except RemoteProtocolError:
                continue
        return None
