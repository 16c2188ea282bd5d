"""What the database itself refuses of determinant sets and exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mdm import cycle, delivery
from schemas import database
from schemas.database import Connection
from tests.mdm.billing import NOW, add_whole, june


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("column", ["digest", "input_digest"])
@pytest.mark.parametrize(
    "digest", ["A" * 64, "a" * 63, "a" * 65, "a" * 63 + "g", "a" * 64 + "\n", ""]
)
def test_what_is_no_digest_is_refused(connection: Connection, column: str, digest: str) -> None:
    add_whole(connection, "UP-1")
    cycle.run(connection, june(connection), now=NOW)
    names = [
        row[0]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'determinant_set'::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attidentity = ''"
        )
    ]
    values = ["%(digest)s" if name == column else name for name in names]
    values[names.index("version")] = "version + 1"
    statement = (
        f"INSERT INTO determinant_set ({', '.join(names)})"
        f" SELECT {', '.join(values)} FROM determinant_set"
    )
    with (
        pytest.raises(psycopg.errors.CheckViolation, match=f"{column}_check"),
        connection.transaction(),
    ):
        connection.execute(statement.encode(), {"digest": digest})
    assert connection.execute(statement.encode(), {"digest": "0123456789abcdef" * 4}).rowcount == 1


def test_an_item_is_of_a_file_of_its_export(connection: Connection, tmp_path: Path) -> None:
    for name in ("UP-1", "UP-2"):
        add_whole(connection, name)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    kept = delivery.prepare(connection, this, file_format="csv", target=str(tmp_path), now=NOW)
    assert kept
    add = (
        "INSERT INTO export_item (export_id, file, determinant_set_id, outcome, reason,"
        " acknowledged_at) SELECT %s, %s, id, 'rejected', 'x', now() FROM determinant_set"
    )
    other = connection.execute(
        "INSERT INTO export (cycle_id, name, format, target, prepared_at, software)"
        " VALUES (%s, 'other', 'csv', 'x', now(), 'x') RETURNING id",
        [this.id],
    ).fetchone()
    assert other
    for file in ("none.csv", f"{kept.name}-0001.csv"):
        with (
            pytest.raises(psycopg.errors.ForeignKeyViolation, match="of table export_item does"),
            connection.transaction(),
        ):
            connection.execute(add, [other[0], file])
