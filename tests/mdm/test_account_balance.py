"""The loop of a bill: delivered, charged part by part, paid, and what is owed posted back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from mdm import account_balance, billing_terms, cycle, delivery
from mdm.account_balance import Balance
from schemas import database
from schemas.database import Connection
from simulators import invoicing, invoicing_prices
from simulators.invoicing_accounts import Account, Accounts
from simulators.invoicing_ledger import Books
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, add_whole, june, later

ACCOUNTS = Accounts(
    {"UP-1": Account("A-1", "Owner", "المالك"), "UP-2": Account("UP-2", "UP-2", "UP-2")},
    {"A-77": Account("A-77", "Tenant", "المستأجر")},
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[invoicing.Running]:
    books = Books(ACCOUNTS, invoicing_prices.kuwait())
    with invoicing.serving(tmp_path / "books.sqlite", books=books) as running:
        yield running


def owed(connection: Connection) -> dict[str, tuple[Decimal, date, list[str]]]:
    found = account_balance.newest(connection, 10)
    return {one.account: (one.balance, one.as_of, one.usage_points) for one in found}


def deliver(connection: Connection, to: str, hours: int = 0) -> delivery.Delivery:
    return delivery.deliver(
        connection, june(connection), target=to, file_format="json", now=later(hours)
    )


@pytest.mark.storage
def test_each_part_is_charged_by_its_tariff_and_its_consumer_owes_it(
    connection: Connection, receiver: invoicing.Running
) -> None:
    # 9.6 kWh a day: the owner's shop for one day, then a tenant's chalet for two.
    point = add_whole(connection, "UP-1", sector="commercial")
    add_whole(connection, "UP-2")
    day = billing.STARTS_ON.replace(day=2)
    moment = PERIOD.start.replace(day=1)
    billing.record_register(connection, point.register, point.installation, {moment: 14_600})
    heading = "usage_point,starts_on,tariff,account"
    lines = [heading, f"UP-1,{day},kw-chalet,A-77"]
    assert billing_terms.import_terms(connection, lines).changed == 1
    cycle.run(connection, june(connection), now=NOW)
    done = deliver(connection, receiver.url)
    assert (done.billed, done.rejected) == (2, 0)
    invoices = {i["account"]: (i["quantity"], i["amount_kd"]) for i in receiver.ledger.invoices()}
    # 9.6 × 5 fils = 48; 19.2 × 12 = 230.4; a house's 28.8 × 2 = 57.6
    assert invoices == {
        "A-1": ("9.600", "0.048"),
        "A-77": ("19.200", "0.230"),
        "UP-2": ("28.800", "0.058"),
    }
    today = NOW.date()
    assert owed(connection) == {
        "A-77": (Decimal("0.230"), today, ["UP-1"]),
        "UP-2": (Decimal("0.058"), today, ["UP-2"]),
        "A-1": (Decimal("0.048"), today, ["UP-1"]),
    }
    (sums,) = account_balance.sums(connection)
    assert (sums.accounts, sums.owing, str(sums.owed), str(sums.credit)) == (3, 3, "0.336", "0")


def test_a_correction_and_a_payment_change_what_is_owed(
    connection: Connection, receiver: invoicing.Running
) -> None:
    point = add_whole(connection, "UP-2")
    cycle.run(connection, june(connection), now=NOW)
    deliver(connection, receiver.url)
    paid = {"reference": "R-1", "paid_on": "2026-06-05", "amount_kd": "0.058"}
    answer = httpx.post(f"{receiver.url}/accounts/UP-2/payments", json=paid, trust_env=False)
    assert answer.json()["balance_kd"] == "0.000"
    # The last quarter of an hour had 1 kWh more: 2 fils.
    billing.record_intervals(connection, point.interval, [100] * 287 + [1_100], at=later(1))
    dials = {PERIOD.end: 5_000 + 28_800 + 1_000}
    billing.record_register(connection, point.register, point.installation, dials, at=later(1))
    cycle.run(connection, june(connection), now=later(2))
    deliver(connection, receiver.url, hours=3)
    assert owed(connection) == {"UP-2": (Decimal("0.002"), NOW.date(), ["UP-2"])}
    said = account_balance.of_account(connection, "UP-2", 10)
    assert [str(one.balance) for one in said] == ["0.002", "0.058"]


def test_what_is_said_again_is_kept_once_and_never_changed(connection: Connection) -> None:
    one = Balance("A", "KWD", Decimal("1.500"), date(2026, 7, 1), ("UP-1", "UP-2"))
    assert account_balance.record(connection, "http://x", [one], now=NOW) == 1
    assert account_balance.record(connection, "http://x", [one], now=later(1)) == 0
    before = Balance("A", "KWD", Decimal(9), date(2026, 6, 1), ("UP-1",))
    assert account_balance.record(connection, "http://x", [before], now=later(2)) == 1
    assert owed(connection) == {"A": (Decimal("1.500"), date(2026, 7, 1), ["UP-1", "UP-2"])}
    with pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("UPDATE account_balance SET balance = 0")


GOOD: dict[str, Any] = {
    "account": "A", "balance": "1.5", "currency": "KWD", "as_of": "2026-07-01",
    "usage_points": ["UP-1"],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"account": ""}, {"account": 7}, {"balance": 1.5}, {"balance": "NaN"}, {"balance": "1e9"},
        {"currency": "fils"}, {"as_of": "yesterday"}, {"usage_points": "UP-1"},
        {"usage_points": [1]}, {"account": "A\nB"},
    ],
)  # fmt: skip
def test_what_is_no_balance_is_refused(change: dict[str, Any]) -> None:
    assert Balance.of(GOOD).balance == Decimal("1.5")
    with pytest.raises((TypeError, ValueError)):
        Balance.of({**GOOD, **change})
