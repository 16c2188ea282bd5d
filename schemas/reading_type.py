"""Reading types: what a value means, its unit and its OBIS code.

The table ``reading_types.csv`` is the only place where they are written down; the database's
table ``reading_type`` is filled from it by ``schemas.database.migrate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final, Literal

from schemas import facts
from schemas.obis import Obis

Accumulation = Literal["cumulative", "delta", "instantaneous"]
Commodity = Literal["electricity", "water", "gas", "heat"]


RATIOS: Final = ("current_transformer_ratio", "voltage_transformer_ratio")
"""Ratios that a meter is set to; their product is what its values are to be multiplied with."""


@dataclass(frozen=True, slots=True)
class ReadingType:
    """What a value means.

    ``unit`` is the scaled unit in which values are stored as integers; ``display_unit`` is the
    one shown to people: shown = stored × 10 ** ``display_exponent``.
    """

    id: int
    name: str
    commodity: Commodity
    accumulation: Accumulation
    unit: str
    display_unit: str
    display_exponent: int
    obis: Obis
    cumulative: str | None
    description_en: str
    description_ar: str

    @property
    def export(self) -> bool:
        """Whether it counts what consumers feed in (IEC 62056-61, group C)."""
        return self.commodity == "electricity" and self.obis.c in (2, 4)

    def shown(self, value: int) -> Decimal:
        """Convert a stored value to the unit shown to people, exactly.

        Parameters
        ----------
        value : stored value [``unit``]

        Returns
        -------
        value [``display_unit``]
        """
        return Decimal(value).scaleb(self.display_exponent)


@cache
def table() -> dict[str, ReadingType]:
    """List every reading type by name."""
    return {row["name"]: _row(row) for row in facts.rows("reading_types.csv")}


@cache
def _by_obis() -> dict[Obis, ReadingType]:
    return {reading_type.obis: reading_type for reading_type in table().values()}


@cache
def _by_id() -> dict[int, ReadingType]:
    return {reading_type.id: reading_type for reading_type in table().values()}


def named(name: str) -> ReadingType:
    """Find a reading type by its name.

    Raises
    ------
    KeyError
        with the known names, if there is none.
    """
    try:
        return table()[name]
    except KeyError:
        raise KeyError(f"no reading type {name!r}; known: {', '.join(table())}") from None


def of_id(number: int) -> ReadingType:
    """Find a reading type by the number that the database stores."""
    return _by_id()[number]


def of_obis(obis: Obis) -> ReadingType | None:
    """Find the reading type that an OBIS code means, None if it has none here."""
    return _by_obis().get(obis)


def interval_of(cumulative: str) -> ReadingType | None:
    """Find the interval type whose sums equal this register's differences."""
    return next((t for t in table().values() if t.cumulative == cumulative), None)


def _row(row: dict[str, str]) -> ReadingType:
    return ReadingType(
        id=int(row["id"]),
        name=row["name"],
        commodity=row["commodity"],  # type: ignore[arg-type]  # held by a test
        accumulation=row["accumulation"],  # type: ignore[arg-type]
        unit=row["unit"],
        display_unit=row["display_unit"],
        display_exponent=int(row["display_exponent"]),
        obis=Obis.parse(row["obis"]),
        cumulative=row["cumulative"] or None,
        description_en=row["description_en"],
        description_ar=row["description_ar"],
    )
