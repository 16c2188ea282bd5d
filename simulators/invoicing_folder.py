"""Exports that lie in a folder, for an invoicing system that nobody can send anything to.

``docs/billing.md``: an export is a folder of its own, whole once its manifest is there. What became
of its bills is left in ``acknowledgements/EXPORT.csv``, what all accounts owe in
``acknowledgements/balances.csv``; each is written under another ending and renamed. A receiver by
SFTP is the same: its folder is the one that the server serves.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from simulators import invoicing_check
from simulators.invoicing_book import CURRENCY
from simulators.invoicing_check import Malformed
from simulators.invoicing_ledger import Ledger

ANSWERS: Final = "acknowledgements"
_MANIFEST: Final = "manifest.json"
_BILLS: Final = ("usage_point", "version", "outcome", "reason")
_BALANCES: Final = ("account", "balance", "currency", "as_of", "usage_point")


def look(folder: Path, ledger: Ledger) -> list[str]:
    """Take what is there, and answer it; what was taken before is answered as it was.

    Returns
    -------
    what is wrong with exports, of which nothing was taken then
    """
    problems = []
    for manifest in sorted(folder.glob(f"*/{_MANIFEST}")):
        export = manifest.parent.name
        try:
            answers = _taken(manifest.parent, ledger)
        except (Malformed, OSError) as problem:
            problems.append(f"{export}: {problem}")
        else:
            _leave(folder, f"{export}.csv", _BILLS, answers)
    balances = list(_balances(ledger))
    if balances:
        _leave(folder, "balances.csv", _BALANCES, balances)
    return problems


def _taken(export: Path, ledger: Ledger) -> list[Sequence[object]]:
    """Take an export; give what became of each bill.

    Raises
    ------
    Malformed
        if it is not as described, or another one had its name.
    """
    content = (export / _MANIFEST).read_bytes()
    manifest = invoicing_check.manifest(content, export.name)
    if not ledger.announce(export.name, content):
        raise Malformed([f"another manifest of {export.name} was here"])
    answers: list[Sequence[object]] = []
    for entry in manifest["files"]:
        answer = _answer(export, entry, ledger)
        answers += [[one[name] for name in _BILLS] for one in answer["acknowledgements"]]
    return answers


def _answer(export: Path, entry: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    name, sha256 = entry["name"], entry["sha256"]
    before = ledger.answered(export.name, name)
    if before is not None and before[0] == sha256:
        return before[1]
    file = export / Path(name).name
    content = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Malformed([f"{name}: is not what the manifest says"])
    bills = invoicing_check.bills(content, entry["media_type"], export.name)
    if len(bills) != entry["usage_points"]:
        raise Malformed([f"{name}: has {len(bills)} usage points, not {entry['usage_points']}"])
    return ledger.take(export.name, name, sha256, bills, before_commit=lambda: None)


def _balances(ledger: Ledger) -> Iterable[Sequence[object]]:
    """Give a row for each account's usage point; one without for an account that has none."""
    for one in ledger.accounts.every():
        for point in one["usage_points"] or [""]:
            yield one["account"], one["balance_kd"], CURRENCY, one["as_of"], point


def _leave(
    folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a file, unless it is there with this content."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    answers = folder / ANSWERS
    answers.mkdir(exist_ok=True)
    final, content = answers / name, text.getvalue().encode()
    if final.is_file() and final.read_bytes() == content:
        return
    part = answers / f"{name}.part"
    part.write_bytes(content)
    part.rename(final)
