"""IEC 61968-9: an EventMessage "created MeterReadings", one MeterReading a usage point.

Intervals stand in IntervalBlocks, register readings in Readings below the meter that showed them.
An interval's time stamp is its end, as the standard has it. Qualities are ReadingQualityTypes in
three parts, reading types their eighteen; where several of our codes share the standard's, a second
one with a vendor's index names ours.

References
----------
IEC 61968-9:2013, MeterReadings, ReadingType (annex C), ReadingQualityType (annex D); IEC 61968-100,
message header.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import groupby
from typing import Final

import numpy as np

from mdm.export import codes, xml_text
from mdm.export.record import Head, LeftOut, Record, instant
from mdm.export.series import Dial, Intervals
from mdm.export.xml_text import element, empty, leaf
from schemas import quality, quality_mapping, reading_type

LACKS: Final = ("determinants", "what was billed before")
_SOURCE: Final = "MDM"
_VALUE: Final = "<value>"
_IDS: Final = uuid.UUID("0b1c8a52-93d4-5a1e-8f57-3d0f6b7c2a41")


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    message = str(uuid.uuid5(_IDS, head.export))
    header = element(
        "Header",
        *(leaf("Verb", "created"), leaf("Noun", "MeterReadings"), leaf("Revision", "2.0")),
        *(leaf("Context", "PRODUCTION"), leaf("Timestamp", instant(head.prepared_at))),
        *(leaf("Source", "MIQYAS"), leaf("MessageID", message), leaf("CorrelationID", message)),
        _property("Export", head.export),
        _property("BillingGroup", head.billing_group),
    )
    lines = [
        f'{xml_text.HEADING}<EventMessage xmlns="http://iec.ch/TC57/2011/schema/message">',
        header,
        '<Payload><MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#">',
        *(reading for record in records for reading in _meter_readings(record)),
        "</MeterReadings></Payload></EventMessage>\n",
    ]
    return "\n".join(lines).encode()


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    if not record.series.intervals and not record.series.dials:
        return "it has no readings"
    devices = [dial.end_device for dial in record.series.dials]
    devices += [meter.end_device for meter in record.series.meters]
    return xml_text.refusal(record.usage_point, *devices)


def left_out(record: Record) -> Iterator[LeftOut]:
    """Say which lengths of intervals the standard has no measuring period for."""
    for one in record.series.intervals:
        if codes.measuring_period(one.interval_seconds) is None:
            yield LeftOut(
                f"measuring period of {one.interval_seconds} s",
                "IEC 61968-9 has none: the reading type says 0",
            )
    if any(dial.multiplier != 1 for dial in record.series.dials):
        yield LeftOut("multipliers", "registers stand as their dials showed them")


def reading_type_mrid(name: str, interval_seconds: int = 0) -> str:
    """Give a reading type's eighteen parts, of values in the unit that is shown to people."""
    code = codes.of(name)
    power = code.exponent - reading_type.named(name).display_exponent
    period = codes.measuring_period(interval_seconds) or 0
    parts = (
        *(0, 0, period, codes.accumulation(name), code.flow, code.commodity, code.kind),
        *(0, 0, 0, 0, code.tou, 0, 0, code.phase, power, code.unit, 0),
    )
    return ".".join(str(part) for part in parts)


def _meter_readings(record: Record) -> Iterator[str]:
    """Write a usage point's intervals, and the registers of each of its meters."""
    if record.series.intervals:
        blocks = [_block(one) for one in record.series.intervals]
        devices = [meter.end_device for meter in record.series.meters]
        meter = _meter(devices[-1]) if devices else ""
        yield element("MeterReading", *blocks, meter, _usage_point(record))
    for device, dials in groupby(
        sorted(record.series.dials, key=_by_device), key=lambda dial: dial.end_device
    ):
        readings = [_reading(dial) for dial in dials]
        yield element("MeterReading", _meter(device), *readings, _usage_point(record))


def _by_device(dial: Dial) -> tuple[str, str, int]:
    return dial.end_device, dial.reading_type, dial.read_at


def _block(one: Intervals) -> str:
    """Write a channel: stamps are alike in all of a file, qualities come again and again."""
    count = len(one)
    texts = codes.texts(one.reading_type, one.values)
    starts = list(_starts(one.starts_at, one.interval_seconds, count))
    for slot in np.flatnonzero(~one.known).tolist():
        # Known to be missing: the quality says so, and there is no value.
        starts[slot], texts[slot] = starts[slot].removesuffix(_VALUE), ""
    readings = [""] * (3 * count)
    readings[::3] = starts
    readings[1::3] = texts
    readings[2::3] = [_end(code) for code in one.quality.tolist()]
    mrid = reading_type_mrid(one.reading_type, one.interval_seconds)
    return element("IntervalBlocks", "".join(readings), empty("ReadingType", ref=mrid))


@lru_cache(maxsize=4)
def _starts(first: int, length: int, count: int) -> tuple[str, ...]:
    """Write each interval up to its value, with its end as time stamp."""
    stamps = (_stamp(first + slot * length) for slot in range(1, count + 1))
    return tuple(f"<IntervalReadings><timeStamp>{stamp}</timeStamp>{_VALUE}" for stamp in stamps)


@cache
def _end(code: int) -> str:
    """Write an interval from its value's end on."""
    missing = quality.class_table()[code] == quality.QualityClass.MISSING
    return f"{'' if missing else '</value>'}{_qualities(code)}</IntervalReadings>"


def _reading(dial: Dial) -> str:
    known = quality.class_table()[dial.quality] != quality.QualityClass.MISSING
    return element(
        "Readings",
        leaf("timeStamp", instant(dial.moment)),
        leaf("value", codes.shown(dial.reading_type, dial.value)) if known else "",
        _qualities(dial.quality),
        empty("ReadingType", ref=reading_type_mrid(dial.reading_type)),
    )


@lru_cache(maxsize=1 << 16)
def _stamp(second: int) -> str:
    """Write a moment; a file has the same ones for each usage point."""
    return instant(datetime.fromtimestamp(second, UTC))


@cache
def _qualities(code: int) -> str:
    return "".join(
        element("ReadingQualities", leaf("source", _SOURCE), empty("ReadingQualityType", ref=one))
        for one in quality_mapping.to_iec(code)
    )


def _meter(end_device: str) -> str:
    return element("Meter", leaf("mRID", end_device), _name(end_device, "MeterUniqueID"))


def _usage_point(record: Record) -> str:
    mrid = record.usage_point
    return element("UsagePoint", leaf("mRID", mrid), _name(mrid, "UsagePointMRID"))


def _name(name: str, kind: str) -> str:
    return element("Names", leaf("name", name), element("NameType", leaf("name", kind)))


def _property(name: str, value: str) -> str:
    return element("Property", leaf("Name", name), leaf("Value", value))
