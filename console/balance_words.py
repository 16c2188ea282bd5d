"""How a balance and its suspects are told, in the unit that people read."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from mdm.balance_causes import Suspect
from schemas.reading_type import ReadingType


def shown(amount: Fraction | float, kind: ReadingType) -> Decimal:
    """Give an amount in the display unit, to a tenth."""
    exact = Fraction(amount) * Fraction(10) ** kind.display_exponent
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("0.1"))


def factor(suspect: Suspect) -> str | None:
    """Write a suspect's factor with the error of its last digits: ``2.03 ± 0.05``."""
    if suspect.factor is None:
        return None
    return f"{suspect.factor:.2f} ± {2 * suspect.error:.2f}"


def ratio(suspect: Suspect) -> str | None:
    """Write the ratio that a factor is near: ``2``, or ``1/10``."""
    if suspect.ratio is None:
        return None
    return f"{suspect.ratio:g}" if suspect.ratio >= 1 else f"1/{1 / suspect.ratio:g}"


def percent(value: float | None) -> str:
    """Write a percentage to a tenth, a dash for none."""
    return "–" if value is None else f"{value:.1f}"
