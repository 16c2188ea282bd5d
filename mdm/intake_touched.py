"""Which local days arrivals touch, and which of them must wait because they are not over.

Pure arithmetic on columns: time zones are asked once for each different moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.intake_installed import Installed
from schemas.period import Period, local_day

# What arrives for a day that is not over waits for its end, and a while for the rest of it.
_GRACE: Final = timedelta(hours=6)
_MICRO: Final = readings_columns.SECOND
_LOW: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Later:
    """What is for days that are not over: one row an end device, moments int64 [s]."""

    end_device: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    not_before: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_device)


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """Local days of usage points that are over.

    Attributes
    ----------
    usage_point, day : shape (k,), touched days (proleptic ordinals), each pair once, in order
    edge_usage_point, edge_day : shape (k,), days next to those: a register between the two may
        settle what was in doubt there
    later : what waits
    """

    usage_point: NDArray[np.int32]
    day: NDArray[np.int32]
    edge_usage_point: NDArray[np.int32]
    edge_day: NDArray[np.int32]
    later: Later


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """Stretches of installations, a row each; moments int64 [s], days proleptic ordinals.

    ``today`` is the start of the day that is not over, ``over`` its ordinal.
    """

    place: NDArray[np.intp]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    zone: NDArray[np.str_]
    today: NDArray[np.int64]
    over: NDArray[np.int64]

    def rows(self, chosen: NDArray[Any]) -> _Stretches:
        return _Stretches(*(getattr(self, name)[chosen] for name in self.__slots__))

    def day(self, moment: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the local day of each row's moment."""
        return _by_zone(self.zone, moment, _ordinal)


def by_arrivals(
    installed: Installed,
    place: NDArray[np.intp],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    *,
    now: datetime,
) -> Touched:
    """Give the days that stretches of end devices touch, as far as their installations go.

    A stretch without length is a register reading; one at midnight is at the edge of both days.

    Parameters
    ----------
    place : shape (k,), row of the installation
    start, end : shape (k,), of the stretches [µs]
    """
    found = _stretches(installed, place, start // _MICRO, end // _MICRO, now)
    kept = (found.first < found.last) | ((found.first == found.last) & (start == end))
    found = found.rows(kept)
    at_midnight = found.first == found.last
    at_midnight &= found.day(found.first - 1) != found.day(found.first)
    beside, inside = found.rows(at_midnight), found.rows(~at_midnight)
    edges = [
        _keys(installed, beside.place, beside.day(beside.first - 1)),
        _keys(installed, beside.place, beside.day(beside.first)),
        _keys(installed, inside.place, inside.day(inside.first - 1)),
        _keys(installed, inside.place, inside.day(inside.last)),
    ]
    return _touched(installed, inside, np.concatenate(edges), _later(installed, found), now)


def by_period(installed: Installed, period: Period, *, now: datetime) -> Touched:
    """Give every day that is over and overlaps a period, as far as installations go."""
    start, end = (int(moment.timestamp()) for moment in (period.start, period.end))
    whole = np.ones(len(installed), np.int64)
    found = _stretches(installed, np.arange(len(installed)), whole * start, whole * end, now)
    found = found.rows(found.first < found.last)
    return _touched(installed, found, np.empty(0, np.int64), _no_later(), now)


def _stretches(
    installed: Installed,
    place: NDArray[np.intp],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    now: datetime,
) -> _Stretches:
    zone = installed.zone[place]
    second = np.full(len(place), int(now.timestamp()), np.int64)
    return _Stretches(
        place=place,
        first=np.maximum(start, installed.starts_at[place]),
        last=np.minimum(end, installed.ends_at[place]),
        zone=zone,
        today=_by_zone(zone, second, _day_start),
        over=_by_zone(zone, second, _ordinal),
    )


def _touched(
    installed: Installed, found: _Stretches, edges: NDArray[np.int64], later: Later, now: datetime
) -> Touched:
    """Give days and those beside them; a day that is not over is in none of it."""
    from_, to = found.day(found.first), found.day(np.maximum(found.last - 1, found.first))
    count = np.maximum(np.minimum(to + 1, found.over) - from_, 0)
    row = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    inside = readings_columns.distinct(_keys(installed, found.place[row], from_[row] + within))
    beside = readings_columns.distinct(edges)
    beside = beside[readings_columns.places((inside,), (beside,)) < 0]
    points, example = np.unique(installed.usage_point, return_index=True)
    second = np.full(len(points), int(now.timestamp()), np.int64)
    over = _by_zone(installed.zone[example], second, _ordinal)
    inside, beside = (
        keys[(keys & _LOW) < over[np.searchsorted(points, keys >> 32)]] for keys in (inside, beside)
    )
    return Touched(
        (inside >> 32).astype(np.int32),
        (inside & _LOW).astype(np.int32),
        (beside >> 32).astype(np.int32),
        (beside & _LOW).astype(np.int32),
        later,
    )


def _later(installed: Installed, found: _Stretches) -> Later:
    """Put off, for each end device together, what is for days that are not over."""
    found = found.rows(found.last > found.today)
    if not len(found.place):
        return _no_later()
    start = np.maximum(found.first, found.today)
    wait = _by_zone(found.zone, start, _day_end) + int(_GRACE.total_seconds())
    device, row = np.unique(installed.end_device[found.place], return_inverse=True)
    earliest = np.full(len(device), np.iinfo(np.int64).max)
    latest, soonest = np.full(len(device), np.iinfo(np.int64).min), earliest.copy()
    np.minimum.at(earliest, row, start)
    np.maximum.at(latest, row, found.last)
    np.minimum.at(soonest, row, wait)
    return Later(device, earliest, latest, soonest)


def _no_later() -> Later:
    none = np.empty(0, np.int64)
    return Later(none.astype(np.int32), none, none, none)


def _keys(
    installed: Installed, place: NDArray[np.intp], day: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give usage point and day as one number."""
    return installed.usage_point[place].astype(np.int64) << 32 | day


def _by_zone(
    zone: NDArray[np.str_], moment: NDArray[np.int64], of: Callable[[int, str], int]
) -> NDArray[np.int64]:
    """Ask something of each row's moment in its zone, once for each different one."""
    result = np.empty(len(moment), np.int64)
    if not len(zone):
        return result
    one = (zone == zone[0]).all()
    names, which = (zone[:1], 0) if one else np.unique(zone, return_inverse=True)
    for number, name in enumerate(names.tolist()):
        mine = slice(None) if one else which == number
        different = readings_columns.distinct(moment[mine])
        place = np.searchsorted(different, moment[mine])
        answers = [of(second, name) for second in different.tolist()]
        result[mine] = np.array(answers, np.int64)[place]
    return result


@lru_cache(maxsize=4096)
def _ordinal(second: int, zone: str) -> int:
    return datetime.fromtimestamp(second, ZoneInfo(zone)).date().toordinal()


@lru_cache(maxsize=4096)
def _day(second: int, zone: str) -> Period:
    place = ZoneInfo(zone)
    return local_day(datetime.fromtimestamp(second, UTC).astimezone(place).date(), place)


def _day_start(second: int, zone: str) -> int:
    return int(_day(second, zone).start.timestamp())


def _day_end(second: int, zone: str) -> int:
    return int(_day(second, zone).end.timestamp())
