"""What rules see beside the intervals: registers' steps, neighbouring channels, kind and sector."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns, spans
from mdm.intake_channels import Channels
from mdm.intake_installed import Installed
from mdm.intake_layout import Layout
from mdm.intake_registers import Dials
from schemas import binary_copy, quality, reading_type, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from validation.dials import DialSteps
from validation.matrix import Cube

_SQL = statements.load("mdm", "intake_beside.sql")
_TARIFF: Final = re.compile(r"_t\d+$")
_MILLION: Final = 1_000_000


def completed(connection: Connection, cube: Cube, channels: Channels, dials: DialSteps) -> Cube:
    """Give a cube what its rules see beside the intervals."""
    return replace(
        cube,
        sibling=siblings(channels),
        reading_type=channels.reading_type,
        sector=_sectors(connection, channels),
        dials=dials,
    )


def siblings(channels: Channels) -> NDArray[np.int64]:
    """Give the row of the reactive channel beside each active one, and the other way round."""
    partner = _partners()[channels.reading_type]
    row = channels.rows_of(channels.usage_point, partner)
    return np.where(partner > 0, row, -1)


def steps(dials: Dials, installed: Installed, channels: Channels, layout: Layout) -> DialSteps:
    """Give the steps between neighbouring readings of one register of one installed meter.

    Readings off the grid count too; those that are not valid don't, nor those of registers that no
    channel of intervals belongs to, nor steps that leave the layout's days.
    """
    owner, tariff = owners()
    valid = quality.class_table()[dials.quality] == QualityClass.VALID
    table = dials.rows(valid & (owner[dials.reading_type] > 0))
    kind, row = table.reading_type, table.installation
    channel = channels.rows_of(installed.usage_point[row], owner[kind])
    start, end = table.read_at[:-1], table.read_at[1:]
    step = (kind[1:] == kind[:-1]) & (row[1:] == row[:-1]) & (start < end) & (channel[1:] >= 0)
    step &= (start >= layout.bounds[0]) & (end <= layout.bounds[-1])
    before = np.flatnonzero(step)
    after = before + 1
    start, end = table.read_at[before], table.read_at[after]
    kind, row, channel = kind[after], row[after], channel[after].astype(np.int64)
    cells = channel * (layout.count * layout.width)
    return DialSteps(
        channel=channel,
        register=kind,
        first=cells + layout.cell(start),
        last=cells + layout.cell(end - 1),
        start=start,
        end=end,
        change=table.value[after] - table.value[before],
        modulus=installed.modulus[row, kind],
        multiplier=installed.multiplier[row] / _MILLION,
        tariff=tariff[kind],
    )


def _sectors(connection: Connection, channels: Channels) -> NDArray[np.str_]:
    points = readings_columns.distinct(channels.usage_point)
    sector, numbers = binary_copy.read(
        connection, _SQL["sectors"], spans.limits(points, spans.SHORT_ROWS), ("text", "int4[]")
    )
    kind, _ = spans.kinds(numbers, channels.usage_point)
    return sector.values.astype(np.str_)[kind]


@cache
def owners() -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Give, by register type's id, the interval type it belongs to, and whether it has a tariff."""
    known = reading_type.table().values()
    size = max(each.id for each in known) + 1
    owner, tariff = np.zeros(size, np.int16), np.zeros(size, np.bool_)
    intervals = {each.cumulative: each.id for each in known if each.cumulative is not None}
    for each in known:
        if each.accumulation == "cumulative":
            total = _TARIFF.sub("", each.name)
            owner[each.id] = intervals.get(total, 0)
            tariff[each.id] = total != each.name
    return owner, tariff


@cache
def _partners() -> NDArray[np.int16]:
    """Give the interval type of reactive energy by that of active energy, and back; 0 for none."""
    known = {each.name: each.id for each in reading_type.table().values()}
    partner = np.zeros(max(known.values()) + 1, np.int16)
    for name, number in known.items():
        if name.startswith("active_energy_") and name.endswith("_interval"):
            other = known[f"re{name}"]
            partner[number], partner[other] = other, number
    return partner
