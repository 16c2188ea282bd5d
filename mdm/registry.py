"""Import of the registry: usage points, end devices and installations from a CSV file.

Rows go into the database by the thousand. What becomes of each is what would if it came alone,
after those above it: a bad one takes nothing else with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import psycopg

from mdm import csv_rows, registry_batch
from mdm.registry_batch import Counts
from mdm.registry_row import COLUMNS, RegistryRow, Rejected, parse
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "registry.sql")
# Rows that are decided and written together; memory grows with it, results do not change.
_BATCH: Final = 2_000

Refuse = Callable[[Rejected], None]


@dataclass(slots=True)
class Report:
    """What an import did.

    ``added``, ``changed`` and ``unchanged`` count usage points, end devices and installations by
    table; ``rejected`` lists the lines that were not taken, unless they were told one by one.
    """

    lines: int = 0
    refused: int = 0
    added: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)


def import_registry(
    connection: Connection,
    lines: Iterable[str],
    progress: Callable[[int], None] | None = None,
    refuse: Refuse | None = None,
) -> Report:
    """Take every good line of a registry file and report every bad one.

    Importing the same file again changes nothing. The caller owns the transaction; another import
    waits until it ends.

    Parameters
    ----------
    lines : CSV with a heading; the columns are ``mdm.registry_row.COLUMNS``
    progress : called with the number of lines seen, now and then
    refuse : called with each bad line instead of keeping it for the report, some thousand lines
        late at most; a long file can have as many bad lines as it has lines

    Raises
    ------
    HeadingError
        if a column is missing from the heading.
    """
    rows = (row.refusal() or parse(row.line, row.cells) for row in csv_rows.rows(lines, COLUMNS))
    return _import(connection, rows, progress, refuse)


def import_rows(connection: Connection, rows: Iterable[Mapping[str, str]]) -> Report:
    """Take rows that are no file's, as ``import_registry`` does; they count from line 2."""
    numbered = enumerate(rows, start=2)
    return _import(connection, (parse(line, cells) for line, cells in numbered), None, None)


def _import(
    connection: Connection,
    rows: Iterator[RegistryRow | Rejected],
    progress: Callable[[int], None] | None,
    refuse: Refuse | None,
) -> Report:
    report = Report()
    with connection.transaction(), _by_index(connection):
        connection.execute(_SQL["one_at_a_time"])
        while part := list(islice(rows, _BATCH)):
            good = [row for row in part if isinstance(row, RegistryRow)]
            bad = [row for row in part if isinstance(row, Rejected)]
            bad += _taken(connection, good, report)
            report.lines += len(part)
            report.refused += len(bad)
            for each in sorted(bad, key=lambda one: one.line):
                (refuse or report.rejected.append)(each)
            if progress:
                progress(report.lines)
    return report


@contextmanager
def _by_index(connection: Connection) -> Iterator[None]:
    """Have plans go by index: a plan that is made while a table is small is kept while it grows.

    Those are the foreign keys' own.
    """
    (before,) = connection.execute(_SQL["scans"]).fetchone() or ("on",)
    connection.execute(_SQL["set_scans"], {"scans": "off"})
    yield
    connection.execute(_SQL["set_scans"], {"scans": before})


def _taken(connection: Connection, rows: Sequence[RegistryRow], report: Report) -> list[Rejected]:
    """Store rows, and give those that are not taken.

    What the database alone refuses (its owner may have constraints of their own) is found by
    halves: the others land.
    """
    if not rows:
        return []
    try:
        with connection.transaction():
            counts, bad = registry_batch.take(connection, rows)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if len(rows) == 1:
            reason = f"the database refuses it: {error.diag.message_primary or error}"
            return [Rejected(rows[0].line, "(the whole line)", rows[0].end_device, reason)]
        half = len(rows) // 2
        return _taken(connection, rows[:half], report) + _taken(connection, rows[half:], report)
    _add(report, counts)
    return bad


def _add(report: Report, counts: Counts) -> None:
    for (fate, table), number in counts.items():
        getattr(report, fate)[table] += number
