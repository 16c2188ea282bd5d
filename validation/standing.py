"""What a quality code lets a value be used for."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.quality import QualityClass

PRESENT: Final = 1
"""There is a value."""
ANCHOR: Final = 2
"""Good enough to interpolate from: valid or edited, whole, and no outage in it."""
HISTORY: Final = 4
"""Good enough to judge or fill other days by: measured, valid, whole, and no outage in it."""
SETTLED: Final = 8
"""A person has decided about it: no rule puts it in doubt again."""

_NOT_WHOLE: Final = (quality.POWER_DOWN, quality.PARTIAL)


@cache
def table() -> NDArray[np.uint8]:
    """Give the uses of each possible quality code as bits, shape (32768,)."""
    classes = quality.class_table()
    valid, edited = classes == QualityClass.VALID, classes == QualityClass.EDITED
    whole = np.ones(len(classes), dtype=np.bool_)
    whole[list(_NOT_WHOLE)] = False
    bits = np.where(classes != QualityClass.MISSING, PRESENT, 0)
    bits |= np.where((valid | edited) & whole, ANCHOR, 0)
    bits |= np.where(valid & whole, HISTORY, 0)
    bits[quality.DERIVED] &= ~HISTORY
    bits[edited] |= SETTLED
    bits[list(quality.BY_PEOPLE)] |= SETTLED
    result = bits.astype(np.uint8)
    result.setflags(write=False)
    return result


def present(codes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Say which codes stand for a value, shape as ``codes``."""
    return np.asarray(table()[codes] & PRESENT != 0)
