"""From determinants to an invoice: what is charged, line by line, in KD with three decimals.

A correction is rated whole and charges what it differs by from what was invoiced of the period:
less makes a credit note, more a debit note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Final

from simulators import invoicing_parts
from simulators.invoicing_check import Bill
from simulators.invoicing_parts import Stretch
from simulators.invoicing_prices import Price, Prices

_THOUSANDTH: Final = Decimal("0.001")
_ZERO: Final = Decimal(0)


class NotPriced(ValueError):
    """Nothing of a bill has a price; the message says what was looked for."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an invoice.

    ``price_kd`` is for one unit. ``amount_kd`` is rounded half up to a fils; a slab's line has
    what lies in the slab. In a note quantities and amounts are differences.
    """

    determinant: str
    part: str
    name_en: str
    name_ar: str
    quantity: Decimal
    unit: str
    price_kd: Decimal
    amount_kd: Decimal

    def plain(self) -> dict[str, str]:
        """Give it for JSON; figures are strings, so that none is rounded."""
        return {
            "determinant": self.determinant,
            "part": self.part,
            "name_en": self.name_en,
            "name_ar": self.name_ar,
            "quantity": f"{self.quantity:f}",
            "unit": self.unit,
            "price_kd": f"{self.price_kd:f}",
            "amount_kd": f"{self.amount_kd:.3f}",
        }


def rated(bill: Bill, prices: Prices) -> dict[str, list[Item]]:
    """Charge a bill's determinants by account, whatever was invoiced before.

    Each part of a bill is charged by its own tariff, at the prices of its own first day. Of slabs
    it has its share of days: ``up_to`` × days of the part ÷ days of the bill.

    Returns
    -------
    lines by the account that a part names; empty where it names none

    Raises
    ------
    NotPriced
        if none of a part's determinants has a price, or one has another unit than its price.
    """
    first, until = invoicing_parts.days(bill)
    found: dict[str, list[Item]] = {}
    for stretch in invoicing_parts.stretches(bill):
        share = Fraction(stretch.days, (until - first).days)
        items = list(_charged(stretch, bill.commodity, prices, share))
        if not items:
            raise NotPriced(
                f"there is no price of {stretch.tariff} for {bill.commodity} on {stretch.starts_on}"
            )
        found.setdefault(stretch.account, []).extend(items)
    if not found:
        raise NotPriced("nothing of it has a value")
    return found


def _charged(stretch: Stretch, commodity: str, prices: Prices, share: Fraction) -> Iterator[Item]:
    for price in prices.on(stretch.tariff, commodity, stretch.starts_on):
        for part, line in stretch.lines:
            named = line["determinant"] == price.determinant
            if named and (price.part is None or price.part == part):
                yield from _items(line, price, share)


def note(now: Sequence[Item], before: Iterable[Item]) -> list[Item]:
    """Give what changed, line by line: what is charged now less what was before."""
    left = {_key(item): item for item in _summed(before)}
    changed = []
    for item in now:
        old = left.pop(_key(item), None)
        quantity = item.quantity - (old.quantity if old else _ZERO)
        amount = item.amount_kd - (old.amount_kd if old else _ZERO)
        changed.append(_with(item, quantity, amount))
    changed += [_with(old, -old.quantity, -old.amount_kd) for old in left.values()]
    return [item for item in changed if item.quantity or item.amount_kd]


def read(items: Iterable[Mapping[str, str]]) -> list[Item]:
    """Make items again of their plain form."""
    figures = ("quantity", "price_kd", "amount_kd")
    return [
        Item(**{n: Decimal(v) if n in figures else v for n, v in item.items()})  # type: ignore[arg-type]
        for item in items
    ]


def total(items: Iterable[Item]) -> Decimal:
    """Sum amounts [KD]."""
    return sum((item.amount_kd for item in items), _ZERO)


def _items(line: Mapping[str, Any], price: Price, share: Fraction) -> list[Item]:
    """Charge a determinant, a line a slab; a slab that is not reached has none."""
    if line["unit"] != price.unit:
        raise NotPriced(f"{line['determinant']} is in {line['unit']}, its price for {price.unit}")
    value: Decimal = line["value"]
    items: list[Item] = []
    below = _ZERO
    for slab in price.slabs:
        end = None if slab.up_to is None else _shared(slab.up_to, share)
        inside = (value if end is None else min(value, end)) - below
        if inside > 0 or not items:
            amount = (inside * slab.kd).quantize(_THOUSANDTH, ROUND_HALF_UP)
            items.append(
                Item(
                    *(price.determinant, line["part"], price.name_en, price.name_ar),
                    *(inside, price.unit, slab.kd, amount),
                )
            )
        below = end or below
    return items


def _shared(up_to: Decimal, share: Fraction) -> Decimal:
    """Give a part's share of a slab's end, rounded half up to thousandths of the unit."""
    exact = Fraction(up_to) * share
    if exact == up_to:
        return up_to
    return (Decimal(exact.numerator) / exact.denominator).quantize(_THOUSANDTH, ROUND_HALF_UP)


def _key(item: Item) -> tuple[str, str, str, Decimal]:
    return item.determinant, item.part, item.unit, item.price_kd


def _summed(items: Iterable[Item]) -> list[Item]:
    """Put lines of the same thing at the same price together: an invoice and its notes."""
    found: dict[tuple[str, str, str, Decimal], Item] = {}
    for item in items:
        old = found.get(_key(item))
        quantity = item.quantity + (old.quantity if old else _ZERO)
        amount = item.amount_kd + (old.amount_kd if old else _ZERO)
        found[_key(item)] = _with(item, quantity, amount)
    return list(found.values())


def _with(item: Item, quantity: Decimal, amount: Decimal) -> Item:
    return Item(
        *(item.determinant, item.part, item.name_en, item.name_ar, quantity, item.unit),
        *(item.price_kd, amount),
    )
