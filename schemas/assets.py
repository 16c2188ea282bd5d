"""Usage points, end devices, installations and channels (IEC 61968-9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from schemas.reading_type import Commodity

Protocol = Literal["dlms", "modbus", "mqtt", "manual"]


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """The place where energy or water is delivered and billed."""

    id: int
    mrid: str
    commodity: Commodity
    sector: str
    time_zone: str
    tariff: str
    billing_group: str


@dataclass(frozen=True, slots=True)
class EndDevice:
    """A meter, whether installed or not."""

    id: int
    mrid: str
    manufacturer: str
    model: str
    protocol: Protocol
    profile: str
    interval_seconds: int
    register_modulus: int | None
    segment: str | None


@dataclass(frozen=True, slots=True)
class Installation:
    """An end device at a usage point for a time; the multiplier is CT × VT ratio."""

    id: int
    usage_point_id: int
    end_device_id: int
    starts_at: datetime
    ends_at: datetime | None
    multiplier: Decimal


@dataclass(frozen=True, slots=True)
class Channel:
    """A usage point's series of one reading type; ``interval_seconds`` 0 means a register."""

    id: int
    usage_point_id: int
    reading_type: str
    interval_seconds: int
