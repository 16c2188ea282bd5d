"""Green Button: an Atom feed of ESPI 4.0 resources, one group of entries a usage point.

A UsagePoint has a MeterReading for each channel and each register of an end device, that one a
ReadingType and an IntervalBlock a local day; a UsageSummary has the determinants. Times are seconds
of UTC, values whole numbers of the reading type's unit. Missing intervals are left out: ESPI has no
code for them. Ids are made from names, so that the same thing has the same id in every feed.

References
----------
NAESB REQ.21, Energy Services Provider Interface; espi.xsd and atom.xsd of version 4.0.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from mdm import tariff as names
from mdm.export import codes, units, xml_text
from mdm.export.record import Head, LeftOut, Line, Record, instant
from mdm.export.series import Dial, Intervals
from mdm.export.xml_text import element, empty, leaf
from schemas import quality, quality_mapping
from schemas.period import Period, local_days

LACKS: Final = ("rounding rules", "counts of each quality", "what was billed before", "time zones")
_ROOT: Final = "/espi/1_1/resource"
# For ids only: a namespace of our own (RFC 9562, version 5).
_IDS: Final = uuid.UUID("6f2a7f0e-6c8b-5b7a-9d53-2f4f1a5c9e10")
_SERVICES: Final = {"electricity": 0, "gas": 1, "water": 2, "heat": 4}
_VALIDATED: Final = quality_mapping.to_espi(quality.VALID)
_MIXED: Final = 13
_INFORMATION: Final = 10
_NOTE: Final = 256
_END: Final = "</espi:value></espi:IntervalReading>"
_PIECES: Final = 4


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    entries = [entry for record in records for entry in _entries(head, record)]
    feed = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi">\n'
        + leaf("id", f"urn:uuid:{_id(head.export)}")
        + leaf("title", f"{head.billing_group} {head.starts_on}")
        + leaf("updated", instant(head.prepared_at))
        + empty("link", rel="self", href=f"{_ROOT}/Batch/Bulk/{_id(head.export)}")
    )
    return (xml_text.HEADING + "\n".join((feed, *entries, "</feed>")) + "\n").encode()


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    written = (record.usage_point, record.tariff, *(d.end_device for d in record.series.dials))
    return xml_text.refusal(*written, *(_note(line) for line in record.lines))


def left_out(record: Record) -> Iterator[LeftOut]:
    """Say which figures have no value or unit in ESPI, and what of series is not in it."""
    for line in record.lines:
        if (why := _why_not(line)) is not None:
            yield LeftOut(line.name, why)
    if any(not one.known.all() for one in record.series.intervals):
        yield LeftOut("missing intervals", "ESPI has no code for them; they have no reading")
    if any(dial.multiplier != 1 for dial in record.series.dials):
        yield LeftOut("multipliers", "registers stand as their dials showed them")
    if any(len(text) > _NOTE for text in (record.tariff, record.time_zone)):
        yield LeftOut("tariff", "its name has more than 256 letters")


def _why_not(line: Line) -> str | None:
    if line.value is None:
        return line.note
    if units.measured(line.value, line.unit) is None:
        return f"ESPI has no unit or number for {line.unit}"
    if len(_note(line)) > _NOTE:
        return "its part has more than 256 letters"
    return None


def _entries(head: Head, record: Record) -> Iterator[str]:
    point = f"{_ROOT}/UsagePoint/{_id(record.usage_point)}"
    kind = _SERVICES[record.commodity]
    content = element("espi:UsagePoint", element("espi:ServiceCategory", leaf("espi:kind", kind)))
    below = [f"{point}/MeterReading", f"{point}/UsageSummary"]
    yield _entry(head, record.usage_point, point, below, content)
    for one in record.series.intervals:
        title = f"{one.reading_type}, {one.interval_seconds} s"
        blocks = _blocks(record, one)
        yield from _readings(head, point, title, _reading_type(one.reading_type, one), blocks)
    dials = sorted(record.series.dials, key=_register)
    for (name, device), several in groupby(dials, key=_register):
        block = _register_block(list(several))
        yield from _readings(head, point, f"{name}, {device}", _reading_type(name), [block])
    if record.lines:
        summary = f"{point}/UsageSummary/{_id(record.key)}"
        yield _entry(head, record.key, summary, [], _summary(head, record))


def _readings(
    head: Head, point: str, title: str, reading_type: str, blocks: Sequence[tuple[int, str]]
) -> Iterator[str]:
    """Write a series: what it is of, and its blocks by their first second."""
    own = f"{point}/MeterReading/{_id(point, title)}"
    kind = f"{_ROOT}/ReadingType/{_id(point, title, 'type')}"
    below = [f"{own}/IntervalBlock", kind]
    yield _entry(head, title, own, below, "<espi:MeterReading/>")
    yield _entry(head, title, kind, [], reading_type)
    for first, block in blocks:
        at = f"{own}/IntervalBlock/{_id(own, str(first))}"
        yield _entry(head, title, at, [], block)


def _entry(head: Head, title: str, own: str, related: Sequence[str], content: str) -> str:
    # Written out: there are dozens for each usage point, and our own addresses need no quotes.
    links = "".join([f'<link rel="related" href="{one}"/>' for one in related])
    made = instant(head.prepared_at)
    return (
        f'<entry><id>urn:uuid:{_id(own)}</id><link rel="self" href="{own}"/>'
        f'<link rel="up" href="{own.rpartition("/")[0]}"/>{links}{leaf("title", title)}'
        f"<content>{content}</content><published>{made}</published><updated>{made}</updated>"
        "</entry>"
    )


def _reading_type(name: str, one: Intervals | None = None) -> str:
    code = codes.of(name)
    parts = [
        leaf("espi:accumulationBehaviour", codes.accumulation(name)),
        leaf("espi:commodity", code.commodity),
        leaf("espi:defaultQuality", _VALIDATED),
        leaf("espi:flowDirection", code.flow),
    ]
    if one is not None:
        parts.append(leaf("espi:intervalLength", one.interval_seconds))
    parts.append(leaf("espi:kind", code.kind))
    if code.phase:
        parts.append(leaf("espi:phase", code.phase))
    parts.append(leaf("espi:powerOfTenMultiplier", code.exponent))
    if code.tou:
        parts.append(leaf("espi:tou", code.tou))
    return element("espi:ReadingType", *parts, leaf("espi:uom", code.unit))


def _blocks(record: Record, one: Intervals) -> list[tuple[int, str]]:
    """Write a channel by local days; a day of which nothing is known has no block."""
    period = Period(one.start(0), one.start(len(one)))
    readings = _written(one)
    found = []
    for _, day in local_days(period, ZoneInfo(record.time_zone)):
        low, high = (_slot(one, moment) for moment in (day.start, day.end))
        if written := "".join(readings[_PIECES * low : _PIECES * high]):
            first = one.starts_at + low * one.interval_seconds
            length = (high - low) * one.interval_seconds
            block = element("espi:IntervalBlock", _stretch("interval", length, first), written)
            found.append((first, block))
    return found


def _written(one: Intervals) -> list[str]:
    """Write all intervals, each in four pieces; those of one that is missing are empty.

    There are thousands for each usage point: what they have in common is written once.
    """
    pieces = [_END] * (_PIECES * len(one))
    pieces[::_PIECES] = [_start(code) for code in one.quality.tolist()]
    pieces[1::_PIECES] = _times(one.starts_at, one.interval_seconds, len(one))
    pieces[2::_PIECES] = list(map(str, one.values.tolist()))
    for slot in np.flatnonzero(~one.known).tolist():
        pieces[_PIECES * slot : _PIECES * (slot + 1)] = [""] * _PIECES
    return pieces


@lru_cache(maxsize=4)
def _times(first: int, length: int, count: int) -> tuple[str, ...]:
    """Write each interval's time, up to its value."""
    return tuple(_time(first + slot * length, length) for slot in range(count))


