"""On which local days and in which time-of-use periods a corrected bill's intervals changed.

Both sets name the versions of their interval blocks: those that differ are read and summed. A
true-up is posted where the use was, never as use of now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from mdm import calendar_file, readings, tariff_file
from mdm.calendar import Calendar
from mdm.determinants.rounding import UNITS
from mdm.tariff import Tariff
from schemas import reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "correction_days.sql")


@dataclass(frozen=True, slots=True)
class DayDifference:
    """What a day's intervals in a time-of-use period came to when billed, and come to now.

    Rounded day by day, so that days need not sum to the corrected figure in its last decimal.
    """

    usage_point: str
    old_version: int
    new_version: int
    day: date
    reading_type: str
    part: str
    unit: str
    old: Decimal
    new: Decimal

    @property
    def difference(self) -> Decimal:
        """Now less billed."""
        return self.new - self.old


class _Pair(NamedTuple):
    """A corrected set, the one that corrects it, and by what they were computed."""

    old: int
    new: int
    usage_point: str
    old_version: int
    new_version: int
    time_zone: str
    tariff: str
    calendar: str


class _Block(NamedTuple):
    """A day of a channel whose version differs; None where it is in one of the sets only."""

    channel: int
    reading_type: str
    interval_seconds: int
    starts_at: datetime
    old: int | None
    new: int | None


def days(connection: Connection, cycle_id: int) -> list[DayDifference]:
    """List what changed by day, for every correction of a cycle, oldest correction first.

    Raises
    ------
    KeyError
        naming a version that is gone.
    """
    found: list[DayDifference] = []
    for row in connection.execute(_SQL["pairs"], {"cycle": cycle_id}).fetchall():
        pair = _Pair(*row)
        rows = connection.execute(_SQL["changed"], {"old": pair.old, "new": pair.new}).fetchall()
        found += _differences(connection, pair, [_Block(*block) for block in rows])
    return found


def _differences(
    connection: Connection, pair: _Pair, blocks: Sequence[_Block]
) -> Iterator[DayDifference]:
    tariff, calendar = (
        tariff_file.restored(pair.tariff),
        calendar_file.restored(pair.calendar),
    )
    zone = ZoneInfo(pair.time_zone)
    sums: dict[tuple[date, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for which in (0, 1):
        chosen = [b for b in blocks if (b.old, b.new)[which] is not None]
        for block, part, total in _summed(connection, chosen, which, calendar, zone):
            day = block.starts_at.astimezone(zone).date()
            sums[day, block.reading_type, part][which] += total
    for (day, name, part), (old, new) in sorted(sums.items()):
        if old != new:
            unit, before, after = _in_unit(tariff, name, old, new)
            yield DayDifference(
                usage_point=pair.usage_point,
                old_version=pair.old_version,
                new_version=pair.new_version,
                day=day,
                reading_type=name,
                part=part,
                unit=unit,
                old=before,
                new=after,
            )


def _summed(
    connection: Connection, blocks: Sequence[_Block], which: int, calendar: Calendar, zone: ZoneInfo
) -> Iterator[tuple[_Block, str, int]]:
    """Sum the blocks' intervals by time-of-use period [scaled unit]."""
    if not blocks:
        return
    table = np.array(
        [(b.channel, int(b.starts_at.timestamp()), (b.old, b.new)[which]) for b in blocks], np.int64
    )
    named = readings.named(connection, *table.T)
    for row, block in enumerate(blocks):
        values = named.values[row, : named.length[row]].astype(np.int64)
        day = block.starts_at.astimezone(zone).date()
        periods = calendar.of_day(day, zone, block.interval_seconds)
        totals = np.bincount(periods, weights=values, minlength=len(calendar.periods))
        for number, name in enumerate(calendar.periods):
            yield block, name, int(totals[number])


def _in_unit(tariff: Tariff, name: str, *values: int) -> tuple[str, Decimal, Decimal]:
    """Give values in the tariff's unit, or in their own where that is of something else."""
    own = reading_type.named(name).unit
    factor = UNITS.get(own, {}).get(tariff.unit)
    if factor is None:
        old, new = (Decimal(value) for value in values)
        return own, old, new
    old, new = (tariff.quantity_rounding.of(value * factor[0], factor[1]) for value in values)
    return tariff.unit, old, new
