"""When a read schedule fires, and what becomes of fire times that were missed. Pure.

Fire times come from APScheduler's triggers, in the schedule's own time zone: where clocks change,
a local time that does not exist moves on with the clock, and one that comes twice fires once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from apscheduler.triggers.interval import IntervalTrigger

from headend import crontab

Misfire = Literal["skip", "once", "all"]
MISFIRES: tuple[Misfire, ...] = ("skip", "once", "all")
READS = ("identity", "registers", "register_history", "intervals", "events", "clock")

# A clock that stood still for longer than this owes nobody the fires before.
LONGEST_LOOK_BACK = timedelta(days=35)
_LARGEST_CHANGE = timedelta(hours=3)
_INSTANT = timedelta(microseconds=1)
_NEVER = datetime.max.replace(tzinfo=UTC)
_LONGEST_LOOK_AHEAD = timedelta(days=366 * 8)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a group of end devices is read, and what is read.

    Attributes
    ----------
    cron : five fields as in a crontab, None where ``interval_seconds`` is set
    interval_seconds : time between fires [s], counted from a local midnight
    time_zone : IANA name; cron fields are its local time
    reads : names of ``READS``
    stagger_seconds : the starts of a fire's batches are spread over this time [s]
    misfire : what to do with fires that are late: ``skip`` them, fire ``once``, or ``all``
    grace_seconds : how late a fire may be and still be on time [s]
    keep_clock_seconds : clocks that are further off than this are put right; None: none is [s]
    """

    id: int
    name: str
    group: str
    cron: str | None
    interval_seconds: int | None
    time_zone: str
    reads: tuple[str, ...]
    stagger_seconds: int
    misfire: Misfire
    grace_seconds: int
    enabled: bool
    keep_clock_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Which fire times to run, and which were missed; both oldest first."""

    run: tuple[datetime, ...]
    missed: tuple[datetime, ...]


def fires(schedule: Schedule, since: datetime, until: datetime) -> Iterator[datetime]:
    """Give the fire times after ``since``, up to and including ``until``, in UTC."""
    since = since.astimezone(UTC)
    if schedule.cron is None:
        return _grid(schedule, since, until)
    return _local_times(schedule.cron, ZoneInfo(schedule.time_zone), since, until)


def following(schedule: Schedule, moment: datetime) -> datetime | None:
    """Give the first fire time after a moment; None if there is none in eight years."""
    return next(fires(schedule, moment, moment + _LONGEST_LOOK_AHEAD), None)


def previous(schedule: Schedule, moment: datetime) -> datetime | None:
    """Give the last fire time at or before a moment; None if there is none in eight years."""
    window = timedelta(minutes=1)
    while window < _LONGEST_LOOK_AHEAD * 2:
        found = list(fires(schedule, moment - window, moment))
        if found:
            return found[-1]
        window *= 4
    return None


def preview(schedule: Schedule, now: datetime, count: int) -> list[datetime]:
    """Give the next fire times after now, in UTC."""
    found: list[datetime] = []
    for moment in fires(schedule, now, now + _LONGEST_LOOK_AHEAD):
        if len(found) == count:
            break
        found.append(moment)
    return found


def due(
    schedules: Iterable[Schedule], since: datetime, until: datetime
) -> list[tuple[datetime, Schedule]]:
    """Give every fire time of enabled schedules after ``since`` up to ``until``, oldest first."""
    found = [
        (moment, schedule)
        for schedule in schedules
        if schedule.enabled
        for moment in fires(schedule, since, until)
    ]
    return sorted(found, key=lambda pair: (pair[0], pair[1].id))


def decide(
    due_at: Sequence[datetime], now: datetime, misfire: Misfire, grace: timedelta
) -> Decision:
    """Decide which fire times run now and which were missed.

    Parameters
    ----------
    due_at : fire times that nobody has decided yet, oldest first, none after now
    grace : a fire that is later than this is a misfire
    """
    if misfire == "all":
        return Decision(tuple(due_at), ())
    # One round of reading fetches what all rounds before it would have: only the last can run.
    run = tuple(due_at[-1:])
    if misfire == "skip" and run and now - run[0] > grace:
        run = ()
    return Decision(run, tuple(moment for moment in due_at if moment not in run))


def _grid(schedule: Schedule, since: datetime, until: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(schedule.time_zone)
    start = datetime(2000, 1, 1, tzinfo=zone)
    trigger = IntervalTrigger(seconds=schedule.interval_seconds, start_date=start, timezone=zone)
    while found := trigger.get_next_fire_time(None, (since + _INSTANT).astimezone(zone)):
        since = found.astimezone(UTC)
        if since > until:
            return
        yield since


def _local_times(cron: str, zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """Give the moments of a crontab's local times.

    APScheduler is asked for them as if no clock ever changed, and the change is made here: over a
    change of clocks its own arithmetic leaves out the midnight of the day after.
    """
    trigger = crontab.trigger(cron, ZoneInfo("UTC"))
    each_coming = _every_hour(cron)
    wall = (since.astimezone(zone) - _LARGEST_CHANGE).replace(tzinfo=UTC)
    waiting: list[datetime] = []
    given = since
    while wall is not None:
        wall = trigger.get_next_fire_time(None, wall + _INSTANT)
        moments = _moments(wall, zone, each_coming=each_coming) if wall else [_NEVER]
        for moment in moments:
            heapq.heappush(waiting, moment)
        # Where clocks change, later local times may be earlier moments, by that much at most.
        while waiting[0] <= moments[0] - _LARGEST_CHANGE:
            moment = heapq.heappop(waiting)
            if moment > until:
                return
            if moment > given:
                yield moment
                given = moment


def _moments(wall: datetime, zone: ZoneInfo, *, each_coming: bool) -> list[datetime]:
    """Give the moment of a local time; both, if it comes twice and each coming counts."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return [first, second] if each_coming and second > first else [first]


def _every_hour(cron: str) -> bool:
    """Tell whether the hour field means every hour, so that both comings of an hour count."""
    return cron.split()[1].startswith("*")
