"""One topic per quantity, ``smartmeter/<meter id>/<TYPE>``, as Swiss HAN gateways publish them.

``{"value": 886977.0, "timestamp": 1625583498, "obis": "1.8.0"}``; energy in Wh and varh, power in W
and var. Convention of smartmeter-datacollector 2.0 (its unit names for reactive quantities are VA
and VAh; the quantities are reactive).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from drivers.mqtt.payload import Delivery, Malformed, Message, document, epoch, number, reading
from schemas import reading_type

# TYPE in the topic -> reading type, unit
_QUANTITIES: Final[dict[str, tuple[str, str]]] = {
    "ACTIVE_ENERGY_P": ("active_energy_import", "Wh"),
    "ACTIVE_ENERGY_N": ("active_energy_export", "Wh"),
    "ACTIVE_ENERGY_P_T1": ("active_energy_import_t1", "Wh"),
    "ACTIVE_ENERGY_P_T2": ("active_energy_import_t2", "Wh"),
    "REACTIVE_ENERGY_P": ("reactive_energy_import", "varh"),
    "REACTIVE_ENERGY_N": ("reactive_energy_export", "varh"),
    "ACTIVE_POWER_P": ("active_power_import", "W"),
    "ACTIVE_POWER_N": ("active_power_export", "W"),
    "REACTIVE_POWER_P": ("reactive_power_import", "var"),
    "REACTIVE_POWER_N": ("reactive_power_export", "var"),
    "VOLTAGE_L1": ("voltage_l1", "V"),
    "VOLTAGE_L2": ("voltage_l2", "V"),
    "VOLTAGE_L3": ("voltage_l3", "V"),
    "CURRENT_L1": ("current_l1", "A"),
    "CURRENT_L2": ("current_l2", "A"),
    "CURRENT_L3": ("current_l3", "A"),
    "POWER_FACTOR": ("power_factor", "1"),
    "NET_FREQUENCY": ("frequency", "Hz"),
}

# Quantities of the convention that have no reading type here.
_PASSED_OVER: Final = frozenset(
    {f"ANGLE_UI_L{phase}" for phase in (1, 2, 3)}
    | {
        f"{kind}_POWER_{sign}_L{phase}"
        for kind in ("ACTIVE", "REACTIVE")
        for sign in "PN"
        for phase in (1, 2, 3)
    }
    | {f"REACTIVE_ENERGY_Q{quadrant}" for quadrant in (1, 2, 3, 4)}
)


def decode(message: Message) -> Delivery:
    """Decode one quantity.

    Raises
    ------
    Malformed
        if the payload breaks the convention, or its OBIS code is not the topic's quantity.
    """
    _, identity, quantity_name = message.topic.split("/")
    if quantity_name in _PASSED_OVER:
        return Delivery(identity, "", ())
    if quantity_name not in _QUANTITIES:
        raise Malformed(f"unknown quantity {quantity_name!r}")
    kind, unit = _QUANTITIES[quantity_name]
    fields = document(message.payload)
    _check_obis(kind, fields.get("obis"))
    read_at = epoch(number(fields, "timestamp"))
    return Delivery(identity, "", (reading(kind, unit, number(fields, "value"), read_at),))


def _check_obis(kind: str, written: str | Decimal | None) -> None:
    """Compare the payload's OBIS code (C.D.E) with the topic's; old gateways send none."""
    obis = reading_type.named(kind).obis
    expected = f"{obis.c}.{obis.d}.{obis.e}"
    if written not in (None, expected):
        raise Malformed(f"obis {str(written)[:20]!r} under a topic for {expected}")
