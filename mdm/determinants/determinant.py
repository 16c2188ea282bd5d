"""A determinant: one figure of a bill with its unit, time, quality and rounding."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class Counts(NamedTuple):
    """How many readings of each quality a figure was made from, in ``QualityClass`` order."""

    actual: int = 0
    questionable: int = 0
    missing: int = 0
    estimated: int = 0
    edited: int = 0

    @property
    def expected(self) -> int:
        """How many readings there should be."""
        return sum(self)


@dataclass(frozen=True, slots=True)
class Determinant:
    """One figure of a bill.

    Attributes
    ----------
    name : out of ``tariff.DETERMINANTS``
    reading_type : what was measured
    part : which of several: time-of-use period, end device or window; may be empty
    value : None where it cannot be said; ``note`` then says why
    starts_at, ends_at : what it is of: the period, the demand's window, a reading's moment
        [s since 1970-01-01 UTC]
    rounding : the rule that was applied
    """

    name: str
    reading_type: str
    part: str
    value: Decimal | None
    unit: str
    starts_at: int
    ends_at: int
    counts: Counts
    rounding: str
    note: str = ""


def digest(determinants: Sequence[Determinant]) -> str:
    """Give the SHA-256 of a set: equal for sets that agree in every figure, unit and note."""
    rows = [
        [d.name, d.reading_type, d.part, None if d.value is None else str(d.value), d.unit,
         d.starts_at, d.ends_at, *d.counts, d.rounding, d.note]
        for d in determinants
    ]  # fmt: skip
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
