"""Our own CSV of intervals and register readings; ``docs/formats.md`` describes it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Final

import numpy as np

from drivers import quantity
from drivers.files.parsed import (
    LARGEST_INTERVAL,
    BadField,
    FileBlock,
    FileReading,
    Parsed,
    Source,
    amount,
    text_of,
)
from schemas import facts, quality, reading_type
from schemas.reading import IntervalBlock, RegisterReading
from schemas.reading_type import ReadingType

REQUIRED: Final = ("end_device", "reading_type", "starts_at", "value", "unit")
OPTIONAL: Final = ("interval_seconds", "quality")

_AEMO: Final = re.compile(r"([AEFNSV])(\d\d)?", re.ASCII)
_YEARS: Final = range(1900, 2100)
_LONGEST_INTERVAL: Final = 86_400
_LARGEST_REGISTER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Row:
    """A good row; ``seconds`` is 0 for a register reading."""

    end_device: str
    kind: ReadingType
    starts_at: datetime
    seconds: int
    value: int
    rounded: bool
    code: int


@dataclass(slots=True)
class _Run:
    """Intervals of one channel that follow each other without a gap."""

    line: int
    first: _Row
    end: datetime
    values: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    rounded: bool = False


def parse(data: bytes) -> Parsed:
    """Read a file.

    Rows of one meter, reading type and interval length that follow each other in time make one
    block; a gap or a repeated time begins a new one.

    Parameters
    ----------
    data : the file's bytes, UTF-8

    Returns
    -------
    what is good, and the rows that could not be read; never an exception
    """
    parsed = Parsed()
    try:
        rows = csv.reader(io.StringIO(text_of(data), newline=""))
    except BadField as wrong:
        parsed.reject(0, wrong)
        return parsed
    runs: dict[tuple[str, str, int], _Run] = {}
    header: list[str] | None = None
    for line, row in _lines(rows, parsed):
        try:
            if header is None:
                header = _header(row)
            elif any(cell.strip() for cell in row):
                _place(_row(header, row), line, runs, parsed)
        except BadField as wrong:
            parsed.reject(line, wrong)
            if header is None:
                return parsed
    if header is None and not parsed.rejected:
        parsed.reject(0, BadField("file", "", "is empty"))
    for run in runs.values():
        _finish(run, parsed)
    parsed.blocks.sort(key=lambda block: block.line)
    return parsed


def _lines(rows: Iterator[list[str]], parsed: Parsed) -> Iterator[tuple[int, list[str]]]:
    """Give rows with the number of the line that they begin at."""
    line = 1
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            parsed.reject(line, BadField("row", "", f"cannot be taken apart: {error}"))
            row = []
        if row:
            yield line, row
        line = rows.line_num + 1  # type: ignore[attr-defined]  # csv's reader has it


def _header(row: list[str]) -> list[str]:
    names = [cell.strip() for cell in row]
    for name in REQUIRED:
        if name not in names:
            raise BadField("header", ",".join(names), f"has no column {name}; nothing was read")
    for name in names:
        if name not in REQUIRED + OPTIONAL or names.count(name) > 1:
            known = ", ".join(REQUIRED + OPTIONAL)
            reason = f"is unknown or there twice; columns are {known}; nothing was read"
            raise BadField("header", name, reason)
    return names


def _row(header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        reason = f"has {len(cells)} cells where the header has {len(header)}"
        raise BadField("row", ",".join(cells), reason)
    row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    if not row["end_device"]:
        raise BadField("end_device", "", "is missing")
    kind = _kind(row["reading_type"])
    seconds, code = _seconds(kind, row.get("interval_seconds", "")), _quality(row)
    largest = LARGEST_INTERVAL if seconds else _LARGEST_REGISTER
    written = row["value"]
    if not written and code == quality.MISSING:
        written = "0"
    value, rounded = amount("value", written, _scale(kind, row["unit"]), largest)
    starts_at = _moment(row["starts_at"])
    return _Row(row["end_device"], kind, starts_at, seconds, value, rounded, code)


def _kind(written: str) -> ReadingType:
    try:
        return reading_type.named(written)
    except KeyError as error:
        raise BadField("reading_type", written, str(error.args[0])) from error


def _scale(kind: ReadingType, unit: str) -> Decimal:
    try:
        return quantity.factor(unit, kind)
    except quantity.UnknownUnit as error:
        raise BadField("unit", unit, str(error)) from error


def _seconds(kind: ReadingType, written: str) -> int:
    """Give the interval's length; interval types need one, the others have none."""
    if kind.accumulation != "delta":
        if written:
            raise BadField(
                "interval_seconds", written, f"{kind.name} is no interval: leave it empty"
            )
        return 0
    good = written.isascii() and written.isdigit() and len(written) <= 5
    if not good or not 1 <= int(written) <= _LONGEST_INTERVAL:
        raise BadField("interval_seconds", written, f"is not 1 … {_LONGEST_INTERVAL} seconds")
    return int(written)


def _moment(written: str) -> datetime:
    reason = "is not a time with its offset such as 2026-06-01T00:15:00+03:00 or …Z"
    wrong = BadField("starts_at", written, reason)
    try:
        read = datetime.fromisoformat(written)
    except ValueError as error:
        raise wrong from error
    if read.tzinfo is None or read.microsecond or read.year not in _YEARS:
        raise wrong
    return read.astimezone(UTC)


@cache
def _names() -> dict[str, int]:
    return {row["name"]: int(row["code"]) for row in facts.rows("quality_codes.csv")}


def _quality(row: Mapping[str, str]) -> int:
    """Read a quality: empty is valid; a name of ours, or an AEMO flag and method such as S14."""
    written = row.get("quality", "")
    if written in ("", "A"):
        return quality.VALID
    if written in _names():
        return _names()[written]
    if aemo := _AEMO.fullmatch(written.removeprefix("aemo_")):
        return quality.aemo(aemo[1], int(aemo[2] or 0))
    known = ", ".join(_names())
    raise BadField("quality", written, f"is unknown; there are {known}, and AEMO's such as S14")


def _place(row: _Row, line: int, runs: dict[tuple[str, str, int], _Run], parsed: Parsed) -> None:
    """Put a row where it belongs: a reading, the run that it continues, or a run of its own."""
    if not row.seconds:
        reading = RegisterReading(row.kind.name, row.starts_at, row.value, row.code)
        parsed.readings.append(FileReading(Source(row.end_device), reading, line))
        return
    key = (row.end_device, row.kind.name, row.seconds)
    run = runs.get(key)
    if run is None or run.end != row.starts_at:
        if run is not None:
            _finish(run, parsed)
        run = runs[key] = _Run(line, row, row.starts_at)
    run.values.append(row.value)
    run.codes.append(row.code)
    run.rounded |= row.rounded
    run.end += timedelta(seconds=row.seconds)


def _finish(run: _Run, parsed: Parsed) -> None:
    codes = np.array(run.codes, dtype=np.int16)
    block = IntervalBlock(
        reading_type=run.first.kind.name,
        start=run.first.starts_at,
        interval_seconds=run.first.seconds,
        values=np.array(run.values, dtype=np.int64),
        quality=codes if codes.any() else None,
        annotation=f"rounded to 1 {run.first.kind.unit}" if run.rounded else None,
    )
    parsed.blocks.append(FileBlock(Source(run.first.end_device), block, run.line))
