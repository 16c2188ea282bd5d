"""The database that a command works on: started if need be, and brought to the newest schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from schemas import database, server
from schemas.database import Connection
from schemas.settings import Settings


@contextmanager
def url() -> Iterator[str]:
    """Give the address of the database, with the schema up to date."""
    with server.running(Settings().home) as running:
        database.migrate(running.url)
        yield running.url


@contextmanager
def connection() -> Iterator[Connection]:
    """Open a connection to the database; commit when the block ends well."""
    with url() as address, database.connect(address) as open_connection:
        yield open_connection


def now(open_connection: Connection) -> datetime:
    """Tell the time: a demonstration's own while one is in force, else the real one."""
    row = open_connection.execute("SELECT now FROM simulated_clock").fetchone()
    return row[0] if row else datetime.now(UTC)
