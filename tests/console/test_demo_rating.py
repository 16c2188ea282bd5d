"""The demonstration's invoices are held against the truth, rated apart."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

from console.demo import rating


@pytest.mark.parametrize(
    ("quantity", "unit", "sector", "kd"),
    [
        ("1000.000", "kWh", "residential", "2.000"),
        ("1234.567", "kWh", "government", "30.864"),
        ("0.100", "kWh", "investment", "0.001"),
        ("12.345678", "1000 imperial gallons", "industrial", "15.432"),
    ],
)
def test_what_is_owed(quantity: str, unit: str, sector: str, kd: str) -> None:
    assert f"{rating.owed(Decimal(quantity), unit, sector):.3f}" == kd


def charged(amount: str, difference: str = "0.000") -> tuple[pd.DataFrame, list[str]]:
    """Hold one invoice of 100 kWh of an office against the truth."""
    bills = pd.DataFrame(
        [("UP1", Decimal("100.000"), "kWh", Decimal(difference))],
        columns=["usage_point", "consumption", "unit", "difference"],
    )
    invoices = [{"usage_point": "UP1", "amount_kd": amount}]
    return rating.charged(invoices, bills, {"UP1": "commercial"})


def test_a_right_invoice_is_no_violation() -> None:
    table, problems = charged("0.500")
    assert problems == []
    assert table.to_dict("records") == [
        {
            "sector": name,
            "invoices": 1,
            "invoiced_kd": Decimal("0.500"),
            "true_kd": Decimal("0.500"),
            "exact": 1,
        }
        for name in ("commercial", "all")
    ]


def test_a_wrong_price_is_a_violation() -> None:
    _, problems = charged("0.200")
    assert problems == [
        "UP1: invoiced 0.200 KD, its bill costs 0.5 KD",
        "UP1: invoiced 0.200 KD, the truth costs 0.5 KD",
    ]


def test_a_bill_that_an_estimate_moved_is_told_apart_from_a_wrong_price() -> None:
    table, problems = charged("0.500", "-20.000")
    assert problems == []
    whole = table.iloc[-1]
    assert (whole["invoiced_kd"], whole["true_kd"], whole["exact"]) == (
        *(Decimal("0.500"), Decimal("0.600"), 0),
    )
