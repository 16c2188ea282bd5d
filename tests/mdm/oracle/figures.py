"""Figures as exact fractions, rounded once; lines of a bill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import isqrt

from tests.mdm.oracle.world import KINDS

_MODES = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}
# 1 imperial gallon is 4.54609 litres, by law of the United Kingdom.
IN_UNIT = {
    "Wh": Fraction(1), "kWh": Fraction(1000), "MWh": Fraction(10**6),
    "varh": Fraction(1), "kvarh": Fraction(1000),
    "L": Fraction(1), "m³": Fraction(1000),
    "imperial gallon": Fraction("4.54609"), "1000 imperial gallons": Fraction("4546.09"),
    "W": Fraction(1), "kW": Fraction(1000), "MW": Fraction(10**6),
    "VA": Fraction(1), "kVA": Fraction(1000), "MVA": Fraction(10**6),
    "L/h": Fraction(1), "m³/h": Fraction(1000),
}  # fmt: skip
"""How many stored units (Wh, varh, litres, and these by the hour) one unit is."""


@dataclass(frozen=True)
class Line:
    """What a determinant must say; None where the specification leaves it open."""

    value: Decimal | None
    unit: str = ""
    since: datetime | None = None
    until: datetime | None = None
    counts: Mapping[str, int] | None = None
    note: str = ""


Lines = dict[tuple[str, str], Line]


def counted(kinds: Iterable[str]) -> dict[str, int]:
    found = Counter(kinds)
    return {kind: found[kind] for kind in KINDS}


def rounded(value: Fraction, rule: tuple[int, str]) -> Decimal:
    """Round an exact figure; a digit beyond sixty decides nothing but a tie, which is exact."""
    places, mode = rule
    scaled = value * 10**places
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    half = Fraction(rest, scaled.denominator)
    up = half > Fraction(1, 2) or (
        half == Fraction(1, 2) and (mode == "half_up" or (mode == "half_even" and whole % 2 == 1))
    )
    number = whole + (1 if up and _MODES[mode] != ROUND_DOWN else 0)
    return Decimal(number if value >= 0 else -number).scaleb(-places)


def rooted(square: Fraction, rule: tuple[int, str]) -> Decimal:
    """Round the root of an exact square."""
    return rounded(root(square), rule)


def root(square: Fraction) -> Fraction:
    """Give the root: exactly where it is a fraction, else to forty digits, which is never a tie."""
    over, under = isqrt(square.numerator), isqrt(square.denominator)
    if over**2 == square.numerator and under**2 == square.denominator:
        return Fraction(over, under)
    scale = 10**40
    return Fraction(isqrt(square.numerator * scale**2 // square.denominator), scale)


def shared(exact: Sequence[Fraction], rule: tuple[int, str]) -> list[Decimal]:
    """Round parts so that they sum to the rounded total, by the largest remainder."""
    places, _ = rule
    scaled = [value * 10**places for value in exact]
    floors = [value.numerator // value.denominator for value in scaled]
    total = int(rounded(sum(exact, Fraction(0)), rule).scaleb(places))
    left = total - sum(floors)
    order = sorted(range(len(exact)), key=lambda n: (floors[n] - scaled[n], n))
    for place in order[:left]:
        floors[place] += 1
    return [Decimal(value).scaleb(-places) for value in floors]
