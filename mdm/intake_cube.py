"""Builds the cube that a validation run sees: days from the raw store among days of the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import (
    intake_beside,
    intake_channels,
    intake_delivered,
    intake_layout,
    intake_outages,
    intake_place,
    intake_programme,
    intake_raw,
    intake_references,
    intake_registers,
    intake_shares,
    intake_targets,
    intake_told,
    readings_columns,
)
from mdm.intake import Work
from mdm.intake_channels import Channels, History
from mdm.intake_installed import Installed
from mdm.intake_layout import Layout, Weeks
from mdm.intake_place import Lines, Unplaced
from mdm.intake_raw import RawBlocks
from mdm.intake_registers import Dials
from mdm.intake_shares import Share
from schemas import quality
from schemas.database import Connection
from schemas.quality import QualityClass
from validation.matrix import Cube, Spans

# How far off the grid a block may start and still count as in its slot [s].
CLOCK_TOLERANCE: Final = 60


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
    for share in intake_shares.shares(connection, work, weeks, now):
        found = intake(connection, share, over_people=over_people, add_channels=add_channels)
        if found is not None:
            yield found


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
    told = intake_programme.reaching(spans, dials, work.installed, channels, layout)
    target = intake_targets.targets(work, channels, history, told, layout, news=share.news)
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
