"""OpenMeter: CloudEvents 1.0 in JSON, one a line; ``id`` and ``source`` make it the same event.

References
----------
CloudEvents 1.0.2, JSON event format; OpenMeter, Ingest events (``application/cloudevents+json``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from mdm.export import usage
from mdm.export.record import Head, Record, instant
from mdm.export.usage import Usage

SOURCE: Final = "miqyas"


def render(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return "".join(f"{_event(one)}\n" for r in records for one in usage.usages(r)).encode()


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
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
