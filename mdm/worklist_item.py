"""A finding with all that a person needs to judge it: raw, neighbours, like days, an estimate.

The estimate is what the rule set in force would put in place of the finding's values; it is only
proposed, nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import (
    intake,
    intake_cube,
    readings_columns,
    vee_rule_sets,
    vee_weeks,
    worklist,
    worklist_reads,
)
from mdm.intake_cube import Intake
from mdm.intake_layout import Weeks
from mdm.worklist import Item
from mdm.worklist_days import WorklistError
from schemas import quality, reading_type
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass
from validation import days, engine
from validation.ruleset import RuleSet

_LIKE_DAYS: Final = 3

Line = tuple[int | None, ...]
"""Values of a day's slots, None where there is none [scaled unit]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value that is proposed [scaled unit], and how it was made; None where nothing can."""

    at: datetime
    value: int | None
    code: int


@dataclass(frozen=True, slots=True)
class Look:
    """A finding's first day.

    Attributes
    ----------
    moments : start of each slot of the day; of a register the reads around the finding
    marked : whether each slot is the finding's
    raw : what was read, after the multiplier
    recorded, codes : what the record has
    before, after : the days beside it, as recorded
    like_days : the nearest that are like it and were measured in full, nearest first
    estimates : for every slot of the finding, on all its days
    """

    item: Item
    moments: tuple[datetime, ...]
    marked: tuple[bool, ...]
    raw: Line
    recorded: Line
    codes: tuple[int, ...]
    before: Line
    after: Line
    like_days: tuple[tuple[date, Line], ...]
    estimates: tuple[Estimate, ...]


def look(
    connection: Connection,
    number: int,
    *,
    now: datetime,
    weeks: Weeks | None = None,
    rule_sets: Sequence[RuleSet] = (),
) -> Look:
    """Look at a finding; writes nothing.

    Raises
    ------
    WorklistError
        if there is no such finding, or nothing can be seen of its days any more.
    """
    found = worklist.findings(connection, state=None, number=number)
    if not found:
        raise WorklistError(f"there is no finding {number}; see `miqyas worklist list`")
    item = found[0]
    if not item.interval_seconds:
        return _of_register(connection, item)
    part, row = _cube(connection, item, now, weeks or vee_weeks.shipped())
    day = int(part.layout.day_of(np.array([int(item.day.timestamp())]))[0])
    length = int(part.layout.days.length[day])
    step = timedelta(seconds=item.interval_seconds)
    start = readings_columns.moment(part.layout.bounds[day])
    moments = tuple(start + i * step for i in range(length))
    return Look(
        item=item,
        moments=moments,
        marked=tuple(item.starts_at <= at < item.ends_at for at in moments),
        raw=_line(part.cube.values[row, day], part.cube.quality[row, day], length),
        recorded=_recorded(part, row, day),
        codes=tuple(part.history.quality[row, day, :length].tolist()),
        before=_recorded(part, row, day - 1),
        after=_recorded(part, row, day + 1),
        like_days=_like_days(part, row, day),
        estimates=_estimates(part, row, item, rule_sets),
    )


def _of_register(connection: Connection, item: Item) -> Look:
    """Show the reads around a finding about a register; nothing is proposed."""
    moments, values, codes = zip(*worklist_reads.around(connection, item), strict=True)
    marked = [item.starts_at < readings_columns.moment(s) <= item.ends_at for s in moments]
    return Look(
        item=item,
        moments=tuple(readings_columns.moment(second) for second in moments),
        marked=tuple(marked),
        raw=values,
        recorded=values,
        codes=codes,
        before=(),
        after=(),
        like_days=(),
        estimates=(),
    )


def _cube(connection: Connection, item: Item, now: datetime, weeks: Weeks) -> tuple[Intake, int]:
    """Lay the finding's days out as a run would, as they came in, among the record's."""
    (named,) = worklist.named(connection, [item.id])
    period = Period(item.starts_at, item.ends_at)
    taken = intake.seen_days(connection, [named.usage_point_id], period, now=now)
    for work in intake.works(taken):
        if work.interval_seconds != item.interval_seconds:
            continue
        for part in intake_cube.intakes(
            connection, work, weeks=weeks, now=now, over_people=True, add_channels=False
        ):
            rows = np.flatnonzero(part.channels.id == item.channel_id)
            if len(rows):
                return part, int(rows[0])
    raise WorklistError(
        f"finding {item.id}: nothing is left of {item.usage_point} on {item.local_date}; "
        "was another end device registered for it?"
    )


def _estimates(
    part: Intake, row: int, item: Item, rule_sets: Sequence[RuleSet]
) -> tuple[Estimate, ...]:
    """Blank the finding's slots, and let the rule set's estimators fill them."""
    layout, cube = part.layout, part.cube
    first, last = int(item.starts_at.timestamp()), int(item.ends_at.timestamp())
    moments = np.arange(first, last, item.interval_seconds, dtype=np.int64)
    day = layout.day_of(moments)
    slot = (moments - layout.bounds[day]) // item.interval_seconds
    values, codes = cube.values.copy(), cube.quality.copy()
    values[row, day, slot], codes[row, day, slot] = 0, quality.MISSING
    blank = replace(part, cube=replace(cube, values=values, quality=codes), settled=None)
    made, kinds = values[row].copy(), codes[row].copy()
    commodity = reading_type.named(item.reading_type).commodity
    for rule_set, chosen in vee_rule_sets.by_rule_set(blank, commodity, rule_sets):
        outcome = engine.run(chosen.cube, rule_set)
        mine = chosen.cube.target[row]
        made[mine], kinds[mine] = outcome.values[row][mine], outcome.quality[row][mine]
    return tuple(
        Estimate(readings_columns.moment(at), _value(int(made[d, s]), code), code)
        for at, d, s in zip(moments.tolist(), day.tolist(), slot.tolist(), strict=True)
        for code in [int(kinds[d, s])]
    )


def _like_days(part: Intake, row: int, day: int) -> tuple[tuple[date, Line], ...]:
    kinds = days.likeness(part.layout.days, "kind")
    classes = quality.classes(part.history.quality[row])
    exists = part.layout.days.exists
    whole = ((classes == QualityClass.VALID) | ~exists).all(axis=1) & part.history.recorded[row]
    like = [n for n in np.flatnonzero(whole & (kinds == kinds[day])).tolist() if n != day]
    like.sort(key=lambda n: (abs(n - day), n))
    return tuple(
        (part.layout.first + timedelta(days=n), _recorded(part, row, n)) for n in like[:_LIKE_DAYS]
    )


def _recorded(part: Intake, row: int, day: int) -> Line:
    if not 0 <= day < part.layout.count or not part.history.recorded[row, day]:
        return ()
    length = int(part.layout.days.length[day])
    return _line(part.history.values[row, day], part.history.quality[row, day], length)


def _line(values: NDArray[np.integer[Any]], codes: NDArray[np.int16], length: int) -> Line:
    pairs = zip(values[:length].tolist(), codes[:length].tolist(), strict=True)
    return tuple(_value(value, code) for value, code in pairs)


def _value(value: int, code: int) -> int | None:
    return None if quality.class_table()[code] == QualityClass.MISSING else value
