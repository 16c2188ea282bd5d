"""How many meters are read at a time: a limit for the process and one for each network segment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from headend.devices import Device


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds collection in one process.

    Attributes
    ----------
    sessions : most conversations at a time
    budget : longest conversation with one meter, retries included
    slice : longest part of a transfer; then the line is given back, and it goes on later
    timeout : longest wait for one answer [s]
    lease_wait : how long a meter is waited for that somebody else talks to [s]
    flush : results that are written in one transaction
    flush_seconds : longest time that a result waits to be written [s]
    """

    sessions: int = 128
    budget: timedelta = timedelta(seconds=120)
    slice: timedelta = timedelta(minutes=15)
    timeout: float = 10.0
    lease_wait: float = 5.0
    flush: int = 100
    flush_seconds: float = 1.0


class Capacity:
    """The process's conversations; a segment's limit holds before the process's is touched."""

    def __init__(self, sessions: int) -> None:
        self._process = asyncio.Semaphore(sessions)
        self._segments: dict[tuple[int, int], asyncio.Semaphore] = {}

    @asynccontextmanager
    async def slot(self, device: Device) -> AsyncIterator[None]:
        """Wait for a place in the meter's segment, then for one in the process."""
        if device.segment_id is None:
            async with self._process:
                yield
            return
        key = (device.segment_id, device.segment_limit)
        segment = self._segments.setdefault(key, asyncio.Semaphore(max(1, device.segment_limit)))
        async with segment, self._process:
            yield
