"""Amounts in the units that meters and files use, turned exactly into scaled integers."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import reduce
from typing import Final

from schemas.reading_type import ReadingType

# unit -> what is measured, and how much of its base unit one of it is
_UNITS: Final[dict[str, tuple[str, Decimal]]] = {
    "Wh": ("active energy", Decimal(1)),
    "kWh": ("active energy", Decimal(1000)),
    "MWh": ("active energy", Decimal(1_000_000)),
    "GWh": ("active energy", Decimal(1_000_000_000)),
    "varh": ("reactive energy", Decimal(1)),
    "kvarh": ("reactive energy", Decimal(1000)),
    "Mvarh": ("reactive energy", Decimal(1_000_000)),
    "W": ("active power", Decimal(1)),
    "kW": ("active power", Decimal(1000)),
    "MW": ("active power", Decimal(1_000_000)),
    "var": ("reactive power", Decimal(1)),
    "kvar": ("reactive power", Decimal(1000)),
    "V": ("voltage", Decimal(1)),
    "0.1 V": ("voltage", Decimal("0.1")),
    "mV": ("voltage", Decimal("0.001")),
    "A": ("current", Decimal(1)),
    "mA": ("current", Decimal("0.001")),
    "Hz": ("frequency", Decimal(1)),
    "mHz": ("frequency", Decimal("0.001")),
    "1": ("ratio", Decimal(1)),
    "0.001": ("ratio", Decimal("0.001")),
    "L": ("volume", Decimal(1)),
    "m³": ("volume", Decimal(1000)),
    "m3": ("volume", Decimal(1000)),
    # Weights and Measures Act 1985: one imperial gallon is 4.546 09 L exactly.
    "gal (imp)": ("volume", Decimal("4.54609")),
}

# A float64 has at most 767 significant digits; nothing here is ever rounded but on purpose.
_EXACT: Final = Context(prec=1200, rounding=ROUND_HALF_EVEN)
_LARGEST: Final = 2**63 - 1
_LARGEST_EXPONENT: Final = 40


class UnknownUnit(ValueError):
    """The unit is not known, or does not measure what the reading type means."""


class OutOfRange(ValueError):
    """The amount is not a finite number that the store can hold."""


def factor(unit: str, reading_type: ReadingType) -> Decimal:
    """Give how many of the reading type's scaled units one ``unit`` is.

    Raises
    ------
    UnknownUnit
        if the unit is unknown or measures something else.
    """
    quantity, wanted = _UNITS[reading_type.unit]
    measured, size = _UNITS.get(unit, ("", Decimal(0)))
    if measured != quantity:
        raise UnknownUnit(f"unit {unit!r} is no unit of {quantity} ({reading_type.name})")
    return _EXACT.divide(size, wanted)


def exact(value: Decimal, scale: Decimal) -> Decimal:
    """Multiply without any rounding.

    Raises
    ------
    OutOfRange
        if the value is not finite or absurdly large or small.
    """
    if not value.is_finite() or not -400 <= value.adjusted() <= _LARGEST_EXPONENT:
        raise OutOfRange(f"{str(value)[:40]} is not an amount")
    return _EXACT.multiply(value, scale)


def total(products: Iterable[Decimal]) -> Decimal:
    """Add without any rounding."""
    return reduce(_EXACT.add, products, Decimal(0))


def nearest(product: Decimal) -> int:
    """Round to the nearest integer, half to even.

    Raises
    ------
    OutOfRange
        if it does not fit 64 bits.
    """
    whole = int(_EXACT.to_integral_value(product))
    if abs(whole) > _LARGEST:
        raise OutOfRange(f"{product:.6E} is too large to store")
    return whole


def rounded(value: Decimal, scale: Decimal) -> int:
    """Multiply exactly and round the product once, half to even, to an integer.

    Parameters
    ----------
    value : as the meter gave it [its unit]
    scale : scaled units in one of the meter's, from ``factor``

    Raises
    ------
    OutOfRange
        if the result is not finite or does not fit 64 bits.
    """
    return nearest(exact(value, scale))
