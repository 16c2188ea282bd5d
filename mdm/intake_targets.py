"""Which days a run works out anew: those that data touched, and those that depend on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.intake import Work
from mdm.intake_channels import Channels, History
from mdm.intake_installed import Installed
from mdm.intake_layout import Layout
from mdm.intake_registers import Steps
from validation import matrix
from validation.matrix import Spans


def reach(days: NDArray[Any], known: tuple[int, int] | None = None) -> tuple[int, int]:
    """Give the first of some days and the one after the last, no less than what is known."""
    first, end = int(days.min()), int(days.max()) + 1
    return (min(first, known[0]), max(end, known[1])) if known else (first, end)


def spans(steps: Steps, row: NDArray[np.intp], installed: Installed, layout: Layout) -> Spans:
    """Give register spans of channels, on the cube's flattened day × slot axis.

    Of meters without memory, a step over one slot made that slot: it says nothing more about it.
    """
    step = layout.interval_seconds
    inside = (steps.start >= layout.bounds[0]) & (steps.end <= layout.bounds[-1]) & (row >= 0)
    made = installed.sampled[steps.installation] & (steps.end - steps.start == step)
    chosen = inside & ~made
    return matrix.spans(
        row[chosen].astype(np.int32),
        layout.cell(steps.start[chosen]).astype(np.int32),
        (layout.cell(steps.end[chosen] - step) + 1).astype(np.int32),
        steps.energy[chosen],
    )


def targets(
    work: Work,
    channels: Channels,
    history: History,
    spans_: Iterable[Spans],
    layout: Layout,
    *,
    news: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Choose the days to validate, shape (c, d).

    Beside the touched days: days that were never recorded between known ones, so that what is
    missing is known to be; and recorded days with doubtful slots, where a register span or a
    neighbouring slot that may now be better reaches into them: also where nothing came but the
    register's reading at the end of the span. A day beside a touched one has nothing new where no
    register came with it and all that is in doubt is on a straight line.

    Parameters
    ----------
    spans_ : of the total registers, and of each tariff register
    news : usage points and moments [s] of new register readings, shape (2, k); None for any
    """
    covered = _covered(work.installed, layout)[_point_rows(work.installed, channels)]
    target = touched(work, channels, layout) & covered
    if not history.recorded.any():
        return np.asarray(target | (_holes(target, history.recorded) & covered))
    doubtful = history.doubtful()
    some = doubtful.any(axis=2) & history.recorded
    told = _of_points(channels, work.edge_usage_point, work.edge_day, layout.count)
    beside = told & some
    if news is not None:
        told = _told(channels, news, layout)
        beside &= history.open().any(axis=2) | told
    target |= beside
    target |= _holes(target, history.recorded) & covered
    for each in spans_:
        _reach_spans(target, told, some, each, layout.width)
    target |= _reach_neighbours(target, doubtful, layout) & history.recorded
    return target


def touched(work: Work, channels: Channels, layout: Layout) -> NDArray[np.bool_]:
    """Tell the days for which something came, shape (c, d)."""
    return _of_points(channels, work.usage_point, work.day, layout.count)


def moved(spans_: Spans, target: NDArray[np.bool_], layout: Layout, days: tuple[int, int]) -> Spans:
    """Keep the spans of some days that have a target in them, counted from those days."""
    first, last = spans_.start // layout.width, (spans_.end - 1) // layout.width
    counted = np.zeros((len(target), layout.count + 1), np.int32)
    np.cumsum(target, axis=1, out=counted[:, 1:])
    kept = counted[spans_.channel, last + 1] > counted[spans_.channel, first]
    kept &= (first >= days[0]) & (last < days[1])
    before = np.int32(days[0] * layout.width)
    return Spans(
        spans_.channel[kept],
        spans_.start[kept] - before,
        spans_.end[kept] - before,
        spans_.energy[kept],
    )


