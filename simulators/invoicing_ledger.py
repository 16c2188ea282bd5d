"""The books of the simulated invoicing system: one SQLite file that survives being killed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulators import invoicing_check, invoicing_parts, invoicing_prices, invoicing_rating
from simulators.invoicing_accounts import Account, Accounts
from simulators.invoicing_book import AccountBook
from simulators.invoicing_check import Bill
from simulators.invoicing_prices import Prices
from simulators.invoicing_rating import Item, NotPriced

_SCHEMA = """
CREATE TABLE IF NOT EXISTS manifest (export TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS file (
    export TEXT NOT NULL REFERENCES manifest, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    answer TEXT NOT NULL, PRIMARY KEY (export, name));
CREATE TABLE IF NOT EXISTS invoice (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, digest TEXT NOT NULL,
    usage_point TEXT NOT NULL, period_start TEXT NOT NULL, period_end TEXT NOT NULL,
    version INTEGER NOT NULL, corrects INTEGER, export TEXT NOT NULL, quantity TEXT NOT NULL,
    unit TEXT NOT NULL, difference TEXT, lines TEXT NOT NULL,
    kind TEXT NOT NULL, account TEXT NOT NULL, addressee_en TEXT NOT NULL,
    addressee_ar TEXT NOT NULL, billing_group TEXT NOT NULL, commodity TEXT NOT NULL,
    sector TEXT NOT NULL, tariff TEXT NOT NULL, items TEXT NOT NULL, amount_kd TEXT NOT NULL,
    issued_on TEXT NOT NULL,
    UNIQUE (key, account), UNIQUE (usage_point, period_start, period_end, version, account));
CREATE INDEX IF NOT EXISTS invoice_account ON invoice (account);
CREATE TABLE IF NOT EXISTS payment (
    reference TEXT PRIMARY KEY, account TEXT NOT NULL, paid_on TEXT NOT NULL,
    amount_kd TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS payment_account ON payment (account);
CREATE TABLE IF NOT EXISTS rejection (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, export TEXT NOT NULL,
    usage_point TEXT NOT NULL, reason TEXT NOT NULL);
"""

Answer = dict[str, list[dict[str, Any]]]
_JSON = ("lines", "items")


@dataclass(frozen=True, slots=True)
class Books:
    """By what a ledger goes.

    Attributes
    ----------
    accounts : who pays for which usage point
    prices : what determinants cost
    closed_until : local day before which periods are closed: nothing of them is invoiced
    """

    accounts: Accounts = field(default_factory=Accounts)
    prices: Prices = field(default_factory=invoicing_prices.kuwait)
    closed_until: date | None = None

    def payer(self, usage_point: str, named: str) -> Account | None:
        """Give the account that a bill names, else the usage point's; None if there is none."""
        return self.accounts.named_as(named) if named else self.accounts.of(usage_point)


class Ledger:
    """Manifests, files, invoices and rejections, each written in one transaction.

    Parameters
    ----------
    journal : the SQLite file; made if it is not there
    books : accounts and prices
    """

    def __init__(self, journal: Path, books: Books | None = None) -> None:
        # The server's thread is another one than the one that makes the ledger.
        self._db = sqlite3.connect(journal, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._books = books or Books()
        self.accounts = AccountBook(self._db, self._books)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def manifest(self, export: str) -> dict[str, Any] | None:
        """Give an export's manifest, None if it was never announced."""
        row = self._db.execute("SELECT content FROM manifest WHERE export = ?", [export]).fetchone()
        return None if row is None else invoicing_check.manifest(row["content"], export)

    def announce(self, export: str, content: bytes) -> bool:
        """Keep a manifest; False if another one is there under its name."""
        self._db.execute("INSERT OR IGNORE INTO manifest VALUES (?, ?)", [export, content])
        row = self._db.execute("SELECT content FROM manifest WHERE export = ?", [export]).fetchone()
        return bool(row["content"] == content)

    def answered(self, export: str, name: str) -> tuple[str, Answer] | None:
        """Give what a file was answered, with its SHA-256; None if it did not come yet."""
        row = self._db.execute(
            "SELECT sha256, answer FROM file WHERE export = ? AND name = ?", [export, name]
        ).fetchone()
        return None if row is None else (row["sha256"], json.loads(row["answer"]))

    def take(
        self,
        export: str,
        name: str,
        sha256: str,
        bills: Sequence[Bill],
        *,
        before_commit: Callable[[], None],
    ) -> Answer:
        """Invoice or reject every bill of a file, and keep the answer, all at once or not at all.

        Parameters
        ----------
        before_commit : called when everything is written and nothing is kept yet
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            found = self.manifest(export) or {}
            head = _Head(export, found.get("addressee", ""), found.get("prepared_at", ""))
            answer: Answer = {"acknowledgements": [self._invoice(head, bill) for bill in bills]}
            answer["balances"] = self.accounts.of_bills(bills)
            self._db.execute(
                "INSERT INTO file VALUES (?, ?, ?, ?)", [export, name, sha256, json.dumps(answer)]
            )
            before_commit()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return answer

    def invoices(self, usage_point: str | None = None) -> list[dict[str, Any]]:
        """List invoices and notes, all or one usage point's, in the order of their writing."""
        rows = self._db.execute(
            "SELECT * FROM invoice WHERE ?1 IS NULL OR usage_point = ?1 ORDER BY number",
            [usage_point],
        )
        return [_document(row) for row in rows]

    def invoice(self, number: int) -> dict[str, Any] | None:
        """Give an invoice or note by its number, None if there is none."""
        row = self._db.execute("SELECT * FROM invoice WHERE number = ?", [number]).fetchone()
        return None if row is None else _document(row)

    def rejections(self) -> list[dict[str, Any]]:
        """List rejected bills, oldest first."""
        return [dict(row) for row in self._db.execute("SELECT * FROM rejection ORDER BY id")]

    def _invoice(self, head: _Head, bill: Bill) -> dict[str, Any]:
        """Write a bill's invoices, or find them written, or reject the bill."""
        reasons, items = self._objections(bill), {}
        if not reasons:
            try:
                items = invoicing_rating.rated(bill, self._books.prices)
            except NotPriced as problem:
                reasons.append(str(problem))
        written = self._db.execute("SELECT 1 FROM invoice WHERE key = ?", [bill.key]).fetchone()
        if reasons:
            self._db.execute(
                "INSERT INTO rejection (key, export, usage_point, reason) VALUES (?, ?, ?, ?)",
                [bill.key, head.export, bill.usage_point, "; ".join(reasons)],
            )
        elif written is None:
            self._write_all(head, bill, items)
        return {
            "key": bill.key,
            "usage_point": bill.usage_point,
            "version": bill.version,
            "outcome": "rejected" if reasons else "billed",
            "reason": "; ".join(reasons),
        }

    def _objections(self, bill: Bill) -> list[str]:
        """List why a bill cannot be invoiced, given what was invoiced before."""
        reasons = invoicing_check.objections(bill)
        before: dict[int, list[sqlite3.Row]] = {}
        for row in self._before(bill):
            before.setdefault(row["version"], []).append(row)
        same = before.pop(bill.version, None)
        if same is not None:
            if (same[0]["key"], same[0]["digest"]) != (bill.key, bill.digest):
                reasons.append("this version was invoiced with other content")
            return reasons
        reasons += self._of_account(bill)
        newest = max(before, default=None)
        if bill.corrects != newest:
            said = "nothing" if bill.corrects is None else f"version {bill.corrects}"
            there = "nothing" if newest is None else f"version {newest}"
            reasons.append(f"it corrects {said}, and {there} was invoiced")
        elif newest is not None and not _continues(bill, before[newest]):
            reasons.append("its previous consumption is not what was invoiced")
        return reasons

    def _of_account(self, bill: Bill) -> list[str]:
        """List why nobody can be sent a bill."""
        closed, reasons = self._books.closed_until, []
        for name in {stretch.account for stretch in invoicing_parts.stretches(bill)}:
            account = self._books.payer(bill.usage_point, name)
            if account is None:
                what = f"there is no account {name}" if name else "no account has this usage point"
                reasons.append(what)
            elif account.billing_group not in ("", bill.billing_group):
                reasons.append(f"its account is billed in the cycle {account.billing_group!r}")
        if closed is not None and invoicing_parts.days(bill)[0] < closed:
            reasons.append(f"the books are closed until {closed}")
        return reasons

    def _before(self, bill: Bill) -> list[sqlite3.Row]:
        """Give what was invoiced of a bill's period."""
        return self._db.execute(
            "SELECT * FROM invoice WHERE usage_point = ? AND period_start = ? AND period_end = ?",
            [bill.usage_point, bill.period_start.isoformat(), bill.period_end.isoformat()],
        ).fetchall()

    def _write_all(self, head: _Head, bill: Bill, items: Mapping[str, Sequence[Item]]) -> None:
        """Write an invoice or a note for each account that has or had a part of a bill."""
        before = self._before(bill)
        now: dict[Account, list[Item]] = {}
        for name, charged in items.items():
            account = self._books.payer(bill.usage_point, name)
            assert account  # noqa: S101  # _of_account() has looked
            now.setdefault(account, []).extend(charged)
        known = {account.id for account in now}
        for row in before:
            if row["account"] not in known:
                # Who was charged for it and is no longer gets it back.
                known.add(row["account"])
                now[Account(row["account"], row["addressee_en"], row["addressee_ar"])] = []
        for account, charged in now.items():
            mine = [row for row in before if row["account"] == account.id]
            self._write(head, bill, account, charged, mine)

    def _write(
        self,
        head: _Head,
        bill: Bill,
        account: Account,
        items: Sequence[Item],
        before: Sequence[sqlite3.Row],
    ) -> None:
        kind = "invoice"
        if before:
            invoiced = [item for row in before for item in json.loads(row["items"])]
            items = invoicing_rating.note(items, invoicing_rating.read(invoiced))
            kind = "credit note" if invoicing_rating.total(items) < 0 else "debit note"
        lines = self._lines(bill, account)
        of = [line for line in lines if line["determinant"] == "consumption"]
        differences = [line["difference"] for line in of if line.get("difference") is not None]
        values = {
            **{n: getattr(bill, n) for n in _OF_BILL},
            "period_start": bill.period_start.isoformat(),
            "period_end": bill.period_end.isoformat(),
            "export": head.export,
            "quantity": f"{sum(line['value'] or 0 for line in of):f}",
            "unit": bill.consumption[0]["unit"],
            "difference": f"{sum(differences):f}" if differences else None,
            "lines": json.dumps(lines, default=lambda value: f"{value:f}"),
            "kind": kind,
            "account": account.id,
            # Whom the export names goes before whom the account does.
            "addressee_en": head.addressee or account.addressee_en,
            "addressee_ar": head.addressee or account.addressee_ar,
            "items": json.dumps([item.plain() for item in items]),
            "amount_kd": f"{invoicing_rating.total(items):.3f}",
            "issued_on": head.prepared_at[:10],
        }
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        # The names are this module's own.
        self._db.execute(f"INSERT INTO invoice ({names}) VALUES ({marks})", values)  # noqa: S608

    def _lines(self, bill: Bill, account: Account) -> list[Mapping[str, Any]]:
        """Give the lines of a bill that an account's invoice shows."""
        payers = {
            name: self._books.payer(bill.usage_point, name)
            for name in {invoicing_parts.consumer(line) for line in bill.lines}
        }
        return [
            line
            for line in bill.lines
            for payer in [payers[invoicing_parts.consumer(line)]]
            if payer is not None and payer.id == account.id
        ]


_OF_BILL = (
    "key", "digest", "usage_point", "version", "corrects", "billing_group", "commodity", "sector",
    "tariff",
)  # fmt: skip


def _document(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), **{name: json.loads(row[name]) for name in _JSON}}


def _continues(bill: Bill, before: Sequence[sqlite3.Row]) -> bool:
    """Tell whether a correction starts from what was invoiced."""
    invoiced = {
        (line["part"], line["unit"], Decimal(line["value"]))
        for row in before
        for line in json.loads(row["lines"])
        if line["determinant"] == "consumption" and line["value"] is not None
    }
    previous = {
        (line["part"], line["unit"], line["previous"])
        for line in bill.lines
        if line["determinant"] == "consumption" and line.get("previous") is not None
    }
    return previous == invoiced


@dataclass(frozen=True, slots=True)
class _Head:
    """What the bills of a file share."""

    export: str
    addressee: str
    prepared_at: str
