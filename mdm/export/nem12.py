"""NEM12: interval days of usage points, with quality, method and reason of each interval.

A day is AEMO's: from midnight to midnight of UTC+10, the whole year. Where a billing period begins
or ends inside one, the intervals outside are null (N). E is what a customer consumes, B what comes
back; Q and K the same for reactive energy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

from mdm.export import codes, nem
from mdm.export.record import Head, LeftOut, Record
from mdm.export.series import Intervals, Series
from schemas import quality, reading_type

LACKS: Final = ("determinants", "register readings", "what was billed before")
_LENGTHS: Final = (300, 900, 1800)
_DAY: Final = 86400
# UTC+10: AEMO's days begin at 14:00 UTC.
_SHIFT: Final = 10 * 3600
# Not in the series: before the period begins, or after it has ended.
_OUTSIDE: Final = -1


class _Stream(NamedTuple):
    """A channel with the suffix under which it goes."""

    suffix: str
    intervals: Intervals


def render(head: Head, records: Iterable[Record]) -> bytes:
    """Write records; equal records give equal bytes."""
    rows = [nem.header("NEM12", head)]
    update = nem.stamp(head.prepared_at)
    for record in records:
        streams = list(_streams(record.series))
        configuration = "".join(stream.suffix for stream in streams)
        for stream in streams:
            rows += _rows(record, stream, configuration, update)
    return "".join(f"{row}\r\n" for row in (*rows, "900")).encode("ascii")


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    if not any(_why_not(one) is None for one in record.series.intervals):
        whys = sorted({why for one in record.series.intervals if (why := _why_not(one))})
        return "; ".join(whys) or "it has no intervals"
    return nem.name_refusal(record)


def left_out(record: Record) -> Iterator[LeftOut]:
    """Say which channels are not in it, and meters whose serial number does not fit."""
    for one in record.series.intervals:
        if (why := _why_not(one)) is not None:
            yield LeftOut(f"{one.reading_type}, {one.interval_seconds} s", why)
    if any(not nem.serial(meter.end_device) for meter in record.series.meters):
        yield LeftOut("meter serial numbers", "of more than 12 letters, or with other signs")


def _why_not(one: Intervals) -> str | None:
    if not codes.of(one.reading_type).nem12:
        return f"AEMO has no suffix for {one.reading_type}"
    if one.interval_seconds not in _LENGTHS:
        return f"intervals of {one.interval_seconds} s: NEM12 has 5, 15 and 30 minutes"
    if (one.starts_at + _SHIFT) % one.interval_seconds:
        return "intervals that do not begin on the grid of UTC+10"
    return None


def _streams(series: Series) -> Iterator[_Stream]:
    """Give each channel a suffix: its letter, and the how-manieth of that letter it is."""
    seen: Counter[str] = Counter()
    for one in series.intervals:
        if _why_not(one) is None:
            letter = codes.of(one.reading_type).nem12
            seen[letter] += 1
            yield _Stream(f"{letter}{seen[letter]}", one)


def _rows(record: Record, stream: _Stream, configuration: str, update: str) -> Iterator[str]:
    """Write a channel: a 200 record for each meter, and its days."""
    one = stream.intervals
    kind = reading_type.named(one.reading_type)
    days = groupby(_days(one), lambda first: _meter(record.series, one, first))
    for end_device, starts in days:
        fields = (
            *("200", record.usage_point, configuration, stream.suffix, stream.suffix, ""),
            *(nem.serial(end_device), nem.unit(kind.display_unit) or ""),
            *(str(one.interval_seconds // 60), ""),
        )
        yield ",".join(fields)
        for first in starts:
            yield from _day(one, first, update)


def _days(one: Intervals) -> range:
    """Give the slot with which each of AEMO's days begins; the first may be before the series."""
    slots = _DAY // one.interval_seconds
    first = -((one.starts_at + _SHIFT) % _DAY) // one.interval_seconds
    return range(first, len(one), slots)


def _meter(series: Series, one: Intervals, first: int) -> str:
    """Give the meter of a day: who was there when its first interval in the period began."""
    return series.meter_at(one.starts_at + max(first, 0) * one.interval_seconds)


def _day(one: Intervals, first: int, update: str) -> Iterator[str]:
    """Write a 300 record, and 400 records where the quality changes within the day."""
    slots = _DAY // one.interval_seconds
    low, high = max(first, 0), min(first + slots, len(one))
    before, after = low - first, first + slots - high
    texts = codes.texts(one.reading_type, one.values[low:high].tolist())
    known = quality.classes(one.quality[low:high]) != quality.QualityClass.MISSING
    inside = zip(texts, known.tolist(), strict=True)
    values = ["0"] * before
    values += [text if known else "0" for text, known in inside]
    values += ["0"] * after
    flags = [_OUTSIDE] * before + one.quality[low:high].tolist() + [_OUTSIDE] * after
    runs = [(code, len(list(several))) for code, several in groupby(flags)]
    whole = _quality(runs[0][0]) if len(runs) == 1 else ("V", "", "")
    day = datetime.fromtimestamp(one.starts_at + first * one.interval_seconds, UTC)
    yield ",".join(("300", nem.stamp(day)[:8], *values, *whole, update, ""))
    if len(runs) > 1:
        start = 1
        for code, count in runs:
            yield ",".join(("400", str(start), str(start + count - 1), *_quality(code)))
            start += count


def _quality(code: int) -> tuple[str, str, str]:
    return ("N", "", "") if code == _OUTSIDE else nem.quality_fields(code)
