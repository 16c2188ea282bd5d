"""The books of the simulated invoicing system: one SQLite file that survives being killed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulators import invoicing_check
from simulators.invoicing_check import Bill

_SCHEMA = """
CREATE TABLE IF NOT EXISTS manifest (export TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS file (
    export TEXT NOT NULL REFERENCES manifest, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    answer TEXT NOT NULL, PRIMARY KEY (export, name));
CREATE TABLE IF NOT EXISTS invoice (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
    usage_point TEXT NOT NULL, period_start TEXT NOT NULL, period_end TEXT NOT NULL,
    version INTEGER NOT NULL, corrects INTEGER, export TEXT NOT NULL, quantity TEXT NOT NULL,
    unit TEXT NOT NULL, difference TEXT, lines TEXT NOT NULL,
    UNIQUE (usage_point, period_start, period_end, version));
CREATE TABLE IF NOT EXISTS rejection (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, export TEXT NOT NULL,
    usage_point TEXT NOT NULL, reason TEXT NOT NULL);
"""

Answer = dict[str, list[dict[str, Any]]]


class Ledger:
    """Manifests, files, invoices and rejections, each written in one transaction.

    Parameters
    ----------
    journal : the SQLite file; made if it is not there
    accounts : usage points that can be invoiced; None for all
    """

    def __init__(self, journal: Path, accounts: frozenset[str] | None = None) -> None:
        # The server's thread is another one than the one that makes the ledger.
        self._db = sqlite3.connect(journal, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._accounts = accounts

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
            answer: Answer = {"acknowledgements": [self._invoice(export, bill) for bill in bills]}
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
        """List invoices, all or one usage point's, in the order in which they were written."""
        rows = self._db.execute(
            "SELECT * FROM invoice WHERE ?1 IS NULL OR usage_point = ?1 ORDER BY number",
            [usage_point],
        )
        return [{**dict(row), "lines": json.loads(row["lines"])} for row in rows]

    def rejections(self) -> list[dict[str, Any]]:
        """List rejected bills, oldest first."""
        return [dict(row) for row in self._db.execute("SELECT * FROM rejection ORDER BY id")]

    def _invoice(self, export: str, bill: Bill) -> dict[str, Any]:
        """Write one invoice, or find it written, or reject the bill."""
        reasons = self._objections(bill)
        written = self._db.execute("SELECT 1 FROM invoice WHERE key = ?", [bill.key]).fetchone()
        if reasons:
            self._db.execute(
                "INSERT INTO rejection (key, export, usage_point, reason) VALUES (?, ?, ?, ?)",
                [bill.key, export, bill.usage_point, "; ".join(reasons)],
            )
        elif written is None:
            self._write(export, bill)
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
        if self._accounts is not None and bill.usage_point not in self._accounts:
            reasons.append("no account has this usage point")
        period = [bill.usage_point, bill.period_start.isoformat(), bill.period_end.isoformat()]
        before = {
            row["version"]: row
            for row in self._db.execute(
                "SELECT * FROM invoice WHERE usage_point = ? AND period_start = ?"
                " AND period_end = ?",
                period,
            )
        }
        same = before.pop(bill.version, None)
        if same is not None:
            if (same["key"], same["digest"]) != (bill.key, bill.digest):
                reasons.append("this version was invoiced with other content")
            return reasons
        newest = max(before, default=None)
        if bill.corrects != newest:
            said = "nothing" if bill.corrects is None else f"version {bill.corrects}"
            there = "nothing" if newest is None else f"version {newest}"
            reasons.append(f"it corrects {said}, and {there} was invoiced")
        elif newest is not None and not _continues(bill, before[newest]):
            reasons.append("its previous consumption is not what was invoiced")
        return reasons

    def _write(self, export: str, bill: Bill) -> None:
        line = bill.line("consumption")
        assert line  # noqa: S101  # objections() has looked
        difference = line.get("difference")
        self._db.execute(
            "INSERT INTO invoice (key, digest, usage_point, period_start, period_end, version,"
            " corrects, export, quantity, unit, difference, lines)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(bill.key, bill.digest, bill.usage_point),
                *(bill.period_start.isoformat(), bill.period_end.isoformat()),
                *(bill.version, bill.corrects, export, f"{line['value']:f}", line["unit"]),
                None if difference is None else f"{difference:f}",
                json.dumps(bill.lines, default=lambda value: f"{value:f}"),
            ],
        )


def _continues(bill: Bill, before: sqlite3.Row) -> bool:
    """Tell whether a correction starts from what was invoiced."""
    line = bill.line("consumption") or {}
    previous = line.get("previous")
    return previous == Decimal(before["quantity"]) and line.get("unit") == before["unit"]
