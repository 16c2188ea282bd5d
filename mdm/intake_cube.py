"""Builds the cube that a validation run sees: days from the raw store among days of the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import (
    intake_beside,
    intake_channels,
    intake_delivered,
    intake_layout,
    intake_light,
    intake_outages,
    intake_place,
    intake_programme,
    intake_raw,
    intake_references,
    intake_registers,
    intake_targets,
    intake_told,
    readings_columns,
    readings_stretch,
)
from mdm.intake import Work
from mdm.intake_channels import Channels, History
from mdm.intake_installed import Installed
from mdm.intake_layout import Layout, Weeks
from mdm.intake_light import Light
from mdm.intake_place import Lines, Unplaced
from mdm.intake_raw import RawBlocks
from mdm.intake_registers import Dials
from schemas import quality
from schemas.database import Connection
from schemas.quality import QualityClass
from validation.matrix import Cube, Spans

# Like days, and the registers on both sides of a month's reading, are within this of a day.
HISTORY: Final = 35
YEAR: Final = 52 * 7 + 21  # the two weeks 52 weeks ago, and a week
# Where nothing is recorded, only samples near the edges of the touched days count.
_MARGIN: Final = 1
# How far off the grid a block may start and still count as in its slot [s].
CLOCK_TOLERANCE: Final = 60
# Cells of one cube: its arrays and the engine's stay below a few hundred MB.
_CELLS: Final = 3_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Intake:
    """Channels of a work, ready to be validated.

    Attributes
    ----------
    channels : the c channels
    layout : the cube's days
    cube : target days as they came in, all other days as they stand in the record
    history : what the record has
    settled : shape (c, d, n), True where a person's decision stands; None for nowhere
    lost : shape (c, d, n), True where what came could not be placed; None for nowhere
    touched : shape (c, d), target days for which something came
    dials : register readings, by installations
    installed : the installations that ``dials`` counts
    raw, unplaced : raw blocks, and those of them that could not be placed
    """

    channels: Channels
    layout: Layout
    cube: Cube
    history: History
    settled: NDArray[np.bool_] | None
    lost: NDArray[np.bool_] | None
    touched: NDArray[np.bool_]
    dials: Dials
    installed: Installed
    raw: RawBlocks
    unplaced: Sequence[Unplaced]


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Some usage points of a work, and the registers that were read there.

    Attributes
    ----------
    work : as it was, but for its usage points; ``day`` and ``edge_day`` still count from its first
    layout : its days and those that may influence them
    before : days of the layout before the work's first
    dials : register readings of the layout's days, by installations of the work
    looked_from : since when it is known which days are recorded [s]
    fresh : whether nothing of the layout is recorded
    light : what takes the place of the history; None where the whole history is in the layout
    news : usage points and moments [s] of register readings that came with this run, shape (2, k);
        None where any of them may be news
    """

    work: Work
    layout: Layout
    before: int
    dials: Dials
    looked_from: int
    fresh: bool = False
    light: Light | None = None
    news: NDArray[np.int64] | None = None


def intakes(
    connection: Connection,
    work: Work,
    *,
    weeks: Weeks,
    now: datetime,
    over_people: bool = False,
    add_channels: bool = True,
) -> Iterator[Intake]:
    """Load a work, some channels at a time.

    Parameters
    ----------
    over_people : whether edited and accepted values give way to what was read
    add_channels : whether channels that the record does not have yet are made, or left out
    """
    for share in shares(connection, work, weeks, now):
        found = intake(connection, share, over_people=over_people, add_channels=add_channels)
        if found is not None:
            yield found


def shares(
    connection: Connection, work: Work, weeks: Weeks, now: datetime, *, light: bool = False
) -> Iterator[Share]:
    """Part a work by usage points, so that the cube of each part stays within bounds.

    Usage points of which the record has no day yet have no history: many of them go together.

    Parameters
    ----------
    light : whether usage points that may need no history go without it; ``heavier`` is for those
        that do
    """
    points = readings_columns.distinct(np.concatenate([work.usage_point, work.edge_usage_point]))
    known = intake_channels.of_points(connection, points, work.interval_seconds)
    wide = _layout(work, weeks, now, HISTORY)
    start = int(wide.bounds[0])
    stretches = readings_stretch.of(connection, known.id)
    recorded = intake_channels.recorded(connection, known, wide, stretches)
    fresh = points[~np.isin(points, recorded)]
    for share in _parted(connection, work, _layout(work, weeks, now, _MARGIN), fresh, start):
        yield replace(share, fresh=True)
    if light and len(recorded):
        for day, chosen in intake_light.groups(stretches, work, known, recorded, start):
            recorded = recorded[~np.isin(recorded, chosen)]
            yield from _lightly(connection, work, wide, chosen, Light(stretches, day))
    yield from _parted(connection, work, wide, recorded, start)


