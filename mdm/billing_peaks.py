"""When a system or a group had its highest windows: one instant for all, whatever their clocks.

The system's own time zone says which stretch of time a cycle is, where its blocks begin and which
periods its calendar has: that of the usage point that is asked for, or of most of the group's. Its
usage points are summed instant by instant. Where the local cycle of a usage point lies an hour or
more apart, a window may fall outside of it: what it used then is read beside.

References
----------
Oracle Utilities MDM, "Coincident peak": argmax over time of the sum of all; then each one's value
at that very time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from mdm import readings
from mdm.calendar import Calendar
from mdm.determinants import demands, profile, series
from mdm.determinants.facts import Beyond
from mdm.determinants.ground import Clock
from mdm.determinants.series import Series
from mdm.tariff_declared import Declared
from schemas import statements
from schemas.assets import UsagePoint
from schemas.database import Connection
from schemas.period import Period, local_day
from schemas.quality import QualityClass

_SQL = statements.load("mdm", "billing_facts.sql")
# A month of so many quarter-hour channels is some 20 MB while it is summed.
_AT_ONCE: Final = 500


def peak(
    connection: Connection, of: Declared, group: str | None, clock: Clock, known_at: datetime
) -> tuple[int, ...]:
    """Find when a group or a usage point had its highest windows in a period.

    Parameters
    ----------
    group : the billing group, where all its usage points are meant
    clock : of a usage point; the system's has the same local days

    Returns
    -------
    starts of the windows [s since 1970-01-01 UTC], highest first; none if nothing is known, or
    the system's days are not over
    """
    system = _system(connection, of, group, clock)
    if known_at < system.period.end:
        return ()
    asked = {
        "peak_of": of.peak_of if group is None else f"{of.peak_of} {group}",
        "question": _question(of, clock.calendar, system.zone.key),
        "starts_at": system.period.start,
        "ends_at": system.period.end,
        "known_at": known_at,
    }
    kept = connection.execute(_SQL["peak"], asked).fetchone()
    if kept is None:
        found = _found(connection, of, group, system, known_at)
        moments = [datetime.fromtimestamp(moment, UTC) for moment in found]
        # A back-test computes like a run and writes nothing.
        if connection.execute(_SQL["may_keep"]).fetchone() == (True,):
            connection.execute(_SQL["keep_peak"], {**asked, "moments": moments})
        return found
    return tuple(int(moment.timestamp()) for moment in kept[0])


def beyond(
    connection: Connection,
    of: Declared,
    points: Sequence[UsagePoint],
    moments: Iterable[int],
    clock: Clock,
    *,
    known_at: datetime,
) -> dict[int, tuple[Beyond, ...]]:
    """Read what usage points used in windows that are not inside their own local cycle."""
    start, end = (int(at.timestamp()) for at in (clock.period.start, clock.period.end))
    outside = [at for at in moments if at < start or at + of.window_seconds > end]
    found: dict[int, tuple[Beyond, ...]] = {}
    for point in points if outside else ():
        used = (_used(connection, of, point, at, clock.zone, known_at=known_at) for at in outside)
        found[point.id] = tuple(one for one in used if one is not None)
    return found


def _system(connection: Connection, of: Declared, group: str | None, clock: Clock) -> Clock:
    """Give the clock of a system: its own zone's, of the same local days."""
    named = {"billing_group": group, "usage_point": None if group else of.peak_of}
    row = connection.execute(_SQL["system_zone"], named).fetchone()
    if row is None or row[0] == clock.zone.key:
        return clock
    zone, until = ZoneInfo(row[0]), clock.days[-1] + timedelta(days=1)
    period = Period(local_day(clock.days[0], zone).start, local_day(until, zone).start)
    return Clock(clock.calendar, zone, period)


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
    alike: dict[tuple[str, int], list[int]] = defaultdict(list)
    rows = connection.execute(_SQL["group_channels"], {"reading_type": of.interval, **named})
    for channel, seconds, zone in rows:
        alike[zone, seconds].append(channel)
    sums = [
        _summed(
            connection,
            channels[first : first + _AT_ONCE],
            seconds,
            clock,
            zone,
            known_at=known_at,
        )
        for (zone, seconds), channels in alike.items()
        for first in range(0, len(channels), _AT_ONCE)
    ]
    if not sums or None in sums:
        return ()
    whole, *others = series.aligned([one for one in sums if one is not None])
    for other in others:
        both = np.where(whole.known & other.known, QualityClass.VALID, whole.kind)
        kind = np.where(other.known, QualityClass.VALID, both).astype(np.uint8)
        whole = replace(whole, values=whole.values + other.values, kind=kind)
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
    zone: str,
    *,
    known_at: datetime,
) -> Series | None:
    """Sum channels of one length and zone over a system's period; None if they are off its grid.

    A slot is known where any of them is.
    """
    wide, period = _days(clock.period, ZoneInfo(zone)), clock.period
    first, off = divmod(int((period.start - wide.start).total_seconds()), seconds)
    slots, off_too = divmod(int(period.duration.total_seconds()), seconds)
    if off or off_too:
        return None
    blocks = readings.current(connection, channels, wide, known_at=known_at)
    load = profile.arrange(blocks, np.array(channels), wide, ZoneInfo(zone), seconds)
    inside = slice(first, first + slots)
    known = (load.kind[:, inside] != QualityClass.MISSING).any(axis=0)
    kind = np.where(known, QualityClass.VALID, QualityClass.MISSING).astype(np.uint8)
    values = load.values[:, inside].sum(axis=0, dtype=np.int64)
    starts = [int(local_day(day, clock.zone).start.timestamp()) for day in clock.days]
    bounds = np.array([*starts, int(period.end.timestamp())], np.int64)
    midnights = (bounds - bounds[0]) // seconds
    return Series(int(period.start.timestamp()), seconds, midnights, values, kind)


def _days(period: Period, zone: ZoneInfo) -> Period:
    """Widen a period to whole local days of a zone."""
    first = period.start.astimezone(zone).date()
    last = (period.end - timedelta(microseconds=1)).astimezone(zone).date()
    return Period(local_day(first, zone).start, local_day(last, zone).end)


def _used(
    connection: Connection,
    of: Declared,
    point: UsagePoint,
    at: int,
    zone: ZoneInfo,
    *,
    known_at: datetime,
) -> Beyond | None:
    """Sum what a usage point used in one window; None if an interval of it is not known."""
    window = Period(
        datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(at + of.window_seconds, UTC)
    )
    named = {"billing_group": None, "usage_point": point.mrid, "reading_type": of.interval}
    rows = connection.execute(_SQL["group_channels"], named).fetchall()
    joined = series.joined(list(_loads(connection, rows, _days(window, zone), zone, known_at)))
    if joined is None:
        return None
    first, off = divmod(at - joined.starts_at, joined.interval_seconds)
    width, off_too = divmod(of.window_seconds, joined.interval_seconds)
    part = slice(first, first + width)
    if off or off_too or not joined.known[part].all():
        return None
    return Beyond(at, int(joined.values[part].sum()), joined.counts(part))


def _loads(
    connection: Connection,
    channels: Iterable[tuple[Any, ...]],
    period: Period,
    zone: ZoneInfo,
    known_at: datetime,
) -> Iterator[tuple[profile.Profile, int]]:
    """Arrange channels, given as id, interval length and zone, each by itself."""
    for channel, seconds, _ in channels:
        blocks = readings.current(connection, [channel], period, known_at=known_at)
        yield profile.arrange(blocks, np.array([channel]), period, zone, seconds), 0
