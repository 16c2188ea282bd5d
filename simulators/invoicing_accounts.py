"""Who pays: accounts of the simulated invoicing system, from a CSV file.

Columns ``usage_point, account, addressee_en, addressee_ar, billing_group``; only the first is
needed. An account may have many usage points: a ministry has all of its own, and its own cycle. A
row without a usage point is an account that bills name by themselves: who moves in within a cycle.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

_COLUMNS: Final = ("usage_point", "account", "addressee_en", "addressee_ar", "billing_group")


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays for a usage point; an empty ``billing_group`` is any."""

    id: str
    addressee_en: str
    addressee_ar: str
    billing_group: str = ""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts by usage point; ``by_point`` None means one for whoever comes, under its name.

    ``more`` are those that have no usage point, by their name.
    """

    by_point: Mapping[str, Account] | None = None
    more: Mapping[str, Account] = field(default_factory=dict)

    @classmethod
    def named(cls, points: Iterable[str]) -> Self:
        """Give each usage point an account of its own."""
        return cls({point: Account(point, point, point) for point in points})

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file.

        Raises
        ------
        ValueError
            if it has no column ``usage_point``, or another one that is not known.
        """
        reader = csv.DictReader(io.StringIO(file.read_text("utf-8-sig"), newline=""))
        names = set(reader.fieldnames or ())
        if "usage_point" not in names or not names <= set(_COLUMNS):
            raise ValueError(
                f"{file.name}: the columns are {', '.join(_COLUMNS)}; the first must be"
            )
        found: dict[str, Account] = {}
        more: dict[str, Account] = {}
        for row in reader:
            point = row["usage_point"]
            name = row.get("account") or point
            english = row.get("addressee_en") or name
            account = Account(
                name, english, row.get("addressee_ar") or english, row.get("billing_group") or ""
            )
            (found if point else more)[point or name] = account
        return cls(found, more)

    def of(self, usage_point: str) -> Account | None:
        """Give who pays for a usage point, None if nobody does."""
        if self.by_point is None:
            return Account(usage_point, usage_point, usage_point)
        return self.by_point.get(usage_point)

    def named_as(self, name: str) -> Account | None:
        """Give the account of a name, None if there is none."""
        if self.by_point is None:
            return Account(name, name, name)
        every = (*self.by_point.values(), *self.more.values())
        return next((account for account in every if account.id == name), None)
