"""Pushes on their way from the network's thread to their taker; never more than a limit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from drivers.dlms.push_stream import Sent

# What a push takes in memory beside its octets, measured: objects, the queue's place [B].
_OVERHEAD: Final = 250


class Line(Protocol):
    """The connection that a push came by."""

    def answer(self, data: bytes) -> None:
        """Send bytes back, from any thread; nothing happens if the connection is gone."""


class Received(NamedTuple):
    """One push as it came.

    Attributes
    ----------
    host : the peer's address
    transport : ``tcp`` or ``udp``
    at : when it came [µs since 1970-01-01 UTC]
    line : where an answer goes, None if it cannot be answered
    """

    sent: Sent
    host: str
    transport: str
    at: int
    line: Line | None = None


class Inbox:
    """A bounded queue between two threads.

    Parameters
    ----------
    most, most_bytes : where the network is to be held up; one chunk of a connection may go beyond
    """

    def __init__(self, *, most: int = 20_000, most_bytes: int = 32 << 20) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._waiting: deque[Received] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self.has_room: Callable[[], None] = lambda: None
        """Called by the taker's thread when a full inbox has room again."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the network should be held up."""
        return len(self._waiting) >= self._most or self._bytes >= self._most_bytes

    def put(self, received: Sequence[Received]) -> None:
        """Add pushes; never waits."""
        with self._changed:
            self._waiting.extend(received)
            self._bytes += _size(received)
            self._changed.notify_all()

    def take(self, most: int, *, wait: float, linger: float) -> list[Received]:
        """Take the oldest pushes.

        Parameters
        ----------
        wait : longest wait for the first one [s]
        linger : longest wait for the rest once there is one [s]
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, wait)
            end = time.monotonic() + linger
            while self._waiting and len(self._waiting) < most and not self.full:
                left = end - time.monotonic()
                if self._closed or left <= 0:
                    break
                # Each wake-up costs a switch between threads: not one for each chunk that comes.
                self._changed.wait_for(lambda: self._closed, min(left, 0.05))
            was_full = self.full
            taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._bytes -= _size(taken)
            has_room = was_full and not self.full
        if has_room:
            self.has_room()
        return taken

    def close(self) -> None:
        """Let a waiting taker go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _size(received: Sequence[Received]) -> int:
    return sum(len(one.sent.apdu) for one in received) + _OVERHEAD * len(received)
