"""Bills in parts: each stretch of days is charged by its own tariff, to its own consumer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulators import invoicing, invoicing_parts, invoicing_prices, invoicing_rating
from simulators.invoicing_accounts import Account, Accounts
from simulators.invoicing_check import Bill
from simulators.invoicing_ledger import Books
from simulators.invoicing_rating import NotPriced
from tests.simulators.test_invoicing import Sender, bill, line
from tests.simulators.test_invoicing_rating import taken

BEFORE, AFTER = "2026-06-01/2026-06-16", "2026-06-16/2026-07-01"
MOVED = f"{AFTER} A-77"


def noted(value: str, part: str, tariff: str, **more: object) -> dict[str, Any]:
    return line("consumption", value, part=part, note=f"by register; tariff {tariff}", **more)


def in_parts(*lines: dict[str, Any]) -> Bill:
    figures = [one | {"value": Decimal(one["value"])} for one in lines]
    return replace(taken("kw-residential", "1"), lines=figures)


def charged(one: Bill, *, deferred: bool = False) -> dict[str, list[tuple[str, str]]]:
    found = invoicing_rating.rated(one, invoicing_prices.kuwait(with_deferred=deferred))
    return {
        name: [(f"{i.quantity:f}", f"{i.amount_kd:.3f}") for i in items]
        for name, items in found.items()
    }


def test_each_part_is_charged_by_its_own_tariff() -> None:
    # 100.5 kWh at 2 fils, then a shop: 200.3 kWh at 5 fils = 1.0015 KD
    one = in_parts(
        noted("100.500", BEFORE, "kw-residential"), noted("200.300", AFTER, "kw-commercial")
    )
    assert charged(one) == {"": [("100.500", "0.201"), ("200.300", "1.002")]}


def test_each_part_has_the_prices_of_its_own_first_day() -> None:
    # Commerce cost 2 fils until 21 May 2017 and 5 from the next day on.
    parts = ("2017-05-01/2017-05-22", "2017-05-22/2017-06-01")
    one = in_parts(*(noted("1000", part, "kw-commercial") for part in parts))
    may = replace(
        one,
        tariff="kw-commercial",
        period_start=datetime(2017, 4, 30, 21, tzinfo=UTC),
        period_end=datetime(2017, 5, 31, 21, tzinfo=UTC),
    )
    assert charged(may) == {"": [("1000", "2.000"), ("1000", "5.000")]}


def test_slabs_are_shared_by_days() -> None:
    # Half of June has half of the first slab: 500 kWh at 5 fils, then 100 at 10.
    one = in_parts(noted("600", BEFORE, "kw-investment"), noted("400", AFTER, "kw-investment"))
    assert charged(one, deferred=True) == {
        "": [("500.000", "2.500"), ("100.000", "1.000"), ("400", "2.000")]
    }


def test_a_part_without_a_price_is_named() -> None:
    one = in_parts(noted("1", BEFORE, "kw-residential"), noted("2", AFTER, "kw-palace"))
    with pytest.raises(NotPriced, match="no price of kw-palace for electricity on 2026-06-16"):
        charged(one)


def test_what_a_line_says_of_its_part() -> None:
    two = f"peak hours {BEFORE}", f"{AFTER} The new tenant"
    one = in_parts(noted("1", two[0], "kw-commercial"), noted("2", two[1], "kw-commercial"))
    found = [
        (s.starts_on, s.days, s.account, s.lines[0][0]) for s in invoicing_parts.stretches(one)
    ]
    assert found == [
        (date(2026, 6, 1), 15, "", "peak hours"),
        (date(2026, 6, 16), 15, "The new tenant", ""),
    ]


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    """A flat with an owner, and a tenant whom no usage point has yet."""
    tenant = Account("A-77", "The tenant", "المستأجر")
    accounts = Accounts({"UP-1": Account("A-1", "The owner", "المالك")}, {"A-77": tenant})
    books = Books(accounts, invoicing_prices.kuwait())
    with invoicing.serving(tmp_path / "books.sqlite", books=books) as running:
        yield Sender(running.url)


def test_a_move_in_makes_an_invoice_for_each_consumer(sender: Sender) -> None:
    lines = [noted("100", BEFORE, "kw-residential"), noted("300", MOVED, "kw-residential")]
    (answer,) = sender.send(bill() | {"determinants": lines})
    assert answer["outcome"] == "billed", answer
    found = [(i["account"], i["quantity"], i["amount_kd"]) for i in sender.invoices()]
    assert found == [("A-1", "100", "0.200"), ("A-77", "300", "0.600")]
    assert sender.send(bill() | {"determinants": lines}) == [answer]
    assert len(sender.invoices()) == 2


def test_a_part_that_nobody_pays_rejects_the_bill(sender: Sender) -> None:
    lines = [
        noted("100", BEFORE, "kw-residential"),
        noted("300", f"{AFTER} A-99", "kw-residential"),
    ]
    (answer,) = sender.send(bill() | {"determinants": lines})
    assert (answer["outcome"], answer["reason"]) == ("rejected", "there is no account A-99")
    assert sender.invoices() == []


def test_who_moved_in_after_all_pays_and_who_did_not_is_credited(sender: Sender) -> None:
    sender.send(bill() | {"determinants": [line("consumption", "400")]})
    gone = line("consumption", None, previous="400", difference="-400", note="no longer there")
    new = [
        noted("100", BEFORE, "kw-residential", previous=None, difference="100"),
        noted("300", MOVED, "kw-residential", previous=None, difference="300"),
    ]
    correction = bill(version=2) | {"corrects": 1, "determinants": [*new, gone]}
    (answer,) = sender.send(correction, export="A-2026-06-01-1-0002")
    assert answer["outcome"] == "billed", answer
    # 400 kWh at 2 fils are 0.800; the owner keeps 0.200 of it.
    found = [(i["kind"], i["account"], i["amount_kd"]) for i in sender.invoices()]
    assert found == [
        ("invoice", "A-1", "0.800"),
        ("credit note", "A-1", "-0.600"),
        ("invoice", "A-77", "0.600"),
    ]
