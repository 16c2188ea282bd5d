"""What a usage point is billed by from which day on: its tariff and consumer, its loss factors.

Both come as CSV files, one line a change. A line that is there already changes nothing; another
figure for the same day replaces it, and bills keep what they were computed by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Final

from mdm import csv_rows
from mdm.csv_rows import Row
from mdm.registry_row import Rejected
from mdm.tariff_parts import Term
from schemas import binary_copy, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "billing_terms.sql")
TERM_COLUMNS: Final = ("usage_point", "starts_on", "tariff", "account")
LOSS_COLUMNS: Final = ("usage_point", "name", "effective_from", "factor")
_PLACES: Final = 6

# Rows that are looked up and written together.
_BATCH: Final = 2_000

Cells = Mapping[str, str]


class _Bad(ValueError):
    """A cell that was not understood."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.reason = column, reason


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of file: its columns, how a row is read, and the statements that keep it.

    ``read`` gives what tells a usage point's changes apart, ``keys`` values, and what they say.
    ``names`` are the statements' own, for the usage point and these.
    """

    columns: tuple[str, ...]
    read: Callable[[Cells], tuple[tuple[Any, ...], tuple[Any, ...]]]
    stored: str
    put: str
    names: tuple[str, ...]
    keys: int


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
    csv_rows.HeadingError
        if the first line lacks columns.
    """
    return _import(connection, lines, _TERMS)


def import_losses(connection: Connection, lines: Iterable[str]) -> Imported:
    """Take loss factors from CSV: ``factor`` of ``name`` from ``effective_from`` on.

    Raises
    ------
    csv_rows.HeadingError
        if the first line lacks columns.
    """
    return _import(connection, lines, _LOSSES)


def _import(connection: Connection, lines: Iterable[str], kind: _Kind) -> Imported:
    rows = csv_rows.rows(lines, kind.columns)
    report = Imported()
    while part := list(islice(rows, _BATCH)):
        _take(connection, part, kind, report)
    return report


def _take(connection: Connection, part: Sequence[Row], kind: _Kind, report: Imported) -> None:
    """Store rows as if they came one after another."""
    mrids = {"mrids": [row.cells["usage_point"] for row in part]}
    known: dict[str, int] = dict(connection.execute(_SQL["known_usage_points"], mrids).fetchall())
    points = {"usage_points": binary_copy.array(known.values())}
    split = 1 + kind.keys
    now = {row[:split]: row[split:] for row in connection.execute(_SQL[kind.stored], points)}
    wanted: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in part:
        made = row.refusal() or _read(row, kind, known)
        if isinstance(made, Rejected):
            report.rejected.append(made)
            continue
        key, values = made
        if now.get(key) == values:
            report.unchanged += 1
            continue
        report.changed += 1
        now[key] = wanted[key] = values
    if wanted:
        columns = zip(*(key + values for key, values in wanted.items()), strict=True)
        named = dict(zip(kind.names, map(list, columns), strict=True))
        connection.execute(_SQL[kind.put], named)


def _read(
    row: Row, kind: _Kind, known: Mapping[str, int]
) -> tuple[tuple[Any, ...], tuple[Any, ...]] | Rejected:
    point = row.cells["usage_point"]
    try:
        key, values = kind.read(row.cells)
    except _Bad as bad:
        return Rejected(row.line, bad.column, row.cells[bad.column], bad.reason)
    if point not in known:
        reason = "no such usage point; import the registry first"
        return Rejected(row.line, "usage_point", point, reason)
    return (known[point], *key), values


def _term(cells: Cells) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    starts_on = _day(cells, "starts_on", "must be a day such as 2026-06-16")
    if not cells["tariff"]:
        raise _Bad("tariff", "must name a tariff")
    return (starts_on,), (cells["tariff"], cells["account"])


def _loss(cells: Cells) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    effective_from = _day(cells, "effective_from", "must be a day such as 2025-07-01")
    if not cells["name"]:
        raise _Bad("name", "must name the factor, such as DLF")
    try:
        factor = Decimal(cells["factor"])
    except InvalidOperation:
        factor = Decimal(0)
    exponent = factor.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 < factor < 10 or exponent < -_PLACES:
        raise _Bad("factor", "must be over 0 and under 10, with at most six decimals")
    return (cells["name"], effective_from), (factor,)


def _day(cells: Cells, column: str, reason: str) -> date:
    try:
        return csv_rows.day(cells[column])
    except ValueError:
        raise _Bad(column, reason) from None


_TERMS: Final = _Kind(
    TERM_COLUMNS, _term, "stored_terms", "put_terms",
    ("usage_points", "starts_on", "tariffs", "accounts"), keys=1,
)  # fmt: skip
_LOSSES: Final = _Kind(
    LOSS_COLUMNS, _loss, "stored_losses", "put_losses",
    ("usage_points", "names", "effective_from", "factors"), keys=2,
)  # fmt: skip
