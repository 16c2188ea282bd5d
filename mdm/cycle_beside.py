"""What gates look at beside a period's own figures: its days, and what was used before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from mdm import cycle_days
from mdm.cycle_days import Days
from mdm.cycle_gates import Beside, Former
from mdm.determinants.batch import Batch
from mdm.tariff_gates import Against
from schemas import binary_copy, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle_beside.sql")
_YEAR: Final = timedelta(days=365)
# A cycle of last year began within so much of the same day.
_NEAR: Final = timedelta(days=20)
# An older period than this is not the last one.
_OLDEST: Final = timedelta(days=100)


def beside(connection: Connection, batch: Batch) -> dict[int, Beside]:
    """Read what the gates of a batch's tariff ask for, by usage point."""
    gates = batch.tariff.gates
    seconds = int(batch.period.duration.total_seconds())
    zone = batch.zone
    first, last = (m.astimezone(zone).date() for m in (batch.period.start, batch.period.end))
    days = _days(connection, batch) if gates.looks_at_days else {}
    former = _former(connection, batch) if gates.usage else {}
    return {
        point: Beside(
            *(seconds, (last - first).days, days.get(point), former.get(point, {})),
            registers_only=gates.registers_only and not batch.channels.get(point),
        )
        for point in batch.usage_points
    }


def _days(connection: Connection, batch: Batch) -> Mapping[int, Days]:
    """Look at the days; data that have arrived and await validation are not validated."""
    provenances = np.unique(batch.blocks.provenance_id).tolist()
    rows = connection.execute(_SQL["without_rule_set"], {"provenances": provenances})
    found = cycle_days.seen(batch, [row[0] for row in rows])
    limits: dict[str, object] = {
        "usage_points": binary_copy.array(batch.usage_points),
        "start": batch.period.start,
        "end": batch.period.end,
    }
    if batch.tariff.gates.not_validated is not None:
        for point, waiting in connection.execute(_SQL["awaiting_validation"], limits):
            known = found.get(point, Days())
            found[point] = known._replace(not_validated=known.not_validated + waiting)
    if batch.tariff.gates.warned is not None:
        owner = {
            one.id: point for point in batch.usage_points for one in batch.channels.get(point, ())
        }
        limits["channels"] = list(owner)
        for channel, number in connection.execute(_SQL["warned"], limits):
            known = found.get(owner[channel], Days())
            found[owner[channel]] = known._replace(warned=known.warned + number)
    return found


def _former(connection: Connection, batch: Batch) -> dict[int, dict[Against, Former]]:
    """Read what was used in the last period and in last year's same period."""
    start = batch.period.start.astimezone(UTC)
    parameters = {
        "usage_points": binary_copy.array(batch.usage_points),
        "start": start,
        "oldest": start - _OLDEST,
        "year_from": start - _YEAR - _NEAR,
        "year_to": start - _YEAR + _NEAR,
        "year": start - _YEAR,
    }
    found: dict[int, dict[Against, Former]] = defaultdict(dict)
    for point, against, value, unit, seconds, expected, actual in connection.execute(
        _SQL["former"], parameters
    ):
        share = Decimal(100 * (expected - actual)) / expected if expected else Decimal(0)
        found[point][against] = Former(value, unit, int(seconds), share)
    return found
