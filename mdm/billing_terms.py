"""What a usage point is billed by from which day on: its tariff and consumer, its loss factors.

Both come as CSV files, one line a change. A line that is there already changes nothing; another
figure for the same day replaces it, and bills keep what they were computed by.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from mdm.registry import HeadingError
from mdm.registry_row import Rejected
from mdm.tariff_parts import Term
from schemas import binary_copy, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "billing_terms.sql")
TERM_COLUMNS: Final = ("usage_point", "starts_on", "tariff", "account")
LOSS_COLUMNS: Final = ("usage_point", "name", "effective_from", "factor")
_PLACES: Final = 6

Row = Mapping[str, str]
Parse = Callable[[int, Row], dict[str, Any] | Rejected]


@dataclass(slots=True)
class Imported:
    """What an import did: lines that are new or changed something, and those that did not."""

    changed: int = 0
    unchanged: int = 0
    rejected: list[Rejected] = field(default_factory=list)


def terms(connection: Connection, ids: Sequence[int], until: date) -> dict[int, list[Term]]:
    """List terms that begin before a day, by usage point, oldest first."""
    found: dict[int, list[Term]] = defaultdict(list)
    limits = {"usage_points": binary_copy.array(ids), "until": until}
    for point, *columns in connection.execute(_SQL["terms"], limits):
        found[point].append(Term(*columns))
    return found


def import_terms(connection: Connection, lines: Iterable[str]) -> Imported:
    """Take terms from CSV: from ``starts_on`` on, ``tariff`` and ``account`` (may be empty).

    Raises
    ------
    HeadingError
        if the first line lacks columns.
    """
    return _import(connection, lines, TERM_COLUMNS, _term, "put_term")


def import_losses(connection: Connection, lines: Iterable[str]) -> Imported:
    """Take loss factors from CSV: ``factor`` of ``name`` from ``effective_from`` on.

    Raises
    ------
    HeadingError
        if the first line lacks columns.
    """
    return _import(connection, lines, LOSS_COLUMNS, _loss, "put_loss")


def _import(
    connection: Connection,
    lines: Iterable[str],
    columns: Sequence[str],
    parse: Parse,
    statement: str,
) -> Imported:
    reader = csv.DictReader(lines, restval="")
    if lacking := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise HeadingError(f"the first line lacks the columns {', '.join(lacking)}")
    rows = [(reader.line_num, row) for row in reader]
    mrids = {"mrids": [row["usage_point"] for _, row in rows]}
    found = connection.execute(_SQL["known_usage_points"], mrids)
    known: dict[str, int] = {row[0]: row[1] for row in found}
    report = Imported()
    for line, row in rows:
        made = parse(line, row)
        if isinstance(made, dict) and row["usage_point"] not in known:
            reason = "no such usage point; import the registry first"
            made = Rejected(line, "usage_point", row["usage_point"], reason)
        if isinstance(made, Rejected):
            report.rejected.append(made)
            continue
        made["usage_point"] = known[row["usage_point"]]
        done = connection.execute(_SQL[statement], made).rowcount
        report.changed += done
        report.unchanged += 1 - done
    return report


def _term(line: int, row: Row) -> dict[str, Any] | Rejected:
    day = _day(row["starts_on"])
    if day is None:
        return Rejected(line, "starts_on", row["starts_on"], "must be a day such as 2026-06-16")
    if not row["tariff"].strip():
        return Rejected(line, "tariff", row["tariff"], "must name a tariff")
    return {"starts_on": day, "tariff": row["tariff"].strip(), "account": row["account"].strip()}


def _loss(line: int, row: Row) -> dict[str, Any] | Rejected:
    day = _day(row["effective_from"])
    if day is None:
        value = row["effective_from"]
        return Rejected(line, "effective_from", value, "must be a day such as 2025-07-01")
    if not row["name"].strip():
        return Rejected(line, "name", row["name"], "must name the factor, such as DLF")
    try:
        factor = Decimal(row["factor"])
    except InvalidOperation:
        factor = Decimal(0)
    exponent = factor.as_tuple().exponent
    if not 0 < factor < 10 or not isinstance(exponent, int) or exponent < -_PLACES:
        reason = "must be over 0 and under 10, with at most six decimals"
        return Rejected(line, "factor", row["factor"], reason)
    return {"name": row["name"].strip(), "effective_from": day, "factor": factor}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None
