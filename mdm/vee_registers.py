"""Takes register readings into the final record, as the dials showed them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import intake_beside, intake_channels, readings, readings_columns, register_checks
from mdm.intake import Work
from mdm.intake_cube import Intake
from mdm.intake_registers import Dials
from mdm.readings import RegisterTable
from schemas.database import Connection
from schemas.period import local_day
from validation.ruleset import RuleSet


def record(
    connection: Connection, work: Work, dials: Dials, *, now: datetime
) -> tuple[int, NDArray[np.int64]]:
    """Record the register readings of a work's days, both midnights included.

    Parameters
    ----------
    dials : readings of those days at the work's installations, and perhaps others

    Returns
    -------
    how many were new or differed, and their usage points and moments [s], shape (2, k)
    """
    zone = ZoneInfo(work.zone)
    start = local_day(work.first, zone).start
    end = local_day(work.last + timedelta(days=1), zone).start
    inside = (dials.read_at >= int(start.timestamp())) & (dials.read_at <= int(end.timestamp()))
    table = readings.unrecorded(connection, _table(connection, work, dials.rows(inside)))
    row = readings_columns.places((work.installed.id,), (table.installation_id,))
    news = np.stack([work.installed.usage_point[row].astype(np.int64), table.read_at])
    if not len(table):
        return 0, news
    provenance = readings.add_provenance(connection, "vee", recorded_at=now)
    made = readings.record_registers(
        connection, table, provenance_id=provenance, recorded_at=now, known=True
    )
    return made, news


def checked(
    connection: Connection,
    news: NDArray[np.int64],
    part: Intake | None,
    now: datetime,
    rule_sets: Sequence[RuleSet],
) -> tuple[int, int]:
    """Check registers without intervals of usage points for which reads came.

    Parameters
    ----------
    news : usage points and moments of the reads, shape (2, k)
    part : what came in intervals, which are checked there

    Returns
    -------
    findings opened and closed
    """
    points = readings_columns.distinct(news[0])
    if part is not None:
        mine = part.channels.usage_point
        points = points[~np.isin(points, mine) | np.isin(points, alone(part))]
    if not len(points):
        return 0, 0
    done = register_checks.run(connection, points.tolist(), now=now, rule_sets=rule_sets)
    return done.opened, done.closed


def alone(part: Intake) -> NDArray[np.int32]:
    """Give usage points with a register that may have no intervals beside it.

    Where there were several meters, one that delivered intervals long ago may be among them.
    """
    owner, _ = intake_beside.owners()
    dials, installed = part.dials, part.installed
    keys = readings_columns.distinct(
        dials.installation.astype(np.int64) << 16 | owner[dials.reading_type].astype(np.int64)
    )
    place, kind = keys >> 16, keys & 0xFFFF
    point = installed.usage_point[place]
    # Rows of check meters stand at the end, without a channel of their own.
    own = int(np.count_nonzero(part.channels.id))
    channels = part.channels.usage_point[:own], part.channels.reading_type[:own]
    several = np.flatnonzero(np.bincount(installed.usage_point) > 1)
    delivers = installed.sampled[place] | np.isin(installed.end_device[place], part.raw.end_device)
    beside = (readings_columns.places(channels, (point, kind)) >= 0) & (
        ~np.isin(point, several) | delivers
    )
    return readings_columns.distinct(point[~beside])


def _table(connection: Connection, work: Work, dials: Dials) -> RegisterTable:
    point = work.installed.usage_point[dials.installation]
    kind = dials.reading_type
    known = intake_channels.of_points(connection, readings_columns.distinct(point), 0)
    known = intake_channels.with_new(connection, known, intake_channels.keys(point, kind), 0)
    return RegisterTable(
        known.id[known.rows_of(point, kind)],
        work.installed.id[dials.installation],
        dials.read_at,
        np.zeros(len(dials), np.int32),
        dials.value,
        dials.quality,
    )
