"""Reading types in the words of exchange formats (``codes.csv``): IEC 61968-9, ESPI, NEM12.

ESPI has its enumerations from IEC 61968-9: commodity, kind of measurement, direction of flow, unit,
time of use and phase are the same numbers in both.

References
----------
IEC 61968-9, ReadingType; NAESB ESPI 4.0, espi.xsd; AEMO, NMI Procedure, NMI suffixes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas import reading_type

# Length of an interval [s] -> TimeAttributeKind, the measuring period.
_PERIODS: Final = {
    60: 3, 120: 10, 180: 14, 300: 6, 600: 1, 900: 2, 1200: 31, 1800: 5, 3600: 7, 86400: 4,
}  # fmt: skip
# Values below are kept written: what goes through a house's meter in an interval.
_KNOWN: Final = 1 << 14
# AccumulationKind: a dial, what went through in an interval, a momentary value.
_ACCUMULATION: Final = {"cumulative": 1, "delta": 4, "instantaneous": 12}

_Column = Literal["commodity", "kind", "flow", "unit", "exponent", "tou", "phase"]


@dataclass(frozen=True, slots=True)
class Codes:
    """What a reading type is called elsewhere.

    Attributes
    ----------
    nem12 : first letter of the NMI suffix; empty if there is none
    unit, exponent : base unit, and the power of ten of it that a stored value counts
    """

    nem12: str
    commodity: int
    kind: int
    flow: int
    unit: int
    exponent: int
    tou: int
    phase: int


@cache
def of(name: str) -> Codes:
    """Give a reading type's codes.

    Raises
    ------
    KeyError
        if the table has none; a test holds that it has all of ``reading_types.csv``.
    """
    row = _rows()[name]
    names: tuple[_Column, ...] = ("commodity", "kind", "flow", "unit", "exponent", "tou", "phase")
    return Codes(row["nem12"], *(int(row[column]) for column in names))


def accumulation(name: str) -> int:
    """Give the AccumulationKind of a reading type."""
    return _ACCUMULATION[reading_type.named(name).accumulation]


def measuring_period(interval_seconds: int) -> int | None:
    """Give the TimeAttributeKind of an interval's length, None if the standard has none."""
    return 0 if interval_seconds == 0 else _PERIODS.get(interval_seconds)


def shown(name: str, value: int) -> str:
    """Write a stored value in the unit that is shown to people, exactly."""
    return f"{reading_type.named(name).shown(value):f}"


def texts(name: str, values: NDArray[np.int64]) -> list[str]:
    """Write stored values in the unit that is shown to people, exactly.

    Integers are taken apart; through Decimal a month of intervals takes ten times as long.
    """
    places = -reading_type.named(name).display_exponent
    if places <= 0 or (len(values) and values.min() < 0):
        return [shown(name, value) for value in values.tolist()]
    if len(values) and values.max() < _KNOWN:
        known = _known(places)
        return [known[value] for value in values.tolist()]
    whole, rest = np.divmod(values, 10**places)
    behind = _fractions(places)
    return [f"{one}{behind[r]}" for one, r in zip(whole.tolist(), rest.tolist(), strict=True)]


@cache
def _fractions(places: int) -> list[str]:
    """List everything that may stand behind the point, with the point."""
    return [f".{number:0{places}d}" for number in range(10**places)]


@cache
def _known(places: int) -> list[str]:
    """Write the values that come most; to look one up takes an eighth of writing it."""
    one, behind = 10**places, _fractions(places)
    return [f"{value // one}{behind[value % one]}" for value in range(_KNOWN)]


@cache
def _rows() -> dict[str, dict[str, str]]:
    text = resources.files("mdm.export").joinpath("codes.csv").read_text(encoding="utf-8")
    return {row["reading_type"]: row for row in csv.DictReader(text.splitlines())}
