"""JSON: one object a file, one line a usage point; figures are strings, so that none is rounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from mdm.determinants.determinant import Counts
from mdm.export import form, points
from mdm.export.form import Piece
from mdm.export.record import Head, Line, Record, instant, plain
from mdm.export.sheet import Heading, Sheet

FORMAT: Final = "miqyas-determinants/1"


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return _whole(head, bills(records))


def of_sheets(head: Head, records: Iterable[Record], sheets: Iterable[Sheet]) -> bytes:
    """Write records and sheets, as ``render`` does of all of them as records."""
    return _whole(head, points.merged(records, sheets, bills, sheet))


def bills(records: Iterable[Record]) -> Iterator[str]:
    """Write each record as an object."""
    for record in records:
        lines = [_line(line) for line in record.lines]
        yield form.json_text({**_shared(record), "determinants": lines})


def sheet(found: Sheet) -> Iterator[str]:
    """Write an object for each usage point of a sheet, as ``bills`` does of its records."""
    return form.filled(_pieces(found))


def _whole(head: Head, written: Iterable[str]) -> bytes:
    start = {
        "format": FORMAT,
        "export": head.export,
        "billing_group": head.billing_group,
        "starts_on": head.starts_on.isoformat(),
        "ends_on": head.ends_on.isoformat(),
    }
    lines = ",\n".join(written)
    return f'{form.json_text(start)[:-1]},"usage_points":[\n{lines}\n]}}\n'.encode()


def _start(record: Record) -> str:
    """Write a usage point's object up to its first determinant."""
    return f'{form.json_text(_shared(record))[:-1]},"determinants":['


def _shared(record: Record) -> Mapping[str, object]:
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


def _pieces(found: Sheet) -> Iterator[Piece]:
    yield form.texts([_start(record) for record in found.records])
    for line, heading in enumerate(found.headings):
        yield form.fixed("," if line else "")
        yield from _cells(found, line, heading)
    yield form.fixed("]}")


def _cells(found: Sheet, line: int, heading: Heading) -> Iterator[Piece]:
    """Give a line of a sheet, in the order of ``_line``."""
    named = {"determinant": heading.name, "reading_type": heading.reading_type}
    yield form.fixed(f'{form.json_text(named)[:-1]},"part":')
    if heading.of_device:
        yield form.texts([form.json_text(end_device) for end_device in found.end_devices])
    else:
        yield form.fixed(form.json_text(heading.part))
    if heading.absent:
        yield form.fixed(',"value":null')
    else:
        yield form.fixed(',"value":"')
        yield form.decimals(found.units[:, line], heading.places)
        yield form.fixed('"')
    yield form.fixed(f',"unit":{form.json_text(heading.unit)},')
    yield from provenance(found, line)
    yield form.fixed("}")


def provenance(found: Sheet, line: int) -> Iterator[Piece]:
    """Give members of an object: when a line of a sheet was, its counts by quality, its rules."""
    heading = found.headings[line]
    yield form.fixed('"starts_at":"')
    yield form.moments(found.starts_at[:, line])
    yield form.fixed('","ends_at":"')
    yield form.moments(found.ends_at[:, line])
    yield form.fixed('"')
    for name, column in zip(Counts._fields, found.counts[:, line].T, strict=True):
        yield form.fixed(f',"{name}":')
        yield form.whole(column)
    told = {"rounding": heading.rounding, "note": heading.note}
    yield form.fixed(f",{form.json_text(told)[1:-1]}")
