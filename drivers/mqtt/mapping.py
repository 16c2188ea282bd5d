"""Which fields of a payload are which readings: one TOML file a kind of meter.

Decoders of radio networks and gateways name fields as they like, so that is data: the files of
``mappings/``, and of a folder of one's own. What stands in them is described in docs/formats.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from drivers import quantity
from drivers.mqtt.payload import Malformed, epoch, moment, reading
from schemas import quality, reading_type
from schemas.reading import RegisterReading

_AHEAD: Final = timedelta(minutes=5)
_BEHIND: Final = timedelta(days=400)
_LARGEST_EXPONENT: Final = 20
_MOST_READINGS: Final = 200
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_AMOUNT: Final = re.compile(
    r"\s*([+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]{0,8}[3³]?(?: \(imp\))?)\s*"
)
_UNITS: Final = {"m3": "m³", "l": "L", "liter": "L", "litre": "L", "VAr": "var", "VArh": "varh"}

Path_ = tuple[str, ...]


class BadMapping(ValueError):
    """A file of mappings is wrong or missing; the message says which, and what."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One reading: the fields that are added up to it, and what it is.

    Attributes
    ----------
    fields : each a path into nested objects; all must be there, and are added up
    type : name in ``reading_types.csv``
    unit : of values that do not carry their own
    negative : reading type of what is below zero, as a positive amount; None leaves the sign
    """

    fields: tuple[Path_, ...]
    type: str
    unit: str
    negative: str | None = None


@dataclass(frozen=True, slots=True)
class FieldMap:
    """What a kind of meter's payload means.

    Attributes
    ----------
    name : of its file
    entries : its readings
    time : field of the meter's own time: seconds since 1970 or ISO 8601; None without one
    milliseconds : whether that counts milliseconds
    ports : LoRaWAN ports with readings; other ports' uplinks have none. Empty: any port
    """

    name: str
    entries: tuple[Entry, ...]
    time: Path_ | None = None
    milliseconds: bool = False
    ports: frozenset[int] = field(default_factory=frozenset)

    def readings(
        self, fields: Mapping[str, Any], received_at: datetime
    ) -> tuple[RegisterReading, ...]:
        """Take the readings out of a payload's fields; what is not there is left out.

        The meter's own time counts. One that is more than five minutes ahead of the reception, or
        400 days behind it, is no time: the reception's stands for it, and the quality says so.

        Raises
        ------
        Malformed
            if a field holds no amount, or none of the fields is there.
        """
        read_at, code = self._moment(fields, received_at)
        found = tuple(
            one for entry in self.entries for one in _readings(entry, fields, read_at, code)
        )
        if not found:
            wanted = ", ".join(".".join(path) for entry in self.entries for path in entry.fields)
            raise Malformed(f"none of the fields of mapping {self.name}: {wanted[:300]}")
        return found

    def _moment(self, fields: Mapping[str, Any], received_at: datetime) -> tuple[datetime, int]:
        if self.time is None:
            return received_at, quality.VALID
        written = _field(fields, self.time)
        if isinstance(written, Decimal):
            told = epoch(_scaled(written, -3 if self.milliseconds else 0))
        elif isinstance(written, str):
            told = moment(written, UTC, received_at)
        else:
            raise Malformed(f"no time {'.'.join(self.time)!r}")
        if received_at - _BEHIND <= told <= received_at + _AHEAD:
            return told, quality.VALID
        return received_at, quality.CLOCK_INVALID


def named(name: str, folder: Path | None = None) -> FieldMap:
    """Find a mapping by its name: in a folder of one's own, or among those that come along.

    Raises
    ------
    BadMapping
    """
    if not _NAME.fullmatch(name):
        raise BadMapping(f"{name[:64]!r} is no name of a mapping: small letters, digits, hyphens")
    if folder is not None and (file := folder / f"{name}.toml").is_file():
        return _read(name, file.read_text("utf-8"))
    if name not in names():
        raise BadMapping(f"no mapping {name!r}; there are {', '.join(names())}")
    return _built_in(name)


@cache
def names() -> tuple[str, ...]:
    """List the mappings that come along."""
    folder = resources.files("drivers.mqtt").joinpath("mappings")
    return tuple(
        sorted(
            entry.name.removesuffix(".toml")
            for entry in folder.iterdir()
            if entry.name.endswith(".toml")
        )
    )


def amount(value: object, unit: str) -> tuple[Decimal, str] | None:
    """Read an amount and its unit: a number, ``"3.384 V"``, or ``{"value": 3, "unit": "V"}``.

    Parameters
    ----------
    unit : where the value carries none

    Returns
    -------
    None where the value is null or empty

    Raises
    ------
    Malformed
    """
    if isinstance(value, Mapping):
        own = value.get("unit")
        return amount(value.get("value"), own if isinstance(own, str) and own else unit)
    if value is None or value == "":
        return None
    if isinstance(value, Decimal):
        return value, unit
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Malformed(f"{str(value)[:40]!r} is no amount")
    try:
        return Decimal(found[1]), found[2] or unit
    except InvalidOperation as error:
        raise Malformed(f"{value!r} is no amount") from error


@cache
def _built_in(name: str) -> FieldMap:
    text = resources.files("drivers.mqtt").joinpath(f"mappings/{name}.toml").read_text("utf-8")
    return _read(name, text)


def _read(name: str, text: str) -> FieldMap:
    try:
        return _field_map(name, tomllib.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        said = error.args[0] if error.args else error
        raise BadMapping(f"mapping {name}: {said}") from error


def _field_map(name: str, table: Mapping[str, Any]) -> FieldMap:
    unknown = table.keys() - {"description", "ports", "time", "time_unit", "reading"}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    rows = table.get("reading")
    if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_READINGS:
        raise ValueError(f"needs 1 to {_MOST_READINGS} [[reading]] tables")
    time_unit = table.get("time_unit", "s")
    if time_unit not in ("s", "ms"):
        raise ValueError("time_unit must be s or ms")
    return FieldMap(
        name,
        tuple(_entry(row) for row in rows),
        _path(table["time"]) if "time" in table else None,
        time_unit == "ms",
        frozenset(int(port) for port in table.get("ports", ())),
    )


def _entry(row: Mapping[str, Any]) -> Entry:
    unknown = row.keys() - {"field", "sum", "type", "unit", "negative"}
    if unknown or ("field" in row) == ("sum" in row):
        raise ValueError(f"a [[reading]] has field or sum, type, unit, negative; not {row}")
    paths = tuple(_path(one) for one in row["sum"]) if "sum" in row else (_path(row["field"]),)
    entry = Entry(paths, str(row["type"]), str(row["unit"]), row.get("negative"))
    for kind in filter(None, (entry.type, entry.negative)):
        quantity.factor(entry.unit, reading_type.named(kind))
    return entry


def _path(written: str | Sequence[str]) -> Path_:
    """Read a path: parts with dots between, or a list of parts where a name has dots itself."""
    parts = tuple(written.split(".") if isinstance(written, str) else map(str, written))
    if not parts or not all(parts) or len(parts) > 16:
        raise ValueError(f"{written!r} is no path of a field")
    return parts


def _readings(
    entry: Entry, fields: Mapping[str, Any], read_at: datetime, code: int
) -> Iterator[RegisterReading]:
    found = [amount(_field(fields, path), entry.unit) for path in entry.fields]
    amounts = [one for one in found if one is not None]
    if len(amounts) < len(found):
        return
    units = {unit for _, unit in amounts}
    if len(units) > 1:
        raise Malformed(f"{entry.type}: the parts of a sum have units {sorted(units)}")
    unit = units.pop()
    unit = _UNITS.get(unit, unit)
    try:
        value = quantity.total(quantity.exact(one, Decimal(1)) for one, _ in amounts)
        if entry.negative is None:
            yield reading(entry.type, unit, value, read_at, code)
            return
        none = Decimal(0)
        yield reading(entry.type, unit, max(value, none), read_at, code)
        yield reading(entry.negative, unit, max(-value, none), read_at, code)
    except (quantity.UnknownUnit, quantity.OutOfRange) as error:
        raise Malformed(str(error)) from error


def _scaled(seconds: Decimal, exponent: int) -> Decimal:
    if not seconds.is_finite() or seconds.adjusted() > _LARGEST_EXPONENT:
        raise Malformed(f"time {str(seconds)[:40]} is none")
    return seconds.scaleb(exponent)


def _field(fields: Mapping[str, Any], path: Path_) -> object:
    inner: object = fields
    for part in path:
        if not isinstance(inner, Mapping):
            return None
        inner = inner.get(part)
    return inner
