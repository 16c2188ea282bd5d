"""One conversation with a meter at a time, and on a line that takes one, across all processes.

A lease is an advisory lock of PostgreSQL: it ends with the connection, so a killed process leaves
none behind, and a server that restarts has none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from schemas import database, parameters, statements

_SQL = statements.load("headend", "leases.sql")
_AGAIN_SECONDS = 0.25


class Leases:
    """Leases held over one connection, which they live and die with.

    Whoever asks while a question is on its way is asked for with the others in the next one:
    hundreds of meters cost a few round trips. A lease's number is an end device's, or a line's,
    which is negative.
    """

    def __init__(self, url: str) -> None:
        self._connection = database.AsyncLasting(url)
        self._held: set[int] = set()
        self._done_with: set[int] = set()
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def take(self, *numbers: int, wait: float = 0.0) -> bool:
        """Try to take leases, for ``wait`` seconds at most; tell whether all of them are ours."""
        deadline = time.monotonic() + wait
        while not await self._try_all(numbers):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_AGAIN_SECONDS)
        return True

    async def give_back(self, numbers: Iterable[int]) -> None:
        """End leases that are ours, and those that are done with."""
        ours = sorted(self._held.intersection({*numbers, *self._done_with}))
        self._done_with.clear()
        if ours:
            # What a lost connection held is given back with it.
            with suppress(psycopg.OperationalError):
                await self._answer("give_back", ours)
            self._held.difference_update(ours)

    async def close(self) -> None:
        """End all leases."""
        await self._connection.close()
        self._held.clear()

    def done_with(self, numbers: Iterable[int]) -> None:
        """Give leases back with the next ones: that is soon, and costs no round trip."""
        self._done_with.update(self._held.intersection(numbers))

    async def _try_all(self, numbers: Sequence[int]) -> bool:
        taken = await asyncio.gather(*map(self._try, numbers))
        if all(taken):
            return True
        await self.give_back(one for one, ours in zip(numbers, taken, strict=True) if ours)
        return False

    async def _try(self, number: int) -> bool:
        # PostgreSQL would give the same connection the same lock again. One that we are done with
        # is given back first, and whoever waits for it elsewhere has a chance to take it.
        if number in self._done_with:
            await self.give_back(())
            return False
        if number in self._held or number in self._asked:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        """Ask for all that are wanted, until none is."""
        while self._asked:
            asked, self._asked = self._asked, {}
            self._held.update(asked)
            try:
                ours = {row[0] for row in await self._answer("take", list(asked))}
            except Exception as error:  # noqa: BLE001  it is raised to each who waits
                ours = set()
                for answer in asked.values():
                    if not answer.done():
                        answer.set_exception(error)
            self._held.difference_update(asked.keys() - ours)
            for number, answer in asked.items():
                if not answer.done():
                    answer.set_result(number in ours)

    async def _answer(self, statement: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        try:
            connection = await self._connection.get()
            cursor = await connection.execute(_SQL[statement], {"ids": parameters.numbers(numbers)})
            return await cursor.fetchall()
        except psycopg.OperationalError:
            self._held.clear()
            raise
