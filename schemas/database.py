"""The database: connections, migrations, and what is known about the server.

Nothing else in the project opens a connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

import procrastinate.schema
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from schemas import facts

Connection = psycopg.Connection[TupleRow]
AsyncConnection = psycopg.AsyncConnection[TupleRow]

# Any number serves, so long as every migration takes the same lock.
_MIGRATION_LOCK = 7_105_021
_FACTS = {
    "reading_type": "reading_types.csv",
    "quality_code": "quality_codes.csv",
    "sector": "sectors.csv",
}
_OPTIONS = "-c timezone=UTC -c application_name=miqyas"
_kept_open: dict[str, ConnectionPool[Connection]] = {}


class NewerSchema(RuntimeError):
    """A newer program has changed the database; the message says what to do."""


@dataclass(frozen=True, slots=True)
class About:
    """What a database server says of itself.

    ``timescaledb`` is the extension's version in this database, None without it; ``edition`` is
    ``apache`` or ``timescale``; ``migrations`` are the names of those that have run.
    """

    server_version: str
    timescaledb: str | None
    edition: str | None
    timescaledb_available: bool
    migrations: tuple[str, ...]


@contextmanager
def connect(url: str, *, autocommit: bool = False) -> Iterator[Connection]:
    """Open a connection; commit when the block ends well, roll back when it does not.

    Raises
    ------
    psycopg.OperationalError
        if the server cannot be reached.
    """
    kept = None if autocommit else _kept_open.get(url)
    with (
        kept.connection() if kept else psycopg.connect(url, autocommit=autocommit, options=_OPTIONS)
    ) as connection:
        yield connection


@contextmanager
def again(connection: Connection) -> Iterator[Connection]:
    """Open another connection to the same database, for what is read while the first one writes.

    It is in autocommit, and sees what has been committed.

    Raises
    ------
    psycopg.OperationalError
        if the server cannot be reached, or has no connection left.
    """
    known = connection.info
    url = make_conninfo(known.dsn, **({"password": known.password} if known.password else {}))
    with connect(url, autocommit=True) as other:
        yield other


@contextmanager
def kept_open(
    url: str, *, most: int = 16, patience: float = 30.0, checked: bool = False
) -> Iterator[None]:
    """Keep this process's connections to a database open between uses, for the length of a block.

    Opening one and asking its first question takes 20 ms, another question 0.3 ms (measured with
    TimescaleDB 2.19). Whoever works in many short transactions works in such a block.

    Parameters
    ----------
    most : connections open at a time
    patience : longest wait for one of them [s]; then ``psycopg.OperationalError``
    checked : whether each is tried before it is given out (0.1 ms), so that nobody gets one that
        broke when the server was started anew
    """
    if url in _kept_open:
        yield
        return
    with ConnectionPool[Connection](
        url,
        kwargs={"options": _OPTIONS},
        min_size=1,
        max_size=most,
        timeout=patience,
        # An attempt that is given up early makes way for the next one: the pool's own waits double
        # each time, and would keep it away for minutes after the server is back.
        reconnect_timeout=patience,
        check=ConnectionPool.check_connection if checked else None,
        open=True,
    ) as pool:
        _kept_open[url] = pool
        try:
            yield
        finally:
            del _kept_open[url]


class Lasting:
    """A connection in autocommit mode, opened when first needed, and anew once it was lost.

    A server that restarts ends what is asked just then; what is asked later finds it again. One
    thread at a time uses it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    def get(self) -> Connection:
        """Give the connection.

        Raises
        ------
        psycopg.OperationalError
            if the server cannot be reached.
        """
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, options=_OPTIONS)
        return self._connection

    def close(self) -> None:
        """Close it, if it is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class AsyncLasting:
    """The same for asyncio code; several tasks may use it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = asyncio.Lock()
        self._connection: AsyncConnection | None = None

    async def get(self) -> AsyncConnection:
        """Give the connection.

        Raises
        ------
        psycopg.OperationalError
            if the server cannot be reached.
        """
        async with self._opening:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, options=_OPTIONS
                )
            return self._connection

    async def close(self) -> None:
        """Close it, if it is open."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def migrate(url: str) -> list[str]:
    """Bring a database to the newest schema and fill the tables of facts.

    Each migration runs in a transaction of its own, once; two processes that migrate at the same
    time wait for each other.

    Returns
    -------
    names of the migrations that ran now

    Raises
    ------
    NewerSchema
        if migrations have run that this program does not have.
    """
    with connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        _enable_timescaledb(connection)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration ("
            "name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())"
        )
        done = set(_ran(connection))
        known = _migrations()
        if newer := sorted(done - {name for name, _ in known}):
            raise NewerSchema(
                f"The database has the schema of a newer Miqyas (migration {newer[-1]}), which this"
                " program does not know; nothing was changed. What to do: update this program."
            )
        pending = [(name, body) for name, body in known if name not in done]
        for name, body in pending:
            with connection.transaction():
                connection.execute(body.encode())
                connection.execute("INSERT INTO migration (name) VALUES (%s)", [name])
        with connection.transaction():
            for table, file in _FACTS.items():
                _fill(connection, table, facts.rows(file))
    return [name for name, _ in pending]


def beside(url: str, name: str) -> str:
    """Give the address of another database on the same server."""
    return make_conninfo(url, dbname=name)


def recreate(url: str, name: str) -> str:
    """Make an empty database on a server, in place of an earlier one of that name.

    It is one that can be made again: a commit does not wait for the disk, so a power cut may take
    its last moments.

    Returns
    -------
    its address

    Raises
    ------
    psycopg.errors.InsufficientPrivilege
        if the account may not make databases.
    """
    with connect(url, autocommit=True) as connection:
        named = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(named))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(named))
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(named))
    return beside(url, name)


def exists(url: str, name: str) -> bool:
    """Tell whether a server has a database of that name."""
    with connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        return found.fetchone() is not None


def about(connection: Connection) -> About:
    """Tell the server's version, its TimescaleDB, and which migrations have run."""
    version = connection.execute("SHOW server_version").fetchone()
    extension = connection.execute(
        "SELECT installed_version, current_setting('timescaledb.license', true)"
        " FROM pg_available_extensions WHERE name = 'timescaledb'"
    ).fetchone()
    has_table = connection.execute("SELECT to_regclass('migration') IS NOT NULL").fetchone()
    return About(
        server_version=str(version[0]) if version else "unknown",
        timescaledb=extension[0] if extension else None,
        edition=extension[1] if extension else None,
        timescaledb_available=extension is not None,
        migrations=tuple(_ran(connection)) if has_table and has_table[0] else (),
    )


def _migrations() -> list[tuple[str, str]]:
    """List migrations in order; the task queue's own tables come first."""
    folder = resources.files("schemas").joinpath("migrations")
    files = sorted(
        entry.name for entry in folder.iterdir() if re.match(r"\d{4}_.*\.sql$", entry.name)
    )
    ours = [(name.removesuffix(".sql"), folder.joinpath(name).read_text("utf-8")) for name in files]
    return [("0000_procrastinate", procrastinate.schema.SchemaManager.get_schema()), *ours]


def _ran(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM migration ORDER BY name")]


def _enable_timescaledb(connection: Connection) -> None:
    """Create the extension where the server has it loaded; without it tables stay plain."""
    loaded = connection.execute(
        "SELECT current_setting('shared_preload_libraries') LIKE '%timescaledb%'"
        " AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"
    ).fetchone()
    if loaded and loaded[0]:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")


def _fill(connection: Connection, table: str, rows: list[dict[str, str]]) -> None:
    """Make a table of facts equal to its CSV file; rows that others refer to are updated."""
    columns = list(rows[0])
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {sets}"
    ).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        key=sql.Identifier(columns[0]),
        sets=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in columns[1:]
        ),
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[row[c] or None for c in columns] for row in rows])