def _time(start: int, length: int) -> str:
    return (
        f"<espi:timePeriod><espi:duration>{length}</espi:duration><espi:start>{start}"
        "</espi:start></espi:timePeriod><espi:value>"
    )


def _slot(one: Intervals, moment: datetime) -> int:
    """Give the first slot that begins at or after a moment, within the series."""
    slot = -((one.starts_at - int(moment.timestamp())) // one.interval_seconds)
    return min(max(slot, 0), len(one))


def _reading(start: int, length: int, value: int, code: int) -> str:
    return f"{_start(code)}{_time(start, length)}{value}{_END}"


@cache
def _start(code: int) -> str:
    return f"<espi:IntervalReading>{_told(code)}"


def _told(code: int) -> str:
    """Write a quality, unless it is the reading type's default."""
    espi = quality_mapping.to_espi(code)
    if espi == _VALIDATED:
        return ""
    return element("espi:ReadingQuality", leaf("espi:quality", espi))


def _register(dial: Dial) -> tuple[str, str]:
    return dial.reading_type, dial.end_device


def _register_block(dials: Sequence[Dial]) -> tuple[int, str]:
    """Write a register's readings: intervals without a length."""
    first, last = dials[0].read_at, dials[-1].read_at
    readings = [
        _reading(dial.read_at, 0, dial.value, dial.quality)
        for dial in dials
        if quality.class_table()[dial.quality] != quality.QualityClass.MISSING
    ]
    stretch = _stretch("interval", last - first, first)
    return first, element("espi:IntervalBlock", stretch, *readings)


def _summary(head: Head, record: Record) -> str:
    """Write the determinants: the usual ones by their elements, and each as a line."""
    lines = [line for line in record.lines if _why_not(line) is None]
    total = next((line for line in lines if line.name == names.CONSUMPTION), None)
    demands = [line for line in lines if line.name == names.BLOCK_DEMAND]
    peak = max(demands, key=lambda line: line.value or Decimal(0), default=None)
    start = int(record.starts_at.timestamp())
    length = int((record.ends_at - record.starts_at).total_seconds())
    parts = [_stretch("billingPeriod", length, start)]
    parts += [_line(line) for line in lines]
    if total is not None:
        parts.append(_measured("overallConsumptionLastPeriod", total))
    if peak is not None:
        parts.append(_measured("peakDemand", peak))
    if total is not None:
        parts.append(leaf("espi:qualityOfReading", _overall(total)))
    parts.append(leaf("espi:statusTimeStamp", int(head.prepared_at.timestamp())))
    commodity = codes.of(record.lines[0].reading_type).commodity
    parts.append(leaf("espi:commodity", commodity))
    if len(record.tariff) <= _NOTE:
        parts.append(leaf("espi:tariffProfile", record.tariff))
    return element("espi:UsageSummary", *parts)


def _overall(line: Line) -> int:
    counts = line.counts
    return _VALIDATED if counts.actual == counts.expected else _MIXED


def _line(line: Line) -> str:
    start = int(line.starts_at.timestamp())
    length = int((line.ends_at - line.starts_at).total_seconds())
    return element(
        "espi:costAdditionalDetailLastPeriod",
        leaf("espi:note", _note(line)),
        _measured("measurement", line),
        leaf("espi:itemKind", _INFORMATION),
        _stretch("itemPeriod", length, start),
    )


def _note(line: Line) -> str:
    return " ".join(filter(None, (line.name, line.reading_type, line.part)))


def _measured(name: str, line: Line) -> str:
    found = units.measured(line.value or Decimal(0), line.unit)
    assert found is not None  # noqa: S101  # lines without were left out
    return element(
        f"espi:{name}",
        leaf("espi:powerOfTenMultiplier", found.power),
        leaf("espi:timeStamp", int(line.starts_at.timestamp())),
        leaf("espi:uom", found.unit),
        leaf("espi:value", found.value),
    )


def _stretch(name: str, length: int, start: int) -> str:
    return element(f"espi:{name}", leaf("espi:duration", length), leaf("espi:start", start))


def _id(*names_: str) -> str:
    """Give a thing's id: a UUID of version 5 (RFC 9562) of its names, in capitals."""
    name = _IDS.bytes + "\n".join(names_).encode()
    found = hashlib.sha1(name, usedforsecurity=False).hexdigest().upper()
    variant = "89AB"[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"
