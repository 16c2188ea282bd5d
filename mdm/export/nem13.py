"""NEM13: register reads of usage points, each with the read before it and the quantity between.

The quantity has the multiplier in it, the reads are what the dial showed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from mdm.export import codes, nem, series
from mdm.export.record import Head, LeftOut, Record
from mdm.export.series import Dial
from schemas import quality, reading_type
from schemas.quality import QualityClass

LACKS: Final = ("determinants", "intervals", "what was billed before", "multipliers")
# Meters and registers are told apart by one sign each.
_SIGNS: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    rows = [nem.header("NEM13", head)]
    update = nem.stamp(head.prepared_at)
    for record in records:
        rows += _rows(record, update)
    return "".join(f"{row}\r\n" for row in (*rows, "900")).encode("ascii")


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    if not any(_why_not(*pair) is None for pair in record.series.spans()):
        whys = sorted({why for pair in record.series.spans() if (why := _why_not(*pair))})
        return "; ".join(whys) or "it has no two readings of a register"
    return nem.name_refusal(record)


def left_out(record: Record) -> Iterator[LeftOut]:
    """Say which spans between readings are not in it."""
    for pair in record.series.spans():
        if (why := _why_not(*pair)) is not None:
            yield LeftOut(pair[0].reading_type, why)
    if any(not nem.serial(dial.end_device) for dial in record.series.dials):
        yield LeftOut("meter serial numbers", "of more than 12 letters, or with other signs")


def _why_not(one: Dial, next_: Dial) -> str | None:
    if not codes.of(one.reading_type).nem12:
        return f"AEMO has no suffix for {one.reading_type}"
    classes = {int(quality.class_table()[d.quality]) for d in (one, next_)}
    if QualityClass.MISSING in classes:
        return "one of the two readings is missing"
    if series.consumption(one, next_) is None:
        return "the register stands lower than before, and nobody knows where it starts again"
    return None


def _rows(record: Record, update: str) -> Iterator[str]:
    """Write a 250 record for each two readings; the suffix is the meter's and register's number."""
    devices = list(dict.fromkeys(dial.end_device for dial in record.series.dials))
    kinds = list(dict.fromkeys(dial.reading_type for dial in record.series.dials))
    suffixes = {
        (device, kind): _SIGNS[row % len(_SIGNS)] + _SIGNS[column % len(_SIGNS)]
        for row, device in enumerate(devices)
        for column, kind in enumerate(kinds)
    }
    there = sorted({suffixes[d.end_device, d.reading_type] for d in record.series.dials})
    for one, next_ in record.series.spans():
        if _why_not(one, next_) is None:
            suffix = suffixes[one.end_device, one.reading_type]
            start = ("250", record.usage_point, "".join(there), suffix[1], suffix, suffix)
            yield ",".join((*start, *_span(one, next_), "", update, ""))


def _span(one: Dial, next_: Dial) -> Iterator[str]:
    kind = reading_type.named(one.reading_type)
    yield nem.serial(one.end_device)
    # From the grid's side, as with the suffixes: E goes out to the customer.
    yield "I" if kind.export else "E"
    for dial in (one, next_):
        yield codes.shown(dial.reading_type, dial.value)
        yield nem.stamp(dial.moment)
        yield from nem.quality_fields(dial.quality)
    amount = series.consumption(one, next_) or Decimal(0)
    yield f"{amount.scaleb(kind.display_exponent).normalize():f}"
    yield nem.unit(kind.display_unit) or ""
