"""Takes what has landed: claims arrivals, and tells which local days they touch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import intake_installed
from mdm.intake_installed import Installed
from schemas import statements
from schemas.database import Connection
from schemas.period import Period, local_day

_SQL = statements.load("mdm", "intake.sql")
# What arrives for a day that is not over waits for its end, and a while for the rest of it.
_GRACE: Final = timedelta(hours=6)
# Days that are worked on together: no longer hole between them, and no more in all.
_HOLE: Final = 7
_LONGEST: Final = 62


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """What one run has taken on; its usage points are locked until the transaction ends.

    Attributes
    ----------
    arrivals : ids of the arrivals taken
    installed : all that is or was installed at its usage points
    usage_point, day : shape (k,), touched local days (proleptic ordinals), each pair once
    edge_usage_point, edge_day : shape (k,), days next to those: a register between the two may
        settle what was in doubt there
    deferred : arrivals for days that are not over: end device, start, end, not before
    unknown : end devices that are installed nowhere
    """

    arrivals: tuple[int, ...]
    installed: Installed
    usage_point: NDArray[np.int32]
    day: NDArray[np.int32]
    edge_usage_point: NDArray[np.int32]
    edge_day: NDArray[np.int32]
    deferred: tuple[tuple[int, datetime, datetime, datetime], ...] = ()
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Days of usage points in one time zone, with one commodity and one interval length.

    Attributes
    ----------
    zone, commodity, interval_seconds : of all its usage points
    installed : what is or was installed there with that interval length
    first, last : dates of the first and last touched day
    usage_point, day : shape (k,), touched days; day counted from ``first``
    edge_usage_point, edge_day : shape (k,), days next to touched ones
    """

    zone: str
    commodity: str
    interval_seconds: int
    installed: Installed
    first: date
    last: date
    usage_point: NDArray[np.int32]
    day: NDArray[np.int32]
    edge_usage_point: NDArray[np.int32]
    edge_day: NDArray[np.int32]


def claim(connection: Connection, *, now: datetime, limit: int) -> Claim | None:
    """Take arrivals that nobody else is taking, oldest first; None when none is due.

    Everything else that has arrived for the same usage points is taken with them.

    Parameters
    ----------
    limit : arrivals to start from
    """
    due = connection.execute(_SQL["due_arrivals"], {"now": now, "limit": limit}).fetchall()
    if not due:
        return None
    devices = sorted({row[1] for row in due})
    points = _ids(connection, "lock_usage_points", end_devices=devices)
    installed = intake_installed.installed(connection, points)
    known = set(installed.end_device.tolist())
    # A meter at a usage point that another run holds is left to that run.
    elsewhere = _ids(
        connection,
        "installed_elsewhere",
        end_devices=sorted(known.union(devices)),
        usage_points=points,
    )
    unknown = set(devices) - known - set(elsewhere)
    rows = connection.execute(
        _SQL["arrivals_of"], {"end_devices": sorted((known | unknown) - set(elsewhere))}
    ).fetchall()
    touched = _Touched(now)
    for _, device, start, end in rows:
        for place in _rows_of(installed, device):
            touched.add(installed, place, start, end)
    return touched.claim(tuple(row[0] for row in rows), installed, tuple(sorted(unknown)))


def claim_days(
    connection: Connection, usage_points: Sequence[int], period: Period, *, now: datetime
) -> Claim:
    """Take every local day of usage points that overlaps a period and is over."""
    points = _ids(connection, "lock_named_usage_points", usage_points=list(usage_points))
    return seen_days(connection, points, period, now=now)


def seen_days(
    connection: Connection, usage_points: Sequence[int], period: Period, *, now: datetime
) -> Claim:
    """Name every local day of usage points that overlaps a period and is over; take nothing."""
    installed = intake_installed.installed(connection, list(usage_points))
    touched = _Touched(now)
    for place in range(len(installed)):
        touched.add(installed, place, period.start, period.end, whole=True)
    return touched.claim((), installed, ())


def settle(connection: Connection, taken: Claim, *, now: datetime) -> None:
    """Delete the arrivals taken, and put off what is for days that are not over."""
    connection.execute(_SQL["delete_arrivals"], {"ids": list(taken.arrivals)})
    if taken.deferred:
        device, start, end, not_before = zip(*taken.deferred, strict=True)
        columns = {"end_devices": device, "starts": start, "ends": end, "not_before": not_before}
        connection.execute(
            _SQL["defer_arrivals"], {name: list(c) for name, c in columns.items()} | {"now": now}
        )


def quarantine(
    connection: Connection,
    rows: Iterable[tuple[str, dict[str, object], str]],
    *,
    now: datetime,
) -> int:
    """Note what could not be placed, once: rows of subject, payload and reason; give how many."""
    kept = list(rows)
    if not kept:
        return 0
    subjects, payloads, reasons = zip(*kept, strict=True)
    parameters = {
        "subjects": list(subjects),
        "payloads": [json.dumps(payload, sort_keys=True).encode() for payload in payloads],
        "reasons": list(reasons),
        "now": now,
    }
    return connection.execute(_SQL["quarantine"], parameters).rowcount


def names(connection: Connection, end_devices: Sequence[int]) -> dict[int, str]:
    """Give end devices' mRIDs by id."""
    rows = connection.execute(_SQL["end_device_names"], {"end_devices": list(end_devices)})
    return {row[0]: row[1] for row in rows}


