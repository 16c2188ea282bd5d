"""MSCONS: UN/EDIFACT D.04B as Germany, Austria and Switzerland exchange readings.

One message a usage point: its channels as load profiles with start and end of each interval, and
below each meter its registers. True values are QTY 220, substitutes 67 with their method, what is
in doubt Z18, preliminary. Who sends and receives for a market stands in agreements that are not
known here: NAD and UNB say MIQYAS and the billing group, and whoever forwards puts the parties in.

References
----------
UN/EDIFACT directory D.04B, MSCONS; ISO 9735 syntax version 3; BDEW, MSCONS message description 2.4
(QTY, DTM and STS qualifiers); UN/ECE Recommendation 20 (units).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm.export import codes
from mdm.export.record import Head, LeftOut, Record
from mdm.export.series import Dial, Intervals
from schemas import quality, reading_type
from schemas.quality import QualityClass

LACKS: Final = (
    "determinants",
    "multipliers",
    "causes of substitutes",
    "market parties and process identifiers",
)
_UNITS: Final = {"kWh": "KWH", "kvarh": "K3", "m³": "MTQ"}
_TRUE, _SUBSTITUTE, _PRELIMINARY = "220", "67", "Z18"
_QUANTITY: Final = {
    QualityClass.VALID: _TRUE,
    QualityClass.QUESTIONABLE: _PRELIMINARY,
    QualityClass.ESTIMATED: _SUBSTITUTE,
    QualityClass.EDITED: _SUBSTITUTE,
}
# How a substitute was made (STS Z32): Z89 comparison meter, Z92 interpolation, Z93 held value,
# Z94 balance of the section, Z95 historical values, ZJ2 statistical.
_METHODS: Final = {
    quality.ESTIMATED_CHECK_METER: "Z89",
    quality.ESTIMATED_LINEAR: "Z92",
    quality.ESTIMATED_SCALED_LINEAR: "Z92",
    quality.ESTIMATED_HOLD: "Z93",
    quality.ESTIMATED_BALANCE: "Z94",
    quality.ESTIMATED_LIKE_DAY: "Z95",
    quality.ESTIMATED_SCALED_LIKE_DAY: "Z95",
    quality.ESTIMATED_TWO_WEEK: "Z95",
    quality.ESTIMATED_YEAR_AGO: "Z95",
    quality.ESTIMATED_NEAREST_DAY: "Z95",
    quality.ESTIMATED_PROXY_DAY: "Z95",
    quality.ESTIMATED_AVERAGE_DAY: "ZJ2",
    quality.ESTIMATED_MULTI_WEEK: "ZJ2",
    quality.ESTIMATED_DAILY_LOAD: "ZJ2",
    quality.ESTIMATED_PROFILE: "ZJ2",
}
# an..35, C517 of LOC and C506 of RFF.
_LONGEST: Final = 35
_ORIGINAL, _REPLACE = "9", "5"
_POINT: Final = "."
# An interval's: quantity, start and end.
_SEGMENTS: Final = 3


def render(head: Head, records: Iterable[Record], *, mark: str = _POINT) -> bytes:
    """Write records; equal records give equal bytes.

    Parameters
    ----------
    mark : decimal mark, point or comma; the UNA segment says which
    """
    # Control references have at most fourteen characters.
    reference = hashlib.sha256(head.export.encode()).hexdigest()[:14].upper()
    prepared = head.prepared_at.astimezone(UTC)
    receiver = _fitting(head.billing_group)
    segments = [_segment("UNB", "UNOC:3", "MIQYAS", receiver, f"{prepared:%y%m%d:%H%M}", reference)]
    count = 0
    for count, record in enumerate(records, 1):
        segments += _message(head, record, reference, count, mark)
    segments.append(_segment("UNZ", str(count), reference))
    return "".join((f"UNA:+{mark}? '", *segments)).encode("latin-1")


render_comma: Final = partial(render, mark=",")


def refusal(record: Record) -> str | None:
    """Say why a usage point cannot be in it at all, None if it can."""
    if not any(_sayable(name) for name in _types(record)):
        return "it has no readings of energy or volume"
    if not _fits(record.usage_point):
        return "its name has more than 35 letters, or others than ISO 8859-1 has"
    return None


def left_out(record: Record) -> Iterator[LeftOut]:
    """Say which series are not in it, and whose meters' names."""
    for name in sorted(_types(record)):
        if not _sayable(name):
            yield LeftOut(name, "it is no energy and no volume")
    if any(not one.known.all() for one in record.series.intervals):
        yield LeftOut("missing intervals", "they have no quantity")
    if any(not _fits(dial.end_device) for dial in record.series.dials):
        yield LeftOut("meter names", "of more than 35 letters, or others than ISO 8859-1 has")


def _types(record: Record) -> set[str]:
    """Give the reading types of which there is something."""
    names = {one.reading_type for one in record.series.intervals if one.known.any()}
    return names | {dial.reading_type for dial in record.series.dials if _known(dial)}


