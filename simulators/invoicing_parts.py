"""Bills in parts: of a period in which the tariff or the consumer changes, each stretch by itself.

As ``docs/billing.md`` says, a line's ``part`` ends with the stretch's days and consumer, such as
``peak 2026-06-01/2026-06-16 A-77``, and its ``note`` with the stretch's tariff.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

from simulators.invoicing_check import Bill

_STRETCH: Final = re.compile(
    r"(?:(?P<part>.+) )?(?P<first>\d{4}-\d\d-\d\d)/(?P<until>\d{4}-\d\d-\d\d)(?: (?P<account>.+))?"
)
_TARIFF: Final = re.compile(r"(?:^|; )tariff (?P<tariff>[^;]+)$")

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Local days of a bill, from the first to before the last, with one tariff and consumer.

    Attributes
    ----------
    account : who consumed; empty where the bill names nobody
    lines : by the part that they are of within the stretch; may be empty
    """

    starts_on: date
    ends_on: date
    account: str
    tariff: str
    lines: tuple[tuple[str, Line], ...]

    @property
    def days(self) -> int:
        """How many local days it has."""
        return (self.ends_on - self.starts_on).days


def days(bill: Bill) -> tuple[date, date]:
    """Give a bill's first local day, and the first that is not in it."""
    zone = ZoneInfo(bill.time_zone)
    return bill.period_start.astimezone(zone).date(), bill.period_end.astimezone(zone).date()


def consumer(line: Line) -> str:
    """Give the account that a line names; empty if none."""
    match = _STRETCH.fullmatch(line["part"])
    return (match["account"] or "") if match else ""


def stretches(bill: Bill) -> Iterator[Stretch]:
    """Take a bill apart; one that is not in parts is one stretch."""
    found: dict[tuple[date, date, str], list[tuple[str, Line]]] = {}
    whole = days(bill)
    for line in bill.lines:
        if line["value"] is None:
            # Nothing is charged for what cannot be said, or is no longer there.
            continue
        match = _STRETCH.fullmatch(line["part"])
        if match is None:
            found.setdefault((*whole, ""), []).append((line["part"], line))
            continue
        first, until = (date.fromisoformat(match[name]) for name in ("first", "until"))
        key = (first, until, match["account"] or "")
        found.setdefault(key, []).append((match["part"] or "", line))
    for (first, until, account), lines in sorted(found.items(), key=lambda item: item[0]):
        noted = (_TARIFF.search(line["note"] or "") for _, line in lines)
        named = next((match["tariff"] for match in noted if match), bill.tariff)
        yield Stretch(first, until, account, named, tuple(lines))
