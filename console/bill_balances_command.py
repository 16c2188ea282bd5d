"""``miqyas bill balances``: what accounts owe, as invoicing systems posted it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from console import show, store
from mdm import account_balance
from mdm.account_balance import Kept

_LISTED = 20


def add_to(app: typer.Typer) -> None:
    """Put this command among those of ``miqyas bill``."""
    app.command("balances")(balances)


def balances(
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", help="All that was said of one account.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most lines shown.")] = _LISTED,
) -> None:
    """Show what accounts owe, as invoicing systems said with their acknowledgements.

    Example: miqyas bill balances --limit 50
    """
    with store.connection() as connection:
        if account is not None:
            found = account_balance.of_account(connection, account, limit)
            _table(f"Account {account}", found)
            return
        sums = account_balance.sums(connection)
        found = account_balance.newest(connection, limit)
    if not sums:
        show.done("No invoicing system has told a balance yet: it comes with acknowledgements.")
        return
    for one in sums:
        show.done(
            f"{show.count(one.accounts, 'account')}: {one.owing:,} owe "
            f"{one.owed:,} {one.currency}, credit is {one.credit:,} {one.currency}, "
            f"as of {one.as_of}"
        )
    _table("What accounts owe", found)


def _table(title: str, found: Sequence[Kept]) -> None:
    if not found:
        show.done(f"{title}: nothing")
        return
    rows = [
        (k.account, f"{k.balance:,}", k.currency, str(k.as_of), len(k.usage_points), k.target)
        for k in found
    ]
    columns = ["account", "balance #", "currency", "as of", "usage points #", "told by"]
    show.table(title, columns, rows)
