"""What the simulated invoicing system demands of an export, from ``docs/billing.md`` alone.

A file that is not as described is refused whole, with every reason found; a bill in a good file
may be rejected by itself.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import available_timezones

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_UNITS: Final = {
    "Wh", "kWh", "MWh", "varh", "kvarh", "L", "m³", "imperial gallon", "1000 imperial gallons",
}  # fmt: skip
_COUNTS: Final = ("actual", "questionable", "missing", "estimated", "edited")
_BILL: Final = (
    "key", "usage_point", "commodity", "sector", "tariff", "time_zone", "period_start",
    "period_end", "version", "corrects", "digest",
)  # fmt: skip
_LINE: Final = (
    "determinant", "reading_type", "part", "value", "unit", "starts_at", "ends_at", *_COUNTS,
    "rounding", "note",
)  # fmt: skip
_CHANGE: Final = ("previous", "difference")
_HEAD: Final = ("format", "export", "billing_group", "starts_on", "ends_on", "usage_points")
_CSV: Final = ("export", *_BILL[:5], "billing_group", *_BILL[5:], *_LINE, *_CHANGE)
_MANIFEST: Final = (
    "format", "export", "billing_group", "starts_on", "ends_on", "prepared_at", "usage_points",
    "corrections", "determinants", "sums", "files", "versions",
)  # fmt: skip
_MORE: Final = ("left_out", "addressee")
_FILE: Final = ("name", "media_type", "bytes", "sha256", "usage_points")


class Malformed(Exception):
    """A message is not as described."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


@dataclass(frozen=True, slots=True)
class Bill:
    """One usage point's determinants as they came, checked for form.

    ``lines`` have their figures as Decimal, None where there is none.
    """

    key: str
    usage_point: str
    commodity: str
    sector: str
    tariff: str
    billing_group: str
    time_zone: str
    version: int
    corrects: int | None
    digest: str
    period_start: datetime
    period_end: datetime
    lines: Sequence[Mapping[str, Any]]

    def line(self, determinant: str) -> Mapping[str, Any] | None:
        """Give the first line of a determinant."""
        return next((line for line in self.lines if line["determinant"] == determinant), None)

    @property
    def consumption(self) -> list[Mapping[str, Any]]:
        """Give the lines of what is billed: one, or one a part; not those that are gone."""
        lines = [line for line in self.lines if line["determinant"] == "consumption"]
        # What a correction takes back stands there without a value, beside what was billed.
        return [line for line in lines if line["value"] is not None or line.get("previous") is None]

    def values(self, determinant: str) -> list[Decimal | None]:
        """Give a determinant's values: one, or one a part."""
        return [line["value"] for line in self.lines if line["determinant"] == determinant]


def manifest(content: bytes, export: str) -> dict[str, Any]:
    """Read a manifest.

    Raises
    ------
    Malformed
        with every reason.
    """
    found = _json(content)
    reasons = _fields(found, _MANIFEST, _MORE, "manifest")
    if reasons:
        raise Malformed(reasons)
    if found["format"] != "miqyas-manifest/1":
        reasons.append(f"manifest: format {found['format']!r} is not known")
    if found["export"] != export:
        reasons.append(f"manifest: is of export {found['export']!r}, not {export!r}")
    if _time(found["prepared_at"]) is None:
        reasons.append(f"manifest: prepared_at {found['prepared_at']!r} is no time")
    for file in found["files"]:
        reasons += _fields(file, _FILE, (), "manifest: file")
        if not _DIGEST.fullmatch(str(file.get("sha256"))):
            reasons.append(f"manifest: file {file.get('name')}: sha256 is no SHA-256")
    if reasons:
        raise Malformed(reasons)
    if sum(file["usage_points"] for file in found["files"]) != found["usage_points"]:
        raise Malformed(["manifest: its files' usage points do not sum to usage_points"])
    return found


