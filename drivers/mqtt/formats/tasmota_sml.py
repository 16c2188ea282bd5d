"""``tele/<device>/SENSOR``: Tasmota devices that read a meter's optical port (SML).

``{"Time": "2026-06-01T12:00:00", "SML": {"Total_in": kWh, "Total_out": kWh, "Power_curr": W,
"Meter_Id": hex}}``. The time is the device's local one and carries no zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from drivers.mqtt.payload import (
    Delivery,
    Malformed,
    Message,
    document,
    group,
    is_sure,
    moment,
    number,
    reading,
    text,
)
from drivers.mqtt.setting import Setting
from schemas import quality
from schemas.reading import RegisterReading

_ENERGY: Final = {"Total_in": "active_energy_import", "Total_out": "active_energy_export"}


def decode(message: Message, setting: Setting) -> Delivery:
    """Decode one telemetry message; the time is one in the setting's zone.

    In the hour that comes twice a message that is late may mean either: its readings say that the
    time is doubtful.

    Raises
    ------
    Malformed
        if the payload breaks the convention.
    """
    fields = document(message.payload)
    meter = group(fields, "SML")
    written = text(fields, "Time")
    read_at = moment(written, setting.zone, message.received_at)
    sure = is_sure(written, setting.zone, message.received_at)
    readings = tuple(_readings(meter, read_at, quality.VALID if sure else quality.CLOCK_INVALID))
    if not readings:
        raise Malformed(f"none of {', '.join(_ENERGY)}, Power_curr in the group 'SML'")
    return Delivery(message.topic.split("/")[1], _serial(meter), readings)


def _readings(meter: Mapping[str, Any], read_at: datetime, code: int) -> Iterator[RegisterReading]:
    for field, kind in _ENERGY.items():
        if field in meter:
            yield reading(kind, "kWh", number(meter, field), read_at, code)
    if "Power_curr" in meter:
        power, none = number(meter, "Power_curr"), Decimal(0)
        yield reading("active_power_import", "W", max(power, none), read_at, code)
        yield reading("active_power_export", "W", max(power.copy_negate(), none), read_at, code)


def _serial(meter: Mapping[str, Any]) -> str:
    """Give the meter's number, by which a device moved to another meter is noticed."""
    if "Meter_Id" not in meter:
        return ""
    written = text(meter, "Meter_Id").lower()
    if not set(written) <= set("0123456789abcdef"):
        raise Malformed(f"Meter_Id {written[:40]!r} is not hexadecimal")
    return written
