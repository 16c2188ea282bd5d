"""Exact fractions to decimals, by a stated rule: no float ever stands between.

Values are integers in a scaled unit (Wh, litre); a unit is the exact fraction by which they are
multiplied. Rounding happens once, here. Fractions are two integers: ``fractions.Fraction`` takes
their greatest common divisor at each step, which nobody needs here and costs ten times the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isqrt
from typing import Final, Literal, get_args

Mode = Literal["half_up", "half_even", "down"]
MODES: Final = get_args(Mode)

# 1 imperial gallon = 4.54609 L, exactly (UK Weights and Measures Act 1985, schedule 1).
UNITS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    "Wh": {"Wh": (1, 1), "kWh": (1, 1000), "MWh": (1, 10**6)},
    "varh": {"varh": (1, 1), "kvarh": (1, 1000), "Mvarh": (1, 10**6)},
    "L": {
        "L": (1, 1),
        "m³": (1, 1000),
        "imperial gallon": (100_000, 454_609),
        "1000 imperial gallons": (100, 454_609),
    },
}
"""Units that a quantity may be billed in, by the unit in which it is stored: the factor as a
numerator and a denominator."""

RATES: Final = {
    "Wh": "W", "kWh": "kW", "MWh": "MW", "varh": "var", "kvarh": "kvar",
    "Mvarh": "Mvar", "L": "L/h", "m³": "m³/h",
    "imperial gallon": "imperial gallon/h", "1000 imperial gallons": "1000 imperial gallons/h",
}  # fmt: skip
"""The unit of a quantity per hour."""

APPARENT: Final = {"Wh": "VA", "kWh": "kVA", "MWh": "MVA"}
"""The unit of apparent power, by the unit of active energy."""


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

    def of(self, numerator: int, denominator: int = 1) -> Decimal:
        """Round a fraction; the denominator is positive."""
        return Decimal(self._units(numerator, denominator)).scaleb(-self.places)

    def of_root(self, square: Fraction) -> Decimal:
        """Round the square root of a fraction that is not negative, as exactly as a fraction."""
        scale = 10 ** (2 * self.places)
        numerator, denominator = square.numerator * scale, square.denominator
        whole = isqrt(numerator // denominator)
        # √x against whole + ½, in whole numbers: 4x against (2·whole + 1)².
        half = (2 * whole + 1) ** 2 * denominator
        up = self.mode != "down" and (
            4 * numerator > half
            or (4 * numerator == half and (self.mode == "half_up" or whole % 2 == 1))
        )
        return Decimal(whole + up).scaleb(-self.places)

    def shares(self, numerators: Sequence[int], denominator: int = 1) -> list[Decimal]:
        """Round parts so that they sum to their rounded total, by largest remainder.

        Where remainders are equal, earlier parts come first.
        """
        scale = 10**self.places
        pairs = [divmod(numerator * scale, denominator) for numerator in numerators]
        floors = [floor for floor, _ in pairs]
        left = self._units(sum(numerators), denominator) - sum(floors)
        order = sorted(range(len(pairs)), key=lambda i: (-pairs[i][1], i))
        for index in order[:left]:
            floors[index] += 1
        return [Decimal(floor).scaleb(-self.places) for floor in floors]

    def _units(self, numerator: int, denominator: int) -> int:
        """Round to a whole number of the last decimal."""
        scale: int = 10**self.places
        whole, rest = divmod(abs(numerator) * scale, denominator)
        up = self.mode != "down" and (
            2 * rest > denominator
            or (2 * rest == denominator and (self.mode == "half_up" or whole % 2 == 1))
        )
        return (whole + up) * (1 if numerator >= 0 else -1)
