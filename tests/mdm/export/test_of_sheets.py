"""Every format that writes sheets: byte by byte what it writes of the same lines as records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.export import parquet_column
from mdm.export.formats import FORMATS
from mdm.export.parquet_column import Column, Packed
from mdm.export.record import Record
from mdm.export.sheet import Sheet
from tests.mdm.export.records import END, HEAD, START, dial, intervals, line, measured, record
from tests.mdm.export.sheets import sheets

FIGURES = sorted(name for name, kind in FORMATS.items() if kind.of_sheets and not kind.series)
READINGS = sorted(name for name, kind in FORMATS.items() if kind.of_sheets and kind.series)
LINES = [
    line(),
    line("load_factor", None, "1"),
    line("net", "-1.25", part="é", previous=Decimal("2.5"), difference=Decimal("-3.75")),
]
RECORDS = st.lists(
    st.builds(
        record,
        st.sampled_from(["UP-0", "UP-2", "UP-1x"]),
        st.lists(st.sampled_from(LINES), min_size=1, max_size=3),
        corrects=st.sampled_from([None, 1]),
    ),
    max_size=3,
)


def whole(records: Iterable[Record], pages: Iterable[Sheet]) -> list[Record]:
    """Take usage points out of their sheets, and put all in order."""
    every = list(records)
    for page in pages:
        every += [one._replace(lines=page.lines(row)) for row, one in enumerate(page.records)]
    return sorted(every, key=lambda one: one.usage_point)


def test_all_formats_but_one_write_sheets() -> None:
    # Green Button's sum-up of a bill has the figures beside the readings.
    assert set(FORMATS) - {*FIGURES, *READINGS} == {"espi"}


@pytest.mark.parametrize("name", FIGURES)
@given(records=RECORDS, pages=st.lists(sheets(wide=True), max_size=3))
@settings(max_examples=40, deadline=None)
def test_sheets_give_the_bytes_of_their_records(
    name: str, records: list[Record], pages: list[Sheet]
) -> None:
    kind = FORMATS[name]
    assert kind.of_sheets
    assert kind.of_sheets(HEAD, records, pages) == kind.render(HEAD, whole(records, pages))


@pytest.mark.parametrize("name", READINGS)
@given(page=sheets(wide=True))
@settings(max_examples=10, deadline=None)
def test_readings_are_those_of_each_usage_point(name: str, page: Sheet) -> None:
    names = iter(["UP-9", "UP-3", "UP-7", "UP-5"])
    own = [_measured(one._replace(usage_point=next(names))) for one in page.records]
    page = replace(page, records=own)
    records = [_measured(record("UP-4", LINES, corrects=1))]
    kind = FORMATS[name]
    assert kind.of_sheets
    assert kind.of_sheets(HEAD, records, [page]) == kind.render(HEAD, whole(records, [page]))


@pytest.mark.parametrize("name", [*FIGURES, *READINGS])
@given(page=sheets(wide=True))
@settings(max_examples=10, deadline=None)
def test_what_is_left_out_of_a_sheet_is_the_same_for_all_its_figures(
    name: str, page: Sheet
) -> None:
    kind = FORMATS[name]
    for row, one in enumerate(page.records):
        seen, there = (one._replace(lines=page.lines(at)) for at in (0, row))
        assert set(kind.omissions(seen)) == set(kind.omissions(there))
        assert kind.refusal(seen) == kind.refusal(there)


def _measured(one: Record) -> Record:
    number = int(one.usage_point[-1])
    dials = [dial(START, 1000), dial(END, 2000 + number)]
    return measured(one, intervals([number] * 288, {5: 0}), dials=dials)


@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, parquet_column.PLACES)),
        min_size=1,
    )
)
def test_figures_of_columns_are_those_of_decimals(figures: list[tuple[int, int]]) -> None:
    units, places = (np.array(column, np.int64) for column in zip(*figures, strict=True))
    exact = [Decimal(unit).scaleb(-decimals) for unit, decimals in figures]
    wanted = Packed.of(Column("x", "decimal", exact)).values
    assert parquet_column.decimals(units, places).tolist() == wanted.tolist()


def test_more_decimals_than_a_column_keeps_are_refused() -> None:
    with pytest.raises(ValueError, match="10 decimals do not fit into 9"):
        parquet_column.decimals(np.array([1]), np.array([10]))
