"""One TCP connection to a Modbus meter or gateway, one exchange at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, Protocol

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from drivers import errors
from drivers.modbus import answer, rtu
from drivers.modbus.register_map import Span

# What the library would log, the session raises: a caller hears of it once, with a diagnosis.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

# The library's own wait is only a net under ours.
_NET_SECONDS: Final = 3600.0
# It drops what comes at once beyond its buffer, unseen; asyncio reads at most 256 KiB at once.
_BUFFER_BYTES: Final = 1 << 19

Framing = Literal["tcp", "rtu"]
"""How requests are wrapped: Modbus TCP, or the frames of a serial line as they are."""


class _Diagnosis(Protocol):
    """What a framing's module says of the bytes, see ``drivers.modbus.answer``."""

    def request_of(self, frame: bytes) -> answer.Request: ...

    def fault(self, stream: bytes, request: answer.Request) -> answer.Fault | None: ...

    def progress(self, stream: bytes) -> str: ...


_FRAMINGS: Final[dict[Framing, tuple[FramerType, _Diagnosis]]] = {
    "tcp": (FramerType.SOCKET, answer),
    "rtu": (FramerType.RTU, rtu),
}


class Line:
    """A connection that is made when it is needed, and made anew after it failed.

    Requests from several sessions (units behind one gateway) take turns. After a failure that can
    leave half an answer under way the connection is closed, so that no answer is ever taken for
    another one's.
    """

    def __init__(self, host: str, port: int, framing: Framing = "tcp") -> None:
        self.peer = f"{host}:{port}"
        self.round_trips = 0
        self._host, self._port = host, port
        self._framer, self._diagnosis = _FRAMINGS[framing]
        self._turn = asyncio.Lock()
        self._client: AsyncModbusTcpClient | None = None
        self._request: answer.Request | None = None
        self._stream, self._answered = b"", False
        self._fault: asyncio.Future[answer.Fault] | None = None

    async def connect(self, seconds: float) -> None:
        """Make the connection, if it does not stand.

        Raises
        ------
        Refused, Unreachable
            if it cannot be made in time.
        """
        async with self._turn:
            await self._connected(seconds)

    async def read(self, unit: int, span: Span, seconds: float) -> list[int]:
        """Ask a unit for words.

        Parameters
        ----------
        unit : 0 … 255
        span : which words, within what one request can carry
        seconds : longest wait for the connection, and again for the answer [s]

        Returns
        -------
        words, 0 … 65535, ``span.count`` of them

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do.
        """
        async with self._turn:
            client = await self._connected(seconds)
            return await self._exchange(client, unit, span, seconds)

    def close(self) -> None:
        """Close the connection, if it stands."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _connected(self, seconds: float) -> AsyncModbusTcpClient:
        if self._client is not None:
            return self._client
        client = AsyncModbusTcpClient(
            self._host,
            framer=self._framer,
            port=self._port,
            timeout=_NET_SECONDS,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._seen,
            trace_pdu=self._understood,
            trace_connect=self._changed,
        )
        client.ctx.max_buffer_size = _BUFFER_BYTES
        try:
            async with asyncio.timeout(seconds):
                # The library's own connect() keeps the cause of a failure to itself.
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: client.ctx, self._host, self._port)
        except ConnectionRefusedError as error:
            raise errors.Refused(f"{self.peer} refused the connection") from error
        except TimeoutError as error:
            raise errors.Unreachable(f"{self.peer}: no connection in {seconds:g} s") from error
        except OSError as error:
            raise errors.Unreachable(f"{self.peer}: {error.strerror or error}") from error
        self._client = client
        return client

    async def _exchange(
        self, client: AsyncModbusTcpClient, unit: int, span: Span, seconds: float
    ) -> list[int]:
        self.round_trips += 1
        self._request, self._stream, self._answered = None, b"", False
        self._fault = fault = asyncio.get_running_loop().create_future()
        read = client.read_holding_registers if span.function == 3 else client.read_input_registers
        asked = asyncio.ensure_future(read(span.address, count=span.count, device_id=unit))
        in_step = False
        try:
            await asyncio.wait((asked, fault), timeout=seconds, return_when="FIRST_COMPLETED")
            in_step = fault.result().in_step if fault.done() else asked.done()
            return self._outcome(asked, fault, seconds)
        finally:
            self._request = self._fault = None
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            if not in_step:
                self.close()

    def _outcome(
        self, asked: asyncio.Future[ModbusPDU], fault: asyncio.Future[answer.Fault], seconds: float
    ) -> list[int]:
        if fault.done():
            error = fault.result().error
            raise type(error)(f"{self.peer}: {error}")
        if not asked.done():
            said = self._diagnosis.progress(self._stream)
            raise errors.TimedOut(f"{self.peer}: {said} in {seconds:g} s")
        try:
            return list(asked.result().registers)
        except ModbusException as error:
            raise errors.LocalProtocolError(f"{self.peer}: {error}") from error

    def _seen(self, sending: bool, data: bytes) -> bytes:
        """Look at the bytes before the library does, and keep from it what it cannot digest."""
        if sending:
            self._request = self._diagnosis.request_of(data)
            return data
        if self._request is None or self._fault is None or self._fault.done():
            return b""
        self._stream = data
        found = self._diagnosis.fault(data, self._request)
        if found is None:
            return data
        self._fault.set_result(found)
        return b""

    def _understood(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        self._answered = self._answered or not sending
        return pdu

    def _changed(self, connected: bool) -> None:
        if connected:
            return
        self._client = None
        # Some meters hang up after each answer, which may be seen before the answer is taken.
        if self._fault is not None and not self._fault.done() and not self._answered:
            said = self._diagnosis.progress(self._stream)
            self._fault.set_result(answer.Fault(errors.Broken(f"connection closed: {said}")))


class Lines:
    """The lines in use: sessions with units behind the same address share one.

    Many meters and gateways take a single connection.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[int, str, int, Framing], tuple[Line, int]] = {}

    @asynccontextmanager
    async def line(self, host: str, port: int, framing: Framing = "tcp") -> AsyncIterator[Line]:
        """Take part in the line to an address; the last one to leave closes it."""
        key = (id(asyncio.get_running_loop()), host, port, framing)
        line, users = self._lines.get(key, (None, 0))
        line = line or Line(host, port, framing)
        self._lines[key] = line, users + 1
        try:
            yield line
        finally:
            users = self._lines[key][1] - 1
            self._lines[key] = line, users
            if not users:
                del self._lines[key]
                line.close()
