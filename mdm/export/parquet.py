"""Parquet: one row a determinant, the columns of ``csv`` with their types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm.export import csv_, parquet_column, parquet_file
from mdm.export.parquet_column import Column, Kind, Packed
from mdm.export.record import Head, Line, Record
from mdm.export.sheet import Sheet

# Columns that are no text, and which may be empty.
_KINDS: Final[dict[str, Kind]] = {
    "period_start": "timestamp", "period_end": "timestamp", "version": "int32",
    "corrects": "int32", "value": "decimal", "starts_at": "timestamp", "ends_at": "timestamp",
    "actual": "int32", "questionable": "int32", "missing": "int32", "estimated": "int32",
    "edited": "int32", "previous": "decimal", "difference": "decimal",
}  # fmt: skip
_OPTIONAL: Final = {"corrects", "value", "previous", "difference"}
_COUNTS: Final = ("actual", "questionable", "missing", "estimated", "edited")
_MICROS: Final = 1_000_000


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return _whole(head, _of_records(head, records))


def of_sheets(head: Head, records: Iterable[Record], sheets: Iterable[Sheet]) -> bytes:
    """Write records and sheets, as ``render`` does of all of them as records."""
    own, pages = list(records), list(sheets)
    every = [_of_records(head, own), *(_of_sheet(head, page) for page in pages)]
    rows = _order(own, pages)
    columns = (parquet_column.joined(parts) for parts in zip(*every, strict=True))
    return _whole(head, [column.taken(rows) for column in columns])


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    figures = (f for line in record.lines for f in (line.value, line.previous, line.difference))
    if all(figure is None or parquet_column.fits(figure) for figure in figures):
        return None
    return f"a figure has more than {parquet_column.PLACES} decimals or 29 digits before them"


def _whole(head: Head, columns: Sequence[Packed]) -> bytes:
    return parquet_file.written(columns, {"miqyas.export": head.export})


def _of_records(head: Head, records: Iterable[Record]) -> list[Packed]:
    rows = [_row(head, record, line) for record in records for line in record.lines]
    return [_packed(name, [row[at] for row in rows]) for at, name in enumerate(csv_.COLUMNS)]


def _row(head: Head, record: Record, line: Line) -> tuple[Any, ...]:
    return (
        *_shared(head, record),
        *(line.name, line.reading_type, line.part),
        *(line.value, line.unit, line.starts_at, line.ends_at, *line.counts, line.rounding),
        *(line.note, line.previous, line.difference),
    )


def _shared(head: Head, record: Record) -> tuple[Any, ...]:
    """Give the cells that a usage point's rows share: the first columns."""
    return (
        *(head.export, record.key, record.usage_point, record.commodity, record.sector),
        *(record.tariff, head.billing_group, record.time_zone, record.starts_at, record.ends_at),
        *(record.version, record.corrects, record.digest),
    )


def _of_sheet(head: Head, found: Sheet) -> list[Packed]:
    """Give the rows of a sheet: each usage point's lines one after the other."""
    points, lines = found.units.shape
    cells = list(zip(*(_shared(head, record) for record in found.records), strict=True))
    row, line = np.repeat(np.arange(points), lines), np.tile(np.arange(lines), points)
    shared = (
        _packed(name, values).taken(row)
        for name, values in zip(csv_.COLUMNS[: len(cells)], cells, strict=True)
    )
    named = {
        name: _packed(name, values).taken(line)
        for name, values in (
            ("determinant", [heading.name for heading in found.headings]),
            ("reading_type", [heading.reading_type for heading in found.headings]),
            ("unit", [heading.unit for heading in found.headings]),
            ("rounding", [heading.rounding for heading in found.headings]),
            ("note", [heading.note for heading in found.headings]),
        )
    }
    named["part"] = _parts(found)
    figures = {column.name: column for column in _figures(found, line)}
    own = {**named, **figures}
    return [*shared, *(own[name] for name in csv_.COLUMNS[len(cells) :])]


def _parts(found: Sheet) -> Packed:
    """Give each row's part: its line's, or its usage point's end device."""
    points, lines = found.units.shape
    texts = [*(heading.part for heading in found.headings), *found.end_devices]
    place = np.tile(np.arange(lines), (points, 1))
    of_device = [line for line, heading in enumerate(found.headings) if heading.of_device]
    place[:, of_device] = lines + np.arange(points)[:, None]
    return _packed("part", texts).taken(place.ravel())


def _figures(found: Sheet, line: NDArray[np.intp]) -> Iterator[Packed]:
    """Give the columns that a sheet has as numbers; nothing of it corrects."""
    places = np.array([heading.places for heading in found.headings], np.int64)[line]
    octets = parquet_column.decimals(found.units.ravel(), places)
    rows = len(line)
    absent = np.array([heading.absent for heading in found.headings], np.bool_)
    yield _numbers("value", octets, ~absent[line])
    yield _numbers("starts_at", found.starts_at.ravel() * _MICROS)
    yield _numbers("ends_at", found.ends_at.ravel() * _MICROS)
    for name, column in zip(_COUNTS, np.moveaxis(found.counts, 2, 0), strict=True):
        yield _numbers(name, column.ravel())
    for name in ("previous", "difference"):
        yield _numbers(name, np.zeros_like(octets), np.zeros(rows, np.bool_))


def _packed(name: str, values: Sequence[Any]) -> Packed:
    kind = _KINDS.get(name, "text")
    return Packed.of(Column(name, kind, values, optional=name in _OPTIONAL))


def _numbers(name: str, values: NDArray[Any], present: NDArray[np.bool_] | None = None) -> Packed:
    return Packed(name, _KINDS[name], name in _OPTIONAL, values, present)


def _order(records: Sequence[Record], sheets: Sequence[Sheet]) -> NDArray[np.intp]:
    """Give the rows of records and sheets, as they follow each other, by usage point."""
    names = [record.usage_point for record in records]
    counts = [len(record.lines) for record in records]
    for found in sheets:
        names += [record.usage_point for record in found.records]
        counts += [len(found.headings)] * len(found.records)
    lines = np.array(counts, np.intp)
    starts = np.cumsum(lines) - lines
    ordered = np.array(sorted(range(len(names)), key=names.__getitem__), np.intp)
    own = lines[ordered]
    before = np.cumsum(own) - own
    rows: NDArray[np.intp] = np.repeat(starts[ordered] - before, own) + np.arange(own.sum())
    return rows
