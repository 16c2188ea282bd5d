"""Takes register readings into the final record, as the dials showed them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from mdm import intake_channels, intake_raw, intake_registers, readings, readings_columns
from mdm.intake import Work
from mdm.intake_registers import Dials
from mdm.readings import RegisterTable
from schemas.database import Connection
from schemas.period import local_day


def record(connection: Connection, work: Work, *, now: datetime) -> int:
    """Record the register readings of a work's days, both midnights included; give how many."""
    zone = ZoneInfo(work.zone)
    start = local_day(work.first, zone).start
    end = local_day(work.last + timedelta(days=1), zone).start
    devices = np.unique(work.installed.end_device).tolist()
    raw = intake_raw.registers(connection, devices, int(start.timestamp()), int(end.timestamp()))
    dials = intake_registers.dials(raw, work.installed)
    table = readings.unrecorded(connection, _table(connection, work, dials))
    if not len(table):
        return 0
    provenance = readings.add_provenance(connection, "vee", recorded_at=now)
    return readings.record_registers(connection, table, provenance_id=provenance, recorded_at=now)


def _table(connection: Connection, work: Work, dials: Dials) -> RegisterTable:
    point = work.installed.usage_point[dials.installation]
    kind = dials.reading_type
    known = intake_channels.ids(connection, point, 0, intake_channels.pairs(point, kind))
    keys = np.array(list(known), np.int64).reshape(-1, 2)
    place = readings_columns.places((keys[:, 0], keys[:, 1]), (point, kind))
    channel = np.array(list(known.values()), np.int32)
    return RegisterTable(
        channel[place],
        work.installed.id[dials.installation],
        dials.read_at,
        np.zeros(len(dials), np.int32),
        dials.value,
        dials.quality,
    )
