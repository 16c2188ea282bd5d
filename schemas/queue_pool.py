"""The work queue's connections: looked after now and then, not before every question.

procrastinate asks a connection whether it lives each time that it takes it from the pool, which
doubles its questions; and it puts each question into a transaction of its own, which doubles them
again: each is one statement, which is a transaction by itself.
"""

from __future__ import annotations

import math
import time
from typing import Any, Final
from weakref import WeakKeyDictionary

from psycopg_pool import AsyncConnectionPool

from schemas.database import AsyncConnection

# A server that restarts is noticed at the first question after this long; sooner, by its failure,
# which a worker outlives too.
_TRUSTED_SECONDS: Final = 2.0


def made(**settings: Any) -> AsyncConnectionPool[AsyncConnection]:
    """Make a pool as procrastinate asks for it; a connection used a moment ago is not asked."""
    asked: WeakKeyDictionary[AsyncConnection, float] = WeakKeyDictionary()

    async def check(connection: AsyncConnection) -> None:
        now = time.monotonic()
        if now - asked.get(connection, -math.inf) >= _TRUSTED_SECONDS:
            await AsyncConnectionPool.check_connection(connection)
        asked[connection] = now

    return AsyncConnectionPool[AsyncConnection](
        **{**settings, "check": check, "configure": _by_statement}
    )


async def _by_statement(connection: AsyncConnection) -> None:
    await connection.set_autocommit(True)
