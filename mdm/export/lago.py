"""Lago: bodies of ``POST /api/v1/events/batch``, one a line, at most 100 events each.

The metric's code is the determinant's name. A metric that sums has the field ``amount``, one that
takes the highest or newest has ``value``; parts are told by a filter on ``part``.

References
----------
Lago API reference, Batch ingest events; held against lago-python-client's ``BatchEvent``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mdm.export import form, points, usage, usage_sheet
from mdm.export.form import Piece
from mdm.export.record import Head, Record
from mdm.export.sheet import Sheet
from mdm.export.usage_sheet import Points

BATCH: Final = 100
"""Most events that Lago takes at once."""


def render(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return _whole(events(records))


def of_sheets(_head: Head, records: Iterable[Record], sheets: Iterable[Sheet]) -> bytes:
    """Write records and sheets, as ``render`` does of all of them as records."""
    return _whole(points.merged(records, sheets, events, sheet))


def events(records: Iterable[Record]) -> Iterator[list[str]]:
    """Write each usage point's events; ``transaction_id`` is the idempotency key."""
    for record in records:
        yield [
            form.json_text(
                {
                    "transaction_id": one.id,
                    "external_subscription_id": one.subject,
                    "code": one.code,
                    "timestamp": int(one.at.timestamp()),
                    "properties": one.properties,
                }
            )
            for one in usage.usages(record)
        ]


def sheet(found: Sheet) -> Iterator[list[str]]:
    """Write the events of each usage point of a sheet, as ``events`` does of its records."""
    texts = form.filled(_pieces(found))
    return (text.split(usage_sheet.SEPARATOR) if text else [] for text in texts)


def batches(written: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Put events into batches; a usage point's are together where they fit."""
    batch: list[str] = []
    for of_one in written:
        if batch and len(batch) + len(of_one) > BATCH:
            yield batch
            batch = []
        batch += of_one
        while len(batch) > BATCH:
            yield batch[:BATCH]
            batch = batch[BATCH:]
    if batch:
        yield batch


def _whole(written: Iterable[Sequence[str]]) -> bytes:
    """Write a request's body for each batch, one a line."""
    bodies = (f'{{"events":[{",".join(batch)}]}}\n' for batch in batches(written))
    return "".join(bodies).encode()


def _pieces(found: Sheet) -> Iterator[Piece]:
    shared = Points.of(found)
    yield form.texts([""] * len(found.records))
    for number, line in enumerate(usage_sheet.figures(found)):
        name = form.json_text(found.headings[line].name)
        yield form.fixed(f'{usage_sheet.SEPARATOR if number else ""}{{"transaction_id":')
        yield from usage_sheet.identity(shared, found, line)
        yield form.fixed(',"external_subscription_id":')
        yield shared.subjects
        yield form.fixed(f',"code":{name},"timestamp":')
        yield form.whole(shared.at(found, line))
        yield form.fixed(',"properties":')
        yield from usage_sheet.properties(shared, found, line)
        yield form.fixed("}")
