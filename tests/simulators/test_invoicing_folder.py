"""The simulated invoicing system as a receiver by files: a folder's exports, and answers there."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators import invoicing_folder
from simulators.invoicing_accounts import Accounts
from simulators.invoicing_ledger import Books, Ledger
from tests.simulators.test_invoicing import EXPORT, FILE, bill, content, line, manifest

LINES = [line("consumption", "312.500")]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    books = Ledger(tmp_path / "books.sqlite", Books(Accounts.named(["UP-1", "UP-3"])))
    yield books
    books.close()


def put(folder: Path, file: bytes, count: int, **more: Any) -> None:
    (folder / EXPORT).mkdir(parents=True, exist_ok=True)
    (folder / EXPORT / FILE).write_bytes(file)
    told = json.dumps(manifest(file, count, **more))
    (folder / EXPORT / "manifest.json").write_text(told)


def rows(folder: Path, name: str) -> list[list[str]]:
    with (folder / "acknowledgements" / name).open(newline="") as file:
        return list(csv.reader(file))


def test_bills_are_acknowledged_and_balances_left(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "in"
    file = content(*(bill(f"UP-{n}", determinants=LINES) for n in (1, 2, 3)))
    put(folder, file, 3)
    (folder / "half").mkdir()  # without a manifest it is not whole
    assert invoicing_folder.look(folder, ledger) == []
    assert rows(folder, f"{EXPORT}.csv") == [
        ["usage_point", "version", "outcome", "reason"],
        ["UP-1", "1", "billed", ""],
        ["UP-2", "1", "rejected", "no account has this usage point"],
        ["UP-3", "1", "billed", ""],
    ]
    balances = rows(folder, "balances.csv")
    assert balances[0] == ["account", "balance", "currency", "as_of", "usage_point"]
    assert balances[1:] == [[n, "0.625", "KWD", "2026-07-01", n] for n in ("UP-1", "UP-3")]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.csv")}
    assert invoicing_folder.look(folder, ledger) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.csv")} == before
    assert len(ledger.invoices()) == 2


def test_an_export_that_is_not_as_described_is_told_and_not_taken(
    tmp_path: Path, ledger: Ledger
) -> None:
    folder, file = tmp_path / "in", content(bill(determinants=LINES))
    put(folder, file, 1)
    (folder / EXPORT / FILE).write_bytes(file[:-1])
    (problem,) = invoicing_folder.look(folder, ledger)
    assert problem == f"{EXPORT}: {FILE}: is not what the manifest says"
    put(folder, file, 2)
    (problem,) = invoicing_folder.look(folder, ledger)
    assert problem == f"{EXPORT}: another manifest of {EXPORT} was here"
    assert not (folder / "acknowledgements").exists()
    put(folder, file, 1)
    assert invoicing_folder.look(folder, ledger) == []
    assert rows(folder, f"{EXPORT}.csv")[1] == ["UP-1", "1", "billed", ""]


def test_the_program_looks_while_it_serves(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    put(folder, content(bill(determinants=LINES)), 1)
    command = [sys.executable, "-m", "simulators.invoicing", "--folder", str(folder)]
    command += ["--journal", str(tmp_path / "books.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            url = json.loads(running.stdout.readline())["url"]
            assert seen(folder, "0.625")
            paid = {"reference": "R-1", "paid_on": "2026-07-02", "amount_kd": "0.600"}
            httpx.post(f"{url}/accounts/UP-1/payments", json=paid, trust_env=False)
            assert seen(folder, "0.025")
        finally:
            running.terminate()


def seen(folder: Path, balance: str) -> bool:
    """Wait until the file of balances says something."""
    for _ in range(200):
        file = folder / "acknowledgements" / "balances.csv"
        if file.is_file() and rows(folder, "balances.csv")[1][1] == balance:
            return True
        time.sleep(0.05)
    return False
