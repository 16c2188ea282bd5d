"""A meter's association over whatever carries its APDUs: runs the engine's steps over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from drivers import errors
from drivers.dlms import association
from drivers.dlms import link as links
from drivers.dlms.engine import Association
from drivers.dlms.link import Link
from drivers.dlms.settings import Settings
from drivers.dlms.steps import Burst, Step
from drivers.driver import Endpoint

T = TypeVar("T")

# A meter may report something of its own (data or event notification, information report, ciphered
# or not) between question and answer. Those have a listener; here they are passed over, within
# reason.
_UNASKED: Final = frozenset({0x0F, 0x18, 0x38, 0xC2, 0xCA})
_MOST_UNASKED: Final = 16


class Connection:
    """One association, opened. Errors name the meter."""

    def __init__(self, who: str, settings: Settings, link: Link) -> None:
        self.association = Association(
            settings.security,
            settings.line.pdu_size,
            short_names=settings.short_names,
            window=settings.window,
        )
        self._who = who
        self._link = link
        self._usable = True
        self._ended = False

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
        except (errors.MeterRefused, errors.WrongMeter, errors.LocalProtocolError) as error:
            # What is refused, by the meter or by ourselves, leaves nothing unanswered on the line.
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
            if not self._link.ends_associations:
                await self.run(self.association.release())
            await self._link.leave()

    async def end(self) -> None:
        """Leave the association and close the line, before the block that opened it ends."""
        await self.release()
        self._usable, self._ended = False, True
        self._link.close()

    def abandon(self) -> None:
        """Leave the association and the line without waiting, if the line still stands."""
        self._usable = False
        if not self._ended:
            self._link.abandon(association.RELEASE)
        self._link.close()

    async def _run(self, step: Step[T]) -> T:
        try:
            request = next(step)
            while True:
                if not isinstance(request, Burst):
                    answer = await self._link.exchange(request)
                    request = step.send(await self._asked_for(answer))
                elif (awaited := await self._link.burst(request.apdus)) is not None:
                    request = step.send(await self._asked_for(awaited))
                else:
                    request = step.throw(errors.TimedOut("no answer to several messages in time"))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _asked_for(self, answer: bytes) -> bytes:
        """Pass over what the meter sends unasked."""
        for _ in range(_MOST_UNASKED):
            if not answer or answer[0] not in _UNASKED:
                return answer
            answer = await self._link.receive()
        raise errors.RemoteProtocolError("the meter sends notifications and no answer")


@asynccontextmanager
async def connection(endpoint: Endpoint, settings: Settings) -> AsyncIterator[Connection]:
    """Connect, enter the association, and at the end leave and close both in every case."""
    try:
        link = await links.opened(endpoint, settings)
    except errors.DriverError as error:
        raise type(error)(f"{endpoint.end_device}: {error}") from error
    try:
        opened = Connection(endpoint.end_device, settings, link)
        try:
            await opened.run(opened.association.open())
        except BaseException:
            # A meter that hears no goodbye keeps others out for minutes.
            if link.ends_associations:
                opened.abandon()
            raise
        try:
            yield opened
        except BaseException:
            opened.abandon()
            raise
        await opened.release()
    finally:
        link.close()
