"""Takes what has landed: claims arrivals, and tells which local days they touch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import (
    intake_installed,
    intake_registers,
    intake_touched,
    readings_columns,
    spans,
    usage_points,
)
from mdm.intake_installed import Installed
from mdm.intake_touched import Touched
from schemas import binary_copy, statements
from schemas.database import Connection
from schemas.period import Period

_SQL = statements.load("mdm", "intake.sql")
_ARRIVAL: Final = {
    "id": "int8",
    "end_device_id": "int4",
    "starts_at": "timestamptz",
    "ends_at": "timestamptz",
}
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
    touched : the local days that they touch
    unknown : end devices that are installed nowhere
    """

    arrivals: NDArray[np.int64]
    installed: Installed
    touched: Touched
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
    known_at : what was collected or recorded later is left out; None for nothing
    reach : days before the first that estimators may look back, where it is more than usual
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
    known_at: datetime | None = None
    reach: int = 0


def claim(connection: Connection, *, now: datetime, limit: int) -> Claim | None:
    """Take arrivals that nobody else is taking, oldest first; None when none is due.

    Everything else that has arrived for the same usage points is taken with them.

    Parameters
    ----------
    limit : arrivals to start from
    """
    limits: dict[str, object] = {"now": now, "limit": limit}
    due = _together(connection, "due_arrivals", limits, **_ARRIVAL)
    devices = readings_columns.distinct(due[1])
    if not len(devices):
        return None
    _, at = _places(connection, devices)
    points = _lock(connection, readings_columns.distinct(at))
    installed = intake_installed.installed(connection, points)
    known = readings_columns.distinct(installed.end_device)
    # A meter at a usage point that another run holds is left to that run.
    device, at = _places(connection, np.union1d(known, devices))
    elsewhere = readings_columns.distinct(device[~np.isin(at, points)])
    unknown = devices[~np.isin(devices, known) & ~np.isin(devices, elsewhere)]
    mine = readings_columns.distinct(np.concatenate([known, unknown]))
    mine = mine[~np.isin(mine, elsewhere)]
    number, device, start, end = _arrivals(connection, due, mine)
    arrival, place = intake_registers.pairs(device, installed.end_device)
    touched = intake_touched.by_arrivals(installed, place, start[arrival], end[arrival], now=now)
    return Claim(number, installed, touched, tuple(unknown.tolist()))


