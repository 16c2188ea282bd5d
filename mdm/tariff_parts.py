"""Tariffs that change inside a period: a new version begins, or a usage point's terms change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from mdm import calendar_file
from mdm.tariff import Part, Tariff, Tariffs


@dataclass(frozen=True, slots=True)
class Term:
    """From a local day on a usage point has a tariff and a consumer."""

    starts_on: date
    tariff: str
    account: str


def during(
    tariffs: Tariffs,
    own: str,
    commodity: str,
    *,
    days: tuple[date, date],
    terms: Sequence[Term] = (),
) -> Tariff:
    """Give the tariff of a period; where it changes inside, one that is made of parts.

    Parameters
    ----------
    own : the registry's tariff, which counts before the first term
    days : the first local day, and the first that is not in the period
    terms : oldest first

    Raises
    ------
    TariffError
        as ``Tariffs.on`` does.
    CalendarError
        if a tariff's calendar does not exist.
    """
    first, until = days
    starts = {first} | {term.starts_on for term in terms if first < term.starts_on < until}
    for name in {own, *(term.tariff for term in terms)}:
        starts |= {day for day in tariffs.changes(name, commodity) if first < day < until}
    parts: list[Part] = []
    for day in sorted(starts):
        term = next((t for t in reversed(terms) if t.starts_on <= day), Term(first, own, ""))
        tariff = tariffs.on(term.tariff, commodity, day)
        before = parts[-1] if parts else None
        if before is None or (before.account, before.tariff) != (term.account, tariff):
            part = Part(day, term.account, tariff, calendar_file.named(tariff.calendar))
            parts.append(part)
    return parts[0].tariff if len(parts) == 1 else composed(parts)


def composed(parts: Sequence[Part]) -> Tariff:
    """Make one tariff of parts; its definition holds theirs, calendars too."""
    content = {
        "parts": [
            {
                "starts_on": part.starts_on.isoformat(),
                "account": part.account,
                "tariff": json.loads(part.tariff.definition),
                "calendar": json.loads(part.calendar.definition),
            }
            for part in parts
        ]
    }
    definition = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return replace(parts[0].tariff, definition=definition, parts=tuple(parts), declared=())