def bills(content: bytes, media_type: str, export: str) -> list[Bill]:
    """Read a file.

    Raises
    ------
    Malformed
        with every reason.
    """
    if media_type not in _READERS:
        raise Malformed([f"media type {media_type!r} is not one of {', '.join(_READERS)}"])
    group, raw = _READERS[media_type](content, export)
    reasons: list[str] = []
    found = [_bill(item, group, reasons) for item in raw]
    keys = [bill.key for bill in found if bill]
    reasons += [f"{key}: is there twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
    if reasons:
        raise Malformed(reasons)
    return [bill for bill in found if bill]


def objections(bill: Bill) -> list[str]:
    """List why a well-formed bill cannot be invoiced, whatever came before it."""
    reasons = []
    if bill.period_end <= bill.period_start:
        reasons.append("the period ends before it starts")
    consumption = bill.consumption
    if not consumption or any(line["value"] is None for line in consumption):
        reasons.append("there is no consumption")
    if any(line["value"] is not None and line["value"] < 0 for line in consumption):
        reasons.append("the consumption is negative")
    units = dict.fromkeys(line["unit"] for line in consumption)
    reasons += [f"the unit {unit!r} is not invoiced here" for unit in units if unit not in _UNITS]
    parts, wholes = bill.values("time_of_use_consumption"), bill.values("interval_consumption")
    if parts and wholes and None not in wholes:
        total, whole = (
            sum((v or Decimal(0) for v in some), Decimal(0)) for some in (parts, wholes)
        )
        if total != whole:
            reasons.append(f"time-of-use parts sum to {total}, not to {whole}")
    changed = [line for line in bill.lines if line.get("difference") is not None]
    wrong = [line["determinant"] for line in changed if not _differs(line)]
    return reasons + [f"{name}: difference is not value − previous" for name in wrong]


def _differs(line: Mapping[str, Any]) -> bool:
    zero = Decimal(0)
    return bool(line["difference"] == (line["value"] or zero) - (line["previous"] or zero))


def _read_json(content: bytes, export: str) -> tuple[str, list[dict[str, Any]]]:
    found = _json(content)
    reasons = _fields(found, _HEAD, (), "file")
    if not reasons and found["format"] != "miqyas-determinants/1":
        reasons.append(f"file: format {found['format']!r} is not known")
    if not reasons and found["export"] != export:
        reasons.append(f"file: is of export {found['export']!r}, not {export!r}")
    if reasons:
        raise Malformed(reasons)
    return str(found["billing_group"]), found["usage_points"]


def _read_csv(content: bytes, export: str) -> tuple[str, list[dict[str, Any]]]:
    """Read rows and gather those of one key; empty cells are None, counts are whole."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise Malformed([f"file: is no CSV: {problem}"]) from problem
    if not rows or tuple(rows[0]) != _CSV:
        raise Malformed([f"file: the heading must be {','.join(_CSV)}"])
    gathered: dict[str, dict[str, Any]] = {}
    for number, cells in enumerate(rows[1:], 2):
        if len(cells) != len(_CSV):
            raise Malformed([f"row {number}: has {len(cells)} cells, not {len(_CSV)}"])
        row = dict(zip(_CSV, cells, strict=True))
        if row["export"] != export:
            raise Malformed([f"row {number}: is of export {row['export']!r}, not {export!r}"])
        bill = {name: _cell(name, row[name]) for name in _BILL}
        first = gathered.setdefault(row["key"], {**bill, "determinants": []})
        if any(first[name] != bill[name] for name in _BILL):
            raise Malformed([f"row {number}: differs from the rows before it of {row['key']}"])
        names = (*_LINE, *_CHANGE) if row["difference"] else _LINE
        first["determinants"].append({name: _cell(name, row[name]) for name in names})
    group = rows[1][_CSV.index("billing_group")] if rows[1:] else ""
    return group, list(gathered.values())


def _cell(name: str, text: str) -> Any:
    if name in ("version", "corrects", *_COUNTS):
        return int(text) if text.isdecimal() else (text or None)
    if name in ("value", "previous", "difference"):
        return text or None
    return text


_READERS: Final[dict[str, Callable[[bytes, str], tuple[str, list[dict[str, Any]]]]]] = {
    "application/json": _read_json,
    "text/csv": _read_csv,
}


def _bill(item: Any, group: str, reasons: list[str]) -> Bill | None:
    """Check one bill's form; None, and reasons, if it is wrong."""
    key = str(item.get("key")) if isinstance(item, dict) else "a bill"
    wrong = _fields(item, (*_BILL, "determinants"), (), key)
    if not wrong:
        texts = ("key", "usage_point", "commodity", "sector", "tariff", "time_zone")
        wrong += [f"{key}: {n} is empty" for n in texts if not _text(item[n]) or not item[n]]
        wrong += [f"{key}: {n} is no time" for n in ("period_start", "period_end")
                  if _time(item[n]) is None]  # fmt: skip
        if str(item["time_zone"]) not in available_timezones():
            wrong.append(f"{key}: time_zone is none")
        if not _whole(item["version"]) or item["version"] < 1:
            wrong.append(f"{key}: version is no number from 1")
        if item["corrects"] is not None and not _whole(item["corrects"]):
            wrong.append(f"{key}: corrects is no version")
        if not _DIGEST.fullmatch(str(item["digest"])):
            wrong.append(f"{key}: digest is no SHA-256")
        if not isinstance(item["determinants"], list) or not item["determinants"]:
            wrong.append(f"{key}: has no determinants")
        else:
            wrong += [reason for line in item["determinants"] for reason in _line(line, key)]
    reasons += wrong
    return None if wrong else _built(item, group)


def _built(item: dict[str, Any], group: str) -> Bill:
    start, end = _time(item["period_start"]), _time(item["period_end"])
    assert start  # noqa: S101  # _bill has looked
    assert end  # noqa: S101
    lines = [
        {**line, **{n: _number(line[n]) for n in ("value", *_CHANGE) if n in line}}
        for line in item["determinants"]
    ]
    return Bill(
        key=item["key"],
        usage_point=item["usage_point"],
        commodity=item["commodity"],
        sector=item["sector"],
        tariff=item["tariff"],
        billing_group=group,
        time_zone=item["time_zone"],
        version=item["version"],
        corrects=item["corrects"],
        digest=item["digest"],
        period_start=start,
        period_end=end,
        lines=lines,
    )


def _line(line: Any, key: str) -> list[str]:
    """List what is wrong with the form of a determinant."""
    wrong = _fields(line, _LINE, _CHANGE, key)
    if wrong:
        return wrong
    place = f"{key}: {line['determinant']}"
    wrong += [f"{place}: {n} is empty" for n in ("determinant", "unit") if not line[n]]
    wrong += [f"{place}: {n} is no count" for n in _COUNTS
              if not _whole(line[n]) or line[n] < 0]  # fmt: skip
    wrong += [f"{place}: {n} is no time" for n in ("starts_at", "ends_at")
              if _time(line[n]) is None]  # fmt: skip
    for name in ("value", *_CHANGE):
        text = line.get(name)
        if text is not None and (not isinstance(text, str) or _number(text) is None):
            wrong.append(f"{place}: {name} {text!r} is no decimal number")
    if line["value"] is None and not line["note"]:
        wrong.append(f"{place}: has neither a value nor a note that says why")
    return wrong


def _fields(item: Any, needed: Sequence[str], optional: Sequence[str], place: str) -> list[str]:
    """List fields that are missing or not known."""
    if not isinstance(item, dict):
        return [f"{place}: is no object"]
    missing = [f"{place}: {name} is missing" for name in needed if name not in item]
    unknown = sorted(item.keys() - {*needed, *optional})
    return missing + [f"{place}: {name} is not known" for name in unknown]


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as problem:
        raise Malformed([f"is no JSON: {problem}"]) from problem
    if not isinstance(found, dict):
        raise Malformed(["is no JSON object"])
    return found


def _whole(value: object) -> bool:
    return type(value) is int


def _text(value: object) -> bool:
    return isinstance(value, str)


def _time(text: object) -> datetime | None:
    """Read a moment; None if it is none, or not written as described."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _number(text: str | None) -> Decimal | None:
    """Read a decimal number without an exponent; None if it is none."""
    if text is None or not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
