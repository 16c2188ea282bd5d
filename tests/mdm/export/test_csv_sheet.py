"""CSV of sheets: byte by byte what the same lines give record by record."""

from __future__ import annotations

from hypothesis import given

from mdm.export import csv_
from mdm.export.sheet import Sheet
from tests.mdm.export.records import HEAD
from tests.mdm.export.sheets import sheets


@given(sheets())
def test_a_sheet_gives_the_bytes_of_its_records(sheet: Sheet) -> None:
    records = [each._replace(lines=sheet.lines(row)) for row, each in enumerate(sheet.records)]
    assert list(csv_.sheet(HEAD, sheet)) == list(csv_.bills(HEAD, records))


@given(sheets())
def test_sums_are_those_of_the_lines(sheet: Sheet) -> None:
    for (heading, total), of in zip(
        sheet.sums(), zip(*map(sheet.lines, range(len(sheet.records))), strict=True), strict=True
    ):
        assert total == sum(line.value for line in of if line.value is not None)
        assert total.as_tuple().exponent == -heading.places
