"""What tests of billing share: a small town in Kuwait whose June 2026 is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from mdm import cycle, readings, usage_points
from mdm.cycle import Cycle, opened
from mdm.export import formats
from mdm.readings import RegisterTable
from schemas import quality
from schemas.database import Connection
from schemas.period import Period, local_day, local_days, slots
from schemas.reading import BlockTable

KUWAIT = ZoneInfo("Asia/Kuwait")
STARTS_ON, ENDS_ON = date(2026, 6, 1), date(2026, 6, 4)
PERIOD = Period(local_day(STARTS_ON, KUWAIT).start, local_day(ENDS_ON, KUWAIT).start)
RECORDED = datetime(2026, 6, 4, 3, tzinfo=UTC)
NOW = datetime(2026, 6, 5, 6, tzinfo=UTC)
SLOTS = 288


@dataclass(frozen=True)
class Point:
    """A usage point with one meter, and its channels."""

    id: int
    mrid: str
    installation: int
    interval: int
    register: int


def add_point(
    connection: Connection,
    mrid: str,
    *,
    sector: str = "residential",
    tariff: str | None = None,
    multiplier: int = 1,
    modulus: int | None = 10**9,
    zone: str = "Asia/Kuwait",
    group: str = "A",
) -> Point:
    point = _id(
        connection,
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " VALUES (%s, 'electricity', %s, %s, %s, %s) RETURNING id",
        [mrid, sector, zone, tariff or f"kw-{sector}", group],
    )
    installation = add_meter(connection, point, f"M-{mrid}", multiplier, modulus)
    keys = [(point, "active_energy_import_interval", 900), (point, "active_energy_import", 0)]
    channels = usage_points.ensure_channels(connection, keys)
    return Point(point, mrid, installation, channels[keys[0]], channels[keys[1]])


def add_meter(
    connection: Connection,
    point: int,
    mrid: str,
    multiplier: int = 1,
    modulus: int | None = 10**9,
    *,
    starts_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    ends_at: datetime | None = None,
) -> int:
    device = _id(
        connection,
        "INSERT INTO end_device (mrid, manufacturer, model, protocol, profile, interval_seconds,"
        " register_modulus) VALUES (%s, 'ACME', 'X', 'dlms', 'generic', 900, %s) RETURNING id",
        [mrid, modulus],
    )
    return _id(
        connection,
        "INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at, multiplier)"
        " VALUES (%s, %s, %s, %s, %s) RETURNING id",
        [point, device, starts_at, ends_at, multiplier],
    )


def _id(connection: Connection, statement: str, values: Sequence[object]) -> int:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row
    return int(row[0])


def record_intervals(
    connection: Connection,
    channel: int,
    values: Sequence[int],
    codes: Mapping[int, int] | None = None,
    *,
    at: datetime = RECORDED,
    rule_set: str = "standard",
    period: Period = PERIOD,
    zone: ZoneInfo = KUWAIT,
    interval_seconds: int = 900,
) -> None:
    """Record a channel's days; ``codes`` gives the slots that are not valid."""
    flags = np.zeros(len(values), np.int16)
    for slot, code in (codes or {}).items():
        flags[slot] = code
    days = [day for _, day in local_days(period, zone)]
    lengths = [slots(day, interval_seconds) for day in days]
    width = max(lengths)
    table = np.zeros((len(days), width), np.int32)
    kinds = np.full((len(days), width), quality.MISSING, np.int16)
    first = 0
    for row, length in enumerate(lengths):
        table[row, :length] = values[first : first + length]
        kinds[row, :length] = flags[first : first + length]
        first += length
    assert first == len(values)
    k = len(days)
    blocks = BlockTable(
        channel_id=np.full(k, channel, np.int32),
        starts_at=np.array([int(day.start.timestamp()) for day in days], np.int64),
        interval_seconds=np.full(k, interval_seconds, np.int32),
        version=np.zeros(k, np.int32),
        provenance_id=np.zeros(k, np.int64),
        length=np.array(lengths, np.int32),
        values=table,
        quality=kinds,
    )
    provenance = readings.add_provenance(
        connection, "vee", recorded_at=at, rule_set=rule_set, rule_set_digest="d1"
    )
    readings.record(connection, blocks, provenance_id=provenance, recorded_at=at)


def record_register(
    connection: Connection,
    channel: int,
    installation: int,
    values: Mapping[datetime, int],
    *,
    code: int = quality.VALID,
    at: datetime = RECORDED,
) -> None:
    provenance = readings.add_provenance(connection, "vee", recorded_at=at)
    k = len(values)
    table = RegisterTable(
        channel_id=np.full(k, channel, np.int32),
        installation_id=np.full(k, installation, np.int32),
        read_at=np.array([int(moment.timestamp()) for moment in values], np.int64),
        version=np.zeros(k, np.int32),
        value=np.array(list(values.values()), np.int64),
        quality=np.full(k, code, np.int16),
    )
    readings.record_registers(connection, table, provenance_id=provenance, recorded_at=at)


def add_whole(connection: Connection, mrid: str, each: int = 100, **keys: object) -> Point:
    """Add a usage point of which everything is known: 288 quarter hours of ``each`` Wh."""
    point = add_point(connection, mrid, **keys)  # type: ignore[arg-type]
    multiplier = int(keys.get("multiplier", 1))  # type: ignore[call-overload]
    record_intervals(connection, point.interval, [each * multiplier] * SLOTS)
    dials = {PERIOD.start: 5_000, PERIOD.end: 5_000 + each * SLOTS}
    record_register(connection, point.register, point.installation, dials)
    return point


def june(connection: Connection, group: str = "A") -> Cycle:
    """Open the cycle of the first three days of June."""
    return opened(connection, group, STARTS_ON, ENDS_ON, now=NOW)


def later(hours: int) -> datetime:
    return NOW + timedelta(hours=hours)


def ready(connection: Connection, monkeypatch: pytest.MonkeyPatch, points: Sequence[str]) -> Cycle:
    """Make a cycle of usage points that are ready, which CSV and JSON send in files of two."""
    for name in ("csv", "json"):
        small = replace(formats.FORMATS[name], usage_points=2)
        monkeypatch.setitem(formats.FORMATS, name, small)
    for number, mrid in enumerate(points):
        add_whole(connection, mrid, 100 + number)
    found = june(connection)
    cycle.run(connection, found, now=NOW)
    return found
