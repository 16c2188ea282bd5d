"""How much of a bill must change afterwards for a correction to be raised; less is logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Figure = tuple[str, str, str, str, Decimal | None]
"""Determinant, reading type, part, unit and value."""

# What a dial showed is not charged; what it differs by is, and is looked at.
_READINGS: Final = {"register_start", "register_end"}
_KEYS: Final = ("amount", "percent")


@dataclass(frozen=True, slots=True)
class Limit:
    """From which difference on a change of what was billed matters.

    It matters if one figure reaches one of the limits that are set; with none every change does.

    Attributes
    ----------
    amount : of a figure in the tariff's unit [tariff's unit]
    percent : of any figure [% of what was billed]
    """

    amount: Decimal | None = None
    percent: Decimal | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Limit:
        """Read a tariff's ``corrections``.

        Raises
        ------
        ValueError
            if a key is not known or a limit is no positive number.
        """
        if unknown := sorted(entry.keys() - set(_KEYS)):
            known = ", ".join(_KEYS)
            raise ValueError(f"unknown key {unknown[0]!r} in corrections; known: {known}")
        return cls(**{name: _positive(name, value) for name, value in entry.items()})

    def matters(self, unit: str, billed: Iterable[Figure], now: Iterable[Figure]) -> bool:
        """Tell whether figures that changed call for a correction.

        Parameters
        ----------
        unit : the tariff's
        """
        before = {figure[:4]: figure[4] for figure in billed}
        after = {figure[:4]: figure[4] for figure in now}
        changed = [key for key in before | after if before.get(key) != after.get(key)]
        if self.amount is None and self.percent is None:
            return bool(changed)
        return any(
            key[0] not in _READINGS
            and self._reached(before.get(key), after.get(key), in_unit=key[3] == unit)
            for key in changed
        )

    def _reached(self, old: Decimal | None, new: Decimal | None, *, in_unit: bool) -> bool:
        if old is None or new is None:
            # A figure that came or went has no difference that could be small.
            return True
        by = abs(new - old)
        if self.amount is not None and in_unit and by >= self.amount:
            return True
        return self.percent is not None and by * 100 >= self.percent * abs(old)


def _positive(name: str, value: object) -> Decimal:
    try:
        found = Decimal(str(value))
        if found.is_finite() and found > 0:
            return found
    except InvalidOperation:
        pass  # as wrong as a number that is not above 0
    raise ValueError(f"corrections.{name} must be a number above 0, not {value}")
