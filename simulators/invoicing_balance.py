"""What an account owes: invoices and notes less payments, and for how long each has been open.

Pure arithmetic. Payments and credit notes settle the oldest invoice or debit note first; what is
left of them is the account's credit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

AGES: Final[Mapping[str, int | None]] = {"0-30": 30, "31-60": 60, "61-90": 90, "over 90": None}
"""Ages by the most days since the issue; the last is without end."""

_ZERO: Final = Decimal("0.000")
_LONGEST: Final = 100
_AMOUNT: Final = re.compile(r"\d{1,12}(\.\d{1,3})?")


class PaymentError(ValueError):
    """What came is no payment; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or a note: when it was issued, over what [KD]; a credit note's is negative."""

    number: int
    issued_on: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that came on a day [KD]; whoever sends it again uses the same reference."""

    reference: str
    paid_on: date
    amount: Decimal

    @classmethod
    def of(cls, item: Any) -> Payment:
        """Read a payment.

        Raises
        ------
        PaymentError
        """
        if not isinstance(item, dict) or item.keys() != {"reference", "paid_on", "amount_kd"}:
            raise PaymentError("a payment has reference, paid_on and amount_kd")
        reference, text = item["reference"], item["amount_kd"]
        if not isinstance(reference, str) or not 0 < len(reference.strip()) <= _LONGEST:
            raise PaymentError(f"reference must be a text of 1 to {_LONGEST} letters")
        amount = text if isinstance(text, str) and _AMOUNT.fullmatch(text) else "0"
        if not Decimal(amount):
            raise PaymentError("amount_kd must be over 0, as a text such as '12.500'")
        try:
            paid_on = date.fromisoformat(str(item["paid_on"]))
        except ValueError as problem:
            raise PaymentError("paid_on must be a day such as '2026-07-15'") from problem
        return cls(reference, paid_on, Decimal(amount))


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account owes on a day [KD].

    Attributes
    ----------
    invoiced, paid : sums until then; their difference is the balance
    open : what is left of each invoice and debit note, by number
    ages : the same summed by age, names of ``AGES``
    credit : payments and credit notes that settle nothing yet
    """

    invoiced: Decimal
    paid: Decimal
    open: Mapping[int, Decimal]
    ages: Mapping[str, Decimal]
    credit: Decimal

    @property
    def owed(self) -> Decimal:
        """Invoices + notes − payments; below 0 where the account has credit."""
        return self.invoiced - self.paid


def balance(documents: Iterable[Document], payments: Iterable[Payment], on: date) -> Balance:
    """Settle an account as it stood at the end of a day."""
    until = sorted(
        (one for one in documents if one.issued_on <= on),
        key=lambda one: (one.issued_on, one.number),
    )
    paid = sum((one.amount for one in payments if one.paid_on <= on), _ZERO)
    credit = paid - sum((one.amount for one in until if one.amount < 0), _ZERO)
    left: dict[int, Decimal] = {}
    for one in until:
        if one.amount >= 0:
            settled = min(one.amount, credit)
            left[one.number], credit = one.amount - settled, credit - settled
    return Balance(
        invoiced=sum((one.amount for one in until), _ZERO),
        paid=paid,
        open=left,
        ages=_ages(until, left, on),
        credit=credit,
    )


def _ages(
    documents: Sequence[Document], left: Mapping[int, Decimal], on: date
) -> dict[str, Decimal]:
    ages = dict.fromkeys(AGES, _ZERO)
    for one in documents:
        age = (on - one.issued_on).days
        name = next(name for name, most in AGES.items() if most is None or age <= most)
        ages[name] += left.get(one.number, _ZERO)
    return ages
