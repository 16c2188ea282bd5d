"""Days of a billing group, summed as they come, so that closing day has little left to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from mdm import calendar_file, cycle, daily, tariff_file, usage_points
from mdm.calendar import CalendarError
from mdm.cycle import Problem
from mdm.determinants import days
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
    groups, problems = cycle.grouped(
        points, (starts_on, ends_on), tariffs or tariff_file.standing()
    )
    total = Summed(len(points), 0, tuple(problems))
    for tariff, members in groups:
        try:
            whole = _period(members[0], starts_on, ends_on, now)
            made = _of_tariff(connection, tariff, members, whole) if whole else 0
            total += Summed(days=made)
        except CalendarError as problem:
            lost = tuple(Problem(point.mrid, str(problem)) for point in members)
            total += Summed(problems=lost)
    return total


def _period(point: UsagePoint, starts_on: date, ends_on: date, now: datetime) -> Period | None:
    """Give the stretch of the days that are over in a usage point's time zone."""
    zone = ZoneInfo(point.time_zone)
    end = min(ends_on, now.astimezone(zone).date())
    if end <= starts_on:
        return None
    return Period(local_day(starts_on, zone).start, local_day(end, zone).start)


def _of_tariff(
    connection: Connection, tariff: Tariff, points: Sequence[UsagePoint], period: Period
) -> int:
    """Sum the days of usage points of one tariff and time zone; give how many."""
    zone, calendar = ZoneInfo(points[0].time_zone), calendar_file.named(tariff.calendar)
    numbers: dict[int, list[int]] = defaultdict(list)
    for channel in usage_points.channels(connection, [point.id for point in points]):
        if channel.reading_type == tariff.interval and channel.interval_seconds > 0:
            numbers[channel.interval_seconds].append(channel.id)
    made = 0
    for seconds, channels in numbers.items():
        recipe = days.recipe(tariff, calendar, zone, seconds)
        if recipe is not None:
            made += daily.add(connection, recipe, calendar, channels, period)
    return made
