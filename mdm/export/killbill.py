"""Kill Bill: bodies of ``POST /1.0/kb/usages``, one usage point a line.

``subscriptionId`` is the usage point: whoever posts puts the subscription in its place that has it
as its external key. A unit type is the determinant's name, with its part behind a colon.

References
----------
Kill Bill API reference, Usage: record usage for a subscription; ``trackingId`` is its idempotency
key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final
from zoneinfo import ZoneInfo

from mdm.export import usage
from mdm.export.record import Head, Record

LACKS: Final = ("units", "quality counts", "rounding rules and notes", "times within a day")


def render(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return "".join(f"{_body(record)}\n" for record in records).encode()


def _body(record: Record) -> str:
    zone = ZoneInfo(record.time_zone)
    units = [
        {
            "unitType": f"{one.code}:{one.line.part}" if one.line.part else one.code,
            "usageRecords": [
                {"recordDate": one.at.astimezone(zone).date().isoformat(), "amount": one.amount}
            ],
        }
        for one in usage.usages(record)
    ]
    body = {
        "subscriptionId": record.usage_point,
        "trackingId": record.key,
        "unitUsageRecords": units,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
