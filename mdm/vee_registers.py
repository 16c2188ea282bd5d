"""Takes register readings into the final record, as the dials showed them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import intake_channels, readings, readings_columns, register_checks
from mdm.intake import Work
from mdm.intake_channels import Channels
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
    channels: Channels | None,
    now: datetime,
    rule_sets: Sequence[RuleSet],
) -> tuple[int, int]:
    """Check the registers of usage points for which reads came and that have no intervals.

    Parameters
    ----------
    news : usage points and moments of the reads, shape (2, k)
    channels : of intervals, which are checked where their intervals are

    Returns
    -------
    findings opened and closed
    """
    points = readings_columns.distinct(news[0])
    if channels is not None:
        points = points[~np.isin(points, channels.usage_point)]
    if not len(points):
        return 0, 0
    done = register_checks.run(connection, points.tolist(), now=now, rule_sets=rule_sets)
    return done.opened, done.closed


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
