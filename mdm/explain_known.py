"""The registry and all that stands beside readings, as it was known at a moment.

Rows that were changed since are kept (table ``superseded``); the schema ``as_known`` has the tables
that validation asks as views of then. So what validation asks is asked of the past word by word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "explain_known.sql")


@contextmanager
def at(connection: Connection, moment: datetime | None) -> Iterator[None]:
    """Have the transaction see those tables as of a moment for a while; None: as they are.

    Where the block fails, the transaction is to be rolled back: that ends it, too.
    """
    if moment is None:
        yield
        return
    ((path,),) = connection.execute(_SQL["path"])
    before = {"path": f"as_known, {path}", "known_at": moment.isoformat()}
    connection.execute(_SQL["look"], before)
    yield
    connection.execute(_SQL["look"], {"path": path, "known_at": ""})
