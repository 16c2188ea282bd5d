"""A batch of registry rows: decided in memory one after another, written together."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from mdm.registry_row import RegistryRow, Rejected
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "registry.sql")

Fate = Literal["added", "changed", "unchanged"]
Counts = Counter[tuple[Fate, str]]
_Values = tuple[Any, ...]

_POINT: Final = attrgetter("commodity", "sector", "time_zone", "tariff", "billing_group")
_DEVICE: Final = attrgetter(
    "manufacturer", "model", "protocol", "profile", "interval_seconds", "register_modulus",
    "segment", "host", "port", "address", "security",
)  # fmt: skip
_SEGMENT: Final = 6
_ADDRESS: Final = 9
_POINT_TYPES: Final = ("int4", *("text",) * 6)
_DEVICE_TYPES: Final = (
    "int4", *("text",) * 5, "int4", "int8", "int4", "text", "int4", "jsonb", "text",
)  # fmt: skip
_INSTALLATION_TYPES: Final = ("int4", "int4", "timestamptz", "timestamptz", "numeric")


@dataclass(slots=True)
class _Installed:
    """An installation as the rows so far leave it; ``id`` is None for one of this batch.

    A usage point or end device that no row names has the empty name.
    """

    id: int | None
    usage_point: str
    end_device: str
    starts_at: datetime
    ends_at: datetime | None
    multiplier: Decimal
    changed: bool = False


@dataclass(slots=True)
class _Table:
    """Usage points or end devices: what the database has, and what rows make of it."""

    ids: dict[str, int]
    stored: Mapping[str, _Values]
    wanted: dict[str, _Values] = field(default_factory=dict)

    def values(self, mrid: str) -> _Values | None:
        """Give what the rows so far leave, None where there is nothing."""
        return self.wanted.get(mrid) or self.stored.get(mrid)

    def put(self, mrid: str, values: _Values) -> Fate:
        """Take a row's values, and tell what that does."""
        before = self.values(mrid)
        if before == values:
            return "unchanged"
        self.wanted[mrid] = values
        return "added" if before is None else "changed"

    def new(self) -> dict[str, _Values]:
        """List what the database does not have."""
        return {name: values for name, values in self.wanted.items() if name not in self.stored}

    def changed(self) -> dict[int, _Values]:
        """List, by id, what the database has otherwise."""
        return {
            self.ids[name]: values
            for name, values in self.wanted.items()
            if name in self.stored and self.stored[name] != values
        }


@dataclass(slots=True)
class _Batch:
    """What the database has of what rows name, and what these make of it."""

    points: _Table
    devices: _Table
    at_point: dict[str, list[_Installed]]
    at_device: dict[str, list[_Installed]]
    segments: set[str] = field(default_factory=set)
    counts: Counts = field(default_factory=Counter)

    def decide(self, row: RegistryRow) -> Rejected | None:
        """Take a row whole or not at all."""
        known = self.points.values(row.usage_point)
        if known and known[0] != row.commodity:
            reason = f"usage point {row.usage_point} is already one of {known[0]}; it cannot change"
            return Rejected(row.line, "commodity", row.commodity, reason)
        found = next(
            (
                one
                for one in self.at_point[row.usage_point]
                if one.end_device == row.end_device and one.starts_at == row.installed_from
            ),
            None,
        )
        same = found and (found.ends_at, found.multiplier) == (row.installed_until, row.multiplier)
        why = None if same else self._taken(row, found)
        if why:
            return Rejected(row.line, "installed_from", row.installed_from.isoformat(), why)
        if row.segment:
            self.segments.add(row.segment)
        self.counts[self.points.put(row.usage_point, _POINT(row)), "usage_point"] += 1
        self.counts[self.devices.put(row.end_device, _DEVICE(row)), "end_device"] += 1
        self.counts["unchanged" if same else self._install(row, found), "installation"] += 1
        return None

    def _taken(self, row: RegistryRow, itself: _Installed | None) -> str | None:
        """Say what else is installed at the row's time, at its usage point or of its end device."""
        for others, taken in (
            (self.at_point[row.usage_point], "the usage point already has a meter"),
            (self.at_device[row.end_device], "the meter is already installed"),
        ):
            if any(_overlap(row, one) for one in others if one is not itself):
                return f"{taken} at that time; end the other installation first (installed_until)"
        return None

    def _install(self, row: RegistryRow, found: _Installed | None) -> Fate:
        if found:
            found.ends_at, found.multiplier = row.installed_until, row.multiplier
            found.changed = True
            return "changed"
        self.add(
            _Installed(
                None, row.usage_point, row.end_device, row.installed_from, row.installed_until,
                row.multiplier,
            )
        )  # fmt: skip
        return "added"

    def add(self, one: _Installed) -> None:
        """Know an installation."""
        self.at_point[one.usage_point].append(one)
        self.at_device[one.end_device].append(one)


def take(connection: Connection, rows: Sequence[RegistryRow]) -> tuple[Counts, list[Rejected]]:
    """Store rows, each whole or not at all, as if they came one after another.

    Raises
    ------
    psycopg.DataError, psycopg.IntegrityError
        if the database refuses what was written, for reasons that are not the registry's own.
    """
    batch = _known(connection, rows)
    bad = [problem for row in rows if (problem := batch.decide(row))]
    _write_points(connection, batch.points)
    _write_devices(connection, batch.devices, _segments(connection, batch.segments))
    _write_installations(connection, batch)
    return batch.counts, bad


