"""A database of a benchmark's own, on the server that Miqyas would use; dropped at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from schemas import database, server
from schemas.database import Connection
from schemas.settings import Settings


@contextmanager
def scratch_database(name: str) -> Iterator[str]:
    """Make and migrate a database; give its URL."""
    own = f"miqyas_{name}_{os.getpid()}"
    with server.running(Settings().home) as running:
        with database.connect(running.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(own)))
        try:
            url = _beside(running.url, own)
            database.migrate(url)
            yield url
        finally:
            with database.connect(running.url, autocommit=True) as connection:
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(own))
                connection.execute(drop)


def bytes_of(connection: Connection, table: str) -> int:
    """Give a table's size with its indexes, its TOAST and, of a hypertable, its chunks [B]."""
    (row,) = connection.execute(
        "SELECT pg_total_relation_size(%(table)s::regclass) + coalesce(("
        "  SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
        "  WHERE inhparent = %(table)s::regclass), 0)",
        {"table": table},
    )
    return int(row[0])


def add_meters(connection: Connection, count: int, *, interval_seconds: int = 900) -> list[int]:
    """Register usage points, each with a meter installed since long ago; give the meters' ids."""
    connection.execute(
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " SELECT 'UP-' || n, 'electricity', 'residential', 'Asia/Kuwait', 'kw', 'A'"
        " FROM generate_series(1, %s) AS n",
        [count],
    )
    connection.execute(
        "INSERT INTO end_device (mrid, manufacturer, model, protocol, profile, interval_seconds,"
        " register_modulus)"
        " SELECT 'M-' || n, 'SIM', 'bench', 'dlms', 'generic', %s, 1000000000"
        " FROM generate_series(1, %s) AS n",
        [interval_seconds, count],
    )
    connection.execute(
        "INSERT INTO installation (usage_point_id, end_device_id, starts_at)"
        " SELECT p.id, d.id, '2020-01-01' FROM usage_point p"
        " JOIN end_device d ON substr(d.mrid, 3) = substr(p.mrid, 4)"
    )
    rows = connection.execute("SELECT id FROM end_device ORDER BY id").fetchall()
    connection.execute("ANALYZE usage_point, end_device, installation")
    return [row[0] for row in rows]


def _beside(url: str, name: str) -> str:
    address, _, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
