"""Parquet: one row a determinant, the columns of ``csv`` with their types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mdm.export import csv_, parquet_file
from mdm.export.parquet_file import Column, Kind
from mdm.export.record import Head, Line, Record

# Columns that are no text, and which may be empty.
_KINDS: Final[dict[str, Kind]] = {
    "period_start": "timestamp", "period_end": "timestamp", "version": "int32",
    "corrects": "int32", "value": "decimal", "starts_at": "timestamp", "ends_at": "timestamp",
    "actual": "int32", "questionable": "int32", "missing": "int32", "estimated": "int32",
    "edited": "int32", "previous": "decimal", "difference": "decimal",
}  # fmt: skip
_OPTIONAL: Final = {"corrects", "value", "previous", "difference"}


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    rows = [_row(head, record, line) for record in records for line in record.lines]
    columns = [
        Column(
            name, _KINDS.get(name, "text"), [row[place] for row in rows], optional=name in _OPTIONAL
        )
        for place, name in enumerate(csv_.COLUMNS)
    ]
    return parquet_file.written(columns, {"miqyas.export": head.export})


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    figures = (f for line in record.lines for f in (line.value, line.previous, line.difference))
    if all(figure is None or parquet_file.fits(figure) for figure in figures):
        return None
    return f"a figure has more than {parquet_file.PLACES} decimals or 29 digits before them"


def _row(head: Head, record: Record, line: Line) -> tuple[Any, ...]:
    return (
        *(head.export, record.key, record.usage_point, record.commodity, record.sector),
        *(record.tariff, head.billing_group, record.time_zone, record.starts_at, record.ends_at),
        *(record.version, record.corrects, record.digest, line.name, line.reading_type, line.part),
        *(line.value, line.unit, line.starts_at, line.ends_at, *line.counts, line.rounding),
        *(line.note, line.previous, line.difference),
    )
