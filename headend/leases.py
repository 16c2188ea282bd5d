"""One conversation with a meter at a time, across all processes.

A lease is an advisory lock of PostgreSQL: it ends with the connection, so a killed process leaves
none behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from schemas import statements
from schemas.database import AsyncConnection

_SQL = statements.load("headend", "leases.sql")
_AGAIN_SECONDS = 0.25


class Leases:
    """Leases held over one connection in autocommit mode, which they live and die with."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._held: set[int] = set()

    async def take(self, end_device_id: int, *, wait: float = 0.0) -> bool:
        """Try to take a lease, for ``wait`` seconds at most; tell whether it is ours."""
        deadline = time.monotonic() + wait
        while not await self._try(end_device_id):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_AGAIN_SECONDS)
        return True

    async def give_back(self, end_device_ids: Iterable[int]) -> None:
        """End leases that are ours."""
        ours = sorted(self._held.intersection(end_device_ids))
        if ours:
            await self._connection.execute(_SQL["give_back"], {"ids": ours})
            self._held.difference_update(ours)

    async def _try(self, end_device_id: int) -> bool:
        # PostgreSQL would give the same connection the same lock again.
        if end_device_id in self._held:
            return False
        self._held.add(end_device_id)
        try:
            cursor = await self._connection.execute(_SQL["take"], {"id": end_device_id})
            row = await cursor.fetchone()
        except BaseException:
            self._held.discard(end_device_id)
            raise
        if row is None or not row[0]:
            self._held.discard(end_device_id)
            return False
        return True
