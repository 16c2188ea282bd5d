"""NEM12, AEMO's meter data file: interval days of usage points (NMIs), with quality and reasons.

Times are Australian Eastern Standard Time (UTC+10) the whole year. AEMO names directions from the
grid's side: E and Q are exported to the customer, our import; B and K are our export.

References
----------
AEMO, Meter Data File Format Specification NEM12 & NEM13, v2: §4 (records 100 to 900), appendix B
(NMI suffixes) and C (quality flags, method and reason codes).
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

import numpy as np

from drivers import quantity
from drivers.files.parsed import (
    LARGEST_INTERVAL,
    BadField,
    FileBlock,
    Parsed,
    Source,
    amount,
    text_of,
)
from schemas import quality, quality_mapping, reading_type
from schemas.quality_mapping import Aemo
from schemas.reading import IntervalBlock
from schemas.reading_type import ReadingType

AEST: Final = timezone(timedelta(hours=10), "AEST")

_MINUTES: Final = {"5", "15", "30"}
_DATE: Final = re.compile(r"(19|20)\d{6}", re.ASCII)
_QUALITY: Final = re.compile(r"([AEFNSV])(\d\d)?", re.ASCII)
_LARGEST_MEMBER: Final = 512 * 1024 * 1024

# First letter of the NMI suffix -> reading type (appendix B).
_SUFFIXES: Final = {
    "E": "active_energy_import_interval",
    "B": "active_energy_export_interval",
    "Q": "reactive_energy_import_interval",
    "K": "reactive_energy_export_interval",
}
_UNITS: Final = {
    unit.lower(): unit for unit in ("Wh", "kWh", "MWh", "GWh", "varh", "kvarh", "Mvarh")
}


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a 200 record says of the days below it."""

    source: Source
    kind: ReadingType
    scale: Decimal
    minutes: int

    @property
    def slots(self) -> int:
        return 1440 // self.minutes


@dataclass(slots=True)
class _Day:
    """A 300 record, and what the 400 and 500 records below it add."""

    line: int
    stream: _Stream
    start: datetime
    values: list[int]
    codes: list[int]
    notes: list[str] = field(default_factory=list)


def parse(data: bytes) -> Parsed:
    """Read a NEM12 file, plain or zipped (one file in it).

    Parameters
    ----------
    data : the file's bytes

    Returns
    -------
    one block a 300 record, and the rows that could not be read; never an exception
    """
    parsed = Parsed()
    try:
        text = text_of(_unzipped(data) if data[:2] == b"PK" else data)
    except BadField as wrong:
        parsed.reject(0, wrong)
        return parsed
    _Reader(parsed).read(text)
    return parsed


# The others may ask for as much memory as their header says.
_UNPACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What Python's zipfile raises, by experience, where bytes of an archive are changed.
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    ValueError,
    IndexError,
)


