"""Units of figures as IEC 61968-9 and ESPI name them: a base unit and a power of ten of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

# Our unit -> UnitSymbolKind and the power of ten.
_UNITS: Final = {
    "Wh": (72, 0), "kWh": (72, 3), "MWh": (72, 6),
    "varh": (73, 0), "kvarh": (73, 3), "Mvarh": (73, 6),
    "VAh": (71, 0), "kVAh": (71, 3),
    "W": (38, 0), "kW": (38, 3), "MW": (38, 6),
    "var": (63, 0), "kvar": (63, 3),
    "VA": (61, 0), "kVA": (61, 3), "MVA": (61, 6),
    "V": (29, 0), "A": (5, 0), "Hz": (33, 0),
    "L": (134, 0), "m³": (42, 0), "L/h": (137, 0), "m³/h": (125, 0),
    "imperial gallon": (130, 0), "1000 imperial gallons": (130, 3),
    "imperial gallon/h": (131, 0), "1000 imperial gallons/h": (131, 3),
    "1": (0, 0),
}  # fmt: skip
# Of UnitMultiplierKind those that everyone reads, highest first.
_POWERS: Final = (3, 0, -3, -6, -9, -12)
_INT48: Final = 2**47


class Measurement(NamedTuple):
    """A figure as a whole number: ``value`` × 10 ** ``power`` of the unit."""

    value: int
    power: int
    unit: int


def measured(value: Decimal, unit: str) -> Measurement | None:
    """Write a figure exactly as a whole number; None where the standard cannot say it."""
    if unit not in _UNITS:
        return None
    symbol, exponent = _UNITS[unit]
    places = -int(value.as_tuple().exponent)
    lowest = exponent - places
    power = next((power for power in _POWERS if power <= lowest), None)
    if power is None:
        return None
    whole = int(value.scaleb(exponent - power))
    return Measurement(whole, power, symbol) if abs(whole) < _INT48 else None
