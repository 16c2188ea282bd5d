"""CSV: one row a determinant, RFC 4180 with LF, UTF-8, a heading row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from mdm.export.record import Head, Line, Record, instant, plain

COLUMNS: Final = (
    "export", "key", "usage_point", "commodity", "sector", "tariff", "billing_group", "time_zone",
    "period_start", "period_end", "version", "corrects", "digest", "determinant", "reading_type",
    "part", "value", "unit", "starts_at", "ends_at", "actual", "questionable", "missing",
    "estimated", "edited", "rounding", "note", "previous", "difference",
)  # fmt: skip


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        first = (
            *(head.export, record.key, record.usage_point, record.commodity, record.sector),
            *(record.tariff, head.billing_group, record.time_zone),
            *(instant(record.starts_at), instant(record.ends_at)),
            *(record.version, record.corrects, record.digest),
        )
        writer.writerows((*first, *_cells(line)) for line in record.lines)
    return text.getvalue().encode()


def _cells(line: Line) -> tuple[object, ...]:
    return (
        *(line.name, line.reading_type, line.part, plain(line.value), line.unit),
        *(instant(line.starts_at), instant(line.ends_at), *line.counts, line.rounding, line.note),
        *(plain(line.previous), plain(line.difference)),
    )
