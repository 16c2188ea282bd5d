"""What accounts owe, as the invoicing system says it with its acknowledgements.

Amounts are the invoicing system's. They are kept as they were said, and shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "account_balance.sql")
_AMOUNT: Final = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account owes at the end of a day; below 0 is credit.

    ``usage_points`` are those of the account that were in the answer.
    """

    account: str
    currency: str
    balance: Decimal
    as_of: date
    usage_points: tuple[str, ...]

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """Read a balance.

        Raises
        ------
        KeyError, TypeError, ValueError
            if it is none.
        """
        account, currency, balance = item["account"], item["currency"], item["balance"]
        points, day = item.get("usage_points", []), item["as_of"]
        texts = (account, currency, balance, day)
        if not isinstance(points, list) or not all(isinstance(t, str) for t in (*texts, *points)):
            raise TypeError(f"{dict(item)} is no balance")
        if not account or not _CURRENCY.fullmatch(currency) or not _AMOUNT.fullmatch(balance):
            raise ValueError(f"account {account!r} has no balance such as 12.500 KWD")
        if any("\n" in text or "\0" in text for text in (account, *points)):
            raise ValueError(f"account {account!r}: names are of one line")
        named = tuple(sorted(points))
        return cls(account, currency, Decimal(balance), date.fromisoformat(day), named)


class Kept(NamedTuple):
    """A balance as it was kept, by which target and when."""

    target: str
    account: str
    currency: str
    balance: Decimal
    as_of: date
    usage_points: list[str]
    received_at: datetime


class Sum(NamedTuple):
    """The newest balances of all accounts in one currency: what is owed, by how many; credit."""

    currency: str
    accounts: int
    owed: Decimal
    owing: int
    credit: Decimal
    as_of: date


def record(
    connection: Connection, target: str, balances: Sequence[Balance], *, now: datetime
) -> int:
    """Keep balances that say something new; give how many did."""
    if not balances:
        return 0
    parameters = {
        "target": target,
        "now": now,
        "accounts": [one.account for one in balances],
        "currencies": [one.currency for one in balances],
        "balances": [one.balance for one in balances],
        "days": [one.as_of for one in balances],
        "points": ["\n".join(one.usage_points) for one in balances],
    }
    return connection.execute(_SQL["add"], parameters).rowcount


def newest(connection: Connection, limit: int) -> list[Kept]:
    """List what accounts owe now, the most first; those that owe nothing are left out."""
    return [Kept(*row) for row in connection.execute(_SQL["newest"], {"limit": limit})]


def of_account(connection: Connection, account: str, limit: int) -> list[Kept]:
    """List what was said of an account, the newest first."""
    asked = {"account": account, "limit": limit}
    return [Kept(*row) for row in connection.execute(_SQL["of_account"], asked)]


def sums(connection: Connection) -> list[Sum]:
    """Sum what accounts owe now, by currency."""
    return [Sum(*row) for row in connection.execute(_SQL["sums"])]
