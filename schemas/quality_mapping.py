"""Quality codes in the words of others, and back: IEC 61968-9, ESPI, AEMO. Pure.

Every code goes out and comes back as itself where the other side can hold it:

* IEC 61968-9: always. A reading carries any number of ReadingQualityTypes; where several of our
  codes share the standard's, a second one names ours with an index from 1000 on, which the standard
  leaves to vendors.
* AEMO: always but for ``aemo_A``, which comes back as ``valid``, its synonym. Method and published
  reason stand as AEMO has them; our name stands as the reason's description.
* ESPI: one number of fifteen, so many of ours share one. What comes back means the same, and goes
  out as the same number again.

References
----------
IEC 61968-9, ReadingQualityType; NAESB ESPI, usage.xsd, QualityOfReading; AEMO, Meter Data File
Format (MDFF) Specification NEM12 & NEM13, records 300 and 400 and appendices B to E.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from schemas import facts, quality
from schemas.quality import QualityClass

_IEC: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Indices from 1000 on are a vendor's own; ours is that plus our code.
_VENDOR: Final = 1000
_MDM: Final = "3"
_CATEGORY: Final = {
    QualityClass.VALID: 0,
    QualityClass.QUESTIONABLE: 10,
    QualityClass.MISSING: 5,
    QualityClass.ESTIMATED: 8,
    QualityClass.EDITED: 7,
}
# What any index of a category means, where the table has no better: 0 valid, 1 diagnostics, 2 power
# quality, 3 tamper, 4 data collection, 5 reasonability, 6 validation, 7 edited, 8 estimated,
# 10 questionable, 11 derived, 12 projected.
_OF_CATEGORY: Final = {
    0: quality.VALID,
    1: quality.METER_DOUBTS,
    2: quality.POWER_DOWN,
    3: quality.METER_DOUBTS,
    4: quality.METER_DOUBTS,
    5: quality.SUSPECT,
    6: quality.SUSPECT,
    7: quality.EDITED,
    8: quality.ESTIMATED,
    10: quality.SUSPECT,
    11: quality.DERIVED,
    12: quality.ESTIMATED,
}
_ESPI_OF_CLASS: Final = {
    QualityClass.VALID: 17,
    QualityClass.QUESTIONABLE: 10,
    QualityClass.MISSING: 10,
    QualityClass.ESTIMATED: 8,
    QualityClass.EDITED: 7,
}
# 0 valid, 7 edited, 8 reference day, 9 linear, 10 questionable, 11 derived, 12 projected, 13 mixed,
# 14 raw, 15 normalised for weather, 16 other, 17 validated, 18 verified, 19 revenue quality.
_OF_ESPI: Final = {
    0: quality.VALID,
    7: quality.EDITED,
    8: quality.ESTIMATED_LIKE_DAY,
    9: quality.ESTIMATED_LINEAR,
    10: quality.SUSPECT,
    11: quality.DERIVED,
    12: quality.ESTIMATED,
    13: quality.SUSPECT,
    14: quality.SUSPECT,
    15: quality.DERIVED,
    16: quality.SUSPECT,
    17: quality.VALID,
    18: quality.VALID,
    19: quality.VALID,
}
_SEVERITY: Final = (
    QualityClass.VALID,
    QualityClass.EDITED,
    QualityClass.ESTIMATED,
    QualityClass.QUESTIONABLE,
    QualityClass.MISSING,
)


@dataclass(frozen=True, slots=True)
class Aemo:
    """A quality as NEM12 writes it.

    Attributes
    ----------
    flag : A, E, F, N, S or V
    method : of the substitution, None where there is none
    reason : reason code, 0 (free text) where AEMO publishes none that fits; None for none
    description : the reason's description; ours names our code
    """

    flag: str
    method: int | None = None
    reason: int | None = None
    description: str | None = None

    def __str__(self) -> str:
        """Give the QualityMethod field, such as ``A`` or ``S14``."""
        return self.flag + (f"{self.method:02d}" if self.method else "")


def to_iec(code: int) -> tuple[str, ...]:
    """Give a code's ReadingQualityTypes: the standard's, then ours where that one is shared."""
    row = _rows().get(code)
    if row is None:
        category = _CATEGORY[_class(code)]
        standard = "2.5.259" if category == _CATEGORY[QualityClass.MISSING] else f"3.{category}.0"
    else:
        standard = row["iec"]
        if _shared("iec")[standard] == 1:
            return (standard,)
        category = int(standard.split(".")[1])
    return standard, f"{_MDM}.{category}.{_VENDOR + code}"


def of_iec(types: Iterable[str]) -> int:
    """Give the code of a reading's ReadingQualityTypes; the worst where they say several things.

    An index of our own beside them decides. The same index from another system counts as if from
    the one that the table names; an index that the table does not have counts as its category says.

    Raises
    ------
    ValueError
        if one is not ``system.category.index``.
    """
    found = []
    for written in types:
        read = _IEC.fullmatch(written)
        if read is None:
            raise ValueError(f"{written!r} is not system.category.index, such as 3.8.0")
        system, category, index = read.groups()
        ours = int(index) - _VENDOR
        if system == _MDM and ours >= 0 and _known(ours):
            return ours
        table = _of_iec()
        plain = table.get(written, table.get(f"{category}.{index}"))
        found.append(_OF_CATEGORY.get(int(category), quality.SUSPECT) if plain is None else plain)
    return max(found, key=lambda code: _SEVERITY.index(_class(code)), default=quality.VALID)


def to_espi(code: int) -> int:
    """Give a code's QualityOfReading."""
    row = _rows().get(code)
    return int(row["espi"]) if row else _ESPI_OF_CLASS[_class(code)]


