"""Durable invocation counters: a value that was handed out is never handed out again.

A reservation is committed before its first value is used, so a crash loses values and repeats none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas import database, parameters, statements
from schemas.database import Connection

_SQL = statements.load("headend", "counters.sql")
# One session of a day's reading takes some tens; the counter's 32 bits last for 16 million runs.
RUN = 256


def reserve(connection: Connection, end_device_id: int, count: int) -> int:
    """Reserve values on a connection in autocommit mode; give the first.

    Raises
    ------
    ValueError
        if the connection could still roll the reservation back.
    """
    if not connection.autocommit:
        raise ValueError("invocation counters must be reserved on a connection in autocommit mode")
    wanted = {"end_devices": parameters.numbers([end_device_id]), "count": count}
    [row] = connection.execute(_SQL["reserve"], wanted).fetchall()
    return int(row[1])


def advance(connection: Connection, end_device_id: int, at_least: int) -> None:
    """Move a counter up to what the meter says it has seen; it never moves down."""
    connection.execute(_SQL["advance"], {"end_device": end_device_id, "at_least": at_least})


@dataclass(slots=True)
class Run:
    """A run of reserved values of one end device, refilled from the source when it is used up.

    ``taken`` is the first value of those that were taken last.
    """

    source: Source = field(repr=False)
    end_device_id: int
    first: int
    left: int
    taken: int = 0

    def take(self, count: int) -> int:
        """Take values in a row; give the first (``drivers.driver.Endpoint.reserve_counters``)."""
        if count > self.left:
            size = max(count, RUN)
            self.first = self.source.reserve(self.end_device_id, size)
            self.left = size
        self.taken = self.first
        self.first += count
        self.left -= count
        return self.taken

    def skip_to(self, value: int) -> None:
        """Go on with a value that is higher than all before; it is committed like any other."""
        self.source.advance(self.end_device_id, value)
        self.left = 0


class Source:
    """Hands out counters over a connection of its own, opened when first needed; thread-safe."""

    def __init__(self, url: str) -> None:
        self._lock = threading.Lock()
        self._connection = database.Lasting(url)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def runs(self, end_device_ids: Iterable[int], size: int = RUN) -> dict[int, Run]:
        """Reserve a run for each of many end devices in one round trip."""
        wanted = sorted(set(end_device_ids))
        if not wanted:
            return {}
        with self._lock:
            rows = self._connection.get().execute(
                _SQL["reserve"], {"end_devices": parameters.numbers(wanted), "count": size}
            )
            return {device: Run(self, device, first, size) for device, first in rows}

    def reserve(self, end_device_id: int, count: int) -> int:
        """Reserve values of one end device; give the first."""
        with self._lock:
            return reserve(self._connection.get(), end_device_id, count)

    def advance(self, end_device_id: int, at_least: int) -> None:
        """Move a counter up to a value; it never moves down."""
        with self._lock:
            advance(self._connection.get(), end_device_id, at_least)
