"""``wmbusmeters/<name>``: wireless M-Bus meters of water, heat, gas and electricity.

JSON of the program wmbusmeters: one telegram, units in the names of the fields, UTC times.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from drivers.mqtt.payload import (
    Delivery,
    Malformed,
    Message,
    document,
    moment,
    number,
    reading,
    text,
)
from schemas import quality

# medium -> field -> reading type, unit
_WATER: Final = {"total_m3": ("water_volume", "m³")}
_HOT_WATER: Final = {"total_m3": ("hot_water_volume", "m³")}
_ELECTRICITY: Final = {
    "total_energy_consumption_kwh": ("active_energy_import", "kWh"),
    "total_energy_production_kwh": ("active_energy_export", "kWh"),
    "current_power_consumption_kw": ("active_power_import", "kW"),
    "current_power_production_kw": ("active_power_export", "kW"),
}
_GAS: Final = {"total_m3": ("gas_volume", "m³")}
# Meters of before the field names' unification say total_kwh.
_HEAT: Final = {
    "total_energy_consumption_kwh": ("heat_energy", "kWh"),
    "total_kwh": ("heat_energy", "kWh"),
}
_MEDIA: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "water": _WATER,
    "cold water": _WATER,
    "warm water": _HOT_WATER,
    "hot water": _HOT_WATER,
    "electricity": _ELECTRICITY,
    "gas": _GAS,
    "heat": _HEAT,
    "heat/cooling load": _HEAT,
}


def decode(message: Message) -> Delivery:
    """Decode one telegram.

    Raises
    ------
    Malformed
        if the payload breaks the convention or names another meter than the topic.
    """
    identity = message.topic.split("/")[1]
    fields = document(message.payload)
    serial, name = text(fields, "id"), fields.get("name")
    if identity not in (name, serial):
        raise Malformed(f"meter {str(name)[:40]!r}, id {serial[:40]!r} under this topic")
    medium = text(fields, "media")
    if medium not in _MEDIA:
        raise Malformed(f"no reading type for medium {medium[:40]!r}")
    read_at = moment(text(fields, "timestamp"), UTC, message.received_at)
    code = _quality(fields)
    readings = tuple(
        reading(kind, unit, number(fields, field), read_at, code)
        for field, (kind, unit) in _MEDIA[medium].items()
        if field in fields
    )
    if not readings:
        raise Malformed(f"none of {', '.join(_MEDIA[medium])}")
    return Delivery(identity, serial, readings)


def _quality(fields: Mapping[str, Any]) -> int:
    """Give the quality that the meter's own status means: what is not OK is doubtful."""
    return quality.VALID if fields.get("status", "OK") in ("OK", "") else quality.METER_DOUBTS