def heavier(
    connection: Connection,
    share: Share,
    points: NDArray[np.int32],
    *,
    weeks: Weeks,
    now: datetime,
) -> Iterator[Share]:
    """Give usage points with more of their history: of a share with all that is usual, a year ago.

    Parameters
    ----------
    points : ascending
    """
    light, work = share.light, share.work
    work = work if light else replace(work, reach=YEAR)
    wide = _layout(work, weeks, now, HISTORY)
    if light and light.margin + 1 < len(intake_light.MARGINS):
        told = replace(light, margin=light.margin + 1)
        more = _lightly(connection, work, wide, points, told)
    else:
        more = _parted(connection, work, wide, points, int(wide.bounds[0]))
    for each in more:
        yield replace(each, news=share.news)


def _lightly(
    connection: Connection, work: Work, wide: Layout, points: NDArray[np.int32], light: Light
) -> Iterator[Share]:
    """Give shares that begin some days before the first that came, but end as the wide ones."""
    before = intake_light.MARGINS[light.margin]
    at = (work.first - wide.first).days + light.first - before
    layout = wide.part(max(at, 0), wide.count)
    for share in _parted(connection, work, layout, points, int(wide.bounds[0])):
        yield replace(share, light=light)


def _parted(
    connection: Connection, work: Work, layout: Layout, points: NDArray[np.int32], start: int
) -> Iterator[Share]:
    # Two channels at most usage points: active and reactive energy.
    size = max(1, _CELLS // (2 * layout.count * layout.width))
    for first in range(0, len(points), size):
        yield _share(connection, work, layout, points[first : first + size], start)


def _layout(work: Work, weeks: Weeks, now: datetime, margin: int) -> Layout:
    """Lay out the touched days with days around them; days that are not over are none."""
    first = work.first - timedelta(days=max(margin, work.reach))
    today = intake_layout.local_date(now, work.zone)
    last = min(work.last + timedelta(days=margin), today - timedelta(days=1))
    week = weeks.of(work.zone)
    return intake_layout.of(first, (last - first).days + 1, work.zone, work.interval_seconds, week)


def _share(
    connection: Connection, work: Work, layout: Layout, points: NDArray[np.int32], start: int
) -> Share:
    here, edge = np.isin(work.usage_point, points), np.isin(work.edge_usage_point, points)
    part = replace(
        work,
        installed=work.installed.rows(np.isin(work.installed.usage_point, points)),
        usage_point=work.usage_point[here],
        day=work.day[here],
        edge_usage_point=work.edge_usage_point[edge],
        edge_day=work.edge_day[edge],
    )
    registers = intake_raw.registers(
        connection,
        readings_columns.distinct(part.installed.end_device),
        int(layout.bounds[0]),
        int(layout.bounds[-1]),
        known_at=work.known_at,
    )
    dials = intake_registers.dials(registers, part.installed)
    return Share(part, layout, (work.first - layout.first).days, dials, start)


def intake(
    connection: Connection, share: Share, *, over_people: bool = False, add_channels: bool = True
) -> Intake | None:
    """Load some usage points; None where there is nothing to validate. See ``intakes``."""
    work, layout, dials = share.work, share.layout, share.dials
    work = replace(work, day=work.day + share.before, edge_day=work.edge_day + share.before)
    devices = readings_columns.distinct(work.installed.end_device)
    steps = intake_registers.steps(dials, work.installed, layout)
    days = _days_to_read(share, work)
    raw = _raw(connection, devices, layout, days, work.known_at)
    channels = intake_channels.channels(connection, work, raw, steps, add=add_channels)
    if not len(channels):
        return None
    history = intake_channels.nothing(channels, layout)
    if not share.fresh:
        history = intake_channels.history(connection, channels, layout, work.known_at)
    row = channels.rows_of(work.installed.usage_point[steps.installation], steps.interval_type)
    spans = intake_targets.spans(steps, row, work.installed, layout)
    target = intake_targets.targets(work, channels, history, spans, layout, news=share.news)
    if not target.any():
        return None
    wanted = np.flatnonzero(target.any(axis=0))
    if share.light:
        # A target without a day before it is not for a light share.
        wanted = wanted[wanted > 0]
    wider = intake_targets.reach(wanted, days) if len(wanted) else days
    if wider != days:
        raw = _raw(connection, devices, layout, wider, work.known_at)
    cut = intake_targets.reach(np.flatnonzero((history.recorded | target).any(axis=0)))
    # Days beside the targets may have been read, and be neither recorded nor targets.
    wider = max(wider[0], cut[0]), min(wider[1], cut[1])
    part = layout.part(*wider)
    lines = intake_place.empty(len(channels), int(part.days.length.sum()))
    unplaced = _place(lines, raw, work.installed, channels, part)
    sampled = work.installed.sampled[steps.installation]
    intake_place.place_steps(lines, steps, row, part, sampled & (row >= 0))
    seen = _Seen(
        layout.part(*cut),
        history.part(*cut),
        target[:, slice(*cut)],
        intake_targets.moved(spans, target, layout, cut),
    )
    came = (lines, (wider[0] - cut[0], wider[1] - cut[0]))
    outside = intake_targets.outside(work.installed, channels, seen.target, seen.layout)
    cube, settled, lost = _cube(seen, *came, outside=outside, over_people=over_people)
    steps_ = intake_beside.steps(dials, work.installed, channels, seen.layout)
    cube = intake_beside.completed(connection, cube, channels, steps_)
    cube = intake_outages.completed(connection, cube, channels, work.installed, seen.layout)
    found = Intake(
        channels=channels,
        layout=seen.layout,
        cube=cube,
        history=seen.history,
        settled=settled,
        lost=lost,
        touched=intake_targets.touched(work, channels, layout)[:, slice(*cut)] & seen.target,
        dials=dials,
        installed=work.installed,
        raw=raw,
        unplaced=unplaced,
    )
    found = intake_references.completed(connection, found, known_at=work.known_at)
    found = intake_delivered.completed(found, work.commodity)
    found = intake_told.completed(connection, found)
    return intake_programme.completed(connection, found)


def _days_to_read(share: Share, work: Work) -> tuple[int, int]:
    """Give the days whose raw blocks are read at first: those that are targets for certain.

    With the days beside them, where one of these most likely is a target too: reading all twice
    costs more than reading one more.
    """
    beside = not share.fresh
    edge = work.edge_day[(work.edge_day >= 0) & (work.edge_day < share.layout.count)]
    some = np.concatenate([work.day, edge]) if beside else work.day
    return intake_targets.reach(some if len(some) else work.edge_day)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The days that a run looks at, without the empty ones before and after."""

    layout: Layout
    history: History
    target: NDArray[np.bool_]
    spans: Spans


def _raw(
    connection: Connection,
    devices: NDArray[np.int32],
    layout: Layout,
    days: tuple[int, int],
    known_at: datetime | None,
) -> RawBlocks:
    start, end = layout.bounds[days[0]], layout.bounds[days[1]]
    return intake_raw.blocks(connection, devices, int(start), int(end), known_at=known_at)


def _place(
    lines: Lines, raw: RawBlocks, installed: Installed, channels: Channels, layout: Layout
) -> list[Unplaced]:
    block, installation, nowhere = intake_place.at_installations(raw, installed)
    row = channels.rows_of(installed.usage_point[installation], raw.reading_type[block])
    # A channel that the record does not have and that is not to be made is left out.
    known = row >= 0
    block, installation, row = block[known], installation[known], row[known]
    unplaced = intake_place.place(
        lines,
        raw,
        installed,
        layout,
        block=block,
        installation=installation,
        row=row,
        tolerance=CLOCK_TOLERANCE,
    )
    if len(nowhere):
        unplaced.append(Unplaced(nowhere, intake_place.NOT_INSTALLED))
    return unplaced


def _cube(
    seen: _Seen,
    lines: Lines,
    days: tuple[int, int],
    *,
    outside: NDArray[np.bool_] | None,
    over_people: bool,
) -> tuple[Cube, NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Lay the days that came in over the record's; a person's decisions stay on top."""
    layout, history, target = seen.layout, seen.history, seen.target
    values, codes = history.values.copy(), history.quality.copy()
    part = layout.part(*days)
    window = np.s_[:, days[0] : days[1]]
    chosen = target[window]
    values[window][chosen] = intake_layout.padded(lines.values, part)[chosen]
    codes[window][chosen] = intake_layout.padded(lines.quality, part, quality.MISSING)[chosen]
    settled = None
    if not over_people and (target & history.recorded).any():
        settled = history.settled() & target[:, :, None]
        values[settled], codes[settled] = history.values[settled], history.quality[settled]
    if outside is not None:
        values[outside], codes[outside] = 0, quality.MISSING
    masks = [intake_layout.spread(mask, layout, days) for mask in (lines.duplicate, lines.misfit)]
    misfit, lost = masks[1], None
    if misfit is not None:
        missing = quality.classes(codes) == QualityClass.MISSING
        lost = misfit & missing & target[:, :, None]
    cube = Cube(
        values=values,
        quality=codes,
        target=target,
        days=layout.days,
        interval_seconds=layout.interval_seconds,
        one_way=np.ones(len(values), np.bool_),
        spans=seen.spans,
        duplicate=masks[0],
        misfit=misfit,
        outside=outside,
    )
    return cube, settled if settled is not None and settled.any() else None, lost
