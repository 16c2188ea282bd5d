"""Import of the registry: usage points, end devices and installations from a CSV file."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

import psycopg
from psycopg.types.json import Jsonb

from mdm.registry_row import COLUMNS, RegistryRow, Rejected, parse
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "registry.sql")


class HeadingError(ValueError):
    """The file's first line lacks columns; nothing was imported."""


@dataclass(slots=True)
class Report:
    """What an import did.

    ``added``, ``changed`` and ``unchanged`` count usage points, end devices and installations by
    table; ``rejected`` lists the lines that were not taken.
    """

    lines: int = 0
    added: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)


def import_registry(
    connection: Connection, lines: TextIO, progress: Callable[[int], None] | None = None
) -> Report:
    """Take every good line of a registry file and report every bad one.

    Importing the same file again changes nothing. The caller owns the transaction.

    Parameters
    ----------
    lines : CSV with a heading; the columns are ``mdm.registry_row.COLUMNS``
    progress : called with the number of lines seen, now and then

    Raises
    ------
    HeadingError
        if a column is missing from the heading.
    """
    return _import(connection, _rows(lines), progress)


def import_rows(connection: Connection, rows: Iterable[Mapping[str, str]]) -> Report:
    """Take rows that are no file's, as ``import_registry`` does; they count from line 2."""
    numbered = enumerate(rows, start=2)
    return _import(connection, (parse(line, cells) for line, cells in numbered), None)


def _import(
    connection: Connection,
    rows: Iterable[RegistryRow | Rejected],
    progress: Callable[[int], None] | None,
) -> Report:
    report = Report()
    for row in rows:
        report.lines += 1
        if isinstance(row, Rejected):
            report.rejected.append(row)
        else:
            _take(connection, row, report)
        if progress and report.lines % 100 == 0:
            progress(report.lines)
    return report


def _rows(lines: TextIO) -> Iterator[RegistryRow | Rejected]:
    reader = csv.DictReader(lines)
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise HeadingError(
            f"the first line must name the columns; missing: {', '.join(missing)}. "
            f"The full heading is: {','.join(COLUMNS)}"
        )
    for cells in reader:
        if None in cells:
            extra = ",".join(cells[None])  # csv keeps the rest under None
            yield Rejected(reader.line_num, "(after the last)", extra, "more cells than columns")
        else:
            yield parse(reader.line_num, cells)


def _take(connection: Connection, row: RegistryRow, report: Report) -> None:
    """Store one line whole or not at all."""
    outcome = Report()
    try:
        with connection.transaction():
            problem = _store(connection, row, outcome)
            if problem:
                raise psycopg.Rollback
    except psycopg.errors.ExclusionViolation as conflict:
        problem = Rejected(
            row.line, "installed_from", row.installed_from.isoformat(), _why(conflict)
        )
    if problem:
        report.rejected.append(problem)
        return
    report.added += outcome.added
    report.changed += outcome.changed
    report.unchanged += outcome.unchanged


def _why(conflict: psycopg.errors.ExclusionViolation) -> str:
    elsewhere = conflict.diag.constraint_name == "installation_one_place_at_a_time"
    taken = "the meter is already installed" if elsewhere else "the usage point already has a meter"
    return f"{taken} at that time; end the other installation first (installed_until)"


def _store(connection: Connection, row: RegistryRow, outcome: Report) -> Rejected | None:
    values: dict[str, Any] = asdict(row) | {"address": Jsonb(row.address), "segment_id": None}
    if row.segment:
        values["segment_id"] = _id(connection, "segment", {"code": row.segment})
    _put(connection, "usage_point", values, outcome)
    point, commodity = connection.execute(_SQL["usage_point_id"], values).fetchone() or (0, "")
    if commodity != row.commodity:
        reason = f"usage point {row.usage_point} is already one of {commodity}; it cannot change"
        return Rejected(row.line, "commodity", row.commodity, reason)
    _put(connection, "end_device", values, outcome)
    values["usage_point_id"] = point
    values["end_device_id"] = _id(connection, "end_device_id", values)
    _put_installation(connection, values, outcome)
    return None


def _put(connection: Connection, table: str, values: dict[str, Any], outcome: Report) -> None:
    row = connection.execute(_SQL[f"put_{table}"], values).fetchone()
    tally = outcome.unchanged if row is None else outcome.added if row[0] else outcome.changed
    tally[table] += 1


def _put_installation(connection: Connection, values: dict[str, Any], outcome: Report) -> None:
    found = connection.execute(_SQL["installation"], values).fetchone()
    if found is None:
        connection.execute(_SQL["add_installation"], values)
        outcome.added["installation"] += 1
    elif (found[1], found[2]) != (values["installed_until"], values["multiplier"]):
        connection.execute(_SQL["change_installation"], values | {"installation_id": found[0]})
        outcome.changed["installation"] += 1
    else:
        outcome.unchanged["installation"] += 1


def _id(connection: Connection, statement: str, values: dict[str, Any]) -> int:
    row = connection.execute(_SQL[statement], values).fetchone()
    if row is None:
        raise LookupError(f"{statement}: no row for {values}")
    return int(row[0])
