"""What determinants rest on besides a usage point's readings, read from the record.

A coincident demand takes two passes: the first finds when the group had its highest windows and
keeps it, so that parts of the group that are computed apart go by the same moments.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from mdm import readings
from mdm import tariff_declared as kinds
from mdm.calendar import Calendar
from mdm.determinants import demands, profile, series
from mdm.determinants.facts import Dated, Facts
from mdm.determinants.ground import Clock, rate
from mdm.determinants.rounding import APPARENT
from mdm.determinants.series import Series
from mdm.tariff import Tariff
from mdm.tariff_declared import Declared
from schemas import statements
from schemas.assets import UsagePoint
from schemas.database import Connection
from schemas.quality import QualityClass

_SQL = statements.load("mdm", "billing_facts.sql")
# A month of so many quarter-hour channels is some 20 MB while it is summed.
_AT_ONCE: Final = 500


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
    made = {
        point: Facts(peaks.get(point, {}), history.get(point, {}), losses.get(point, {}))
        for point in ids
    }
    return {point: facts for point, facts in made.items() if facts.text}


def peak(
    connection: Connection, of: Declared, group: str | None, clock: Clock, known_at: datetime
) -> tuple[int, ...]:
    """Find when a group or a usage point had its highest windows in a period.

    Parameters
    ----------
    group : the billing group, where all its usage points are meant

    Returns
    -------
    starts of the windows [s since 1970-01-01 UTC], highest first; none if nothing is known
    """
    asked = {
        "peak_of": of.peak_of if group is None else f"{of.peak_of} {group}",
        "question": _question(of, clock.calendar, clock.zone.key),
        "starts_at": clock.period.start,
        "ends_at": clock.period.end,
        "known_at": known_at,
    }
    kept = connection.execute(_SQL["peak"], asked).fetchone()
    if kept is None:
        found = _found(connection, of, group, clock, known_at)
        moments = [datetime.fromtimestamp(moment, UTC) for moment in found]
        # A back-test computes like a run and writes nothing.
        if connection.execute(_SQL["may_keep"]).fetchone() == (True,):
            connection.execute(_SQL["keep_peak"], {**asked, "moments": moments})
        return found
    return tuple(int(moment.timestamp()) for moment in kept[0])


def _question(of: Declared, calendar: Calendar, zone: str) -> str:
    """Name everything on which the moments depend besides the readings."""
    keys = ("interval", "window_seconds", "step_seconds", "periods", "count", "one_a_day")
    asked: dict[str, Any] = {key: asdict(of)[key] for key in keys}
    if of.periods:
        asked["calendar"] = calendar.digest
    return json.dumps({**asked, "zone": zone}, sort_keys=True)


def _found(
    connection: Connection, of: Declared, group: str | None, clock: Clock, known_at: datetime
) -> tuple[int, ...]:
    named = {"billing_group": group, "usage_point": None if group else of.peak_of}
    limits = {"reading_type": of.interval, "zone": clock.zone.key, **named}
    by_length: dict[int, list[int]] = defaultdict(list)
    for channel, seconds in connection.execute(_SQL["group_channels"], limits):
        by_length[seconds].append(channel)
    sums = [
        _summed(connection, channels[first : first + _AT_ONCE], seconds, clock, known_at)
        for seconds, channels in by_length.items()
        for first in range(0, len(channels), _AT_ONCE)
    ]
    if not sums:
        return ()
    whole, *others = series.aligned(sums)
    for other in others:
        both = np.where(whole.known & other.known, QualityClass.VALID, whole.kind)
        kind = np.where(other.known, QualityClass.VALID, both).astype(np.uint8)
        values = whole.values + other.values
        whole = Series(whole.starts_at, whole.interval_seconds, whole.midnights, values, kind)
    admitted = clock.within(whole, of.periods)
    frames = series.windows(whole, of.window_seconds, of.step_seconds, admitted)
    if isinstance(frames, str):
        return ()
    return tuple(whole.moment(begin) for begin in demands.highest(whole, frames, of))


def _summed(
    connection: Connection,
    channels: Sequence[int],
    seconds: int,
    clock: Clock,
    known_at: datetime,
) -> Series:
    """Sum channels of one length; a slot is known where any of them is."""
    blocks = readings.current(connection, channels, clock.period, known_at=known_at)
    load = profile.arrange(blocks, np.array(channels), clock.period, clock.zone, seconds)
    known = (load.kind != QualityClass.MISSING).any(axis=0)
    kind = np.where(known, QualityClass.VALID, QualityClass.MISSING).astype(np.uint8)
    values = load.values.sum(axis=0, dtype=np.int64)
    return Series(load.starts_at, seconds, load.midnights, values, kind)


def _peaks(
    connection: Connection,
    tariff: Tariff,
    points: Iterable[UsagePoint],
    clock: Clock,
    known_at: datetime,
) -> dict[int, dict[str, tuple[int, ...]]]:
    found: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
    made: dict[tuple[str, str | None], tuple[int, ...]] = {}
    wanted = [of for of in tariff.declared if of.kind == kinds.COINCIDENT_DEMAND]
    for point in points:
        for of in wanted:
            group = point.billing_group if of.peak_of == kinds.BILLING_GROUP else None
            key = demands.key(of)
            if (key, group) not in made:
                made[key, group] = peak(connection, of, group, clock, known_at)
            if made[key, group]:
                found[point.id][key] = made[key, group]
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
