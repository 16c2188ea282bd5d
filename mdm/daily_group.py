"""Days of a billing group, summed as they come, so that closing day has little left to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from mdm import calendar_file, cycle, daily, tariff_file, usage_points
from mdm.calendar import Calendar, CalendarError
from mdm.cycle import Problem
from mdm.determinants import days
from mdm.determinants.days import Recipe
from mdm.tariff import Tariff, Tariffs
from schemas.assets import UsagePoint
from schemas.database import Connection
from schemas.period import Period, local_day

# A month of so many quarter-hour channels is 3 M intervals, if all of it is new.
_PARTITION: Final = 1000


@dataclass(frozen=True, slots=True)
class Summed:
    """What was done: days that were summed now, and usage points that could not be looked at."""

    usage_points: int = 0
    days: int = 0
    problems: tuple[Problem, ...] = ()

    def __add__(self, other: Summed) -> Summed:
        return Summed(
            self.usage_points + other.usage_points,
            self.days + other.days,
            self.problems + other.problems,
        )


class Stretch(NamedTuple):
    """Usage points, and local days of theirs from the first to before the last."""

    points: Sequence[UsagePoint]
    starts_on: date
    ends_on: date


class _Wanted(NamedTuple):
    """Days of channels to be summed by a recipe; ``points`` are for people, where it cannot be."""

    recipe: Recipe
    calendar: Calendar
    channels: Sequence[int]
    period: Period
    points: Sequence[UsagePoint]


def partitions(
    connection: Connection, group: str, size: int = _PARTITION
) -> list[list[UsagePoint]]:
    """Cut a group's usage points into parts that can be summed apart.

    Raises
    ------
    cycle.CycleError
        if no usage point is in the group.
    """
    points = usage_points.usage_points(connection, billing_group=group)
    if not points:
        raise cycle.CycleError(f"no usage point is in billing group {group!r}; see the registry")
    return [points[first : first + size] for first in range(0, len(points), size)]


def add(
    connection: Connection,
    points: Sequence[UsagePoint],
    starts_on: date,
    ends_on: date,
    *,
    now: datetime,
    tariffs: Tariffs | None = None,
) -> Summed:
    """Sum the days of usage points that are over and were not summed in their newest version.

    Parameters
    ----------
    starts_on : first local day; where the tariff changes before the last, nothing is summed
    ends_on : the first local day that is not looked at
    tariffs : those that come with the program unless given
    """
    stretch = Stretch(points, starts_on, ends_on)
    return add_all(connection, [stretch], now=now, tariffs=tariffs)


def add_all(
    connection: Connection,
    stretches: Iterable[Stretch],
    *,
    now: datetime,
    tariffs: Tariffs | None = None,
) -> Summed:
    """Sum the days of several stretches as ``add`` does.

    Recipes are taken, and so locked, in one order, so that nobody waits in a circle.
    """
    total, wanted = Summed(), list[_Wanted]()
    for stretch in stretches:
        days_ = (stretch.starts_on, stretch.ends_on)
        groups, problems = cycle.grouped(stretch.points, days_, tariffs or tariff_file.standing())
        total += Summed(len(stretch.points), 0, tuple(problems))
        for tariff, members in groups:
            whole = _period(members[0], *days_, now)
            try:
                wanted += _of_tariff(connection, tariff, members, whole) if whole else []
            except CalendarError as problem:
                total += _lost(members, problem)
    for one in sorted(wanted, key=lambda one: one.recipe.definition):
        try:
            made = daily.add(connection, one.recipe, one.calendar, one.channels, one.period)
            total += Summed(days=made)
        except CalendarError as problem:
            total += _lost(one.points, problem)
    return total


def _lost(points: Sequence[UsagePoint], problem: CalendarError) -> Summed:
    return Summed(problems=tuple(Problem(point.mrid, str(problem)) for point in points))


def _period(point: UsagePoint, starts_on: date, ends_on: date, now: datetime) -> Period | None:
    """Give the stretch of the days that are over in a usage point's time zone."""
    zone = ZoneInfo(point.time_zone)
    end = min(ends_on, now.astimezone(zone).date())
    if end <= starts_on:
        return None
    return Period(local_day(starts_on, zone).start, local_day(end, zone).start)


def _of_tariff(
    connection: Connection, tariff: Tariff, points: Sequence[UsagePoint], period: Period
) -> list[_Wanted]:
    """Tell which days of usage points of one tariff and time zone are wanted."""
    zone, calendar = ZoneInfo(points[0].time_zone), calendar_file.named(tariff.calendar)
    numbers: dict[int, list[int]] = defaultdict(list)
    for channel in usage_points.channels(connection, [point.id for point in points]):
        if channel.reading_type == tariff.interval and channel.interval_seconds > 0:
            numbers[channel.interval_seconds].append(channel.id)
    found = {s: days.recipe(tariff, calendar, zone, s) for s in numbers}
    return [
        _Wanted(recipe, calendar, numbers[seconds], period, points)
        for seconds, recipe in found.items()
        if recipe is not None
    ]
