"""The estimator scorecard over the record: what is known is hidden, estimated and compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import intake_channels, intake_layout, usage_points, vee_weeks
from mdm.intake_channels import Channels
from mdm.intake_layout import Layout, Weeks
from mdm.intake_shares import HISTORY
from schemas import reading_type
from schemas.assets import Channel, UsagePoint
from schemas.database import Connection
from schemas.period import local_day
from validation import matrix, scorecard
from validation.matrix import Cube
from validation.ruleset import EstimatorUse
from validation.scores import Score, Scores

# Cells of one cube; a method's values of hidden cells take more than the cube itself.
_CELLS: Final = 2_000_000


class ScorecardError(ValueError):
    """A scorecard cannot be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """How estimators do on the record.

    Attributes
    ----------
    usage_points, channels : that were looked at
    hidden : values that were hidden, each time that one was
    scores : by method, class, length and season
    orders : suggested order of estimators by class, without and with a register to scale to
    uses : the estimators with their parameters, by the names that they have in scores and orders
    """

    usage_points: int
    channels: int
    hidden: int
    scores: tuple[Score, ...]
    orders: dict[str, tuple[list[str], list[str]]]
    uses: dict[str, EstimatorUse]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Channels of one zone and one interval length, with their classes."""

    layout: Layout
    cube: Cube
    usage: list[str]


def make(
    connection: Connection,
    first: date,
    end: date,
    *,
    now: datetime,
    points: Sequence[UsagePoint] | None = None,
    uses: Sequence[EstimatorUse] = (),
    weeks: Weeks | None = None,
    turns: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Scorecard:
    """Score estimators on the final record of past local days; nothing can be written from here on.

    Values are hidden in the days; the 35 days before and after help to estimate them, as in a
    validation run. A class is a rule set's name and a sector.

    Parameters
    ----------
    first, end : local days, half-open
    points : all usage points when None
    uses : estimators with parameters; empty for every one with those of its source
    turns : how often gaps of each length are hidden, each time on other days

    Raises
    ------
    ScorecardError
        if there is no day, a day is not over, or the record has nothing there.
    """
    if end <= first:
        raise ScorecardError(f"from {first} to before {end} there is no day; give a later end")
    connection.execute("SET TRANSACTION READ ONLY")
    every = usage_points.usage_points(connection) if points is None else list(points)
    names = {point.id: point for point in every}
    channels = [
        each
        for each in usage_points.channels(connection, sorted(names))
        if each.interval_seconds and reading_type.named(each.reading_type).accumulation == "delta"
    ]
    tried = list(uses or scorecard.candidates())
    usages = tuple(sorted({_usage(each, names) for each in channels}))
    scores, hidden, done = Scores(usages), 0, 0
    look = _Look(connection, names, first, end, now, weeks or vee_weeks.shipped())
    for group in _groups(channels, names, (end - first).days + 2 * HISTORY):
        block = look.block(group)
        usage = np.array([usages.index(each) for each in block.usage], np.int64)
        season = _seasons(block.layout)
        for trial in scorecard.trials(block.cube, tried, turns=turns):
            hidden += len(trial.truth)
            scores.add(trial, usage, season)
        done += len(group)
        if progress:
            progress(done, len(channels))
    if not hidden:
        raise ScorecardError(
            f"the record has no measured values from {first} to before {end} to hide; "
            "choose days that `miqyas vee run` has validated"
        )
    orders = {
        each: (scores.order(each, registers=False), scores.order(each, registers=True))
        for each in usages
    }
    known = dict(zip(scorecard.labels(tried), tried, strict=True))
    return Scorecard(len(every), len(channels), hidden, tuple(scores.table()), orders, known)


def _usage(channel: Channel, names: dict[int, UsagePoint]) -> str:
    kind = reading_type.named(channel.reading_type)
    name = f"{kind.commodity}_export" if kind.export else kind.commodity
    return f"{name}, {names[channel.usage_point_id].sector}"


def _groups(
    channels: Sequence[Channel], names: dict[int, UsagePoint], days: int
) -> Iterator[list[Channel]]:
    """Part channels by zone and interval length, some at a time."""
    alike: dict[tuple[str, int], list[Channel]] = defaultdict(list)
    for each in channels:
        alike[names[each.usage_point_id].time_zone, each.interval_seconds].append(each)
    for (_, interval), members in alike.items():
        size = max(1, _CELLS // (days * (86_400 // interval + 1)))
        for start in range(0, len(members), size):
            yield members[start : start + size]


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked at, and where."""

    connection: Connection
    names: dict[int, UsagePoint]
    first: date
    end: date
    now: datetime
    weeks: Weeks

    def block(self, group: Sequence[Channel]) -> _Block:
        """Load channels of one zone and one interval length."""
        layout = self._layout(self.names[group[0].usage_point_id].time_zone, group[0])
        columns = Channels(
            np.array([each.id for each in group], np.int32),
            np.array([each.usage_point_id for each in group], np.int32),
            np.array([reading_type.named(each.reading_type).id for each in group], np.int16),
        )
        history = intake_channels.history(self.connection, columns, layout)
        target = np.zeros(history.recorded.shape, np.bool_)
        target[:, HISTORY : HISTORY + (self.end - self.first).days] = True
        cube = Cube(
            values=history.values,
            quality=history.quality,
            target=target,
            days=layout.days,
            interval_seconds=layout.interval_seconds,
            one_way=np.ones(len(group), np.bool_),
            spans=matrix.no_spans(),
        )
        return _Block(layout, cube, [_usage(each, self.names) for each in group])

    def _layout(self, zone: str, channel: Channel) -> Layout:
        if self.now < local_day(self.end, ZoneInfo(zone)).start:
            raise ScorecardError(
                f"in {zone} the days before {self.end} are not over; only past days can be scored"
            )
        begin = self.first - timedelta(days=HISTORY)
        today = intake_layout.local_date(self.now, zone)
        count = (min(self.end + timedelta(days=HISTORY), today) - begin).days
        return intake_layout.of(begin, count, zone, channel.interval_seconds, self.weeks.of(zone))


def _seasons(layout: Layout) -> NDArray[np.int64]:
    """Give each day's quarter of the year, December first, shape (d,)."""
    days = [layout.first + timedelta(days=n) for n in range(layout.count)]
    return np.array([day.month % 12 // 3 for day in days], np.int64)