def works(taken: Claim) -> Iterator[Work]:
    """Part a claim into works whose days lie together, oldest first."""
    installed = taken.installed
    kinds = sorted(
        set(
            zip(
                installed.zone,
                installed.commodity,
                installed.interval_seconds.tolist(),
                strict=True,
            )
        )
    )
    for zone, commodity, interval in kinds:
        mine = np.array(
            [
                (z, c) == (zone, commodity)
                for z, c in zip(installed.zone, installed.commodity, strict=True)
            ]
        ) & (installed.interval_seconds == interval)
        chosen = installed.rows(mine)
        here = np.isin(taken.usage_point, chosen.usage_point)
        edge = np.isin(taken.edge_usage_point, chosen.usage_point)
        days = np.unique(np.concatenate([taken.day[here], taken.edge_day[edge]]))
        for first, last in _stretches(days):
            inside = here & (taken.day >= first) & (taken.day <= last)
            beside = edge & (taken.edge_day >= first) & (taken.edge_day <= last)
            points = (taken.usage_point[inside], taken.edge_usage_point[beside])
            yield Work(
                zone,
                commodity,
                interval,
                chosen.rows(np.isin(chosen.usage_point, np.concatenate(points))),
                date.fromordinal(first),
                date.fromordinal(last),
                taken.usage_point[inside],
                taken.day[inside] - np.int32(first),
                taken.edge_usage_point[beside],
                taken.edge_day[beside] - np.int32(first),
            )


class _Touched:
    """Collects the days that stretches touch."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.inside: set[tuple[int, int]] = set()
        self.edge: set[tuple[int, int]] = set()
        self.later: dict[int, tuple[datetime, datetime, datetime]] = {}

    def add(
        self,
        installed: Installed,
        place: int,
        start: datetime,
        end: datetime,
        *,
        whole: bool = False,
    ) -> None:
        """Add a stretch of an end device, as far as the installation goes.

        A stretch without length is a register reading; one at midnight is at the edge of both days.
        """
        since, until = int(installed.starts_at[place]), int(installed.ends_at[place])
        first, last = max(int(start.timestamp()), since), min(int(end.timestamp()), until)
        if first > last or (first == last and (start != end or whole)):
            return
        zone, point = installed.zone[place], int(installed.usage_point[place])
        today = int(_today(self.now, zone).start.timestamp())
        if last > today and not whole:
            self._defer(int(installed.end_device[place]), max(first, today), last, zone)
        from_, to = _ordinal(first, zone), _ordinal(max(last - 1, first), zone)
        before, at_end = _ordinal(first - 1, zone), _ordinal(last, zone)
        if first == last and before != from_:
            self.edge |= {(point, before), (point, from_)}
        else:
            over = _ordinal(today, zone)
            self.inside.update((point, day) for day in range(from_, min(to + 1, over)))
            if not whole:
                self.edge |= {(point, before), (point, at_end)}

    def _defer(self, device: int, first: int, last: int, zone: str) -> None:
        start, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
        not_before = _today(start, zone).end + _GRACE
        if device in self.later:
            known = self.later[device]
            start, end = min(start, known[0]), max(end, known[1])
            not_before = min(not_before, known[2])
        self.later[device] = (start, end, not_before)

    def claim(
        self, arrivals: tuple[int, ...], installed: Installed, unknown: tuple[int, ...]
    ) -> Claim:
        """Give what was collected; a day that is not over is in none of it."""
        zone_of = dict(zip(installed.usage_point.tolist(), installed.zone, strict=True))
        today = {zone: _ordinal(int(self.now.timestamp()), zone) for zone in set(installed.zone)}

        def over(pairs: set[tuple[int, int]]) -> NDArray[np.int32]:
            kept = sorted(pair for pair in pairs if pair[1] < today[zone_of[pair[0]]])
            return np.array(kept, np.int32).reshape(-1, 2)

        inside, edge = over(self.inside), over(self.edge - self.inside)
        return Claim(
            arrivals,
            installed,
            inside[:, 0],
            inside[:, 1],
            edge[:, 0],
            edge[:, 1],
            tuple((device, *stretch) for device, stretch in self.later.items()),
            unknown,
        )


def _ids(connection: Connection, statement: str, **parameters: object) -> list[int]:
    return [row[0] for row in connection.execute(_SQL[statement], parameters)]


def _rows_of(installed: Installed, device: int) -> list[int]:
    places: list[int] = np.flatnonzero(installed.end_device == device).tolist()
    return places


def _stretches(days: NDArray[np.int32]) -> Iterator[tuple[int, int]]:
    """Part ordinals into stretches without long holes, of bounded length."""
    if not len(days):
        return
    edges = [0, *(np.flatnonzero(np.diff(days) > _HOLE) + 1).tolist(), len(days)]
    for a, b in pairwise(edges):
        for first in range(int(days[a]), int(days[b - 1]) + 1, _LONGEST):
            yield first, min(first + _LONGEST - 1, int(days[b - 1]))


@lru_cache(maxsize=4096)
def _ordinal(second: int, zone: str) -> int:
    return datetime.fromtimestamp(second, ZoneInfo(zone)).date().toordinal()


@lru_cache(maxsize=256)
def _today(now: datetime, zone: str) -> Period:
    place = ZoneInfo(zone)
    return local_day(now.astimezone(place).date(), place)
