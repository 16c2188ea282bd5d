"""What changed after billing and is too small for a correction: kept, shown, never billed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from mdm.correction_limit import Figure
from schemas import reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "correction_log.sql")


class Change(NamedTuple):
    """A usage point's figures that would be there now, beside those of the billed set."""

    usage_point_id: int
    billed_set_id: int
    digest: str
    billed: Collection[Figure]
    now: Collection[Figure]


class LoggedFigure(NamedTuple):
    """A figure that changed after billing by less than matters."""

    usage_point: str
    version: int
    logged_at: datetime
    name: str
    reading_type: str
    part: str
    unit: str
    old: Decimal | None
    new: Decimal | None
    difference: Decimal


def write(connection: Connection, changes: Iterable[Change], now: datetime) -> set[int]:
    """Log changes, each once; give the usage points of those that are new."""
    found = set()
    for change in changes:
        parameters = {"set": change.billed_set_id, "digest": change.digest, "now": now}
        row = connection.execute(_SQL["add"], parameters).fetchone()
        if row is None:
            continue
        found.add(change.usage_point_id)
        before = {figure[:4]: figure[4] for figure in change.billed}
        after = {figure[:4]: figure[4] for figure in change.now}
        with connection.cursor() as cursor:
            cursor.executemany(
                _SQL["add_item"],
                [
                    {
                        "change": row[0],
                        "name": name,
                        "reading_type": reading_type.named(kind).id,
                        "part": part,
                        "unit": unit,
                        "old": before.get((name, kind, part, unit)),
                        "new": after.get((name, kind, part, unit)),
                    }
                    for name, kind, part, unit in before | after
                    if before.get((name, kind, part, unit)) != after.get((name, kind, part, unit))
                ],
            )
    return found


def logged(connection: Connection, cycle_id: int) -> list[LoggedFigure]:
    """List what was logged in a cycle, oldest first."""
    return [LoggedFigure(*row) for row in connection.execute(_SQL["logged"], {"cycle": cycle_id})]
