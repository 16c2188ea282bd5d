"""Transformer ratios that a meter is set to: a numerator and, where it has one, a denominator.

References
----------
DLMS UA Blue Book, OBIS of general entries (electricity): 1.0.0.4.2.255 and 1.0.0.4.3.255 are the
numerators of current and voltage transformers, 1.0.0.4.5.255 and 1.0.0.4.6.255 the denominators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from drivers import quantity
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from schemas import quality, reading_type
from schemas.obis import Obis

_DATA: Final = 1


def _value(name: str) -> Attribute:
    return Attribute(_DATA, Obis.parse(name), 2)


OBJECTS: Final[Mapping[str, tuple[Attribute, Attribute]]] = {
    "current_transformer_ratio": (_value("1.0.0.4.2.255"), _value("1.0.0.4.5.255")),
    "voltage_transformer_ratio": (_value("1.0.0.4.3.255"), _value("1.0.0.4.6.255")),
}
"""Numerator and denominator, by reading type."""


def attributes(reading_types: Sequence[str]) -> list[Attribute]:
    """List what is to be read for those of some reading types that are ratios."""
    return [one for name in reading_types for one in OBJECTS.get(name, ())]


def scaled(name: str, values: Mapping[Attribute, axdr.Value]) -> tuple[int, int] | None:
    """Give a ratio in its reading type's scaled unit and its quality; None if the meter has none.

    Without a denominator, or with 0 for one, the numerator alone is the ratio: 40 stands for 200/5.

    Parameters
    ----------
    values : what the meter has of ``attributes``
    """
    above, below = OBJECTS[name]
    if above not in values:
        return None
    numerator, denominator = values[above], values.get(below, 1)
    if not _is_number(numerator) or not _is_number(denominator) or numerator <= 0:
        return 0, quality.METER_DOUBTS
    kind = reading_type.named(name)
    try:
        ratio = Decimal(numerator) / Decimal(denominator if denominator > 0 else 1)
        return quantity.rounded(ratio, quantity.factor("1", kind)), quality.VALID
    except (quantity.OutOfRange, ArithmeticError):
        return 0, quality.OVERFLOW


def _is_number(value: axdr.Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
