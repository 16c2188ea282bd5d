"""CSV: one row a determinant, RFC 4180 with LF, UTF-8, a heading row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

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
# Of as many decimals all fractions are kept written: ten thousand.
_KNOWN: Final = 4
# A piece of a row's form, with the columns that go into its places.
_Piece = tuple[str, tuple[Sequence[object], ...]]


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return (START + "".join(bills(head, records))).encode()


def bills(head: Head, records: Iterable[Record]) -> Iterator[str]:
    """Write each record's rows."""
    for record in records:
        first = _first(head, record)
        yield "".join([f"{first},{_line(line)}\n" for line in record.lines])


def sheet(head: Head, found: Sheet) -> Iterator[str]:
    """Write the rows of each usage point of a sheet, as ``bills`` does of its records.

    They have one form: what they share stands in it, all the rest is put into its places at once.
    """
    first = [_first(head, record) for record in found.records]
    form: list[str] = []
    columns: list[Sequence[object]] = []
    for line, heading in enumerate(found.headings):
        for piece, given in (("%s,", (first,)), *_pieces(found, line, heading), ("\n", ())):
            form.append(piece)
            columns += given
    template = "".join(form)
    return (template % row for row in zip(*columns, strict=True))


def _pieces(found: Sheet, line: int, heading: Heading) -> Iterator[_Piece]:
    """Give a line of a sheet as pieces of a row's form."""
    yield _fixed(heading.name, heading.reading_type, heading.part, "")
    yield _decimals(found.units[:, line], heading.places)
    yield _fixed("", heading.unit, "")
    yield _moments(found.starts_at[:, line])
    yield _fixed("", "")
    yield _moments(found.ends_at[:, line])
    for column in found.counts[:, line].T:
        yield _fixed("", "")
        yield _whole(column)
    yield _fixed("", heading.rounding, heading.note, "", "")


def _fixed(*cells: str) -> _Piece:
    return _row(cells).replace("%", "%%"), ()


def _whole(column: NDArray[np.integer[Any]]) -> _Piece:
    return (str(column[0]), ()) if _same(column) else ("%d", (column.tolist(),))


def _decimals(units: NDArray[np.int64], places: int) -> _Piece:
    """Give figures with all their decimals."""
    if not places:
        return _whole(units)
    if (units < 0).any():
        return "%s", ([plain(Decimal(unit).scaleb(-places)) for unit in units.tolist()],)
    whole, rest = np.divmod(units, 10**places)
    if places > _KNOWN:
        return f"%d.%0{places}d", (whole.tolist(), rest.tolist())
    texts = _fractions(places)
    return "%d.%s", (whole.tolist(), [texts[i] for i in rest.tolist()])


@cache
def _fractions(places: int) -> tuple[str, ...]:
    """Give all fractions of some decimals: to look one up takes a third of writing it."""
    return tuple(f"{rest:0{places}d}" for rest in range(10**places))


def _moments(seconds: NDArray[np.int64]) -> _Piece:
    """Give moments as ``instant`` does."""
    distinct, place = np.unique(seconds[:1] if _same(seconds) else seconds, return_inverse=True)
    texts = np.datetime_as_string(distinct.astype("datetime64[s]"), timezone="UTC").tolist()
    return (texts[0], ()) if len(texts) == 1 else ("%s", ([texts[i] for i in place.tolist()],))


def _same(column: NDArray[Any]) -> bool:
    return bool((column == column[0]).all())


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
