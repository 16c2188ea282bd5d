"""Days that got a new version are summed for billing soon after, in small steps.

What is noted here is a hint. ``daily.add`` finds out what is lacking, so that a day whose newest
version was summed already is not summed again, and late data cost no more than the days they touch.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from mdm import daily_group
from mdm.daily_group import Stretch
from mdm.tariff import Tariffs
from schemas import binary_copy, statements
from schemas.assets import UsagePoint
from schemas.database import Connection

_SQL = statements.load("mdm", "daily_due.sql")
# Channels whose days are summed in one transaction: who computes a bill of them waits for no more.
_STEP: Final = 1000


class Step(NamedTuple):
    """What one step did: how many notes it took, and days that it summed."""

    taken: int = 0
    days: int = 0


def step(connection: Connection, *, now: datetime, tariffs: Tariffs | None = None) -> Step:
    """Sum days of some channels in the caller's transaction; nothing is left when it took none.

    Any number of processes may do this at once: each takes notes of its own. What keeps a usage
    point's days from being summed is told when it is computed.

    Parameters
    ----------
    tariffs : those that come with the program unless given
    """
    channels: dict[tuple[datetime, datetime], list[int]] = defaultdict(list)
    rows = connection.execute(_SQL["claim"], {"channels": _STEP}).fetchall()
    for several, starts_at, ends_at in rows:
        channels[starts_at, ends_at] += several
    wanted: list[Stretch] = []
    for (starts_at, ends_at), numbers in channels.items():
        zones: dict[str, list[UsagePoint]] = defaultdict(list)
        limits = {"channels": binary_copy.array(sorted(set(numbers)))}
        for row in connection.execute(_SQL["usage_points"], limits):
            point = UsagePoint(*row)
            zones[point.time_zone].append(point)
        for key, points in zones.items():
            zone = ZoneInfo(key)
            last = (ends_at - timedelta(microseconds=1)).astimezone(zone).date()
            first = starts_at.astimezone(zone).date()
            wanted.append(Stretch(points, first, last + timedelta(days=1)))
    done = daily_group.add_all(connection, wanted, now=now, tariffs=tariffs)
    return Step(len(rows), done.days)


def forget(connection: Connection) -> None:
    """Leave what is noted unsummed: a cycle's run sums nothing and goes by intervals."""
    connection.execute(_SQL["forget"])
