"""The queue's connections live through a server that hangs up, and are not asked each time."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from schemas import queue_pool
from schemas.database import AsyncConnection

Use = Callable[[AsyncConnectionPool[AsyncConnection]], Awaitable[None]]


async def _pid(pool: AsyncConnectionPool[AsyncConnection]) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT pg_backend_pid()")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


def _with_pool(url: str, use: Use) -> None:
    async def run() -> None:
        async with queue_pool.made(conninfo=url, min_size=1, max_size=1, open=False) as pool:
            await use(pool)

    asyncio.run(run())


def test_a_connection_that_the_server_closed_is_replaced(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_pool, "_TRUSTED_SECONDS", 0.0)

    async def use(pool: AsyncConnectionPool[AsyncConnection]) -> None:
        before = await _pid(pool)
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
        assert await _pid(pool) != before

    _with_pool(database_url, use)


def test_a_connection_of_a_moment_ago_is_not_asked_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[AsyncConnection] = []
    real = AsyncConnectionPool.check_connection

    async def noted(connection: AsyncConnection) -> None:
        asked.append(connection)
        await real(connection)

    monkeypatch.setattr(AsyncConnectionPool, "check_connection", staticmethod(noted))
    monkeypatch.setattr(queue_pool, "_TRUSTED_SECONDS", 60.0)

    async def use(pool: AsyncConnectionPool[AsyncConnection]) -> None:
        for _ in range(5):
            await _pid(pool)

    _with_pool(database_url, use)
    assert len(asked) == 1
