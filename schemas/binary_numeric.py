"""PostgreSQL's binary ``numeric`` from whole numbers of a decimal, many at once and exactly.

References
----------
PostgreSQL source, ``src/backend/utils/adt/numeric.c``, ``numeric_recv``: groups of four decimal
digits, the first one's weight, the sign, and how many decimals are shown. Leading groups of 0 are
dropped on arrival, so all rows may have as many groups.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BASE: Final = 10_000
_DIGITS: Final = 4
_NEGATIVE: Final = 0x4000
MOST: Final = 10**15
"""Units must be smaller than this, either way."""
PLACES: Final = 12
"""Most decimals."""
# What fits in MOST with PLACES decimals shifted to whole groups: 15 + 3 digits.
_GROUPS: Final = 5


def encoded(units: NDArray[np.int64], places: int) -> NDArray[np.void]:
    """Encode ``units / 10**places``, shown with all its decimals.

    Returns
    -------
    shape (k,), the fields' contents, for a column of the type ``raw``

    Raises
    ------
    ValueError
        if a number or the decimals are more than fit.
    """
    if not 0 <= places <= PLACES or (len(units) and int(np.abs(units).max()) >= MOST):
        raise ValueError(f"a numeric of {places} decimals, or 10^15 units of them, does not fit")
    fraction = -(-places // _DIGITS)
    rest = np.abs(units) * 10 ** (fraction * _DIGITS - places)
    made = np.zeros(len(units), _row())
    for group in range(_GROUPS - 1, -1, -1):
        rest, made["groups"][:, group] = np.divmod(rest, _BASE)
    made["count"] = _GROUPS
    made["weight"] = _GROUPS - fraction - 1
    made["sign"] = np.where(units < 0, _NEGATIVE, 0)
    made["places"] = places
    return made.view(f"V{made.dtype.itemsize}")


def _row() -> np.dtype[Any]:
    head = [(name, ">i2") for name in ("count", "weight", "sign", "places")]
    return np.dtype([*head, ("groups", ">i2", (_GROUPS,))])
