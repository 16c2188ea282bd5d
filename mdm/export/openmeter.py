"""OpenMeter: CloudEvents 1.0 in JSON, one a line; ``id`` and ``source`` make it the same event.

References
----------
CloudEvents 1.0.2, JSON event format; OpenMeter, Ingest events (``application/cloudevents+json``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mdm.export import form, points, usage, usage_sheet
from mdm.export.form import Piece
from mdm.export.record import Head, Record, instant
from mdm.export.sheet import Sheet
from mdm.export.usage import Usage
from mdm.export.usage_sheet import Points

SOURCE: Final = "miqyas"


def render(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return "".join(events(records)).encode()


def of_sheets(_head: Head, records: Iterable[Record], sheets: Iterable[Sheet]) -> bytes:
    """Write records and sheets, as ``render`` does of all of them as records."""
    return "".join(points.merged(records, sheets, events, sheet)).encode()


def events(records: Iterable[Record]) -> Iterator[str]:
    """Write each usage point's events."""
    for record in records:
        yield "".join([f"{_event(one)}\n" for one in usage.usages(record)])


def sheet(found: Sheet) -> Iterator[str]:
    """Write the events of each usage point of a sheet, as ``events`` does of its records."""
    return form.filled(_pieces(found))


def _event(one: Usage) -> str:
    event = {
        "specversion": "1.0",
        "id": one.id,
        "source": SOURCE,
        "type": one.code,
        "subject": one.subject,
        "time": instant(one.at),
        "datacontenttype": "application/json",
        "data": one.properties,
    }
    return form.json_text(event)


def _pieces(found: Sheet) -> Iterator[Piece]:
    shared = Points.of(found)
    yield form.texts([""] * len(found.records))
    for line in usage_sheet.figures(found):
        yield form.fixed('{"specversion":"1.0","id":')
        yield from usage_sheet.identity(shared, found, line)
        kind = form.json_text({"source": SOURCE, "type": found.headings[line].name})
        yield form.fixed(f',{kind[1:-1]},"subject":')
        yield shared.subjects
        yield form.fixed(',"time":"')
        yield form.moments(shared.at(found, line))
        yield form.fixed('","datacontenttype":"application/json","data":')
        yield from usage_sheet.properties(shared, found, line)
        yield form.fixed("}\n")
