"""Quality codes: what is known about each interval, one int16 a value.

Codes below 1000 are our own (``quality_codes.csv``, with their IEC 61968-9, ESPI and AEMO
equivalents). Codes from 1000 on carry an AEMO flag and method exactly as a NEM12 file gave them:
``1000 + 100 × flag + method``, flags in the order A, E, F, N, S, V.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import facts

VALID: Final = 0
CLOCK_SHIFTED: Final = 10
POWER_DOWN: Final = 11
PARTIAL: Final = 12
CLOCK_INVALID: Final = 13
LATE_SAMPLE: Final = 14
OVERFLOW: Final = 15
RESET: Final = 16
METER_DOUBTS: Final = 17
TEST_DATA: Final = 18
SUSPECT: Final = 100
ACCEPTED: Final = 110
MISSING: Final = 200
REMOVED: Final = 201
ESTIMATED: Final = 300
ESTIMATED_LINEAR: Final = 301
ESTIMATED_LIKE_DAY: Final = 302
ESTIMATED_SCALED_LINEAR: Final = 303
ESTIMATED_SCALED_LIKE_DAY: Final = 304
ESTIMATED_REGISTER: Final = 305
ESTIMATED_TWO_WEEK: Final = 306
ESTIMATED_YEAR_AGO: Final = 307
ESTIMATED_NEAREST_DAY: Final = 308
ESTIMATED_AVERAGE_DAY: Final = 309
ESTIMATED_MULTI_WEEK: Final = 310
ESTIMATED_DAILY_LOAD: Final = 311
ESTIMATED_ZERO: Final = 312
ESTIMATED_HOLD: Final = 313
ESTIMATED_CHECK_METER: Final = 314
ESTIMATED_BALANCE: Final = 315
ESTIMATED_PROFILE: Final = 316
ESTIMATED_PROXY_DAY: Final = 317
ESTIMATED_WEIGHTED: Final = 318
ESTIMATED_SCALED: Final = 320
SCALED_MEASURED: Final = 321
REGISTER_FROM_INTERVALS: Final = 330
REGISTER_PRORATED: Final = 331
REGISTER_RECENT_LOAD: Final = 332
REGISTER_HISTORY: Final = 333
ESTIMATED_FINAL: Final = 390
EDITED: Final = 400
DERIVED: Final = 500

BY_PEOPLE: Final = (ACCEPTED, REMOVED, ESTIMATED_FINAL)
"""Codes of a person's decisions, beside those of the class EDITED."""

SCALED: Final = (
    ESTIMATED_SCALED_LINEAR,
    ESTIMATED_SCALED_LIKE_DAY,
    ESTIMATED_REGISTER,
    ESTIMATED_SCALED,
    SCALED_MEASURED,
    ESTIMATED_FINAL,
)
"""Codes of estimates that agree with a register's difference, or that a person made final."""

AEMO_BASE: Final = 1000
_AEMO_METHODS: Final = {"data scaling": 24}

AEMO_FLAGS: Final = "AEFNSV"


class QualityClass(IntEnum):
    """What a quality code means for a bill."""

    VALID = 0
    QUESTIONABLE = 1
    MISSING = 2
    ESTIMATED = 3
    EDITED = 4


_AEMO_CLASS: Final = {
    "A": QualityClass.VALID,
    "E": QualityClass.ESTIMATED,
    "F": QualityClass.ESTIMATED,
    "N": QualityClass.MISSING,
    "S": QualityClass.ESTIMATED,
    "V": QualityClass.QUESTIONABLE,
}


def aemo(flag: str, method: int = 0) -> int:
    """Encode an AEMO quality flag and method.

    Parameters
    ----------
    flag : one of A, E, F, N, S, V
    method : two-digit method code, 0 when there is none

    Raises
    ------
    ValueError
        if the flag or the method is not AEMO's.

    References
    ----------
    AEMO, Meter Data File Format (MDFF) Specification NEM12 & NEM13, appendix B.
    """
    if len(flag) != 1 or flag not in AEMO_FLAGS or not 0 <= method <= 99:
        raise ValueError(f"{flag}{method} is not an AEMO quality flag A, E, F, N, S or V + method")
    return AEMO_BASE + 100 * AEMO_FLAGS.index(flag) + method


def aemo_of(code: int) -> str:
    """Give the AEMO flag and method of any code, such as ``A`` or ``S14``."""
    if code < AEMO_BASE:
        return _rows()[code]["aemo"]
    flag, method = divmod(code - AEMO_BASE, 100)
    return AEMO_FLAGS[flag] + (f"{method:02d}" if method else "")


def name_of(code: int) -> str:
    """Give the code's name, such as ``estimated_linear`` or ``aemo_S14``."""
    return f"aemo_{aemo_of(code)}" if code >= AEMO_BASE else _rows()[code]["name"]


def classes(codes: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Give the class of every code.

    Parameters
    ----------
    codes : quality codes, any shape

    Returns
    -------
    ``QualityClass`` values, same shape. A code that nobody defined is QUESTIONABLE.
    """
    return class_table()[codes]


def unscaled(codes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Tell which intervals are estimates that no register stands behind, same shape."""
    scaled = np.isin(codes, SCALED)
    scaled |= (codes >= AEMO_BASE) & (codes % 100 == _AEMO_METHODS["data scaling"])
    return np.asarray((classes(codes) == QualityClass.ESTIMATED) & ~scaled)


@cache
def class_table() -> NDArray[np.uint8]:
    """Give the class of each possible code as a table, shape (32768,)."""
    table = np.full(32768, QualityClass.QUESTIONABLE, dtype=np.uint8)
    for code, row in _rows().items():
        table[code] = QualityClass[row["class"].upper()]
    for index, flag in enumerate(AEMO_FLAGS):
        first = AEMO_BASE + 100 * index
        table[first : first + 100] = _AEMO_CLASS[flag]
    table.setflags(write=False)
    return table


@cache
def _rows() -> dict[int, dict[str, str]]:
    return {int(row["code"]): row for row in facts.rows("quality_codes.csv")}
