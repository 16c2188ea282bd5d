"""CSV: one row a determinant, RFC 4180 with LF, UTF-8, a heading row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from mdm.export import form, points
from mdm.export.form import Piece
from mdm.export.record import Head, Line, Record, instant, plain
from mdm.export.sheet import Heading, Sheet

COLUMNS: Final = (
    "export", "key", "usage_point", "commodity", "sector", "tariff", "billing_group", "time_zone",
    "period_start", "period_end", "version", "corrects", "digest", "determinant", "reading_type",
    "part", "value", "unit", "starts_at", "ends_at", "actual", "questionable", "missing",
    "estimated", "edited", "rounding", "note", "previous", "difference",
)  # fmt: skip

START: Final = f"{','.join(COLUMNS)}\n"
"""The heading row, with which each file begins."""

# Those that a usage point's rows share, and those of a determinant itself after them.
_SHARED: Final = 13
_CELLS: Final = 16


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return (START + "".join(bills(head, records))).encode()


def bills(head: Head, records: Iterable[Record]) -> Iterator[str]:
    """Write each record's rows."""
    for record in records:
        first = _first(head, record)
        yield "".join([f"{first},{_line(line)}\n" for line in record.lines])


def sheet(head: Head, found: Sheet) -> Iterator[str]:
    """Write the rows of each usage point of a sheet, as ``bills`` does of its records."""
    return form.filled(_pieces(head, found))


def of_sheets(head: Head, records: Iterable[Record], sheets: Iterable[Sheet]) -> bytes:
    """Write records and sheets, as ``render`` does of all of them as records."""
    of_each = (partial(bills, head), partial(sheet, head))
    return (START + "".join(points.merged(records, sheets, *of_each))).encode()


def _pieces(head: Head, found: Sheet) -> Iterator[Piece]:
    """Give all lines of a sheet, each after what its usage point's rows share."""
    first = form.texts([_first(head, record) for record in found.records])
    for line, heading in enumerate(found.headings):
        yield first
        yield form.fixed(",")
        yield from _cells(found, line, heading)
        yield form.fixed("\n")


def _cells(found: Sheet, line: int, heading: Heading) -> Iterator[Piece]:
    """Give a line of a sheet."""
    if heading.of_device:
        yield _fixed(heading.name, heading.reading_type, "")
        yield form.texts([_row((end_device,)) for end_device in found.end_devices])
        yield form.fixed(",")
    else:
        yield _fixed(heading.name, heading.reading_type, heading.part, "")
    if not heading.absent:
        yield form.decimals(found.units[:, line], heading.places)
    yield _fixed("", heading.unit, "")
    yield form.moments(found.starts_at[:, line])
    yield _fixed("", "")
    yield form.moments(found.ends_at[:, line])
    for column in found.counts[:, line].T:
        yield _fixed("", "")
        yield form.whole(column)
    yield _fixed("", heading.rounding, heading.note, "", "")


def _fixed(*cells: str) -> Piece:
    return form.fixed(_row(cells))


def _first(head: Head, of: Record) -> str:
    """Write the cells that a usage point's rows share."""
    start, end, corrects = instant(of.starts_at), instant(of.ends_at), of.corrects
    text = (
        f"{head.export},{of.key},{of.usage_point},{of.commodity},{of.sector},{of.tariff},"
        f"{head.billing_group},{of.time_zone},{start},{end},{of.version},"
        f"{'' if corrects is None else corrects},{of.digest}"
    )
    if _simple(text, _SHARED):
        return text
    cells = (head.export, of.key, of.usage_point, of.commodity, of.sector, of.tariff)
    period = (head.billing_group, of.time_zone, start, end)
    return _row((*cells, *period, of.version, corrects, of.digest))


def _line(line: Line) -> str:
    """Write a determinant's cells."""
    name, kind, part, value, unit, start, end, counts, rounding, note, previous, difference = line
    figure = "" if value is None else f"{value:f}"
    a, q, m, e, d = counts
    before, by = plain(previous) or "", plain(difference) or ""
    text = (
        f"{name},{kind},{part},{figure},{unit},{instant(start)},{instant(end)},"
        f"{a},{q},{m},{e},{d},{rounding},{note},{before},{by}"
    )
    if _simple(text, _CELLS):
        return text
    cells = (name, kind, part, figure, unit, instant(start), instant(end), *counts)
    return _row((*cells, rounding, note, before, by))


def _simple(text: str, cells: int) -> bool:
    """Tell whether cells with commas between them are a row as it is: none needs quotes."""
    return text.count(",") == cells - 1 and not ('"' in text or "\n" in text or "\r" in text)


def _row(cells: Sequence[object]) -> str:
    """Write cells with quotes where one needs them; None is empty."""
    text = io.StringIO()
    # Whatever is in the line's end is quoted in a cell, so it is given and taken off.
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()[:-1]
