"""Exact fractions to decimals, by a stated rule: no float ever stands between.

Values are integers in a scaled unit (Wh, litre); a unit is the exact fraction by which they are
multiplied. Rounding happens once, here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, get_args

Mode = Literal["half_up", "half_even", "down"]
MODES: Final = get_args(Mode)

# 1 imperial gallon = 4.54609 L, exactly (UK Weights and Measures Act 1985, schedule 1).
UNITS: Final[dict[str, dict[str, Fraction]]] = {
    "Wh": {"Wh": Fraction(1), "kWh": Fraction(1, 1000), "MWh": Fraction(1, 10**6)},
    "varh": {"varh": Fraction(1), "kvarh": Fraction(1, 1000)},
    "L": {
        "L": Fraction(1),
        "m³": Fraction(1, 1000),
        "imperial gallon": Fraction(100_000, 454_609),
        "1000 imperial gallons": Fraction(100, 454_609),
    },
}
"""Units that a quantity may be billed in, by the unit in which it is stored."""

RATES: Final = {
    "Wh": "W", "kWh": "kW", "MWh": "MW", "varh": "var", "kvarh": "kvar", "L": "L/h", "m³": "m³/h",
    "imperial gallon": "imperial gallon/h", "1000 imperial gallons": "1000 imperial gallons/h",
}  # fmt: skip
"""The unit of a quantity per hour."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a figure is rounded: decimals and what happens to a half.

    Attributes
    ----------
    places : decimals, 0 or more
    mode : ``half_up`` away from zero, ``half_even``, or ``down`` toward zero
    """

    places: int
    mode: Mode = "half_up"

    def __str__(self) -> str:
        return f"{self.mode} to {self.places} decimals"

    def of(self, value: Fraction) -> Decimal:
        """Round a fraction."""
        return Decimal(self._units(value)).scaleb(-self.places)

    def shares(self, parts: Sequence[Fraction]) -> list[Decimal]:
        """Round parts so that they sum to their rounded total, by largest remainder.

        Where remainders are equal, earlier parts come first.
        """
        scale = 10**self.places
        floors = [part.numerator * scale // part.denominator for part in parts]
        remainders = [part * scale - floor for part, floor in zip(parts, floors, strict=True)]
        left = self._units(sum(parts, Fraction(0))) - sum(floors)
        order = sorted(range(len(parts)), key=lambda i: (-remainders[i], i))
        for index in order[:left]:
            floors[index] += 1
        return [Decimal(floor).scaleb(-self.places) for floor in floors]

    def _units(self, value: Fraction) -> int:
        """Round to a whole number of the last decimal."""
        numerator = abs(value.numerator) * 10**self.places
        whole, rest = divmod(numerator, value.denominator)
        twice = 2 * rest
        up = self.mode != "down" and (
            twice > value.denominator
            or (twice == value.denominator and (self.mode == "half_up" or whole % 2 == 1))
        )
        return (whole + up) * (1 if value >= 0 else -1)
