"""NEM12: interval days of usage points, with quality, method and reason of each interval.

A day is AEMO's: from midnight to midnight of UTC+10, the whole year. Where a billing period begins
or ends inside one, the intervals outside are null (N). E is what a customer consumes, B what comes
back; Q and K the same for reactive energy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np

from mdm.export import codes, nem
from mdm.export.record import Head, LeftOut, Record
from mdm.export.series import Intervals, Series
from schemas import reading_type

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
    slots = _DAY // one.interval_seconds
    # The first of AEMO's days may begin before the series.
    before = (one.starts_at + _SHIFT) % _DAY // one.interval_seconds
    written = zip(range(-before, len(one), slots), _days(one, before, slots, update), strict=True)
    for end_device, days in groupby(written, lambda day: _meter(record.series, one, day[0])):
        fields = (
            *("200", record.usage_point, configuration, stream.suffix, stream.suffix, ""),
            *(nem.serial(end_device), nem.unit(kind.display_unit) or ""),
            *(str(one.interval_seconds // 60), ""),
        )
        yield ",".join(fields)
        for _, rows in days:
            yield from rows


def _days(one: Intervals, before: int, slots: int, update: str) -> Iterator[list[str]]:
    """Write each of AEMO's days that a series touches."""
    texts = codes.texts(one.reading_type, one.values)
    for slot in np.flatnonzero(~one.known).tolist():
        texts[slot] = "0"
    days = -(-(before + len(one)) // slots)
    after = days * slots - before - len(one)
    texts = ["0"] * before + texts + ["0"] * after
    flags = np.pad(one.quality, (before, after), constant_values=_OUTSIDE).reshape(days, slots)
    alike = (flags == flags[:, :1]).all(axis=1).tolist()
    first = one.starts_at - before * one.interval_seconds
    for day in range(days):
        values = ",".join(texts[day * slots : (day + 1) * slots])
        if alike[day]:
            codes_, told = [], ",".join(_quality(int(flags[day, 0])))
        else:
            codes_, told = flags[day].tolist(), "V,,"
        rows = [f"300,{_date(first + day * _DAY)},{values},{told},{update},"]
        start = 1
        for code, several in groupby(codes_):
            end = start + len(list(several))
            rows.append(",".join(("400", str(start), str(end - 1), *_quality(code))))
            start = end
        yield rows


def _meter(series: Series, one: Intervals, first: int) -> str:
    """Give the meter of a day: who was there when its first interval in the period began."""
    return series.meter_at(one.starts_at + max(first, 0) * one.interval_seconds)


@lru_cache(maxsize=4096)
def _date(second: int) -> str:
    """Write the day of a moment; a file has the same ones for each usage point."""
    return nem.stamp(datetime.fromtimestamp(second, UTC))[:8]


@cache
def _quality(code: int) -> tuple[str, str, str]:
    return ("N", "", "") if code == _OUTSIDE else nem.quality_fields(code)