def _overlap(row: RegistryRow, one: _Installed) -> bool:
    """Tell whether two stretches of time have a moment in common; both are half-open."""
    begins = one.ends_at is None or row.installed_from < one.ends_at
    return begins and (row.installed_until is None or one.starts_at < row.installed_until)


def _known(connection: Connection, rows: Sequence[RegistryRow]) -> _Batch:
    points = _table(connection, "usage_points", {row.usage_point for row in rows})
    devices = _table(connection, "end_devices", {row.end_device for row in rows})
    batch = _Batch(points, devices, defaultdict(list), defaultdict(list))
    if not points.ids and not devices.ids:
        return batch
    named = {"usage_points": list(points.ids.values()), "end_devices": list(devices.ids.values())}
    point_names = {number: name for name, number in points.ids.items()}
    device_names = {number: name for name, number in devices.ids.items()}
    for number, point, device, *rest in _ask(connection, "installations", named):
        batch.add(
            _Installed(number, point_names.get(point, ""), device_names.get(device, ""), *rest)
        )
    return batch


def _table(connection: Connection, statement: str, mrids: Iterable[str]) -> _Table:
    found = _ask(connection, statement, {"mrids": list(mrids)})
    return _Table({row[0]: row[1] for row in found}, {row[0]: row[2:] for row in found})


def _ask(connection: Connection, statement: str, values: Mapping[str, object]) -> list[_Values]:
    # A plan that is kept was made for tables as small as they were when the import began.
    return connection.execute(_SQL[statement], values, prepare=False).fetchall()


def _write_points(connection: Connection, table: _Table) -> None:
    new, changed = table.new(), table.changed()
    _number(connection, "usage_point", table, new)
    _copy(
        connection, "copy_usage_points", _POINT_TYPES,
        ((table.ids[name], name, *values) for name, values in new.items()),
    )  # fmt: skip
    if changed:
        columns = [list(column) for column in zip(*changed.values(), strict=True)]
        names = ("commodities", "sectors", "time_zones", "tariffs", "billing_groups")
        by_name = dict(zip(names, columns, strict=True))
        _change(connection, "change_usage_points", by_name | {"ids": list(changed)})


def _write_devices(connection: Connection, table: _Table, segments: Mapping[str, int]) -> None:
    new, changed = table.new(), table.changed()
    _number(connection, "end_device", table, new)
    _copy(
        connection, "copy_end_devices", _DEVICE_TYPES,
        ((table.ids[name], name, *_written(values, segments, Jsonb))
         for name, values in new.items()),
    )  # fmt: skip
    if changed:
        written = [_written(values, segments, json.dumps) for values in changed.values()]
        columns = [list(column) for column in zip(*written, strict=True)]
        names = (
            "manufacturers", "models", "protocols", "profiles", "interval_seconds",
            "register_moduli", "segments", "hosts", "ports", "addresses", "securities",
        )  # fmt: skip
        by_name = dict(zip(names, columns, strict=True))
        _change(connection, "change_end_devices", by_name | {"ids": list(changed)})


def _written(values: _Values, segments: Mapping[str, int], address: Any) -> _Values:
    """Give an end device's values as the database has them."""
    segment = segments[values[_SEGMENT]] if values[_SEGMENT] else None
    written = address(values[_ADDRESS])
    return (*values[:_SEGMENT], segment, *values[_SEGMENT + 1 : _ADDRESS], written,
            *values[_ADDRESS + 1 :])  # fmt: skip


def _segments(connection: Connection, wanted: Iterable[str]) -> dict[str, int]:
    """Make segments that are not there yet; give the ids of all."""
    codes = {"codes": sorted(wanted)}
    if not codes["codes"]:
        return {}
    connection.execute(_SQL["add_segments"], codes, prepare=False)
    return dict(_ask(connection, "segments", codes))


def _write_installations(connection: Connection, batch: _Batch) -> None:
    """Write changes first: an exchange ends one installation where the next begins."""
    every = [one for members in batch.at_point.values() for one in members]
    changed = [one for one in every if one.changed and one.id is not None]
    if changed:
        columns: dict[str, list[Any]] = {
            "ids": [one.id for one in changed],
            "ends_at": [one.ends_at for one in changed],
            "multipliers": [one.multiplier for one in changed],
        }
        _change(connection, "change_installations", columns)
    points, devices = batch.points.ids, batch.devices.ids
    _copy(
        connection, "copy_installations", _INSTALLATION_TYPES,
        ((points[one.usage_point], devices[one.end_device], one.starts_at, one.ends_at,
          one.multiplier) for one in every if one.id is None),
    )  # fmt: skip


def _number(connection: Connection, name: str, table: _Table, new: Mapping[str, _Values]) -> None:
    """Give new usage points or end devices their ids."""
    if new:
        found = _ask(connection, "new_ids", {"table": name, "count": len(new)})
        table.ids.update(zip(new, (row[0] for row in found), strict=True))


def _copy(
    connection: Connection, statement: str, types: Sequence[str], rows: Iterable[_Values]
) -> None:
    pending = list(rows)
    if pending:
        with connection.cursor() as cursor, cursor.copy(_SQL[statement]) as copy:
            copy.set_types(types)
            for row in pending:
                copy.write_row(row)


def _change(connection: Connection, statement: str, columns: Mapping[str, list[Any]]) -> None:
    connection.execute(_SQL[statement], columns, prepare=False)
