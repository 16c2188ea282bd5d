"""Parquet, written here and read back by pyarrow and pandas."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.export import csv_, parquet, parquet_file, thrift
from mdm.export.parquet_column import Column
from tests.mdm.export.records import AWKWARD, END, HEAD, START, line, record

LINES = [
    line(),
    line("load_factor", None, "1"),
    line("time_of_use_consumption", "-1.25", part="كشف, \"peak\"\n", previous=Decimal("2.5"),
         difference=Decimal("-3.75")),
]  # fmt: skip
POINTS = [record(AWKWARD, LINES, version=2, corrects=1), record("UP-2")]


def read(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def test_pyarrow_reads_what_csv_says() -> None:
    table = read(parquet.render(HEAD, POINTS))
    assert tuple(table.column_names) == csv_.COLUMNS
    told = list(csv.DictReader(io.StringIO(csv_.render(HEAD, POINTS).decode(), newline="")))
    rows = table.to_pylist()
    assert len(rows) == len(told) == 4
    for row, other in zip(rows, told, strict=True):
        for name, value in row.items():
            text = other[name]
            if value is None:
                assert text == ""
            elif isinstance(value, Decimal):
                assert value == Decimal(text)
            elif isinstance(value, datetime):
                assert f"{value:%Y-%m-%dT%H:%M:%SZ}" == text
            else:
                assert str(value) == text
    assert table.schema.field("value").type == pa.decimal128(38, 9)
    assert table.schema.field("starts_at").type == pa.timestamp("us", tz="UTC")
    assert rows[0]["starts_at"] == START
    assert rows[0]["ends_at"] == END


def test_pandas_reads_it() -> None:
    frame = pd.read_parquet(io.BytesIO(parquet.render(HEAD, POINTS)))
    assert list(frame["usage_point"]) == [AWKWARD] * 3 + ["UP-2"]
    assert frame.groupby("usage_point")["value"].sum()["UP-2"] == Decimal("28.8")
    assert int(frame["estimated"].sum()) == 20


def test_the_bytes_stay_as_they_are() -> None:
    content = parquet.render(HEAD, POINTS)
    assert content == parquet.render(HEAD, POINTS)
    # A change of the writer would change the files of bills that were delivered: keep the old one
    # beside it, as another format.
    assert hashlib.sha256(content).hexdigest() == DIGEST


DIGEST = "df3dfa0152a11112fd1fa83efbd2ab028a58eb6abf22db4e463ad7bc82a6538c"

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_DECIMALS = st.decimals(-(10**20), 10**20, places=9)
_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_columns_come_back(data: Any) -> None:
    rows = data.draw(st.integers(1, 40))

    def values(of: Any) -> list[Any]:
        return data.draw(st.lists(of, min_size=rows, max_size=rows))  # type: ignore[no-any-return]

    columns = [
        Column("text", "text", values(_TEXTS)),
        Column("maybe", "text", values(st.none() | _TEXTS), optional=True),
        Column("small", "int32", values(st.integers(-(2**31), 2**31 - 1))),
        Column("large", "int64", values(st.none() | st.integers(-(2**63), 2**63 - 1)), True),
        Column("exact", "decimal", values(st.none() | _DECIMALS), optional=True),
        Column("moment", "timestamp", values(_MOMENTS)),
    ]
    table = read(parquet_file.written(columns, {"key": "value"}))
    for column in columns:
        assert table.column(column.name).to_pylist() == list(column.values), column.name
    assert table.schema.metadata[b"key"] == b"value"


def test_many_rows_and_many_texts() -> None:
    rows = 70_000
    columns = [
        Column("id", "text", [f"UP-{n % 30_000}" for n in range(rows)]),
        Column("n", "int32", list(range(rows))),
        Column("odd", "text", [None if n % 3 else "x" for n in range(rows)], optional=True),
    ]
    table = read(parquet_file.written(columns, {}))
    for column in columns:
        assert table.column(column.name).to_pylist() == list(column.values)


def test_figures_that_do_not_fit_are_told() -> None:
    assert parquet.refusal(record("UP-1")) is None
    fine = record("UP-1", [line(value="0.1234567891")])
    assert "a figure has more than 9 decimals" in (parquet.refusal(fine) or "")
    with pytest.raises(ValueError, match="does not fit"):
        parquet_file.written([Column("x", "decimal", [Decimal(10) ** 30])], {})


def test_long_lists_and_large_numbers_of_thrift() -> None:
    assert thrift.varint(300) == bytes([0xAC, 0x02])
    assert thrift.struct({1: [7] * 15}) == bytes([0x19, 0xF5, 15]) + bytes([14] * 15) + b"\0"
    assert thrift.struct({1: thrift.I64(-1)}) == bytes([0x16, 0x01, 0x00])
