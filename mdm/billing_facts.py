"""What determinants rest on besides a usage point's readings, read from the record.

A coincident demand takes two passes: the first finds when the group had its highest windows and
keeps it, so that parts of the group that are computed apart go by the same moments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from mdm import billing_peaks
from mdm import tariff_declared as kinds
from mdm.determinants import demands
from mdm.determinants.facts import Dated, Facts
from mdm.determinants.ground import Clock, rate
from mdm.determinants.rounding import APPARENT
from mdm.tariff import Tariff
from schemas import statements
from schemas.assets import UsagePoint
from schemas.database import Connection

_SQL = statements.load("mdm", "billing_facts.sql")


def gathered(
    connection: Connection,
    tariff: Tariff,
    points: Sequence[UsagePoint],
    clock: Clock,
    *,
    known_at: datetime,
) -> dict[int, Facts]:
    """Read the facts that a tariff's declared determinants ask for, by usage point.

    Parameters
    ----------
    points : of one time zone
    known_at : what was recorded later is left out
    """
    ids = [point.id for point in points]
    peaks = _peaks(connection, tariff, points, clock, known_at)
    history = _history(connection, tariff, ids, clock, known_at)
    losses = _losses(connection, tariff, ids, clock)
    if not (peaks or history or losses):
        return {}
    made = {
        point: replace(
            peaks.get(point, Facts()), history=history.get(point, {}), losses=losses.get(point, {})
        )
        for point in ids
    }
    return {point: facts for point, facts in made.items() if facts.text}


def _peaks(
    connection: Connection,
    tariff: Tariff,
    points: Sequence[UsagePoint],
    clock: Clock,
    known_at: datetime,
) -> dict[int, Facts]:
    """Find the moments that coincident demands ask for, and what was used outside of a period."""
    found: dict[int, Facts] = {}
    groups: dict[str, list[UsagePoint]] = defaultdict(list)
    for point in points:
        groups[point.billing_group].append(point)
    for of in tariff.declared:
        if of.kind != kinds.COINCIDENT_DEMAND:
            continue
        key = demands.key(of)
        for group, members in groups.items():
            named = group if of.peak_of == kinds.BILLING_GROUP else None
            moments = billing_peaks.peak(connection, of, named, clock, known_at)
            beside = billing_peaks.beyond(
                connection, of, members, moments, clock, known_at=known_at
            )
            for point in members if moments else ():
                before = found.get(point.id, Facts())
                more = {key: beside[point.id]} if beside.get(point.id) else {}
                found[point.id] = Facts(
                    peaks={**before.peaks, key: moments}, beyond={**before.beyond, **more}
                )
    return found


def _history(
    connection: Connection, tariff: Tariff, ids: Sequence[int], clock: Clock, known_at: datetime
) -> dict[int, dict[str, Dated]]:
    found: dict[int, dict[str, Dated]] = defaultdict(dict)
    for of in tariff.declared:
        if of.kind != kinds.BILLED_DEMAND or not of.cycles:
            continue
        limits = {
            "usage_points": list(ids),
            "before": clock.period.start,
            "known_at": known_at,
            "name": of.kind,
            "part": of.part("measured" if of.ratchet_of == "measured" else ""),
            "unit": APPARENT[of.unit] if of.basis == "apparent" else rate(of.unit),
        }
        rows: dict[int, list[tuple[date, Decimal]]] = defaultdict(list)
        for point, starts_on, value in connection.execute(_SQL["history"], limits):
            rows[point].append((starts_on, value))
        for point, several in rows.items():
            found[point][demands.key(of)] = tuple(several[-of.cycles :])
    return found


def _losses(
    connection: Connection, tariff: Tariff, ids: Sequence[int], clock: Clock
) -> dict[int, dict[str, Dated]]:
    names = sorted({name for of in tariff.declared for name in of.losses})
    if not names:
        return {}
    end = clock.period.end.astimezone(clock.zone).date()
    limits = {"usage_points": list(ids), "names": names, "before": end}
    rows: dict[tuple[int, str], list[tuple[date, Decimal]]] = defaultdict(list)
    for point, name, day, factor in connection.execute(_SQL["losses"], limits):
        rows[point, name].append((day, factor))
    first = clock.days[0]
    found: dict[int, dict[str, Dated]] = defaultdict(dict)
    for (point, name), several in rows.items():
        # Of those before the period only the last one counts.
        since = max((day for day, _ in several if day <= first), default=first)
        found[point][name] = tuple(row for row in several if row[0] >= since)
    return found
