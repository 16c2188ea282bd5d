"""Intervals and register readings as a table: one row a reading, as CSV or Parquet.

Intervals are after the multiplier; registers stand as the dial showed them, with the multiplier
beside. What is known to be missing has a row without a value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from mdm.export import parquet_file
from mdm.export.parquet_column import Column, Kind
from mdm.export.record import Head, Record, instant, plain
from schemas import quality, reading_type


class Row(NamedTuple):
    """A reading; ``interval_seconds`` and ``multiplier`` are None where they have no meaning."""

    usage_point: str
    end_device: str
    reading_type: str
    starts_at: datetime
    interval_seconds: int | None
    value: Decimal | None
    unit: str
    quality: str
    multiplier: Decimal | None


_KINDS: Final[dict[str, Kind]] = {
    "starts_at": "timestamp", "interval_seconds": "int32", "value": "decimal",
    "multiplier": "decimal",
}  # fmt: skip
_OPTIONAL: Final = {"interval_seconds", "value", "multiplier"}


def render_csv(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in rows(records):
        point, device, kind, at, seconds, value, unit, flag, multiplier = row
        figures = (plain(value), unit, flag, plain(multiplier))
        writer.writerow((point, device, kind, instant(at), seconds, *figures))
    return text.getvalue().encode()


def render_parquet(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    fields = list(zip(*rows(records), strict=True)) or [()] * len(Row._fields)
    columns = [
        Column(name, _KINDS.get(name, "text"), values, optional=name in _OPTIONAL)
        for name, values in zip(Row._fields, fields, strict=True)
    ]
    return parquet_file.written(columns, {"miqyas.export": head.export})


def refusal(record: Record) -> str | None:
    """Say why there is nothing to write, None if there is."""
    if record.series.intervals or record.series.dials:
        return None
    return "it has no readings there"


def rows(records: Iterable[Record]) -> Iterator[Row]:
    """Give every reading: intervals by channel, then registers by meter."""
    for record in records:
        yield from _intervals(record)
        yield from _dials(record)


def _intervals(record: Record) -> Iterator[Row]:
    for one in record.series.intervals:
        kind = reading_type.named(one.reading_type)
        known, values, flags = one.known.tolist(), one.values.tolist(), one.quality.tolist()
        for slot in range(len(one)):
            second = one.starts_at + slot * one.interval_seconds
            yield Row(
                usage_point=record.usage_point,
                end_device=record.series.meter_at(second),
                reading_type=one.reading_type,
                starts_at=one.start(slot),
                interval_seconds=one.interval_seconds,
                value=kind.shown(values[slot]) if known[slot] else None,
                unit=kind.display_unit,
                quality=quality.name_of(flags[slot]),
                multiplier=None,
            )


def _dials(record: Record) -> Iterator[Row]:
    for dial in record.series.dials:
        kind = reading_type.named(dial.reading_type)
        missing = quality.class_table()[dial.quality] == quality.QualityClass.MISSING
        yield Row(
            usage_point=record.usage_point,
            end_device=dial.end_device,
            reading_type=dial.reading_type,
            starts_at=dial.moment,
            interval_seconds=None,
            value=None if missing else kind.shown(dial.value),
            unit=kind.display_unit,
            quality=quality.name_of(dial.quality),
            multiplier=dial.multiplier,
        )
