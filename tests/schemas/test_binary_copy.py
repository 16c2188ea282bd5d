"""Binary COPY against a real server, and against psycopg's own adapters on both sides."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import binary_copy, binary_fields, binary_numeric, binary_rows, database
from schemas.binary_fields import Column
from schemas.database import Connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TYPES = (
    "bool", "int2", "int4", "int8", "float8", "timestamptz", "text", "int2[]", "int4[]", "int8[]",
)  # fmt: skip


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


ELEMENTS = {
    "bool": st.booleans(),
    "int2": integers(16),
    "int4": integers(32),
    "int8": integers(64),
    "float8": st.floats(allow_nan=False),
    "timestamptz": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001
        lambda naive: naive.replace(tzinfo=UTC)
    ),
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
    "int2[]": st.lists(integers(16), max_size=5),
    "int4[]": st.lists(integers(32), max_size=5),
    "int8[]": st.lists(integers(64), max_size=5),
}
ROWS = st.lists(st.tuples(*(st.none() | ELEMENTS[t] for t in TYPES)), max_size=12)
WIDE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[Connection]:
    with database.connect(module_database_url) as connection:
        columns = ", ".join(f"c{i} {t}" for i, t in enumerate(TYPES))
        connection.execute(f"CREATE TEMP TABLE every (n int4, {columns})".encode())
        yield connection


def column(type_: str, cells: list[Any]) -> Column:
    """Make a column from Python values, the slow and obvious way."""
    null = np.array([cell is None for cell in cells], np.bool_)
    if type_.endswith("[]"):
        length = np.array([len(cell or []) for cell in cells], np.int32)
        values = np.zeros((len(cells), max(length, default=0)), f"i{type_[3]}")
        for row, cell in zip(values, cells, strict=True):
            row[: len(cell or [])] = cell or []
        return Column(type_, values, length, null)
    if type_ == "text":
        return Column(type_, np.array([(c or "").encode() for c in cells], "S"), null=null)
    if type_ == "timestamptz":
        stamps = [(c - EPOCH) // timedelta(microseconds=1) if c else 0 for c in cells]
        return Column(type_, np.array(stamps, np.int64), null=null)
    kinds = {"bool": "?", "int2": "i2", "int4": "i4", "int8": "i8", "float8": "f8"}
    return Column(type_, np.array([c or 0 for c in cells], kinds[type_]), null=null)


def cells(column: Column) -> list[Any]:
    """Turn a column into the Python values that psycopg would give."""
    found: list[Any] = []
    for row in range(len(column)):
        value = column.values[row]
        if column.null is not None and column.null[row]:
            found.append(None)
        elif column.length is not None:
            found.append([int(v) for v in value[: column.length[row]]])
        elif column.type == "timestamptz":
            found.append(EPOCH + timedelta(microseconds=int(value)))
        else:
            found.append(value.decode() if column.type == "text" else value.item())
    return found


def filled(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    connection.execute("TRUNCATE every")
    marks = ", ".join(f"%s::{type_}" for type_ in ("int4", *TYPES))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO every VALUES ({marks})".encode(),
            [(n, *row) for n, row in enumerate(rows)],
        )


@WIDE
@given(rows=ROWS)
def test_the_server_stores_what_was_encoded(
    connection: Connection, rows: list[tuple[Any, ...]]
) -> None:
    connection.execute("TRUNCATE every")
    columns = {f"c{i}": column(t, [row[i] for row in rows]) for i, t in enumerate(TYPES)}
    numbers = Column("int4", np.arange(len(rows), dtype=np.int32))
    binary_copy.write(connection, "every", {"n": numbers, **columns})
    stored = connection.execute("SELECT * FROM every ORDER BY n").fetchall()
    assert stored == [(n, *row) for n, row in enumerate(rows)]


@WIDE
@given(rows=ROWS)
def test_what_the_server_sends_decodes(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    filled(connection, rows)
    columns = binary_copy.read(
        connection,
        "SELECT * FROM every WHERE n >= %(least)s ORDER BY n",
        {"least": 0},
        ("int4", *TYPES),
    )
    assert list(zip(*(cells(c) for c in columns), strict=True)) == [
        (n, *row) for n, row in enumerate(rows)
    ]


def test_many_rows_of_two_lengths_keep_their_order(connection: Connection) -> None:
    rows = 5000
    length = np.where(np.arange(rows) % 7 == 0, 92, 96).astype(np.int32)
    values = np.arange(rows * 96, dtype=np.int32).reshape(rows, 96)
    values[np.arange(96) >= length[:, None]] = 0
    connection.execute("CREATE TEMP TABLE days (n int4, v int4[])")
    numbers = Column("int4", np.arange(rows, dtype=np.int32))
    binary_copy.write(connection, "days", {"n": numbers, "v": Column("int4[]", values, length)})
    _, back = binary_copy.read(
        connection, "SELECT n, v FROM days ORDER BY n", {}, ("int4", "int4[]")
    )
    assert np.array_equal(back.values, values)
    assert np.array_equal(back.length, length)  # type: ignore[arg-type]


def test_an_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="int4 cannot hold"):
        binary_rows.encode([Column("int4", np.array([2**31]))])
    with pytest.raises(ValueError, match=r"int2\[\] cannot hold"):
        binary_rows.encode([Column("int2[]", np.array([[-40_000]], np.int32))])


def test_columns_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="no column type"):
        Column("json", np.zeros(1))
    with pytest.raises(ValueError, match="shape"):
        Column("int4[]", np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="beside 3 rows"):
        Column("int4", np.zeros(3, np.int32), null=np.zeros(2, np.bool_))
    with pytest.raises(ValueError, match="columns of"):
        binary_rows.encode([Column("int4", np.zeros(n, np.int32)) for n in (1, 2)])


@pytest.mark.parametrize(
    ("query", "types", "message"),
    [
        ("SELECT 1::int4, 2::int4", ("int4",), "a row of 2 fields, not 1"),
        ("SELECT 1::int8", ("int4",), "8 bytes is no int4"),
        ("SELECT '{1}'::int8[]", ("int4[]",), "object id 20 is no"),
        ("SELECT '{1,NULL}'::int4[]", ("int4[]",), "NULLs in it"),
        ("SELECT '{{1,2},{3,4}}'::int4[]", ("int4[]",), "2 dimensions"),
    ],
)
def test_rows_of_other_types_are_refused(
    connection: Connection, query: str, types: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        binary_copy.read(connection, query, {}, types)
    connection.rollback()


@given(cut=st.integers(1, 60), data=st.data())
def test_a_cut_stream_is_refused(cut: int, data: st.DataObject) -> None:
    whole = binary_rows.encode([Column("int4", np.arange(4, dtype=np.int32))])
    with pytest.raises(ValueError, match="binary COPY"):
        binary_rows.decode([whole[: -min(cut, len(whole))]], ("int4",))
    garbage = data.draw(st.binary(max_size=40))
    with pytest.raises(ValueError, match="binary COPY"):
        binary_rows.decode([garbage], ("int4",))


def test_psycopg_reads_it_back_as_its_own(connection: Connection) -> None:
    """psycopg's own binary reader agrees, so the agreement isn't ours alone."""
    connection.execute("CREATE TEMP TABLE own (a int4, b int2[])")
    binary_copy.write(
        connection,
        "own",
        {"a": binary_fields.constant("int4", 7, 2), "b": binary_fields.constant("int2", None, 2)}
        | {"b": Column("int2[]", np.array([[1, 2], [3, 4]], np.int16))},
    )
    with (
        psycopg.Cursor(connection) as cursor,
        cursor.copy("COPY own TO STDOUT (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["int4", "int2[]"])
        assert list(copy.rows()) == [(7, [1, 2]), (7, [3, 4])]


def test_short_rows_come_together(connection: Connection) -> None:
    types = {"n": "int4", "at": "timestamptz", "small": "int2"}
    query = (
        "SELECT n, '2026-06-01 00:00:00.25+00'::timestamptz + n * interval '1 day' AS at,"
        " (-n)::int2 AS small FROM generate_series(1, %(last)s) AS n"
    )
    n, at, small = binary_copy.read_together(connection, query, {"last": 3}, types)
    first = (datetime(2026, 6, 2, 0, 0, 0, 250_000, tzinfo=UTC) - EPOCH) // timedelta(
        microseconds=1
    )
    assert n.tolist() == [1, 2, 3]
    assert at.tolist() == [first + day * 86_400_000_000 for day in range(3)]
    assert small.tolist() == [-1, -2, -3]
    none = binary_copy.read_together(connection, query, {"last": 0}, types)
    assert [column.tolist() for column in none] == [[], [], []]


def test_moments_in_arrays_are_written_as_they_are_read() -> None:
    moments = Column("timestamptz[]", np.array([[0, 1_780_000_000_000_000]]))
    (found,) = binary_rows.decode([binary_rows.encode([moments])], ["timestamptz[]"])
    assert found.values.tolist() == moments.values.tolist()


def test_integers_are_written_as_an_array(connection: Connection) -> None:
    for numbers in ([], [7], np.array([3, -1, 2**40])):
        listed = binary_copy.array(numbers)
        (row,) = connection.execute("SELECT %s::bigint[]", [listed])
        assert row[0] == list(numbers)


@WIDE
@given(units=st.lists(st.integers(1 - 10**15, 10**15 - 1), max_size=8), places=st.integers(0, 12))
def test_numerics_arrive_to_the_last_decimal(
    connection: Connection, units: list[int], places: int
) -> None:
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS exact (n int4, value numeric)")
    connection.execute("TRUNCATE exact")
    columns = {
        "n": Column("int4", np.arange(len(units), dtype=np.int32)),
        "value": Column("raw", binary_numeric.encoded(np.array(units, np.int64), places)),
    }
    binary_copy.write(connection, "exact", columns)
    stored = connection.execute("SELECT value FROM exact ORDER BY n").fetchall()
    wanted = [Decimal(unit).scaleb(-places) for unit in units]
    assert [f"{row[0]:f}" for row in stored] == [f"{value:f}" for value in wanted]


def test_a_numeric_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        binary_numeric.encoded(np.array([10**15], np.int64), 0)
    with pytest.raises(ValueError, match="does not fit"):
        binary_numeric.encoded(np.array([1], np.int64), 13)
