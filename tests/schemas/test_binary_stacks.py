"""Stacks of rows from a real server against psycopg's own adapters, row by row."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import binary_stacks, database
from schemas.binary_fields import Column
from schemas.database import Connection

SCALARS = {"number": "int4", "kind": "int2", "at": "timestamptz"}
ARRAYS = {'"values"': "int4[]", "quality": "int2[]", "origin": "int8[]"}
QUERY = 'SELECT number, kind, at, "values", quality, origin FROM stacked WHERE kind >= %(least)s'


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@st.composite
def rows(draw: st.DrawFn) -> tuple[Any, ...]:
    length = draw(st.integers(1, 4))
    lists = [
        draw(st.lists(integers(bits), min_size=length, max_size=length)) for bits in (32, 16, 64)
    ]
    return (
        draw(integers(32)),
        draw(st.integers(0, 3)),
        draw(st.integers(-(10**15), 10**15)),
        lists[0],
        draw(st.sampled_from((lists[1], None))),
        draw(st.sampled_from((lists[2], None))),
    )


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[Connection]:
    with database.connect(module_database_url) as connection:
        connection.execute(
            "CREATE TEMP TABLE stacked (number int4, kind int2, at timestamptz,"
            ' "values" int4[], quality int2[], origin int8[])'
        )
        yield connection


def found(connection: Connection, least: int) -> list[Column]:
    return binary_stacks.read(connection, QUERY, {"least": least}, SCALARS, ARRAYS)


def cells(column: Column) -> list[Any]:
    null = np.zeros(len(column), np.bool_) if column.null is None else column.null
    if column.length is None:
        return [int(value) for value in column.values]
    return [
        None if none else [int(value) for value in row[:length]]
        for row, length, none in zip(column.values, column.length, null, strict=True)
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_rows=st.lists(rows(), max_size=12), least=st.integers(0, 3))
def test_stacks_hold_the_rows_as_they_are(
    connection: Connection, given_rows: list[tuple[Any, ...]], least: int
) -> None:
    connection.execute("TRUNCATE stacked")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stacked VALUES (%s, %s, 'epoch'::timestamptz + %s * interval"
            " '1 microsecond', %s::int4[], %s::int2[], %s::int8[])",
            given_rows,
        )
    got = zip(*(cells(column) for column in found(connection, least)), strict=True)
    wanted = [row for row in given_rows if row[1] >= least]
    assert sorted(map(repr, got)) == sorted(map(repr, wanted))


def test_a_server_without_the_function_gives_the_same(connection: Connection) -> None:
    """Who is no superuser has arrays as they are sent."""
    connection.commit()
    connection.execute("TRUNCATE stacked")
    row = (7, 1, 0, [2**31 - 1, -1], [-3, 9], [5, 6])
    connection.execute(
        "INSERT INTO stacked VALUES (%s, %s, 'epoch'::timestamptz + %s * interval"
        " '1 microsecond', %s::int4[], %s::int2[], %s::int8[])",
        row,
    )
    for kind in ("integer", "smallint"):
        connection.execute(
            f"CREATE OR REPLACE FUNCTION array_octets({kind}[]) RETURNS bytea"
            " LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN array_send($1)"
        )
    assert [cells(column) for column in found(connection, 0)] == [[each] for each in row]
    connection.rollback()


def test_a_failing_query_leaves_the_connection_usable(connection: Connection) -> None:
    connection.commit()
    query = (
        "SELECT 1 AS number, 1 / %(least)s AS kind, now() AS at, NULL::int4[] AS"
        ' "values", NULL::int2[] AS quality, NULL::int8[] AS origin'
    )
    with pytest.raises(psycopg.errors.DivisionByZero):
        binary_stacks.read(connection, query, {"least": 0}, SCALARS, ARRAYS)
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def stack(octets: bytes) -> bytes:
    element = (4).to_bytes(4, "big") + (7).to_bytes(4, "big")
    flat = b"".join(n.to_bytes(4, "big") for n in (1, 0, 23, 1, 1)) + element
    return (2).to_bytes(2, "big") + b"".join(
        len(field).to_bytes(4, "big") + field for field in (flat, octets)
    )


def head(order: Literal["big", "little"], count: int) -> bytes:
    return b"".join(n.to_bytes(4, order) for n in (1, 0, 23, count, 1))


HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
NATIVE = stack(head("little", 2) + (5).to_bytes(4, "little") + (6).to_bytes(4, "little"))
OTHER_ORDER = stack(head("big", 2) + (5).to_bytes(4, "big") + (6).to_bytes(4, "big"))
SENT = stack(head("big", 2) + b"".join(n.to_bytes(4, "big") for n in (4, 5, 4, 6)))


@pytest.mark.parametrize("row", [NATIVE, OTHER_ORDER, SENT])
def test_arrays_come_as_the_server_has_or_sends_them(row: bytes) -> None:
    columns = binary_stacks.decode([HEADER + row, TRAILER], ["int4[]", "int4[]"], 1)
    assert [column.values.tolist() for column in columns] == [[7], [[5, 6]]]


@pytest.mark.parametrize("row", [NATIVE, SENT])
def test_a_cut_or_garbled_stack_is_refused_or_read_as_something_of_its_size(row: bytes) -> None:
    types = ["int4[]", "int4[]"]
    for cut in range(1, len(row)):
        with pytest.raises(ValueError, match=r"column|stack|array|buffer|object id|bytes|head"):
            binary_stacks.decode([HEADER + row[:cut], TRAILER], types, 1)
    for place in range(len(row)):
        garbled = row[:place] + bytes([row[place] ^ 0x5A]) + row[place + 1 :]
        try:
            columns = binary_stacks.decode([HEADER + garbled, TRAILER], types, 1)
        except ValueError:
            continue
        assert [column.values.size for column in columns] == [1, 2]
