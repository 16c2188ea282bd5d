"""Messages on their way from the network's thread to their taker; never more than a limit."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from drivers import errors
from drivers.mqtt.payload import Message


@dataclass(frozen=True, slots=True)
class Received:
    """A message, and what is needed to acknowledge it; packet id 0 wants no acknowledgement."""

    message: Message
    packet_id: int
    connection: int


class Inbox:
    """A bounded queue that both threads and asyncio can wait at.

    Attributes
    ----------
    limit : most messages that wait; the network's thread is held up rather than going beyond
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: deque[Received] = deque()
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], object]] = []
        self._failure: errors.DriverError | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether nothing more comes in."""
        return self._closed

    def put(self, received: Received) -> None:
        """Add a message; holds up the caller while the limit is reached."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < self.limit)
            if not self._closed:
                self._waiting.append(received)
                self._tell()

    def take(self, most: int) -> list[Received]:
        """Take the oldest messages, as many as there are.

        Raises
        ------
        drivers.errors.DriverError
            the failure that ended the subscription, once all messages are taken.
        """
        with self._changed:
            if self._failure is not None and not self._waiting:
                raise self._failure
            taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._changed.notify_all()
            return taken

    def wait(self, count: int, seconds: float) -> None:
        """Wait until so many messages are there, or there will be none, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._settled(count), seconds)

    async def wait_async(self, count: int, seconds: float) -> None:
        """Wait as ``wait`` does, and let other tasks run."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._changed:
            self._listeners.append(tell)
        try:
            async with asyncio.timeout(seconds):
                while not self._settled(count):
                    await event.wait()
                    event.clear()
        except TimeoutError:
            return
        finally:
            with self._changed:
                self._listeners.remove(tell)

    def forget(self) -> None:
        """Drop what waits: it came by a connection that is gone, and will come again."""
        with self._changed:
            self._waiting.clear()
            self._tell()

    def fail(self, failure: errors.DriverError) -> None:
        """End with an error for whoever takes next."""
        with self._changed:
            self._failure = failure
            self._tell()

    def close(self) -> None:
        """Let go of everybody who waits, and take nothing more in."""
        with self._changed:
            self._closed = True
            self._tell()

    def _settled(self, count: int) -> bool:
        over = self._closed or self._failure is not None
        return over or len(self._waiting) >= min(count, self.limit)

    def _tell(self) -> None:
        self._changed.notify_all()
        for listener in self._listeners:
            listener()
