"""Parts a validation run's work by usage points, each part with the days that may influence it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import (
    intake_channels,
    intake_layout,
    intake_light,
    intake_raw,
    intake_registers,
    readings_columns,
    readings_stretch,
)
from mdm.intake import Work
from mdm.intake_layout import Layout, Weeks
from mdm.intake_light import Light
from mdm.intake_registers import Dials
from schemas.database import Connection

# Like days, and the registers on both sides of a month's reading, are within this of a day.
HISTORY: Final = 35
YEAR: Final = 52 * 7 + 21  # the two weeks 52 weeks ago, and a week
# Where nothing is recorded, only samples near the edges of the touched days count.
_MARGIN: Final = 1
# Cells of one cube: its arrays and the engine's stay below a few hundred MB.
_CELLS: Final = 3_000_000


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