def _unzipped(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(_only_member(archive))
    except BadField:
        raise
    except _DAMAGED as error:
        raise BadField("zip", "", f"cannot be unpacked: {error}") from error


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [one for one in archive.infolist() if not one.is_dir()]
    if len(files) != 1:
        names = ", ".join(one.filename for one in files)
        raise BadField("zip", names, f"has {len(files)} files, not one")
    if files[0].file_size > _LARGEST_MEMBER:
        raise BadField("zip", files[0].filename, "is too large unpacked")
    if files[0].compress_type not in _UNPACKED:
        raise BadField("zip", files[0].filename, "is packed in another way than deflate")
    return files[0]


class _Reader:
    """Goes through the records in order; a day is finished by whatever follows its own records."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._stream: _Stream | None = None
        self._day: _Day | None = None
        self._begun = self._headed = self._stopped = False

    def read(self, text: str) -> None:
        """Read all records."""
        number = 0
        for number, written in enumerate(text.split("\n"), 1):
            fields = [one.strip() for one in written.split(",")]
            if self._stopped or not any(fields):
                continue
            try:
                self._record(number, fields)
            except BadField as wrong:
                self._parsed.reject(number, wrong)
        self._finish_day()
        if not self._begun:
            self._parsed.reject(0, BadField("file", "", "is empty"))
        elif self._headed:
            reason = "the file ends without a 900 record: is it whole?"
            self._parsed.reject(number, BadField("RecordIndicator", "", reason))

    def _record(self, number: int, fields: list[str]) -> None:
        indicator = fields[0]
        if indicator == "100" or not self._begun:
            self._begun = True
            self._header(fields)
        elif not self._headed:
            raise BadField("RecordIndicator", indicator, "stands under no 100 record")
        elif indicator == "200":
            self._finish_day()
            self._stream = None
            self._stream = _stream(fields)
        elif indicator == "300":
            self._finish_day()
            self._day = self._interval_day(number, fields)
        elif indicator == "400":
            _apply_event(fields, self._needed(indicator))
        elif indicator == "500":
            said = " ".join(filter(None, fields[1:5]))
            self._needed(indicator).notes.append(f"B2B {said}")
        elif indicator == "900":
            self._finish_day()
            self._stream, self._headed = None, False
        else:
            known = "100, 200, 300, 400, 500, 900"
            raise BadField("RecordIndicator", indicator, f"is none of {known}")

    def _header(self, fields: list[str]) -> None:
        version = _field(fields, 1)
        self._headed = fields[0] == "100" and version == "NEM12"
        if self._headed:
            return
        self._finish_day()
        self._stopped = True
        if fields[0] != "100":
            reason = "is not the 100 record that a NEM12 file begins with; nothing was read"
            raise BadField("RecordIndicator", fields[0], reason)
        reason = "is not supported: nothing was read, only NEM12 can be"
        if version == "NEM13":
            reason += " (NEM13 has register reads of accumulation meters)"
        raise BadField("VersionHeader", version, reason)

    def _interval_day(self, number: int, fields: list[str]) -> _Day:
        if self._stream is None:
            raise BadField("RecordIndicator", "300", "stands under no 200 record that was read")
        return _day(number, fields, self._stream)

    def _needed(self, indicator: str) -> _Day:
        if self._day is None:
            raise BadField("RecordIndicator", indicator, "stands under no 300 record that was read")
        return self._day

    def _finish_day(self) -> None:
        day, self._day = self._day, None
        if day is None:
            return
        codes = np.array(day.codes, dtype=np.int16)
        block = IntervalBlock(
            reading_type=day.stream.kind.name,
            start=day.start,
            interval_seconds=60 * day.stream.minutes,
            values=np.array(day.values, dtype=np.int64),
            quality=codes if codes.any() else None,
            annotation="; ".join(day.notes) or None,
        )
        self._parsed.blocks.append(FileBlock(day.stream.source, block, day.line))


def _stream(fields: list[str]) -> _Stream:
    """Read a 200 record: NMI, suffix, meter serial, unit and interval length count here."""
    nmi, suffix, serial, written, minutes = (_field(fields, at) for at in (1, 4, 6, 7, 8))
    if not nmi:
        raise BadField("NMI", nmi, "is missing; the days below are not read")
    name = _SUFFIXES.get(suffix[:1])
    if name is None:
        reason = "has no reading type: known are E, B, Q, K; the days below are not read"
        raise BadField("NMISuffix", suffix, reason)
    if minutes not in _MINUTES:
        raise BadField(
            "IntervalLength", minutes, "is none of 5, 15, 30; the days below are not read"
        )
    kind = reading_type.named(name)
    try:
        scale = quantity.factor(_UNITS.get(written.lower(), written), kind)
    except quantity.UnknownUnit as error:
        raise BadField("UOM", written, f"{error}; the days below are not read") from error
    return _Stream(Source(serial, nmi, suffix), kind, scale, int(minutes))


def _day(line: int, fields: list[str], stream: _Stream) -> _Day:
    """Read a 300 record: date, one value an interval, quality, reason, two times of processing."""
    slots = stream.slots
    if any(fields[slots + 7 :]):
        wrong = fields[slots + 7]
        raise BadField(f"field {slots + 8}", wrong, f"follows a day of {slots} values")
    start, flag = _date(_field(fields, 1)), _field(fields, slots + 2)
    values, finer = _values(fields, stream)
    code = _quality(flag, fields[slots + 3 : slots + 5])
    notes = [f"rounded to 1 {stream.kind.unit}"] if finer else []
    if said := _said(flag, fields[slots + 3 : slots + 5]):
        notes.append(f"1-{slots} {said}")
    return _Day(line, stream, start, values, [code] * slots, notes)


def _values(fields: list[str], stream: _Stream) -> tuple[list[int], bool]:
    """Read a day's values [scaled unit], and whether any was finer than that.

    A day without data (quality N) may leave them empty.
    """
    null = _field(fields, stream.slots + 2).startswith("N")
    values, finer = [], False
    for slot in range(1, stream.slots + 1):
        written = _field(fields, slot + 1)
        if null and not written:
            written = "0"
        value, rounded = amount(f"interval {slot}", written, stream.scale, LARGEST_INTERVAL)
        values.append(value)
        finer |= rounded
    return values, finer


def _apply_event(fields: list[str], day: _Day) -> None:
    """Read a 400 record: first and last interval, quality, reason code, reason.

    Where a day of quality V has none, its intervals stay V: questionable.
    """
    first, last = (_slot(name, _field(fields, at), day) for at, name in _EVENT_BOUNDS)
    if last < first:
        raise BadField("EndInterval", str(last), f"is before the start, {first}")
    flag = _field(fields, 3)
    day.codes[first - 1 : last] = [_quality(flag, fields[4:6])] * (last - first + 1)
    if said := _said(flag, fields[4:6]):
        day.notes.append(f"{first}-{last} {said}")


_EVENT_BOUNDS: Final = ((1, "StartInterval"), (2, "EndInterval"))


def _slot(name: str, written: str, day: _Day) -> int:
    slots = day.stream.slots
    good = written.isascii() and written.isdigit() and len(written) <= 4
    if not good or not 1 <= int(written) <= slots:
        raise BadField(name, written, f"is no interval 1 … {slots}")
    return int(written)


def _quality(written: str, why: list[str]) -> int:
    """Give the quality code of a flag and method; A is simply valid.

    Where reason code and description are ours, so is the code: what we wrote comes back as what it
    was. What a person elsewhere decided is no decision here: it stays as AEMO has it.
    """
    read = _QUALITY.fullmatch(written)
    if read is None:
        raise BadField("QualityMethod", written, "is no flag A, E, F, N, S, V with its method")
    theirs = quality.VALID if written == "A" else quality.aemo(read[1], int(read[2] or 0))
    reason, described = ([*why, "", ""])[:2]
    if not reason.isdecimal() or not described:
        return theirs
    method = int(read[2]) if read[2] else None
    code = quality_mapping.of_aemo(Aemo(read[1], method, int(reason), described))
    decided = code in quality.BY_PEOPLE or code == quality.EDITED
    return theirs if decided else code


def _said(flag: str, reason: list[str]) -> str:
    """Give a reason code and description with their flag, empty if there is none."""
    return " ".join([flag, *filter(None, reason)]) if any(reason) else ""


def _date(written: str) -> datetime:
    """Read the start of an interval day, in UTC."""
    wrong = BadField("IntervalDate", written, "is not a date such as 20260601")
    if not _DATE.fullmatch(written):
        raise wrong
    try:
        return datetime.strptime(written, "%Y%m%d").replace(tzinfo=AEST).astimezone(UTC)
    except ValueError as error:
        raise wrong from error


def _field(fields: list[str], at: int) -> str:
    """Give a field, empty where the record ends before it."""
    return fields[at] if at < len(fields) else ""
