"""The multiplier that a meter says it is set to, where it is not the registry's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from mdm import readings_columns
from schemas import binary_copy, statements
from schemas.database import Connection
from validation.matrix import Delivered

if TYPE_CHECKING:
    from mdm.intake_cube import Intake

_SQL = statements.load("mdm", "intake_beside.sql")
# A meter with a memory is asked once a day, about the day before: a ratio that is told today was
# in force yesterday. Meters that are sampled are asked all the time.
_DAY: Final = 86_400
_NEVER: Final = np.iinfo(np.int64).min // 2
_ALWAYS: Final = np.iinfo(np.int64).max // 2


def completed(connection: Connection, intake: Intake) -> Intake:
    """Tell a cube the multipliers that meters name, where they are not the registry's.

    A day has the one in force at its end. What a meter told first counts for the days before too.
    """
    installed, channels, layout = intake.installed, intake.channels, intake.layout
    devices = readings_columns.distinct(installed.end_device)
    limits = {"end_devices": binary_copy.array(devices)}
    rows = connection.execute(_SQL["told_multipliers"], limits).fetchall()
    if not rows:
        return intake
    shape = (len(channels), layout.count)
    told, own = np.full(shape, np.nan), np.full(shape, np.nan)
    last = layout.bounds[1:] - 1
    for number, since, until, multiplier, configured in rows:
        at = int(np.flatnonzero(installed.id == number)[0])
        ahead = 0 if installed.sampled[at] else _DAY
        first = _NEVER if since is None else int(since.timestamp()) - ahead
        end = _ALWAYS if until is None else int(until.timestamp()) - ahead
        days = (last >= max(first, installed.starts_at[at])) & (
            last < min(end, installed.ends_at[at])
        )
        mine = (channels.usage_point == installed.usage_point[at]) & (channels.id > 0)
        told[np.ix_(mine, days)], own[np.ix_(mine, days)] = multiplier, configured
    if np.isnan(told).all():
        return intake
    delivered = replace(intake.cube.delivered or Delivered(), multiplier=told, configured=own)
    return replace(intake, cube=replace(intake.cube, delivered=delivered))
