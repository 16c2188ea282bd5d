"""The demonstration's consumers pay: what is owed then, and what of it was posted back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from mdm import account_balance
from schemas.database import Connection
from simulators.invoicing_balance import AGES, Payment
from simulators.invoicing_ledger import Ledger

# Of three consumers one pays all, one the half, one nothing.
_SHARES: Final = (Decimal(1), Decimal("0.5"), Decimal(0))
_PAID_AFTER: Final = timedelta(days=10)
_SEEN_AFTER: Final = timedelta(days=40)
_FILS: Final = Decimal("0.001")


@dataclass(frozen=True)
class Paid:
    """What accounts were invoiced, paid and owe [KD], 40 days after the bills.

    Attributes
    ----------
    posted_back : the balances that came to us with the acknowledgements, summed
    ages : what is open, by age
    problems : what must not be
    """

    accounts: int
    posted_back: Decimal
    invoiced: Decimal
    paid: Decimal
    balance: Decimal
    ages: dict[str, Decimal]
    problems: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Give it for the summary."""
        return {
            "accounts": self.accounts,
            "posted_back_kd": self.posted_back,
            "invoiced_kd": self.invoiced,
            "paid_kd": self.paid,
            "balance_kd": self.balance,
            "ageing_kd": self.ages,
        }


def pay(connection: Connection, ledger: Ledger, *, now: datetime) -> Paid:
    """Have consumers pay, and hold balances against invoices less payments.

    Parameters
    ----------
    now : when the bills were delivered
    """
    told = {one.account: one.balance for one in account_balance.newest(connection, 1_000_000)}
    problems, paid = [], Decimal(0)
    for number, account in enumerate(ledger.accounts.every()):
        name, owed = account["account"], Decimal(account["balance_kd"])
        if told.get(name, Decimal(0)) != owed:
            problems.append(f"account {name}: owes {owed} KD, and {told.get(name)} was posted back")
        amount = (owed * _SHARES[number % len(_SHARES)]).quantize(_FILS, ROUND_DOWN)
        if amount > 0:
            ledger.accounts.pay(name, Payment(f"R-{name}", (now + _PAID_AFTER).date(), amount))
            paid += amount
    after = ledger.accounts.every((now + _SEEN_AFTER).date())
    sums = {
        key: sum((Decimal(one[key]) for one in after), Decimal("0.000"))
        for key in ("invoiced_kd", "paid_kd", "balance_kd", "credit_kd")
    }
    ages = {age: sum((Decimal(one["ageing_kd"][age]) for one in after), Decimal(0)) for age in AGES}
    posted = sum(told.values(), Decimal("0.000"))
    if sums["paid_kd"] != paid or sums["balance_kd"] != posted - paid:
        problems.append(f"{sums['balance_kd']} KD are owed, not {posted} − {paid}")
    if sum(ages.values()) - sums["credit_kd"] != sums["balance_kd"]:
        problems.append(f"what is open by age is not {sums['balance_kd']} KD")
    return Paid(
        accounts=len(after),
        posted_back=posted,
        invoiced=sums["invoiced_kd"],
        paid=sums["paid_kd"],
        balance=sums["balance_kd"],
        ages=ages,
        problems=tuple(problems),
    )
