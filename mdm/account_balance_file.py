"""What accounts owe, in CSV files that receivers leave beside their acknowledgements.

A row an account, or one for each of its usage points; ``docs/billing.md`` describes the columns.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from mdm import account_balance, answer_rows
from mdm.account_balance import Balance
from mdm.answer_rows import Row
from schemas import statements
from schemas.database import Connection

COLUMNS: Final = ("account", "balance", "currency", "as_of")
"""Columns of such a file; ``usage_point`` may be there, too."""

_SQL = statements.load("mdm", "account_balance_file.sql")
_NAME: Final = re.compile(r"balances([-.].*)?\.csv")
# Whose day has begun already: it is tomorrow somewhere.
_AHEAD: Final = timedelta(days=1)


def named(file: str) -> bool:
    """Tell whether a file is one of balances: balances.csv or balances-….csv."""
    return _NAME.fullmatch(file) is not None


def balances(name: str, content: bytes, *, now: datetime) -> list[Balance]:
    """Read a file; an account's rows must agree.

    Raises
    ------
    DeliveryError
        with the line that is wrong.
    """
    found: dict[tuple[str, str], Balance] = {}
    lines: dict[tuple[str, str], int] = {}
    latest = (now + _AHEAD).date()

    def add(row: Row, line: int) -> None:
        one = _balance(row, latest)
        key = one.account, one.currency
        before = found.setdefault(key, one)
        if (before.balance, before.as_of) != (one.balance, one.as_of):
            raise ValueError(
                f"account {one.account!r} owes {one.balance} {one.currency} on {one.as_of}, and "
                f"{before.balance} on {before.as_of} in line {lines[key]}"
            )
        lines.setdefault(key, line)
        points = {*before.usage_points, *one.usage_points}
        found[key] = replace(before, usage_points=tuple(sorted(points)))

    for _ in answer_rows.read(name, content, COLUMNS, add):
        pass
    return list(found.values())


def take(connection: Connection, target: str, name: str, content: bytes, *, now: datetime) -> int:
    """Keep what a file says that is new; give how many balances are.

    A file that was taken last under its name with the same content says nothing any more, even
    where another one has said something newer of the same day since.

    Raises
    ------
    DeliveryError
        with the line that is wrong: then nothing of the file is kept.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    file = {"target": target, "name": name}
    with connection.transaction():
        # Of two that look at once the later one finds what the first has taken.
        connection.execute(_SQL["lock"], {"target": target})
        last = connection.execute(_SQL["newest"], file).fetchone()
        if last == (sha256,):
            return 0
        given = balances(name, content, now=now)
        new = account_balance.record(connection, target, given, now=now)
        connection.execute(_SQL["add"], {**file, "sha256": sha256, "now": now})
    return new


def _balance(row: Row, latest: date) -> Balance:
    if None in row:
        raise ValueError("has more cells than there are columns")
    point = row.get("usage_point", "")
    one = Balance.of({**row, "usage_points": [point] if point else []})
    if one.as_of > latest:
        # It would stand before everything that is said until then.
        raise ValueError(f"account {one.account!r}: the day {one.as_of} has not come yet")
    return one
