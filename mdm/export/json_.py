"""JSON: one object a file, one line a usage point; figures are strings, so that none is rounded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from mdm.export.record import Head, Line, Record, instant, plain

FORMAT: Final = "miqyas-determinants/1"


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    lines = ",\n".join(_dumped(_record(record)) for record in records)
    start = {
        "format": FORMAT,
        "export": head.export,
        "billing_group": head.billing_group,
        "starts_on": head.starts_on.isoformat(),
        "ends_on": head.ends_on.isoformat(),
    }
    return f'{_dumped(start)[:-1]},"usage_points":[\n{lines}\n]}}\n'.encode()


def _record(record: Record) -> Mapping[str, object]:
    return {
        "key": record.key,
        "usage_point": record.usage_point,
        "commodity": record.commodity,
        "sector": record.sector,
        "tariff": record.tariff,
        "time_zone": record.time_zone,
        "period_start": instant(record.starts_at),
        "period_end": instant(record.ends_at),
        "version": record.version,
        "corrects": record.corrects,
        "digest": record.digest,
        "determinants": [_line(line) for line in record.lines],
    }


def _line(line: Line) -> Mapping[str, object]:
    written: dict[str, object] = {
        "determinant": line.name,
        "reading_type": line.reading_type,
        "part": line.part,
        "value": plain(line.value),
        "unit": line.unit,
        "starts_at": instant(line.starts_at),
        "ends_at": instant(line.ends_at),
        **line.counts._asdict(),
        "rounding": line.rounding,
        "note": line.note,
    }
    if line.difference is not None:
        written["previous"] = plain(line.previous)
        written["difference"] = plain(line.difference)
    return written


def _dumped(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