def _message(head: Head, record: Record, reference: str, number: int, mark: str) -> list[str]:
    function = _ORIGINAL if record.corrects is None else _REPLACE
    receiver = _fitting(head.billing_group)
    segments = [
        _segment("UNH", str(number), "MSCONS:D:04B:UN:2.4c"),
        _segment("BGM", "7", f"{reference}-{number}", function),
        _dtm("137", int(head.prepared_at.timestamp())),
        _segment("NAD", "MS", "MIQYAS::ZZZ"),
        _segment("NAD", "MR", f"{receiver}::ZZZ"),
        _segment("UNS", "D"),
        _segment("NAD", "DP"),
    ]
    place = _segment("LOC", "172", _escaped(record.usage_point))
    profiles = [one for one in record.series.intervals if _sayable(one.reading_type)]
    start, end = int(record.starts_at.timestamp()), int(record.ends_at.timestamp())
    if profiles:
        segments += [place, _dtm("163", start), _dtm("164", end)]
        for line, one in enumerate(profiles, 1):
            segments += _profile(line, one, mark)
    for device, dials in groupby(_dials(record), key=lambda dial: dial.end_device):
        segments.append(place)
        if _fits(device):
            segments.append(_segment("RFF", f"MG:{_escaped(device)}"))
        for line, (name, several) in enumerate(groupby(dials, key=lambda d: d.reading_type), 1):
            segments += _register(line, name, several, mark)
    segments.append(_segment("UNT", str(len(segments) + 1), str(number)))
    return segments


def _profile(line: int, one: Intervals, mark: str) -> list[str]:
    """Write a channel; what has no value is left out."""
    known = np.flatnonzero(one.known)
    flags = one.quality[known]
    segments = [""] * (_SEGMENTS * len(known))
    segments[::_SEGMENTS] = _quantities(one, known, mark)
    stretches = _stretches(one.starts_at, one.interval_seconds, len(one))
    for place, moments in enumerate(stretches, 1):
        there = moments if len(known) == len(one) else [moments[slot] for slot in known.tolist()]
        segments[place::_SEGMENTS] = there
    # From the end on: what is put in moves what is behind.
    for place in np.flatnonzero(np.isin(flags, list(_METHODS)))[::-1].tolist():
        after = _SEGMENTS * (place + 1)
        segments[after:after] = _method(int(flags[place]))
    return [*_item(line, one.reading_type), *segments]


def _quantities(one: Intervals, known: NDArray[np.intp], mark: str) -> list[str]:
    codes_ = one.quality[known].tolist()
    before = {code: f"QTY+{_kind(code)}:" for code in set(codes_)}
    behind = f":{_UNITS[reading_type.named(one.reading_type).display_unit]}'"
    texts = codes.texts(one.reading_type, one.values[known])
    if mark != _POINT:
        texts = [text.replace(_POINT, mark) for text in texts]
    return [f"{before[code]}{text}{behind}" for code, text in zip(codes_, texts, strict=True)]


@lru_cache(maxsize=4)
def _stretches(first: int, length: int, count: int) -> tuple[Sequence[str], Sequence[str]]:
    """Write all starts and all ends of intervals; a file has the same for each usage point."""
    seconds = range(first, first + count * length, length)
    starts = [_dtm("163", second) for second in seconds]
    return starts, [_dtm("164", second + length) for second in seconds]


def _register(line: int, name: str, dials: Iterable[Dial], mark: str) -> Iterator[str]:
    yield from _item(line, name)
    unit = _UNITS[reading_type.named(name).display_unit]
    for dial in dials:
        yield _quantity(codes.shown(name, dial.value), unit, dial.quality, mark)
        yield _dtm("7", dial.read_at)
        yield from _method(dial.quality)


def _dials(record: Record) -> list[Dial]:
    """Give the registers that have a value, by meter."""
    known = [d for d in record.series.dials if _known(d) and _sayable(d.reading_type)]
    return sorted(known, key=lambda dial: (dial.end_device, dial.reading_type, dial.read_at))


def _known(dial: Dial) -> bool:
    return bool(quality.class_table()[dial.quality] != QualityClass.MISSING)


def _item(line: int, name: str) -> Iterator[str]:
    yield _segment("LIN", str(line))
    obis = reading_type.named(name).obis
    yield _segment("PIA", "5", f"{obis.a}-{obis.b}?:{obis.c}.{obis.d}.{obis.e}:SRW")


def _quantity(text: str, unit: str, code: int, mark: str) -> str:
    return f"QTY+{_kind(code)}:{text.replace(_POINT, mark)}:{unit}'"


@cache
def _kind(code: int) -> str:
    return _QUANTITY[QualityClass(int(quality.class_table()[code]))]


def _method(code: int) -> Iterator[str]:
    """Write how a substitute was made; nothing where it is none or its method has no code."""
    if code in _METHODS:
        yield _segment("STS", "Z32", "", _METHODS[code])


def _sayable(name: str) -> bool:
    kind = reading_type.named(name)
    return kind.accumulation != "instantaneous" and kind.display_unit in _UNITS


def _dtm(qualifier: str, second: int) -> str:
    """Write a moment to the minute, with its zone (303)."""
    return f"DTM+{qualifier}:{_minute(second)}?+00:303'"


@lru_cache(maxsize=1 << 16)
def _minute(second: int) -> str:
    """Write a moment; a file has the same ones for each usage point."""
    return f"{datetime.fromtimestamp(second, UTC):%Y%m%d%H%M}"


def _segment(*elements: str) -> str:
    return f"{'+'.join(elements)}'"


def _escaped(text: str) -> str:
    """Put the release character before what has a meaning in EDIFACT."""
    return "".join(f"?{sign}" if sign in "?+:'" else sign for sign in text)


def _fits(text: str) -> bool:
    return len(text) <= _LONGEST and all(" " <= sign <= "\xff" for sign in text)


def _fitting(text: str) -> str:
    """Give as much of a party's name as an interchange takes: 35 letters of ISO 8859-1."""
    kept = "".join(sign if " " <= sign <= "\xff" else "_" for sign in text)
    return _escaped(kept[:_LONGEST])
