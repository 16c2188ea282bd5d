"""Lago: bodies of ``POST /api/v1/events/batch``, one a line, at most 100 events each.

The metric's code is the determinant's name. A metric that sums has the field ``amount``, one that
takes the highest or newest has ``value``; parts are told by a filter on ``part``.

References
----------
Lago API reference, Batch ingest events; held against lago-python-client's ``BatchEvent``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from mdm.export import usage
from mdm.export.record import Head, Record

BATCH: Final = 100
"""Most events that Lago takes at once."""

Event = Mapping[str, object]


def events(record: Record) -> Iterator[Event]:
    """Give a usage point's events; ``transaction_id`` is the idempotency key."""
    for one in usage.usages(record):
        yield {
            "transaction_id": one.id,
            "external_subscription_id": one.subject,
            "code": one.code,
            "timestamp": int(one.at.timestamp()),
            "properties": one.properties,
        }


def batches(records: Iterable[Record]) -> Iterator[Sequence[Event]]:
    """Give all events by batches; a usage point's are together where they fit."""
    batch: list[Event] = []
    for record in records:
        of_one = list(events(record))
        if batch and len(batch) + len(of_one) > BATCH:
            yield batch
            batch = []
        batch += of_one
        while len(batch) > BATCH:
            yield batch[:BATCH]
            batch = batch[BATCH:]
    if batch:
        yield batch


def body(batch: Sequence[Event]) -> str:
    """Write the request's body of a batch; equal batches give equal text."""
    return json.dumps({"events": batch}, ensure_ascii=False, separators=(",", ":"))


def render(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return "".join(f"{body(batch)}\n" for batch in batches(records)).encode()
