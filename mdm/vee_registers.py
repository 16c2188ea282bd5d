"""Takes register readings into the final record, as the dials showed them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from mdm import intake_channels, readings
from mdm.intake import Work
from mdm.intake_registers import Dials
from mdm.readings import RegisterTable
from schemas.database import Connection
from schemas.period import local_day


def record(connection: Connection, work: Work, dials: Dials, *, now: datetime) -> int:
    """Record the register readings of a work's days, both midnights included; give how many.

    Parameters
    ----------
    dials : readings of those days at the work's installations, and perhaps others
    """
    zone = ZoneInfo(work.zone)
    start = local_day(work.first, zone).start
    end = local_day(work.last + timedelta(days=1), zone).start
    inside = (dials.read_at >= int(start.timestamp())) & (dials.read_at <= int(end.timestamp()))
    table = readings.unrecorded(connection, _table(connection, work, dials.rows(inside)))
    if not len(table):
        return 0
    provenance = readings.add_provenance(connection, "vee", recorded_at=now)
    return readings.record_registers(
        connection, table, provenance_id=provenance, recorded_at=now, known=True
    )


def _table(connection: Connection, work: Work, dials: Dials) -> RegisterTable:
    point = work.installed.usage_point[dials.installation]
    kind = dials.reading_type
    known = intake_channels.of_points(connection, np.unique(point), 0)
    known = intake_channels.with_new(connection, known, intake_channels.keys(point, kind), 0)
    return RegisterTable(
        known.id[known.rows_of(point, kind)],
        work.installed.id[dials.installation],
        dials.read_at,
        np.zeros(len(dials), np.int32),
        dials.value,
        dials.quality,
    )
