"""CSV: one row a determinant, RFC 4180 with LF, UTF-8, a heading row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from mdm.export.record import Head, Line, Record, instant, plain

COLUMNS: Final = (
    "export", "key", "usage_point", "commodity", "sector", "tariff", "billing_group", "time_zone",
    "period_start", "period_end", "version", "corrects", "digest", "determinant", "reading_type",
    "part", "value", "unit", "starts_at", "ends_at", "actual", "questionable", "missing",
    "estimated", "edited", "rounding", "note", "previous", "difference",
)  # fmt: skip

# Of a determinant itself, after those that a usage point's rows share.
_CELLS: Final = 16


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    rows = [_row(COLUMNS)]
    for record in records:
        first = _row(
            (
                *(head.export, record.key, record.usage_point, record.commodity, record.sector),
                *(record.tariff, head.billing_group, record.time_zone),
                *(instant(record.starts_at), instant(record.ends_at)),
                *(record.version, record.corrects, record.digest),
            )
        )
        rows += [f"{first},{_line(line)}" for line in record.lines]
    return ("\n".join(rows) + "\n").encode()


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