def of_espi(value: int) -> int:
    """Give the code that a QualityOfReading means here.

    Raises
    ------
    ValueError
        if ESPI has no such value.
    """
    if value not in _OF_ESPI:
        raise ValueError(f"{value} is no QualityOfReading of ESPI: 0, 7 to 19")
    return _OF_ESPI[value]


def to_aemo(code: int) -> Aemo:
    """Give a code's AEMO flag, method and reason."""
    row = _rows().get(code)
    written = quality.aemo_of(code)
    method = int(written[1:]) if written[1:] else None
    if row is None or code == quality.VALID:
        return Aemo(written[0], method)
    return Aemo(written[0], method, _reasons().get(code, 0), row["name"])


def of_aemo(found: Aemo) -> int:
    """Give the code of an AEMO quality: ours where its description names it, else theirs kept.

    Raises
    ------
    ValueError
        if the flag or the method is not AEMO's.
    """
    theirs = quality.aemo(found.flag, found.method or 0)
    named = _by_name().get(found.description or "")
    if named is not None and to_aemo(named) == found:
        return named
    return quality.VALID if theirs == quality.aemo("A") else theirs


def _class(code: int) -> QualityClass:
    return QualityClass(int(quality.class_table()[code]))


def _known(code: int) -> bool:
    last = quality.AEMO_BASE + 100 * len(quality.AEMO_FLAGS)
    return code in _rows() or quality.AEMO_BASE <= code < last


@cache
def _rows() -> dict[int, dict[str, str]]:
    return {int(row["code"]): row for row in facts.rows("quality_codes.csv")}


@cache
def _reasons() -> dict[int, int]:
    rows = facts.rows("quality_reasons.csv")
    return {int(row["code"]): int(row["reason"]) for row in rows}


@cache
def _by_name() -> dict[str, int]:
    return {row["name"]: code for code, row in _rows().items()}


@cache
def _shared(column: str) -> Counter[str]:
    return Counter(row[column] for row in _rows().values())


@cache
def _of_iec() -> dict[str, int]:
    """Index the table with and without the system; of several the first counts, the general one."""
    found: dict[str, int] = {}
    for code, row in _rows().items():
        found.setdefault(row["iec"], code)
        found.setdefault(row["iec"].partition(".")[2], code)
    return found
