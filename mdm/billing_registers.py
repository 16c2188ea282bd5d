"""Registers that meters themselves stored at the ends of their billing periods.

They stand in the record like every register reading; that a meter kept one as the end of a billing
period is known from the control that read them (``miqyas control billing-registers``). A meter ends
its period by its own clock, not quite when a cycle does: the nearest counts, if it is near enough,
and ends the one cycle and begins the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from mdm.determinants.registers import Reading, Span, Stretch
from mdm.tariff import BILLING_REGISTER, Tariff
from schemas import statements
from schemas.database import Connection
from schemas.period import Period

_SQL = statements.load("mdm", "billing_registers.sql")
NEAR: Final = timedelta(hours=24)
"""How far from a cycle's end a meter may have ended its billing period."""


def gathered(
    connection: Connection,
    tariff: Tariff,
    spans: Mapping[int, Sequence[Span]],
    period: Period,
    *,
    cycle: Period,
    known_at: datetime,
) -> dict[int, Span]:
    """Give the meter's own billing period nearest to a period, by usage point.

    None where one meter was not there all the time or did not store both ends, or the tariff does
    not ask for them.

    Parameters
    ----------
    spans : the installations of the period
    cycle : of which the period is a part, or all; where it begins or ends inside, another tariff
        or consumer does, and only a reading of that very moment parts the two
    """
    if BILLING_REGISTER not in tariff.sources:
        return {}
    limits = {
        "usage_points": list(spans),
        "register": tariff.register,
        "since": period.start - NEAR,
        "until": period.end + NEAR,
        "known_at": known_at,
    }
    stored: dict[tuple[int, int], list[Reading]] = defaultdict(list)
    for point, installation, _, read_at, *rest in connection.execute(_SQL["stored"], limits):
        reading = Reading(int(read_at.timestamp()), *rest)
        if reading.usable:
            stored[point, installation].append(reading)
    slack = (
        NEAR if period.start == cycle.start else timedelta(0),
        NEAR if period.end == cycle.end else timedelta(0),
    )
    found = {}
    for point, several in spans.items():
        stretch = _whole([span.stretch for span in several], period)
        if stretch is not None:
            readings = stored.get((point, stretch.installation_id), ())
            span = _between(stretch, readings, period, slack)
            if span is not None:
                found[point] = span
    return found


def _whole(stretches: Sequence[Stretch], period: Period) -> Stretch | None:
    """Give the stretch of the only meter that was there, None if it was not all the time."""
    if len({stretch.installation_id for stretch in stretches}) != 1:
        return None
    first, last = stretches[0], stretches[-1]
    bounds = int(period.start.timestamp()), int(period.end.timestamp())
    return first if (first.starts_at, last.ends_at) == bounds else None


def _between(
    stretch: Stretch,
    readings: Sequence[Reading],
    period: Period,
    slack: tuple[timedelta, timedelta],
) -> Span | None:
    start = _nearest(readings, period.start, slack[0])
    end = _nearest(readings, period.end, slack[1])
    if start is None or end is None or start.read_at >= end.read_at:
        return None
    return Span(replace(stretch, starts_at=start.read_at, ends_at=end.read_at), start, end)


def _nearest(readings: Sequence[Reading], moment: datetime, slack: timedelta) -> Reading | None:
    at = int(moment.timestamp())
    near = [r for r in readings if abs(r.read_at - at) <= slack.total_seconds()]
    return min(near, key=lambda reading: (abs(reading.read_at - at), reading.read_at), default=None)
