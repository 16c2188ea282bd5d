"""A meter's TCP connection and the association on it: runs the engine's steps over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from drivers import errors, stream
from drivers.dlms import association, wrapper
from drivers.dlms.engine import Association
from drivers.dlms.settings import Settings
from drivers.dlms.steps import Burst, Step
from drivers.driver import Endpoint
from drivers.stream import Stream

T = TypeVar("T")

# A meter may report something of its own (data notification, event notification, ciphered or not)
# between question and answer. Those have a listener; here they are passed over, within reason.
_UNASKED: Final = frozenset({0x0F, 0xC2, 0xCA})
_MOST_UNASKED: Final = 16


class Connection:
    """One association, opened. Errors name the meter."""

    def __init__(
        self, who: str, settings: Settings, line: Stream[wrapper.Frame], timeout: float
    ) -> None:
        self.association = Association(settings.security)
        self._who = who
        self._line = line
        self._client, self._server = settings.client, settings.server
        self._timeout = timeout
        self._usable = True

    async def run(self, step: Step[T]) -> T:
        """Run a step of the engine to its result.

        Raises
        ------
        drivers.errors.DriverError
            naming the meter; after an error of the line or the protocol nothing more can be asked.
        """
        if not self._usable:
            raise errors.Broken(f"{self._who}: the session failed before; open a new one")
        try:
            return await self._run(step)
        except (errors.MeterRefused, errors.WrongMeter) as error:
            raise type(error)(f"{self._who}: {error}") from error
        except errors.DriverError as error:
            self._usable = False
            raise type(error)(f"{self._who}: {error}") from error

    async def release(self) -> None:
        """Leave the association and hear what the meter says to that."""
        if not self._usable:
            self.abandon()
            return
        # The readings are here; a meter that does not say goodbye takes nothing away.
        with suppress(errors.DriverError):
            await self.run(self.association.release())

    def abandon(self) -> None:
        """Leave the association without waiting for an answer, if the line still stands."""
        self._usable = False
        self._line.send(self._framed(association.RELEASE))

    async def _run(self, step: Step[T]) -> T:
        try:
            request = next(step)
            while True:
                if not isinstance(request, Burst):
                    frame = await self._line.exchange(self._framed(request))
                    request = step.send(await self._answer(frame))
                elif (awaited := await self._sent(request)) is not None:
                    request = step.send(await self._answer(awaited))
                else:
                    late = f"no answer from {self._line.where} in {self._timeout:g} s"
                    request = step.throw(errors.TimedOut(late))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _sent(self, burst: Burst) -> wrapper.Frame | None:
        """Send APDUs in a row and wait for the next frame, None if it does not come in time."""
        for apdu in burst.apdus:
            self._line.send(self._framed(apdu))
        return await self._line.wait(self._timeout)

    async def _answer(self, frame: wrapper.Frame) -> bytes:
        """Take the answer's APDU out of a frame, or of one of those that follow."""
        for _ in range(_MOST_UNASKED):
            if frame.source != self._server or frame.destination != self._client:
                raise errors.RemoteProtocolError(
                    f"an answer from {frame.source} to client {frame.destination} came where "
                    f"{self._server} was to answer client {self._client}"
                )
            if not frame.apdu or frame.apdu[0] not in _UNASKED:
                return frame.apdu
            frame = await self._line.receive()
        raise errors.RemoteProtocolError("the meter sends notifications and no answer")

    def _framed(self, apdu: bytes) -> bytes:
        return wrapper.encode(wrapper.Frame(self._client, self._server, apdu))


@asynccontextmanager
async def connection(endpoint: Endpoint, settings: Settings) -> AsyncIterator[Connection]:
    """Connect, enter the association, and at the end leave and close both in every case."""
    try:
        line = await stream.connect(
            endpoint.host, endpoint.port, wrapper.Frames(), timeout=endpoint.timeout
        )
    except errors.DriverError as error:
        raise type(error)(f"{endpoint.end_device}: {error}") from error
    try:
        opened = Connection(endpoint.end_device, settings, line, endpoint.timeout)
        await opened.run(opened.association.open())
        try:
            yield opened
        except BaseException:
            opened.abandon()
            raise
        await opened.release()
    finally:
        line.close()
