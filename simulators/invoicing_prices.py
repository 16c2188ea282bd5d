"""Prices of the simulated invoicing system: dated, by tariff, commodity and determinant.

They stand in ``simulators/prices/*.toml``, in fils or KD for a unit; 1 KD = 1000 fils.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final

_FILS: Final = Decimal(1000)
_KEYS: Final = {
    "tariff", "commodity", "effective_from", "deferred", "determinant", "part", "name_en",
    "name_ar", "unit", "fils", "kd", "slabs",
}  # fmt: skip


class PriceError(ValueError):
    """A price is wrong; the message says which."""


@dataclass(frozen=True, slots=True)
class Slab:
    """The price of what lies below ``up_to`` and above the slab before; None is without end."""

    up_to: Decimal | None
    kd: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """What a determinant costs from a day on; without slabs there is one without end.

    ``part`` is of the determinant; None for every part of it.
    """

    tariff: str
    commodity: str
    effective_from: date
    deferred: bool
    determinant: str
    part: str | None
    name_en: str
    name_ar: str
    unit: str
    slabs: tuple[Slab, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """All prices; ``deferred`` ones count only if that is asked for."""

    prices: Sequence[Price]
    with_deferred: bool = False

    def on(self, tariff: str, commodity: str, day: date) -> list[Price]:
        """Give the prices in force on a local day, one for each determinant and part."""
        found: dict[tuple[str, str | None], Price] = {}
        for price in sorted(self.prices, key=lambda p: (p.effective_from, p.deferred)):
            if (price.tariff, price.commodity) != (tariff, commodity):
                continue
            if price.effective_from <= day and (self.with_deferred or not price.deferred):
                found[price.determinant, price.part] = price
        return list(found.values())


@cache
def kuwait(*, with_deferred: bool = False) -> Prices:
    """Read the worked tariffs of Kuwait."""
    file = resources.files("simulators").joinpath("prices").joinpath("kuwait.toml")
    return parse(file.read_text("utf-8"), "kuwait.toml", with_deferred=with_deferred)


def parse(text: str, source: str, *, with_deferred: bool = False) -> Prices:
    """Make prices of a TOML text.

    Raises
    ------
    PriceError
        naming the source and the entry that is wrong.
    """
    content = tomllib.loads(text, parse_float=Decimal)
    found = []
    for number, entry in enumerate(content.get("price", []), 1):
        try:
            found.append(_price(entry))
        except (KeyError, TypeError, ValueError) as problem:
            raise PriceError(f"{source}: price {number}: {problem}") from problem
    return Prices(found, with_deferred)


def _price(entry: Mapping[str, Any]) -> Price:
    if unknown := sorted(entry.keys() - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}")
    slabs = tuple(
        Slab(None if "up_to" not in slab else Decimal(slab["up_to"]), _kd(slab))
        for slab in entry.get("slabs", [entry])
    )
    ends = [slab.up_to for slab in slabs[:-1] if slab.up_to is not None]
    if slabs[-1].up_to is not None or len(ends) < len(slabs) - 1 or ends != sorted(set(ends)):
        raise ValueError("slabs must rise, and the last one has no up_to")
    return Price(
        tariff=entry["tariff"],
        commodity=entry["commodity"],
        effective_from=entry.get("effective_from", date.min),
        deferred=entry.get("deferred", False),
        determinant=entry.get("determinant", "consumption"),
        part=entry.get("part"),
        name_en=entry["name_en"],
        name_ar=entry["name_ar"],
        unit=entry["unit"],
        slabs=slabs,
    )


def _kd(entry: Mapping[str, Any]) -> Decimal:
    if ("fils" in entry) == ("kd" in entry):
        raise ValueError("needs a price in fils or in kd")
    kd = Decimal(entry["kd"]) if "kd" in entry else Decimal(entry["fils"]) / _FILS
    if kd < 0:
        raise ValueError("a price must not be negative")
    return kd
