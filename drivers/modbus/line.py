"""One line to a Modbus meter, a gateway or a bus of meters; one exchange at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from drivers import errors
from drivers.modbus import answer, rtu
from drivers.modbus.answer import Request, Said
from drivers.modbus.place import Answers, Place
from drivers.modbus.register_map import Span
from drivers.stream import Stream

# After a line could not be made, its other units hear so at once for this long.
_GIVEN_UP_SECONDS: Final = 5.0


class Line:
    """A connection that is made when it is needed, and made anew after it failed.

    Requests from several sessions (units behind one gateway, meters of one bus) take turns. After a
    failure that can leave half an answer under way the connection is closed, so that no answer is
    ever taken for another one's.

    Parameters
    ----------
    after : number of the last transaction with the place before
    """

    def __init__(self, place: Place, after: int = 0) -> None:
        self.place = place
        self.round_trips = 0
        self._turn = asyncio.Lock()
        self._answers: Answers = place.answers(after)
        self._stream: Stream[Said] | None = None
        self._quiet_from = 0.0
        self._late: Request | None = None
        self._failure: errors.DriverError | None = None
        self._failed_at = 0.0

    @property
    def transaction(self) -> int:
        """Number of the last transaction, 0 if there was none."""
        return self._answers.transaction if isinstance(self._answers, answer.Answers) else 0

    async def connect(self, seconds: float) -> None:
        """Make the connection, if it does not stand.

        Raises
        ------
        Refused, Unreachable
            if it cannot be made in time, or could not a moment ago.
        """
        async with self._turn:
            await self._connected(seconds)

    async def read(self, unit: int, span: Span, seconds: float) -> tuple[int, ...]:
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
            line = await self._connected(seconds)
            try:
                said = await self._exchange(line, unit, span, seconds)
            except BaseException:
                # A cancelled caller leaves an answer on the way, too.
                self.close()
                raise
        if isinstance(said, errors.DriverError):
            raise self._named(said)
        return said

    def close(self) -> None:
        """Close the connection, if it stands."""
        line, self._stream = self._stream, None
        if line is not None:
            line.close()

    async def _connected(self, seconds: float) -> Stream[Said]:
        if self._stream is not None and not self._stream.ended:
            return self._stream
        self.close()
        loop = asyncio.get_running_loop()
        if self._failure is not None and loop.time() < self._failed_at + _GIVEN_UP_SECONDS:
            raise type(self._failure)(str(self._failure))
        self._answers = self.place.answers(self.transaction)
        try:
            self._stream = await self.place.open(self._answers, seconds)
        except errors.DriverError as error:
            self._failure, self._failed_at = error, loop.time()
            raise
        self._failure = None
        return self._stream

    async def _exchange(self, line: Stream[Said], unit: int, span: Span, seconds: float) -> Said:
        self.round_trips += 1
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._quiet_from - loop.time()))
        try:
            line.send(self._ask(unit, span))
            said = await line.wait(seconds + self.place.on_the_way)
        except errors.Broken as error:
            raise self._broken(error) from error
        except errors.DriverError as error:
            raise self._named(error) from error
        finally:
            self._quiet_from = loop.time() + self.place.pause
        if said is None:
            self._late = Request(0, unit, span)
            raise self._named(self._answers.silence(seconds))
        self._late = None
        return said

    def _ask(self, unit: int, span: Span) -> bytes:
        if isinstance(self._answers, rtu.Answers):
            return self._answers.ask(unit, span, self._late)
        return self._answers.ask(unit, span)

    def _broken(self, error: errors.Broken) -> errors.Broken:
        """Say how far the answer had come."""
        said = f"{error}; {self._answers.progress()}"
        return type(error)(said)

    def _named(self, error: errors.DriverError) -> errors.DriverError:
        return type(error)(f"{self.place.name}: {error}")


class Lines:
    """The lines in use: sessions with units at the same place share one.

    Many meters and gateways take a single connection.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[int, Place], tuple[Line, int]] = {}
        # Of whichever line was closed last: it need not be the same place's, only another number.
        self._after = 0

    @contextmanager
    def line(self, place: Place) -> Iterator[Line]:
        """Take part in the line to a place; the last one to leave closes it."""
        key = (id(asyncio.get_running_loop()), place)
        line, users = self._lines.get(key, (None, 0))
        line = line or Line(place, self._after)
        self._lines[key] = line, users + 1
        try:
            yield line
        finally:
            users = self._lines[key][1] - 1
            self._lines[key] = line, users
            if not users:
                del self._lines[key]
                self._after = max(line.transaction, self._after) % 0xFFFF
                line.close()