def _places(
    connection: Connection, devices: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give the end devices that are or were installed somewhere, and where."""
    limits = spans.limits(devices, spans.SHORT_ROWS)
    device, point = _together(
        connection, "places_of", limits, end_device_id="int4", usage_point_id="int4"
    )
    wanted = spans.among(devices, device)
    return device[wanted], point[wanted]


def _lock(connection: Connection, points: NDArray[np.int32]) -> NDArray[np.int32]:
    """Lock usage points that nobody else holds; give them, ascending."""
    limits = spans.limits(points, spans.EXACTLY)
    (locked,) = _together(connection, "lock_usage_points", limits, id="int4")
    return np.asarray(locked, np.int32)


def _arrivals(
    connection: Connection, due: list[NDArray[Any]], devices: NDArray[np.int32]
) -> list[NDArray[Any]]:
    """Give the due arrivals of end devices, and take the others that there are of them.

    Parameters
    ----------
    due : columns of arrivals that are locked
    """
    mine = np.isin(due[1], devices)
    taken = [column[mine] for column in due]
    limits = spans.limits(devices, spans.SHORT_ROWS)
    number, device = _together(connection, "arrivals_of", limits, id="int8", end_device_id="int4")
    beside = number[spans.among(devices, device)]
    beside = beside[~np.isin(beside, taken[0])]
    if not len(beside):
        return taken
    limits = spans.limits(beside, spans.EXACTLY)
    more = _together(connection, "lock_arrivals", limits, **_ARRIVAL)
    return [np.concatenate(pair) for pair in zip(taken, more, strict=True)]


def claim_days(
    connection: Connection, usage_point_ids: Sequence[int], period: Period, *, now: datetime
) -> Claim:
    """Take every local day of usage points that overlaps a period and is over."""
    points = usage_points.lock(connection, usage_point_ids)
    return seen_days(connection, points, period, now=now)


def seen_days(
    connection: Connection, usage_point_ids: Sequence[int], period: Period, *, now: datetime
) -> Claim:
    """Name every local day of usage points that overlaps a period and is over; take nothing."""
    points = np.unique(np.array(usage_point_ids, np.int32))
    installed = intake_installed.installed(connection, points)
    nothing = np.empty(0, np.int64)
    return Claim(nothing, installed, intake_touched.by_period(installed, period, now=now), ())


def settle(connection: Connection, taken: Claim, *, now: datetime) -> None:
    """Delete the arrivals taken, and put off what is for days that are not over."""
    if len(taken.arrivals):
        limits = spans.limits(taken.arrivals, spans.EXACTLY)
        connection.execute(_SQL["delete_arrivals"], limits)
    later = taken.touched.later
    if len(later):
        listed = {
            "end_devices": binary_copy.array(later.end_device),
            "starts": binary_copy.array(later.start),
            "ends": binary_copy.array(later.end),
            "not_before": binary_copy.array(later.not_before),
        }
        connection.execute(_SQL["defer_arrivals"], listed | {"now": now})


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
    installed, touched = taken.installed, taken.touched
    kinds = sorted(
        {
            (str(installed.zone[row]), str(installed.commodity[row]), int(interval))
            for interval in np.unique(installed.interval_seconds)
            for row in _examples(installed, interval)
        }
    )
    for zone, commodity, interval in kinds:
        mine = (installed.zone == zone) & (installed.commodity == commodity)
        chosen = installed.rows(mine & (installed.interval_seconds == interval))
        here = np.isin(touched.usage_point, chosen.usage_point)
        edge = np.isin(touched.edge_usage_point, chosen.usage_point)
        days = readings_columns.distinct(
            np.concatenate([touched.day[here], touched.edge_day[edge]])
        )
        for first, last in _stretches(days):
            inside = here & (touched.day >= first) & (touched.day <= last)
            beside = edge & (touched.edge_day >= first) & (touched.edge_day <= last)
            points = (touched.usage_point[inside], touched.edge_usage_point[beside])
            yield Work(
                zone,
                commodity,
                interval,
                chosen.rows(np.isin(chosen.usage_point, np.concatenate(points))),
                date.fromordinal(first),
                date.fromordinal(last),
                touched.usage_point[inside],
                touched.day[inside] - np.int32(first),
                touched.edge_usage_point[beside],
                touched.edge_day[beside] - np.int32(first),
            )


def _together(
    connection: Connection, statement: str, parameters: dict[str, object], **types: str
) -> list[NDArray[Any]]:
    return binary_copy.read_together(connection, _SQL[statement], parameters, types)


def _examples(installed: Installed, interval: int) -> list[int]:
    """Give one installation for each zone and commodity among those of an interval length."""
    mine = np.flatnonzero(installed.interval_seconds == interval)
    if not len(mine):
        return []
    first = installed.zone[mine] == installed.zone[mine[0]]
    if first.all() and (installed.commodity[mine] == installed.commodity[mine[0]]).all():
        return [int(mine[0])]
    zone = np.unique(installed.zone[mine], return_inverse=True)[1]
    commodity, place = np.unique(installed.commodity[mine], return_inverse=True)
    first = np.unique(zone * len(commodity) + place, return_index=True)[1]
    rows: list[int] = mine[first].tolist()
    return rows


def _stretches(days: NDArray[np.int32]) -> Iterator[tuple[int, int]]:
    """Part ordinals into stretches without long holes, of bounded length."""
    if not len(days):
        return
    edges = [0, *(np.flatnonzero(np.diff(days) > _HOLE) + 1).tolist(), len(days)]
    for a, b in pairwise(edges):
        for first in range(int(days[a]), int(days[b - 1]) + 1, _LONGEST):
            yield first, min(first + _LONGEST - 1, int(days[b - 1]))
