"""Raw numbers of a meter, by its scaler and unit, as integers in the reading type's scaled unit.

References
----------
IEC 62056-6-2:2021, 4.3.2 (Register, attribute 3) and table 4 (units).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers import quantity
from drivers.dlms import axdr
from drivers.dlms.profile_buffer import Column
from drivers.errors import RemoteProtocolError
from schemas import quality
from schemas.reading_type import ReadingType

# The numbers of DLMS units, by the names that ``drivers.quantity`` knows.
UNITS: Final = {
    13: "m³", 14: "m³", 19: "L", 27: "W", 29: "var", 30: "Wh", 32: "varh",
    33: "A", 35: "V", 44: "Hz", 255: "1",
}  # fmt: skip
_LARGEST: Final = np.iinfo(np.int64).max
# Twice a remainder by a smaller divisor still fits 64 bits.
_LARGEST_STEP: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Scale:
    """How many of the reading type's scaled units one raw unit is, exactly."""

    factor: Decimal

    def integer(self, raw: axdr.Value) -> tuple[int, int]:
        """Scale one raw value; give the integer and its quality code.

        What is no number gives 0 and METER_DOUBTS, what does not fit the store 0 and OVERFLOW.
        """
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
            return 0, quality.METER_DOUBTS
        try:
            return quantity.rounded(Decimal(raw), self.factor), quality.VALID
        except quantity.OutOfRange:
            return 0, quality.OVERFLOW

    def column(self, column: Column) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Scale a column; give integers and quality codes, shape (n,) each."""
        raw = column.values
        up, down = self.factor.as_integer_ratio()
        if raw.dtype != np.int64 or max(up, down) > _LARGEST_STEP:
            return self._one_by_one(raw)
        limit = _LARGEST // up
        if ((raw > limit) | (raw < -limit)).any():
            return self._one_by_one(raw)
        scaled = raw * up
        if down != 1:
            scaled = _divided(scaled, down)
        return scaled, np.full(len(raw), quality.VALID, np.int16)

    def _one_by_one(self, raw: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        pairs = [self.integer(value) for value in raw.tolist()]
        values = np.fromiter((value for value, _ in pairs), np.int64, len(pairs))
        return values, np.fromiter((code for _, code in pairs), np.int16, len(pairs))


def scale(scaler_unit: axdr.Value, reading_type: ReadingType) -> Scale:
    """Give the scale of a register from its attribute 3.

    Parameters
    ----------
    scaler_unit : structure of scaler and unit, as it was read

    Raises
    ------
    RemoteProtocolError
        if it is no scaler and unit, or the unit does not measure what the OBIS code says.
    """
    match scaler_unit:
        case (int(scaler), int(unit)) if -40 <= scaler <= 40:
            pass
        case _:
            raise RemoteProtocolError(
                f"{reading_type.obis}: {scaler_unit!r} is no scaler and unit (attribute 3)"
            )
    name = UNITS.get(unit, f"DLMS unit {unit}")
    try:
        return Scale(quantity.factor(name, reading_type).scaleb(scaler))
    except quantity.UnknownUnit as error:
        raise RemoteProtocolError(f"{reading_type.obis}: {error}") from None


def _divided(numbers: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    """Divide and round half to even, all in integers."""
    whole: NDArray[np.int64]
    whole, rest = np.divmod(numbers, divisor)
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (whole % 2 == 1))
    return np.where(up, whole + 1, whole)
