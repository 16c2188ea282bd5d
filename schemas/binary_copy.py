"""PostgreSQL's COPY of rows as numpy columns: thousands of rows without touching a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from psycopg.rows import TupleRow

from schemas import binary_rows
from schemas.binary_fields import Column
from schemas.binary_rows import Message


def write(
    connection: psycopg.Connection[TupleRow], table: str, columns: Mapping[str, Column]
) -> None:
    """COPY rows into a table.

    Parameters
    ----------
    columns : by column name
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in binary_rows.encoded_pieces(list(columns.values())):
            copy.write(piece)


def read(
    connection: psycopg.Connection[TupleRow],
    query: str,
    parameters: Mapping[str, object],
    types: Sequence[str],
) -> list[Column]:
    """COPY a query's rows out.

    Parameters
    ----------
    query : a SELECT with ``%(name)s`` placeholders
    types : of its columns
    """
    return binary_rows.decode(_sent(connection, query, parameters), types)


def rows(
    connection: psycopg.Connection[TupleRow], query: str, parameters: Mapping[str, object]
) -> list[Message]:
    """COPY a query's rows out as they are sent: the number of fields, each with its length.

    Parameters
    ----------
    query : a SELECT with ``%(name)s`` placeholders
    """
    return binary_rows.rows(_sent(connection, query, parameters))


def _sent(
    connection: psycopg.Connection[TupleRow], query: str, parameters: Mapping[str, object]
) -> list[Message]:
    statement = f"COPY ({query}) TO STDOUT (FORMAT BINARY)"
    with (
        connection.cursor() as cursor,
        cursor.copy(statement.encode(), parameters) as copy,
    ):
        return list(messages(copy, connection.pgconn))


def messages(copy: psycopg.Copy, line: psycopg.pq.abc.PGconn) -> Iterator[Message]:
    """Give what the server sends, message by message.

    psycopg's own loop runs a generator for each, 8 µs; what has come already is taken without it.
    """
    take = line.get_copy_data
    while message := copy.read():
        yield message
        # The copy's end, after the trailer, is for psycopg to read.
        size = len(message)
        while size not in binary_rows.LAST:
            size, message = take(1)
            if size < 0:
                raise _failure(line)
            if not size:
                break
            yield message


def _failure(line: psycopg.pq.abc.PGconn) -> psycopg.Error:
    """Read why the server broke off, to the end, so that the connection can be used again."""
    results = []
    while result := line.get_result():
        results.append(result)
    return psycopg.errors.error_from_result(results[0])


def read_together(
    connection: psycopg.Connection[TupleRow],
    query: str,
    parameters: Mapping[str, object],
    types: Mapping[str, str],
) -> list[NDArray[Any]]:
    """COPY short rows out, each column as one array: rows of their own cost 3 µs each on the way.

    Parameters
    ----------
    query : a SELECT with ``%(name)s`` placeholders; none of its values may be NULL
    types : of its columns by name: integers and timestamptz

    Returns
    -------
    a column of all rows for each type, in one order
    """
    columns = ", ".join(
        f"coalesce(array_agg({name}), '{{}}')::{type_}[]" for name, type_ in types.items()
    )
    found = read(
        connection,
        f"SELECT {columns} FROM (\n{query}\n) AS together",  # noqa: S608 (names are the code's)
        parameters,
        [f"{type_}[]" for type_ in types.values()],
    )
    return [column.values[0] for column in found]


def array(numbers: Iterable[int] | NDArray[Any]) -> str:
    """Write integers as PostgreSQL writes an array of them, for a parameter of that type.

    psycopg dumps a list number by number, which takes ten times as long.
    """
    listed = numbers.tolist() if isinstance(numbers, np.ndarray) else [int(n) for n in numbers]
    # A list's own words: what stands in them beside the numbers is spaces, which count for nothing.
    return f"{{{str(listed)[1:-1]}}}"
