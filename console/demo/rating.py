"""The invoices held against the truth: what should be paid, worked out apart.

The prices stand here a second time and nothing is shared with the invoicing system but the sectors'
names: two sides with one table could be wrong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import pandas as pd

# Law 20/2016 as applied from 2017 on: fils a kWh, and fils a thousand imperial gallons.
_FILS: Final = {
    "residential": (2, 800),
    "investment": (5, 2000),
    "commercial": (5, 2000),
    "industrial": (3, 1250),
    "agricultural": (3, 1250),
    "chalet": (12, 2000),
    "service": (5, 2000),
    "government": (25, 4000),
}
_FILS_A_KD: Final = 1000


def owed(quantity: Decimal, unit: str, sector: str) -> Decimal:
    """Give what a quantity costs [KD], rounded half up to a fils.

    Raises
    ------
    KeyError
        if the sector has no price.
    """
    electricity, water = _FILS[sector]
    fils = quantity * (electricity if unit == "kWh" else water)
    return fils.quantize(Decimal(1), ROUND_HALF_UP) / _FILS_A_KD


def charged(
    invoices: Sequence[Mapping[str, Any]], bills: pd.DataFrame, sectors: Mapping[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    """Hold every invoice against the rated truth.

    Parameters
    ----------
    invoices : as the invoicing system lists them
    bills : as ``reconciliation.Reconciliation.bills``: the truth is billed − difference
    sectors : by usage point

    Returns
    -------
    by sector: invoices, invoiced_kd, true_kd (Decimal), exact; and what must not be
    """
    known = bills.set_index("usage_point")
    rows, problems = [], []
    for invoice in invoices:
        point, amount = invoice["usage_point"], Decimal(invoice["amount_kd"])
        bill, sector = known.loc[point], sectors[point]
        billed = Decimal(bill["consumption"])
        wanted = owed(billed, bill["unit"], sector)
        true = owed(billed - bill["difference"], bill["unit"], sector)
        if amount != wanted:
            problems.append(f"{point}: invoiced {amount} KD, its bill costs {wanted} KD")
        if bill["difference"] == 0 and amount != true:
            problems.append(f"{point}: invoiced {amount} KD, the truth costs {true} KD")
        rows.append((sector, amount, true, amount == true))
    table = pd.DataFrame(rows, columns=["sector", "invoiced_kd", "true_kd", "exact"])
    return _by_sector(table), problems


def _by_sector(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, part in [*table.groupby("sector", sort=True), ("all", table)]:
        sums = [sum(part[column], Decimal("0.000")) for column in ("invoiced_kd", "true_kd")]
        rows.append((str(name), len(part), *sums, int(part["exact"].sum())))
    columns = ["sector", "invoices", "invoiced_kd", "true_kd", "exact"]
    return pd.DataFrame(rows, columns=columns)
