"""Where end devices are and were installed, for people who look at a meter or at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from schemas import statements
from schemas.assets import Protocol
from schemas.database import Connection
from schemas.reading_type import Commodity

_SQL = statements.load("mdm", "places.sql")


@dataclass(frozen=True, slots=True)
class Place:
    """An end device at a usage point from ``starts_at`` on; ``ends_at`` is None while it is."""

    end_device: str
    manufacturer: str
    model: str
    protocol: Protocol
    profile: str
    interval_seconds: int
    segment: str | None
    usage_point_id: int
    usage_point: str
    commodity: Commodity
    sector: str
    time_zone: str
    tariff: str
    billing_group: str
    multiplier: Decimal
    starts_at: datetime
    ends_at: datetime | None


def of(connection: Connection, end_device_ids: Sequence[int], *, now: datetime) -> dict[int, Place]:
    """Tell where some end devices are installed now, by number."""
    key = {"ids": list(end_device_ids), "now": now}
    return {row[0]: Place(*row[1:]) for row in connection.execute(_SQL["of"], key)}


def newest(connection: Connection, usage_point: str) -> str | None:
    """Name the end device that came last to a usage point; None if none ever did."""
    row = connection.execute(_SQL["newest"], {"mrid": usage_point}).fetchone()
    return str(row[0]) if row else None


def history(connection: Connection, end_device: str) -> list[Place]:
    """List where one end device is and was installed, newest first."""
    return [Place(*row) for row in connection.execute(_SQL["history"], {"mrid": end_device})]
