"""Invoices of the simulated invoicing system: golden amounts, notes, accounts, closed books."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm import tariff_file
from simulators import invoicing, invoicing_prices, invoicing_rating
from simulators.invoicing_accounts import Account, Accounts
from simulators.invoicing_check import Bill
from simulators.invoicing_ledger import Books
from simulators.invoicing_prices import PriceError
from simulators.invoicing_rating import NotPriced
from tests.simulators.test_invoicing import Sender, bill, content, line, manifest

KUWAIT = invoicing_prices.kuwait()


def taken(tariff: str, value: str, *, unit: str = "kWh", commodity: str = "electricity") -> Bill:
    """Make a bill of June 2026 with one figure."""
    return Bill(
        key="k", usage_point="UP-1", commodity=commodity, sector="residential", tariff=tariff,
        billing_group="A", time_zone="Asia/Kuwait", version=1, corrects=None, digest="0" * 64,
        period_start=datetime(2026, 5, 31, 21, tzinfo=UTC),
        period_end=datetime(2026, 6, 30, 21, tzinfo=UTC),
        lines=[line("consumption", value, unit=unit) | {"value": Decimal(value)}],
    )  # fmt: skip


def charged(one: Bill, prices: invoicing_prices.Prices = KUWAIT) -> str:
    return f"{invoicing_rating.total(invoicing_rating.rated(one, prices)['']):.3f}"


@pytest.mark.parametrize(
    ("tariff", "amount"),
    [
        # 1234.567 kWh at 2, 5, 5, 3, 3, 12, 5 and 25 fils
        ("kw-residential", "2.469"),
        ("kw-investment", "6.173"),
        ("kw-commercial", "6.173"),
        ("kw-industrial", "3.704"),
        ("kw-industrial-not-productive", "6.173"),
        ("kw-agricultural", "3.704"),
        ("kw-agricultural-not-productive", "6.173"),
        ("kw-chalet", "14.815"),
        ("kw-service", "6.173"),
        ("kw-government", "30.864"),
    ],
)
def test_electricity_by_sector(tariff: str, amount: str) -> None:
    assert charged(taken(tariff, "1234.567")) == amount


@pytest.mark.parametrize(
    ("tariff", "amount"),
    [
        # 12.345678 thousand gallons at 0.800, 2, 2, 1.250, 2, 1.250, 2, 2, 2 and 4 KD
        ("kw-residential", "9.877"),
        ("kw-investment", "24.691"),
        ("kw-commercial", "24.691"),
        ("kw-industrial", "15.432"),
        ("kw-industrial-not-productive", "24.691"),
        ("kw-agricultural", "15.432"),
        ("kw-agricultural-not-productive", "24.691"),
        ("kw-chalet", "24.691"),
        ("kw-service", "24.691"),
        ("kw-government", "49.383"),
    ],
)
def test_water_by_sector(tariff: str, amount: str) -> None:
    one = taken(tariff, "12.345678", unit="1000 imperial gallons", commodity="water")
    assert charged(one) == amount


@pytest.mark.parametrize(
    ("kwh", "amount"),
    [
        ("0", "0.000"),
        ("500", "2.500"),
        ("1000", "5.000"),
        ("1500", "10.000"),
        ("2000", "15.000"),
        ("2500", "22.500"),
        ("3000", "30.000"),
    ],
)
def test_the_deferred_slabs(kwh: str, amount: str) -> None:
    slabs = invoicing_prices.kuwait(with_deferred=True)
    assert charged(taken("kw-investment", kwh), slabs) == amount
    assert charged(taken("kw-investment", kwh)) == f"{Decimal(kwh) * 5 / 1000:.3f}"


def test_a_price_counts_from_its_first_local_day() -> None:
    before = datetime(2017, 5, 20, 21, tzinfo=UTC)
    first = datetime(2017, 5, 21, 21, tzinfo=UTC)
    assert charged(replace(taken("kw-commercial", "1000"), period_start=before)) == "2.000"
    assert charged(replace(taken("kw-commercial", "1000"), period_start=first)) == "5.000"


@pytest.mark.parametrize(
    ("tariff", "first", "before", "after"),
    [
        # The first day on which the law was applied to a sector: 1000 kWh before it and from it on.
        ("kw-investment", date(2017, 8, 22), "2.000", "5.000"),
        ("kw-commercial", date(2017, 5, 22), "2.000", "5.000"),
        ("kw-industrial", date(2017, 11, 22), "1.000", "3.000"),
        ("kw-industrial-not-productive", date(2017, 11, 22), "1.000", "5.000"),
        ("kw-agricultural", date(2017, 11, 22), "1.000", "3.000"),
        ("kw-agricultural-not-productive", date(2017, 11, 22), "1.000", "5.000"),
        ("kw-chalet", date(2018, 2, 22), "2.000", "12.000"),
        ("kw-service", date(2017, 5, 22), "2.000", "5.000"),
        ("kw-government", date(2017, 5, 22), "2.000", "25.000"),
        ("kw-residential", date(2017, 5, 22), "2.000", "2.000"),
    ],
)
def test_each_sector_from_its_own_day(tariff: str, first: date, before: str, after: str) -> None:
    for days, amount in ((1, before), (0, after)):
        start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days, hours=3)
        assert charged(replace(taken(tariff, "1000"), period_start=start)) == amount


def test_every_tariff_of_kuwait_has_a_price_and_every_price_a_tariff() -> None:
    standing = tariff_file.standing().by_key
    known = {
        (name, commodity, one.unit)
        for (name, commodity), versions in standing.items()
        for one in versions
        if name.startswith("kw-")
    }
    assert len(known) == 2 * 10
    assert {(p.tariff, p.commodity, p.unit) for p in KUWAIT.prices} == known


def test_every_tariff_has_names_in_both_languages() -> None:
    for price in KUWAIT.prices:
        assert price.name_en.isascii()
        assert any("\u0600" <= letter <= "\u06ff" for letter in price.name_ar)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tariff": "kw-palace"}, "there is no price of kw-palace for electricity on 2026-06-01"),
        ({"commodity": "gas"}, "there is no price of kw-residential for gas"),
        ({"lines": [line("consumption", "1", unit="MWh")]}, "is in MWh, its price for kWh"),
        ({"lines": [line("load_factor", "1")]}, "there is no price"),
    ],
)
def test_what_has_no_price_is_not_guessed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(NotPriced, match=message):
        invoicing_rating.rated(replace(taken("kw-residential", "1"), **change), KUWAIT)


def test_parts_have_prices_of_their_own() -> None:
    text = "".join(
        f'[[price]]\ntariff = "t"\ncommodity = "electricity"\nname_en = "{part}"\nname_ar = "x"\n'
        f'unit = "kWh"\ndeterminant = "time_of_use_consumption"\npart = "{part}"\nfils = {fils}\n'
        for part, fils in (("peak", 10), ("off_peak", 2))
    )
    lines = [
        line("time_of_use_consumption", value, part=part) | {"value": Decimal(value)}
        for part, value in (("peak", "100"), ("off_peak", "300"))
    ]
    one = replace(taken("t", "400"), lines=lines)
    items = invoicing_rating.rated(one, invoicing_prices.parse(text, "x"))[""]
    assert [(i.part, f"{i.amount_kd}") for i in items] == [("peak", "1.000"), ("off_peak", "0.600")]


@given(
    values=st.lists(st.decimals(0, 5000, places=3), min_size=2, max_size=6), deferred=st.booleans()
)
def test_notes_bring_what_is_owed_to_the_newest_rating(
    values: list[Decimal], *, deferred: bool
) -> None:
    prices = invoicing_prices.kuwait(with_deferred=deferred)
    invoiced: list[invoicing_rating.Item] = []
    for value in values:
        now = invoicing_rating.rated(taken("kw-investment", f"{value:f}"), prices)[""]
        invoiced += invoicing_rating.note(now, invoicing_rating.read(i.plain() for i in invoiced))
        assert invoicing_rating.total(invoiced) == invoicing_rating.total(now)
        assert sum(i.quantity for i in invoiced) == value


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("fils = 1\nkd = 2", "needs a price in fils or in kd"),
        ("fils = -1", "must not be negative"),
        ("fils = 1\nvat = 5", "unknown key 'vat'"),
        ("slabs = [{ up_to = 5, fils = 1 }]", "slabs must rise"),
        ("slabs = [{ fils = 1 }, { fils = 2 }]", "slabs must rise"),
        ("slabs = [{ up_to = 5, fils = 1 }, { up_to = 2, fils = 1 }, { fils = 2 }]", "must rise"),
    ],
)
def test_a_wrong_price_is_named(entry: str, message: str) -> None:
    head = 'tariff = "t"\ncommodity = "c"\nname_en = "n"\nname_ar = "n"\nunit = "kWh"\n'
    with pytest.raises(PriceError, match=f"x: price 1: .*{message}"):
        invoicing_prices.parse(f"[[price]]\n{head}{entry}\n", "x")


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    """A system whose ministry pays for two usage points in its own cycle, closed until May."""
    ministry = Account("MOH", "Ministry of Health", "وزارة الصحة", "A")
    other = Account("MOE", "Ministry of Education", "وزارة التربية", "quarterly")
    accounts = Accounts(
        {
            "UP-1": ministry,
            "UP-2": ministry,
            "UP-3": other,
            "UP-4": Account("UP-4", "UP-4", "UP-4"),
        }
    )
    books = Books(accounts, KUWAIT, closed_until=date(2026, 5, 1))
    with invoicing.serving(tmp_path / "books.sqlite", books=books) as running:
        yield Sender(running.url)


def get(sender: Sender, path: str) -> dict[str, Any]:
    answer = sender.client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_invoice_of_a_ministry_and_its_balance(sender: Sender) -> None:
    of = {"tariff": "kw-government", "sector": "government"}
    sender.send(bill("UP-1", **of), bill("UP-2", **of))
    first = get(sender, "/invoices/1")
    assert (first["kind"], first["account"], first["sector"]) == ("invoice", "MOH", "government")
    assert (first["addressee_en"], first["addressee_ar"]) == ("Ministry of Health", "وزارة الصحة")
    # 312.5 kWh at 25 fils is 7.8125 KD
    assert first["amount_kd"] == "7.813"
    (item,) = first["items"]
    assert item == {
        "determinant": "consumption", "part": "", "name_en": "Electricity, government",
        "name_ar": "كهرباء، حكومي", "quantity": "312.500", "unit": "kWh", "price_kd": "0.025",
        "amount_kd": "7.813",
    }  # fmt: skip
    account = get(sender, "/accounts/MOH")
    assert account["usage_points"] == ["UP-1", "UP-2"]
    assert (account["balance_kd"], len(account["invoices"])) == ("15.626", 2)
    for path in ("/invoices/3", "/accounts/nobody"):
        assert sender.client.get(path).status_code == 404


def test_an_export_that_names_its_addressee_is_sent_there(sender: Sender) -> None:
    file = content(bill("UP-4"))
    named = {"addressee": "Ministry of Works", "left_out": []}
    assert sender.announce(manifest(file, 1, **named)).status_code == 200
    assert sender.post(file).status_code == 200
    assert get(sender, "/invoices/1")["addressee_en"] == "Ministry of Works"


def test_a_bill_in_parts_is_charged_part_by_part(sender: Sender) -> None:
    lines = [
        line(name, value, part=part)
        for part, value in (("2026-06-01/2026-06-16", "112.500"), ("2026-06-16/2026-07-01", "200"))
        for name in ("consumption", "interval_consumption", "time_of_use_consumption")
    ]
    (given_,) = sender.send(bill("UP-4") | {"determinants": lines})
    assert given_["outcome"] == "billed", given_
    items = get(sender, "/invoices/1")["items"]
    assert [(i["part"][:10], i["amount_kd"]) for i in items] == [
        ("2026-06-01", "0.225"),
        ("2026-06-16", "0.400"),
    ]


def test_corrections_are_credit_and_debit_notes(sender: Sender) -> None:
    def corrected(version: int, value: str, previous: str) -> dict[str, Any]:
        difference = f"{Decimal(value) - Decimal(previous):f}"
        changed = line("consumption", value, previous=previous, difference=difference)
        return bill("UP-4", version) | {"corrects": version - 1, "determinants": [changed]}

    sender.send(bill("UP-4"))
    sender.send(corrected(2, "212.500", "312.500"), export="A-2026-06-01-1-0002")
    sender.send(corrected(3, "362.500", "212.500"), export="A-2026-06-01-1-0003")
    # 312.5, 212.5 and 362.5 kWh at 2 fils
    documents = [(i["kind"], i["amount_kd"], i["quantity"]) for i in sender.invoices()]
    assert documents == [
        ("invoice", "0.625", "312.500"),
        ("credit note", "-0.200", "212.500"),
        ("debit note", "0.300", "362.500"),
    ]
    note = get(sender, "/invoices/2")
    assert (note["items"][0]["quantity"], note["difference"]) == ("-100.000", "-100.000")
    assert note["period_start"] == "2026-05-31T21:00:00+00:00"
    assert get(sender, "/accounts/UP-4")["balance_kd"] == "0.725"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"usage_point": "UP-9"}, "no account has this usage point"),
        ({"usage_point": "UP-3"}, "its account is billed in the cycle 'quarterly'"),
        (
            {"period_start": "2026-03-31T21:00:00Z", "period_end": "2026-04-30T21:00:00Z"},
            "the books are closed until 2026-05-01",
        ),
        ({"tariff": "kw-palace"}, "there is no price of kw-palace"),
    ],
)
def test_what_cannot_be_invoiced_is_rejected(
    sender: Sender, change: dict[str, Any], reason: str
) -> None:
    (given_,) = sender.send(bill("UP-4") | change)
    assert (given_["outcome"], reason in given_["reason"]) == ("rejected", True)
    assert sender.invoices() == []


def test_accounts_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text(
        "usage_point,account,addressee_en,addressee_ar,billing_group\n"
        "UP-1,MOH,Ministry of Health,وزارة الصحة,government\nUP-2,,,,\n",
        "utf-8",
    )
    accounts = Accounts.read(file)
    assert accounts.of("UP-1") == Account("MOH", "Ministry of Health", "وزارة الصحة", "government")
    assert accounts.of("UP-2") == Account("UP-2", "UP-2", "UP-2")
    assert accounts.of("UP-3") is None
    file.write_text("account\nMOH\n", "utf-8")
    with pytest.raises(ValueError, match=r"accounts\.csv: the columns are usage_point"):
        Accounts.read(file)