def outside(
    installed: Installed, channels: Channels, target: NDArray[np.bool_], layout: Layout
) -> NDArray[np.bool_] | None:
    """Tell the slots of target days in which no end device was installed, shape (c, d, n)."""
    whole = _covered(installed, layout, whole=True)[_point_rows(installed, channels)]
    broken = np.argwhere(target & ~whole)
    if not len(broken):
        return None
    step = layout.interval_seconds
    result = np.zeros((*target.shape, layout.width), np.bool_)
    for row, day in broken:
        mine = installed.usage_point == channels.usage_point[row]
        start = layout.bounds[day] + np.arange(layout.width) * step
        since, until = installed.starts_at[mine], installed.ends_at[mine]
        inside = (start[:, None] < until) & (start[:, None] + step > since)
        result[row, day] = ~inside.any(axis=1) & layout.days.exists[day]
    return result


def _told(channels: Channels, news: NDArray[np.int64], layout: Layout) -> NDArray[np.bool_]:
    """Tell the days of channels in or at the edge of which a register was read, shape (c, d)."""
    point, moment = news
    after = layout.day_of(moment)
    before = layout.day_of(moment - 1)
    return _of_points(channels, np.tile(point, 2), np.concatenate([after, before]), layout.count)


def _of_points(
    channels: Channels, usage_point: NDArray[Any], day: NDArray[Any], count: int
) -> NDArray[np.bool_]:
    """Give days of usage points as days of their channels."""
    points = readings_columns.distinct(channels.usage_point)
    known = np.isin(usage_point, points) & (day >= 0) & (day < count)
    mask = np.zeros((len(points), count), np.bool_)
    mask[np.searchsorted(points, usage_point[known]), day[known]] = True
    return mask[np.searchsorted(points, channels.usage_point)]


def _point_rows(installed: Installed, channels: Channels) -> NDArray[np.intp]:
    return np.searchsorted(readings_columns.distinct(installed.usage_point), channels.usage_point)


def _covered(installed: Installed, layout: Layout, *, whole: bool = False) -> NDArray[np.bool_]:
    """Tell on which days something was installed at each usage point, shape (points, d).

    Parameters
    ----------
    whole : whether one installation must have lasted the whole day
    """
    start, end = layout.bounds[:-1], layout.bounds[1:]
    since, until = installed.starts_at[:, None], installed.ends_at[:, None]
    there = (since <= start) & (end <= until) if whole else (since < end) & (start < until)
    points = readings_columns.distinct(installed.usage_point)
    place = np.searchsorted(points, installed.usage_point)
    covered = np.zeros((len(points), layout.count), np.bool_)
    np.logical_or.at(covered, place, there)
    return covered


def _holes(target: NDArray[np.bool_], recorded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    known = target | recorded
    begun = np.logical_or.accumulate(known, axis=1)
    to_come = np.logical_or.accumulate(target[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(begun & to_come & ~known)


def _reach_spans(
    target: NDArray[np.bool_],
    told: NDArray[np.bool_],
    some: NDArray[np.bool_],
    spans_: Spans,
    width: int,
) -> None:
    """Take doubtful days into the target where they share a span with one in it, or a new reading.

    Parameters
    ----------
    told : shape (c, d), days in or at the edge of which a register was read
    """
    first, last = spans_.start // width, (spans_.end - 1) // width
    for i in np.flatnonzero(first != last):
        row, days = spans_.channel[i], slice(first[i], last[i] + 1)
        if target[row, days].any() or told[row, days].any():
            target[row, days] |= some[row, days]


def _reach_neighbours(
    target: NDArray[np.bool_], doubtful: NDArray[np.bool_], layout: Layout
) -> NDArray[np.bool_]:
    """Tell the days next to a target whose slots beside it are doubtful."""
    last = doubtful[:, np.arange(layout.count), layout.days.length - 1]
    beside = np.zeros_like(target)
    beside[:, 1:] |= target[:, :-1] & doubtful[:, 1:, 0]
    beside[:, :-1] |= target[:, 1:] & last[:, :-1]
    return beside
