"""Kill Bill: bodies of ``POST /1.0/kb/usages``, one usage point a line.

``subscriptionId`` is the usage point: whoever posts puts the subscription in its place that has it
as its external key. A unit type is the determinant's name, with its part behind a colon.

References
----------
Kill Bill API reference, Usage: record usage for a subscription; ``trackingId`` is its idempotency
key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from mdm.export import form, points, usage, usage_sheet
from mdm.export.form import Piece
from mdm.export.record import Head, Record
from mdm.export.sheet import Sheet
from mdm.export.usage_sheet import Points

LACKS: Final = ("units", "quality counts", "rounding rules and notes", "times within a day")


def render(_head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    return "".join(bodies(records)).encode()


def of_sheets(_head: Head, records: Iterable[Record], sheets: Iterable[Sheet]) -> bytes:
    """Write records and sheets, as ``render`` does of all of them as records."""
    return "".join(points.merged(records, sheets, bodies, sheet)).encode()


def bodies(records: Iterable[Record]) -> Iterator[str]:
    """Write each usage point's body."""
    for record in records:
        units = [
            {
                "unitType": _unit(one.code, one.line.part),
                "usageRecords": [
                    {
                        "recordDate": _day(record.time_zone, int(one.at.timestamp())),
                        "amount": one.amount,
                    }
                ],
            }
            for one in usage.usages(record)
        ]
        yield f"{_start(record)}{form.json_text(units)}}}\n"


def sheet(found: Sheet) -> Iterator[str]:
    """Write the body of each usage point of a sheet, as ``bodies`` does of its records."""
    return form.filled(_pieces(found))


def _start(record: Record) -> str:
    named = {"subscriptionId": record.usage_point, "trackingId": record.key}
    return f'{form.json_text(named)[:-1]},"unitUsageRecords":'


def _unit(name: str, part: str) -> str:
    return f"{name}:{part}" if part else name


@lru_cache(maxsize=4096)
def _day(time_zone: str, second: int) -> str:
    """Give a moment's local day."""
    moment = datetime.fromtimestamp(second, UTC)
    return moment.astimezone(ZoneInfo(time_zone)).date().isoformat()


def _pieces(found: Sheet) -> Iterator[Piece]:
    shared, zones = Points.of(found), [record.time_zone for record in found.records]
    yield form.texts([_start(record) for record in found.records])
    yield form.fixed("[")
    for number, line in enumerate(usage_sheet.figures(found)):
        heading = found.headings[line]
        yield form.fixed(f'{"," if number else ""}{{"unitType":')
        if heading.of_device:
            units = [_unit(heading.name, device) for device in found.end_devices]
            yield form.texts([form.json_text(unit) for unit in units])
        else:
            yield form.fixed(form.json_text(_unit(heading.name, heading.part)))
        yield form.fixed(',"usageRecords":[{"recordDate":"')
        yield form.texts(_days(zones, shared.at(found, line).tolist()))
        yield form.fixed('","amount":"')
        yield form.decimals(found.units[:, line], heading.places)
        yield form.fixed('"}]}')
    yield form.fixed("]}\n")


def _days(zones: Sequence[str], seconds: Sequence[int]) -> list[str]:
    return [_day(zone, second) for zone, second in zip(zones, seconds, strict=True)]
