"""Intervals beside registers, as the estimation of register readings takes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mdm import readings, readings_columns, usage_points
from schemas import quality, reading_type
from schemas.assets import Channel
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass
from schemas.reading import BlockTable
from validation.register_estimates import Intervals, Readings

_MICRO = 10**6
_DAY = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Register readings that are wanted.

    Attributes
    ----------
    register, at : shape (w,), number of the register and the moment [s since 1970-01-01 UTC]
    usage_point, reading_type, micro : by number of the register; its multiplier in millionths
    """

    register: NDArray[np.int64]
    at: NDArray[np.int64]
    usage_point: Sequence[int]
    reading_type: Sequence[str]
    micro: NDArray[np.int64]


def beside(
    connection: Connection, wanted: Wanted, good: Readings, *, look_back: int, until: datetime
) -> list[tuple[NDArray[np.intp], Intervals]]:
    """Give the intervals around wanted readings, by rows of these that share a grid.

    Parameters
    ----------
    look_back : how far the readings before and after may be [s]
    until : later intervals are none
    """
    channels = _channels(connection, wanted)
    by_step: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(wanted.register.tolist()):
        if number in channels:
            by_step[channels[number].interval_seconds].append(row)
    found = []
    for step, members in by_step.items():
        rows = np.array(members, np.intp)
        period = _around(wanted, good, rows, look_back, int(until.timestamp()))
        chosen = {number: channels[number] for number in np.unique(wanted.register[rows]).tolist()}
        blocks = readings.current(connection, [c.id for c in chosen.values()], period)
        for offset, mine in _by_grid(wanted, rows, chosen, blocks):
            found.append((mine, _matrix(wanted, chosen, blocks, (step, offset))))
    return found


def _channels(connection: Connection, wanted: Wanted) -> dict[int, Channel]:
    """Give the interval channel of each register that has one only, by number of the register."""
    numbers = np.unique(wanted.register).tolist()
    points = sorted({wanted.usage_point[number] for number in numbers})
    known: dict[tuple[int, str], list[Channel]] = defaultdict(list)
    for channel in usage_points.channels(connection, points):
        if channel.interval_seconds:
            known[channel.usage_point_id, channel.reading_type].append(channel)
    found = {}
    for number in numbers:
        kind = reading_type.interval_of(wanted.reading_type[number])
        mine = known[wanted.usage_point[number], kind.name] if kind else []
        if len(mine) == 1:
            found[number] = mine[0]
    return found


def _around(
    wanted: Wanted, good: Readings, rows: NDArray[np.intp], look_back: int, until: int
) -> Period:
    """Give the time from the earliest reading before to the latest after, and a day around it."""
    register, at = wanted.register[rows], wanted.at[rows]
    before, after = good.before(register, at), good.after(register, at)
    begins = np.where(before >= 0, good.at[np.maximum(before, 0)], at)
    ends = np.where(after >= 0, good.at[np.maximum(after, 0)], at)
    first = int(np.maximum(begins, at - look_back).min())
    last = min(int(np.minimum(ends, at + look_back).max()), until)
    return Period(
        readings_columns.moment(first - _DAY), readings_columns.moment(max(last, first) + _DAY)
    )


def _by_grid(
    wanted: Wanted, rows: NDArray[np.intp], chosen: dict[int, Channel], blocks: BlockTable
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Part rows by where in the hour their channels' days begin."""
    offsets: dict[int, int] = {}
    starts = blocks.starts_at % blocks.interval_seconds
    for channel, offset in zip(blocks.channel_id.tolist(), starts.tolist(), strict=True):
        offsets.setdefault(channel, offset)
    mine: dict[int, list[int]] = defaultdict(list)
    for row in rows.tolist():
        channel = chosen[int(wanted.register[row])].id
        if channel in offsets:
            mine[offsets[channel]].append(row)
    for offset, members in mine.items():
        yield offset, np.array(members, np.intp)


def _matrix(
    wanted: Wanted, chosen: dict[int, Channel], blocks: BlockTable, grid: tuple[int, int]
) -> Intervals:
    """Lay blocks on one grid, a row for each register that there is."""
    step, offset = grid
    own = np.flatnonzero(blocks.starts_at % step == offset)
    start = int(blocks.starts_at[own].min())
    end = int((blocks.starts_at[own] + blocks.length[own].astype(np.int64) * step).max())
    shape = len(wanted.usage_point), (end - start) // step
    values, known = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    rows_of: dict[int, list[int]] = defaultdict(list)
    for number, channel in chosen.items():
        rows_of[channel.id].append(number)
    usable = quality.classes(blocks.quality) != QualityClass.MISSING
    usable &= quality.classes(blocks.quality) != QualityClass.QUESTIONABLE
    for block in own.tolist():
        length = int(blocks.length[block])
        first = (int(blocks.starts_at[block]) - start) // step
        for number in rows_of[int(blocks.channel_id[block])]:
            # In millionths, as the multiplier: that may be broken.
            values[number, first : first + length] = blocks.values[block, :length]
            known[number, first : first + length] = usable[block, :length]
    return Intervals(values * _MICRO, known, start, step, np.maximum(wanted.micro, 1))
