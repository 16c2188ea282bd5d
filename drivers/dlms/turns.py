"""One conversation at a time on a line: meters behind one endpoint, or on one bus, take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from drivers.driver import Endpoint


def line_of(endpoint: Endpoint) -> tuple[str | int, ...]:
    """Tell which line a meter is on: a serial port, or a host and port of the network."""
    path = str(endpoint.address.get("line", ""))
    return ("serial", path) if path else ("network", endpoint.host, endpoint.port)


class Turns:
    """The lines that are in use in this process, and who waits for them."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, Hashable], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Have a meter's line to oneself for the length of a block, in the order of asking."""
        key = (id(asyncio.get_running_loop()), line_of(endpoint))
        lock, users = self._lines.get(key, (None, 0))
        lock = lock or asyncio.Lock()
        self._lines[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            users = self._lines[key][1] - 1
            self._lines[key] = lock, users
            if not users:
                del self._lines[key]
