"""Payments, balances and ages in the simulated invoicing system."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import invoicing, invoicing_balance
from simulators.invoicing_balance import AGES, Document, Payment
from tests.simulators.test_invoicing import Sender, bill, content, line, manifest

FIRST = date(2026, 7, 1)


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with invoicing.serving(tmp_path / "books.sqlite") as running:
        yield Sender(running.url)


def paid(
    sender: Sender, amount: str, day: str, reference: str = "R-1", account: str = "UP-1"
) -> Any:
    body = {"reference": reference, "paid_on": day, "amount_kd": amount}
    return sender.client.post(f"/accounts/{account}/payments", json=body)


def account(sender: Sender, on: str = "") -> dict[str, Any]:
    answer = sender.client.get("/accounts/UP-1", params={"on": on} if on else {})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def month(sender: Sender, number: int, kwh: str) -> list[dict[str, Any]]:
    """Send a month's bill; its invoice is issued on the first of the next."""
    starts = f"2026-{number:02}-01T00:00:00Z"
    one = bill() | {
        "key": f"UP-1/{number}", "time_zone": "UTC", "period_start": starts,
        "period_end": f"2026-{number + 1:02}-01T00:00:00Z",
        "determinants": [line("consumption", kwh)],
    }  # fmt: skip
    export = f"A-{number}"
    file = content(one, export=export)
    head = manifest(file, 1, export, prepared_at=f"2026-{number + 1:02}-01T06:00:00Z")
    assert sender.announce(head, export).status_code == 200
    answer = sender.post(file, export=export)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["balances"]
    return found


def test_a_balance_is_posted_back_with_the_acknowledgement(sender: Sender) -> None:
    posted = {"account": "UP-1", "usage_points": ["UP-1"], "currency": "KWD"}
    # 1000 kWh at 2 fils
    assert month(sender, 1, "1000") == [posted | {"balance": "2.000", "as_of": "2026-02-01"}]
    assert paid(sender, "1.250", "2026-02-10").status_code == 200
    assert month(sender, 2, "500") == [posted | {"balance": "1.750", "as_of": "2026-03-01"}]


def test_payments_settle_the_oldest_first_and_the_rest_ages(sender: Sender) -> None:
    for number, kwh in ((1, "1000"), (2, "2000"), (3, "3000")):
        month(sender, number, kwh)
    # Invoices of 2, 4 and 6 KD on 1 February, 1 March, 1 April; 3.5 KD came on 5 April.
    paid(sender, "3.500", "2026-04-05")
    found = account(sender, "2026-05-05")
    assert [i["open_kd"] for i in found["invoices"]] == ["0.000", "2.500", "6.000"]
    # 1 March is 65 days before, 1 April 34.
    assert found["ageing_kd"] == {
        "0-30": "0.000", "31-60": "6.000", "61-90": "2.500", "over 90": "0.000"
    }  # fmt: skip
    assert (found["invoiced_kd"], found["paid_kd"], found["balance_kd"]) == (
        *("12.000", "3.500", "8.500"),
    )
    before = account(sender, "2026-03-31")
    assert (len(before["invoices"]), before["balance_kd"], before["payments"]) == (2, "6.000", [])


def test_more_than_is_owed_is_credit(sender: Sender) -> None:
    month(sender, 1, "1000")
    paid(sender, "5", "2026-02-03")
    found = account(sender)
    assert (found["balance_kd"], found["credit_kd"]) == ("-3.000", "3.000")
    month(sender, 2, "500")
    assert (account(sender)["balance_kd"], account(sender)["credit_kd"]) == ("-2.000", "2.000")


def test_a_payment_counts_once(sender: Sender) -> None:
    month(sender, 1, "1000")
    for _ in range(2):
        assert paid(sender, "0.500", "2026-02-03").json()["balance_kd"] == "1.500"
    assert paid(sender, "0.700", "2026-02-03").status_code == 409
    assert account(sender)["balance_kd"] == "1.500"
    listed = sender.client.get("/accounts").json()["accounts"]
    assert [(a["account"], a["balance_kd"]) for a in listed] == [("UP-1", "1.500")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "a payment has reference, paid_on and amount_kd"),
        ({"reference": "", "paid_on": "2026-02-03", "amount_kd": "1"}, "reference must be a text"),
        ({"reference": "R", "paid_on": "3.2.", "amount_kd": "1"}, "paid_on must be a day"),
        ({"reference": "R", "paid_on": "2026-02-03", "amount_kd": "0"}, "over 0"),
        ({"reference": "R", "paid_on": "2026-02-03", "amount_kd": "-1"}, "over 0"),
        ({"reference": "R", "paid_on": "2026-02-03", "amount_kd": "1.0005"}, "over 0"),
        ({"reference": "R", "paid_on": "2026-02-03", "amount_kd": 1}, "over 0"),
    ],
)
def test_what_is_no_payment_is_refused(sender: Sender, body: dict[str, Any], message: str) -> None:
    answer = sender.client.post("/accounts/UP-1/payments", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["reasons"][0]
    assert sender.client.get("/accounts/UP-1").status_code == 404


def test_a_manifest_without_a_time_is_refused(sender: Sender) -> None:
    head = manifest(content(bill()), 1, prepared_at="yesterday")
    assert sender.announce(head).status_code == 422


@given(
    amounts=st.lists(st.decimals(-50, 100, places=3), max_size=8),
    payments=st.lists(st.decimals("0.001", 200, places=3), max_size=5),
    on=st.integers(0, 200),
)
def test_what_is_open_less_the_credit_is_the_balance(
    amounts: list[Decimal], payments: list[Decimal], on: int
) -> None:
    documents = [
        Document(n, FIRST + timedelta(days=20 * n), amount) for n, amount in enumerate(amounts)
    ]
    money = [
        Payment(str(n), FIRST + timedelta(days=31 * n), amount) for n, amount in enumerate(payments)
    ]
    day = FIRST + timedelta(days=on)
    found = invoicing_balance.balance(documents, money, day)
    until = sum(d.amount for d in documents if d.issued_on <= day)
    assert found.owed == until - sum(p.amount for p in money if p.paid_on <= day)
    assert sum(found.open.values()) - found.credit == found.owed
    assert sum(found.ages.values()) == sum(found.open.values())
    assert set(found.ages) == set(AGES)
    assert min([found.credit, *found.open.values()]) >= 0
