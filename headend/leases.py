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
    """Leases held over one connection in autocommit mode, which they live and die with.

    Whoever asks while a question is on its way is asked for with the others in the next one:
    hundreds of meters cost a few round trips.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._held: set[int] = set()
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._asking: asyncio.Task[None] | None = None

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
        if end_device_id in self._held or end_device_id in self._asked:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[end_device_id] = answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        """Ask for all that are wanted, until none is."""
        while self._asked:
            asked, self._asked = self._asked, {}
            self._held.update(asked)
            try:
                cursor = await self._connection.execute(_SQL["take"], {"ids": list(asked)})
                ours = {row[0] for row in await cursor.fetchall()}
            except Exception as error:  # noqa: BLE001  it is raised to each who waits
                ours = set()
                for answer in asked.values():
                    if not answer.done():
                        answer.set_exception(error)
            self._held.difference_update(asked.keys() - ours)
            for number, answer in asked.items():
                if not answer.done():
                    answer.set_result(number in ours)
