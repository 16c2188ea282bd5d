"""Accounts of the simulated invoicing system: their documents, payments and balances."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from simulators import invoicing_balance, invoicing_parts
from simulators.invoicing_balance import Balance, Document, Payment
from simulators.invoicing_check import Bill

if TYPE_CHECKING:
    from simulators.invoicing_ledger import Books

CURRENCY: Final = "KWD"
_SHOWN: Final = (
    "number", "kind", "usage_point", "period_start", "period_end", "issued_on", "amount_kd",
)  # fmt: skip


class AccountBook:
    """What each account was sent, what it paid and what it owes.

    Parameters
    ----------
    db : with the ledger's tables
    books : accounts
    """

    def __init__(self, db: sqlite3.Connection, books: Books) -> None:
        self._db = db
        self._books = books

    def pay(self, account: str, payment: Payment) -> bool | None:
        """Write a payment down once; None if no such account, False if it was another before."""
        known = self._books.accounts.named_as(account) or self._documents(account)
        if not known:
            return None
        row = (account, payment.paid_on.isoformat(), f"{payment.amount:.3f}")
        self._db.execute(
            "INSERT OR IGNORE INTO payment (reference, account, paid_on, amount_kd) "
            "VALUES (?, ?, ?, ?)",
            [payment.reference, *row],
        )
        (kept,) = self._db.execute(
            "SELECT account, paid_on, amount_kd FROM payment WHERE reference = ?",
            [payment.reference],
        )
        return tuple(kept) == row

    def of(self, name: str, on: date | None = None) -> dict[str, Any] | None:
        """Give an account with its documents, payments, balance and ages [KD]; None without any.

        Parameters
        ----------
        on : at the end of which day; unless given the last one in the books
        """
        documents, payments = self._documents(name), self._payments(name)
        if not documents and not payments:
            return None
        day = on or self._today()
        known = self._books.accounts.named_as(name)
        english, arabic = (known.addressee_en, known.addressee_ar) if known else (name, name)
        if documents:
            english, arabic = documents[-1]["addressee_en"], documents[-1]["addressee_ar"]
        found = _settled(documents, payments, day)
        shown = [{n: row[n] for n in _SHOWN} for row in documents if _day(row["issued_on"]) <= day]
        return {
            "account": name, "addressee_en": english, "addressee_ar": arabic,
            "usage_points": sorted({row["usage_point"] for row in documents}),
            "invoices": [
                {**row, "open_kd": f"{found.open.get(row['number'], Decimal(0)):.3f}"}
                for row in shown
            ],
            "payments": [
                {"reference": p.reference, "paid_on": p.paid_on.isoformat(),
                 "amount_kd": f"{p.amount:.3f}"}
                for p in payments if p.paid_on <= day
            ],
            **_figures(found, day),
        }  # fmt: skip

    def every(self, on: date | None = None) -> list[dict[str, Any]]:
        """List accounts that were invoiced or have paid, with balance and ages."""
        rows = self._db.execute(
            "SELECT account FROM invoice UNION SELECT account FROM payment ORDER BY account"
        )
        found = (self.of(row["account"], on) for row in rows.fetchall())
        left_out = ("invoices", "payments")
        return [{n: v for n, v in one.items() if n not in left_out} for one in found if one]

    def of_bills(self, bills: Iterable[Bill]) -> list[dict[str, Any]]:
        """Give what the accounts of bills owe now, as it is posted back with the answer."""
        points: dict[str, set[str]] = {}
        for bill in bills:
            for name in {stretch.account for stretch in invoicing_parts.stretches(bill)}:
                if (account := self._books.payer(bill.usage_point, name)) is not None:
                    points.setdefault(account.id, set()).add(bill.usage_point)
        day = self._today()
        return [
            {
                "account": name,
                "usage_points": sorted(of),
                "balance": f"{_settled(documents, self._payments(name), day).owed:.3f}",
                "currency": CURRENCY,
                "as_of": day.isoformat(),
            }
            for name, of in sorted(points.items())
            if (documents := self._documents(name))
        ]

    def _today(self) -> date:
        """Give the last day in the books: a simulated system has no clock of its own."""
        row = self._db.execute(
            "SELECT max(day) AS day FROM (SELECT max(issued_on) AS day FROM invoice "
            "UNION SELECT max(paid_on) FROM payment)"
        ).fetchone()
        return _day(row["day"]) if row["day"] else date.min

    def _documents(self, account: str) -> list[sqlite3.Row]:
        return self._db.execute(
            "SELECT * FROM invoice WHERE account = ? ORDER BY number", [account]
        ).fetchall()

    def _payments(self, account: str) -> list[Payment]:
        rows = self._db.execute(
            "SELECT reference, paid_on, amount_kd FROM payment WHERE account = ? "
            "ORDER BY paid_on, reference",
            [account],
        )
        return [Payment(r["reference"], _day(r["paid_on"]), Decimal(r["amount_kd"])) for r in rows]


def _settled(documents: Iterable[sqlite3.Row], payments: list[Payment], on: date) -> Balance:
    made = [
        Document(row["number"], _day(row["issued_on"]), Decimal(row["amount_kd"]))
        for row in documents
    ]
    return invoicing_balance.balance(made, payments, on)


def _figures(found: Balance, on: date) -> dict[str, Any]:
    return {
        "as_of": on.isoformat(),
        "invoiced_kd": f"{found.invoiced:.3f}",
        "paid_kd": f"{found.paid:.3f}",
        "balance_kd": f"{found.owed:.3f}",
        "credit_kd": f"{found.credit:.3f}",
        "ageing_kd": {name: f"{amount:.3f}" for name, amount in found.ages.items()},
    }


def _day(text: str) -> date:
    return date.fromisoformat(text)
