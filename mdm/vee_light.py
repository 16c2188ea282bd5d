"""Whether what came in the light way is as the whole history would have it, channel by channel.

Each check errs to the safe side: where it is not certain, the usage point gets more history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import intake_layout, intake_light, readings_columns, readings_stretch, spans
from mdm.intake_cube import Intake
from mdm.intake_light import Light
from mdm.intake_shares import Share
from mdm.readings_stretch import Stretches
from schemas import binary_copy, quality, reading_type, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from schemas.reading import BlockTable
from validation import engine, standing
from validation.engine import Outcome
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "vee.sql")
# Days of 23 to 25 hours have the sums of days of 24 within this.
_DAYS_APART: Final = 0.1
_LAST_YEAR: Final = "year_ago"
# Days that it copies are 52 weeks and up to two weeks before; a day more for changes of the clock.
_FURTHEST: Final = (52 * 7 + 15) * 86_400
_NEAREST: Final = 51 * 7 * 86_400


def lacking(
    connection: Connection, part: Intake, light: Light, rule_set: RuleSet, share: Share
) -> NDArray[np.bool_]:
    """Tell the channels for which days before the layout's may count, shape (c,).

    Parameters
    ----------
    share : what the part was loaded for
    """
    chosen = part.cube.target.any(axis=1)
    row = light.stretches.rows_of(part.channels.id)
    lack = row < 0
    first = part.cube.target.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    recorded = part.history.recorded
    every = np.arange(len(row))
    lack |= (first == 0) | ~recorded[every, before] | _broken(recorded | part.cube.target)
    lack |= _registers_before(part, first) | _first_is_news(part, share.news)
    whole = _whole(part, light)
    lack |= ~whole & _level(part, before)
    lack |= ~whole & _unusual(part, light, row, rule_set)
    lack |= ~whole & _unmoved(part, rule_set)
    if part.cube.outage is not None:
        lack |= part.cube.outage.any(axis=(1, 2))
    again = (part.cube.target & recorded).any(axis=1) & ~lack
    if again.any():
        lack |= _reached(connection, part, again, share.looked_from)
    return lack & chosen


def differing(part: Intake, light: Light, rule_set: RuleSet) -> NDArray[np.bool_]:
    """Tell the channels that the engine may treat otherwise with more history, shape (c,).

    It is tried with the estimators that look no further than a day: what these leave open, others
    would fill from where nothing was read.
    """
    cube = part.cube
    lack = np.zeros(len(part.channels), np.bool_)
    if not cube.target.any():
        return lack
    outcome = engine.run(cube, intake_light.near(rule_set))
    lack = _open(part, outcome.quality) & ~_whole(part, light)
    # Which tariff registers a meter has, the rule takes from all the readings that it sees.
    tariffs = outcome.findings.rule == outcome.findings.names.index("tou_sum_check")
    lack[outcome.findings.channel[tariffs]] = True
    return lack


def asks_last_year(outcome: Outcome) -> bool:
    """Tell whether a run had slots left when the turn of last year came."""
    tried = (each.tried for each in outcome.counters.attempts if each.method == _LAST_YEAR)
    return any(tried)


def asking_last_year(
    connection: Connection, chosen: Sequence[tuple[RuleSet, Intake]]
) -> NDArray[np.bool_]:
    """Tell the channels with slots for which last year is asked: nothing before it fills them.

    Only those of which the record has something of that time, shape (c,), with the other channels
    of their usage points.
    """
    part = chosen[0][1]
    asking = np.zeros(len(part.channels), np.bool_)
    known = _of_last_year(connection, chosen)
    if not known.any():
        return asking
    for rules, mine in chosen:
        first = tuple(takewhile(lambda use: use.estimator.name != _LAST_YEAR, rules.estimators))
        if len(first) < len(rules.estimators):
            left = replace(mine.cube, target=mine.cube.target & known[:, None])
            codes = engine.run(left, replace(rules, estimators=first)).quality
            asking |= _open(replace(mine, cube=left), codes)
    return with_siblings(part, asking & known)


def _of_last_year(
    connection: Connection, chosen: Sequence[tuple[RuleSet, Intake]]
) -> NDArray[np.bool_]:
    """Tell the channels of which the record has something of about 52 weeks before, shape (c,)."""
    part = chosen[0][1]
    days = np.flatnonzero(np.any([mine.cube.target.any(axis=0) for _, mine in chosen], axis=0))
    limits = {
        "channels": binary_copy.array(part.channels.id),
        "start": readings_columns.moment(part.layout.bounds[days[0]] - _FURTHEST),
        "end": readings_columns.moment(part.layout.bounds[days[-1] + 1] - _NEAREST),
    }
    (found,) = binary_copy.read_together(
        connection, _SQL["channels_of_days"], limits, {"channel_id": "int4"}
    )
    return np.isin(part.channels.id, found)


def _open(part: Intake, codes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Tell the channels with a slot of a target day that lacks a value, shape (c,)."""
    cube, layout = part.cube, part.layout
    cells = np.flatnonzero(codes)
    cells = cells[cube.target.ravel()[cells // layout.width]]
    cells = cells[~standing.present(codes.ravel()[cells])]
    open_ = np.zeros(len(part.channels), np.bool_)
    open_[cells[cube.expects(cells)] // (layout.count * layout.width)] = True
    return open_


def _whole(part: Intake, light: Light) -> NDArray[np.bool_]:
    """Tell channels of which all that the record has is in the layout: nothing else can count."""
    row = light.stretches.rows_of(part.channels.id)
    begun = light.stretches.starts_at[row] if len(light.stretches) else np.zeros(len(row))
    return np.asarray((row >= 0) & (begun >= part.layout.bounds[0]))


def with_siblings(part: Intake, lack: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take the other channels of their usage points with those that lack something."""
    points = readings_columns.distinct(part.channels.usage_point[lack])
    return np.isin(part.channels.usage_point, points)


def _broken(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell rows with a hole between two True ones."""
    edges = np.count_nonzero(known[:, 1:] & ~known[:, :-1], axis=1) + known[:, 0]
    return np.asarray(edges > 1)


def _registers_before(part: Intake, first: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell channels with a register that was read after the first target day began, but not before.

    A span from an earlier reading may then reach into the day.
    """
    dials, installed = part.dials, part.installed
    points = readings_columns.distinct(part.channels.usage_point)
    place = np.searchsorted(points, part.channels.usage_point)
    start = np.full(len(points), np.iinfo(np.int64).max)
    chosen = part.cube.target.any(axis=1)
    np.minimum.at(start, place[chosen], part.layout.bounds[first[chosen]])
    valid = quality.class_table()[dials.quality] == QualityClass.VALID
    table = dials.rows(valid)
    if not len(table):
        return np.zeros(len(first), np.bool_)
    point = np.searchsorted(points, installed.usage_point[table.installation])
    known = (point < len(points)) & (
        points[np.minimum(point, len(points) - 1)] == installed.usage_point[table.installation]
    )
    table, point = table.rows(known), point[known]
    moment, off = part.layout.snapped(table.read_at, part.layout.interval_seconds // 2)
    on_grid = (off == 0) | (installed.sampled[table.installation] & (off > 0))
    key = table.installation.astype(np.int64) << 16 | table.reading_type
    kinds = readings_columns.distinct(key)
    kind = np.searchsorted(kinds, key)
    before = np.zeros(len(kinds), np.bool_)
    before[kind[on_grid & (moment <= start[point]) & (table.read_at >= part.layout.bounds[0])]] = (
        True
    )
    missing = (table.read_at > start[point]) & ~before[kind]
    bad = np.zeros(len(points), np.bool_)
    bad[point[missing]] = True
    return bad[place]


def _first_is_news(part: Intake, news: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """Tell channels with a register of which the first reading that is seen has just come.

    It may end a span from before the layout, and days in there be scaled to it.
    """
    dials, installed = part.dials, part.installed
    if not len(dials) or news is None or not news.shape[1]:
        return np.zeros(len(part.channels), np.bool_)
    key = dials.installation.astype(np.int64) << 16 | dials.reading_type
    order = np.lexsort((dials.read_at, key))
    first = order[np.append(True, np.diff(key[order]) != 0)]
    point = installed.usage_point[dials.installation[first]].astype(np.int64)
    came = readings_columns.places((news[0], news[1]), (point, dials.read_at[first])) >= 0
    return np.isin(part.channels.usage_point, point[came])


def _level(part: Intake, before: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell channels whose day before the first target is all one value: a run may be longer."""
    line = part.cube.values[np.arange(len(before)), before]
    exists = part.layout.days.exists[before]
    return np.asarray(((line == line[:, :1]) | ~exists).all(axis=1))


def _unusual(
    part: Intake, light: Light, row: NDArray[np.intp], rule_set: RuleSet
) -> NDArray[np.bool_]:
    """Tell channels with a target day whose sum is not plainly among those of other days."""
    use = rule_set.use("high_low")
    if use is None or not len(light.stretches):
        return np.zeros(len(row), np.bool_)
    given: Mapping[str, Any] = use.parameters
    channel, day = np.nonzero(part.cube.target)
    total, sound = readings_stretch.sums(
        part.cube.values[channel, day],
        part.cube.quality[channel, day],
        part.layout.days.exists[day],
    )
    lowest, highest = readings_stretch.bounds(len(row), channel[sound], total[sound])
    lowest = np.minimum(lowest, light.stretches.lowest[row])[channel]
    highest = np.maximum(highest, light.stretches.highest[row])[channel]
    present = standing.present(part.cube.quality[channel, day])
    whole = (present | ~part.layout.days.exists[day]).all(axis=1)
    above = (total > given["minimum"]) & (total > given["high"] * lowest * (1 - _DAYS_APART))
    most = np.abs(highest) * (1 + _DAYS_APART)
    below = (most > given["minimum"]) & (total < given["low"] * most)
    odd = whole & (above | below | (lowest < 0))
    unusual = np.zeros(len(row), np.bool_)
    unusual[channel[odd]] = True
    return unusual


def _unmoved(part: Intake, rule_set: RuleSet) -> NDArray[np.bool_]:
    """Tell channels without a whole day of use, where a rule asks whether there was ever any."""
    lack = np.zeros(len(part.channels), np.bool_)
    for use in rule_set.rules:
        if use.when.above_per_day is None:
            continue
        kinds = [reading_type.named(name).id for name in use.when.reading_types]
        mine = np.isin(part.channels.reading_type, kinds) if kinds else ~lack
        values, codes = part.cube.values[mine], part.cube.quality[mine]
        whole = ((codes == quality.VALID) | ~part.layout.days.exists).all(axis=2)
        lack[mine] |= ~(whole & (values.sum(axis=2) > 0)).any(axis=1)
    return lack


def _reached(
    connection: Connection, part: Intake, again: NDArray[np.bool_], looked_from: int
) -> NDArray[np.bool_]:
    """Tell channels with a finding from before the layout that reaches into it."""
    asked = part.channels.id[again]
    limits = spans.limits(asked, spans.SHORT_ROWS) | {
        "from": readings_columns.moment(looked_from),
        "start": readings_columns.moment(part.layout.bounds[0]),
    }
    (found,) = binary_copy.read_together(
        connection, _SQL["findings_reaching"], limits, {"channel_id": "int4"}
    )
    return np.isin(part.channels.id, found[spans.among(asked, found)])


def keep(
    connection: Connection, share: Share, part: Intake, days_: Sequence[BlockTable], now: datetime
) -> None:
    """Write down what a run that saw the whole history knows of its channels' days.

    A channel with one day has nothing to know yet.

    Parameters
    ----------
    days_ : the target days as they came out
    """
    layout = part.layout
    yesterday = intake_layout.local_date(now, share.work.zone) - timedelta(days=1)
    if share.layout.first + timedelta(days=share.layout.count - 1) != yesterday:
        # Later days may be recorded: they were not looked at.
        return
    known = part.history.recorded | part.cube.target
    if not (known.sum(axis=1) > 1).any():
        return
    total, sound = readings_stretch.sums(
        part.history.values, part.history.quality, layout.days.exists
    )
    for table in days_:
        row = readings_columns.places((part.channels.id,), (table.channel_id,))
        inside = np.arange(table.values.shape[1]) < table.length[:, None]
        place = row, layout.day_of(table.starts_at)
        total[place], sound[place] = readings_stretch.sums(table.values, table.quality, inside)
    broken = _broken(known)
    if broken.any():
        readings_stretch.drop(connection, part.channels.id[broken])
    rows = np.flatnonzero(~broken & (known.sum(axis=1) > 1))
    sound &= known
    readings_stretch.keep(
        connection,
        Stretches(
            part.channels.id[rows],
            np.full(len(rows), share.looked_from),
            layout.bounds[known[rows].argmax(axis=1)],
            np.where(sound, total, readings_stretch.NO_LOWEST)[rows].min(axis=1),
            np.where(sound, total, readings_stretch.NO_HIGHEST)[rows].max(axis=1),
        ),
        share.looked_from,
    )
