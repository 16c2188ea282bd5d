"""Energy between register readings: spans for the sum check, intervals for meters without memory.

Pure arithmetic on columns. A register that wraps goes on; one that falls otherwise was reset, and
nothing is said about the energy across that. Across a meter exchange the old meter's last reading
and the new one's first join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm.intake_installed import Installed
from mdm.intake_layout import Layout
from mdm.intake_raw import RawRegisters
from schemas import quality, reading_type
from schemas.quality import QualityClass

# As the head-end's sampling: a minute, or a twentieth of a short interval, is on time.
_ON_TIME: Final = 60
_ON_TIME_PART: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Dials:
    """Register readings at usage points, by usage point, reading type, moment and installation.

    Attributes
    ----------
    installation : shape (k,), row of ``Installed``
    reading_type : shape (k,), the register's
    interval_type : shape (k,), the type of the intervals whose sums equal its differences
    read_at : shape (k,), int64 [s]
    value : shape (k,), int64, before the multiplier [scaled unit]
    quality : shape (k,), int16
    """

    installation: NDArray[np.intp]
    reading_type: NDArray[np.int16]
    interval_type: NDArray[np.int16]
    read_at: NDArray[np.int64]
    value: NDArray[np.int64]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.installation)

    def rows(self, chosen: NDArray[Any]) -> Dials:
        """Choose rows, in their order."""
        return Dials(
            self.installation[chosen],
            self.reading_type[chosen],
            self.interval_type[chosen],
            self.read_at[chosen],
            self.value[chosen],
            self.quality[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Energy between two neighbouring readings on the grid, one row a step.

    Attributes
    ----------
    installation : shape (k,), row of ``Installed`` at the end of the step
    interval_type : shape (k,)
    start, end : shape (k,), int64, on the grid [s]
    energy : shape (k,), int64, after the multiplier [scaled unit]
    quality : shape (k,), int16, of an interval that is this step
    """

    installation: NDArray[np.intp]
    interval_type: NDArray[np.int16]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    energy: NDArray[np.int64]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.installation)


def dials(raw: RawRegisters, installed: Installed) -> Dials:
    """Give readings to the installations that they belong to.

    A reading at the very moment of an exchange is the end of one installation or the start of the
    other, by its end device.
    """
    reading, row = pairs(raw.end_device, installed.end_device)
    moment = raw.read_at[reading]
    inside = (installed.starts_at[row] <= moment) & (moment <= installed.ends_at[row])
    reading, row = reading[inside], row[inside]
    kind = raw.reading_type[reading]
    order = np.lexsort(
        (installed.starts_at[row], raw.read_at[reading], kind, installed.usage_point[row])
    )
    reading, row = reading[order], row[order]
    return Dials(
        row,
        raw.reading_type[reading],
        _interval_types()[raw.reading_type[reading]],
        raw.read_at[reading],
        raw.value[reading],
        raw.quality[reading],
    )


def steps(table: Dials, installed: Installed, layout: Layout) -> Steps:
    """Give the energy between neighbouring readings on the grid, after the multiplier.

    Readings off the grid say nothing about single slots, except that a chain goes on through them:
    the exchange of a meter inside a slot joins two of them.
    """
    kinds = quality.class_table()[table.quality]
    table = table.rows((kinds == QualityClass.VALID) & (table.interval_type > 0))
    if len(table) < 2:
        return _no_steps()
    energy, joined = _chains(table, installed)
    total, chain = np.cumsum(energy), np.cumsum(~joined)
    on_grid, moment, late = _placed(table, installed, layout)
    at = np.flatnonzero(on_grid)
    before, after = at[:-1], at[1:]
    good = (chain[before] == chain[after]) & (moment[before] < moment[after])
    before, after = before[good], after[good]
    sampled_late = np.where(late[before] | late[after], quality.LATE_SAMPLE, quality.VALID)
    own = np.where(table.quality[after] != 0, table.quality[after], table.quality[before])
    return Steps(
        table.installation[after],
        table.interval_type[after],
        moment[before],
        moment[after],
        total[after] - total[before],
        np.where(own != quality.VALID, own, sampled_late).astype(np.int16),
    )


def pairs(
    wanted: NDArray[np.int32], have: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give every pair of places with equal keys: one in ``wanted``, one in ``have``."""
    order = np.argsort(have, kind="stable")
    first = np.searchsorted(have, wanted, "left", sorter=order)
    count = np.searchsorted(have, wanted, "right", sorter=order) - first
    left = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    return left, order[np.repeat(first, count) + within]


def _chains(table: Dials, installed: Installed) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give the energy since the reading before, and whether the two belong together."""
    row, before = table.installation[1:], table.installation[:-1]
    point = installed.usage_point
    same_line = (point[row] == point[before]) & (table.reading_type[1:] == table.reading_type[:-1])
    difference = np.diff(table.value)
    modulus = installed.modulus[row, table.reading_type[1:]]
    # A wrap leaves less than half the dial behind it; a fall by less than that is a reset.
    wrapped = (difference < 0) & (2 * (difference + modulus) < modulus)
    difference = np.where(wrapped, difference + modulus, difference)
    same = same_line & (row == before) & (difference >= 0)
    moment = table.read_at[1:]
    exchanged = (
        same_line
        & (row != before)
        & (moment == table.read_at[:-1])
        & (installed.ends_at[before] == moment)
        & (installed.starts_at[row] == moment)
    )
    energy = np.zeros(len(table), np.int64)
    energy[1:][same] = installed.times(row[same], difference[same])
    joined = np.zeros(len(table), np.bool_)
    joined[1:] = same | exchanged
    return energy, joined


def _placed(
    table: Dials, installed: Installed, layout: Layout
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """Tell which readings are on the grid, where, and which of them came late."""
    step = layout.interval_seconds
    sampled = installed.sampled[table.installation]
    moment, off = layout.snapped(table.read_at, step // 2)
    on_time = np.where(sampled, min(_ON_TIME, step // _ON_TIME_PART), 0)
    punctual = np.abs(off) <= on_time
    late = (table.quality == quality.LATE_SAMPLE) | (sampled & ~punctual & (off > 0))
    on_grid = punctual | (sampled & (off > 0))
    # Of several samples for one grid point the nearest counts.
    if sampled.any():
        on_grid &= _nearest(table, moment, off)
    return on_grid, moment, late


def _nearest(table: Dials, moment: NDArray[np.int64], off: NDArray[np.int64]) -> NDArray[np.bool_]:
    order = np.lexsort((np.abs(off), moment, table.reading_type, table.installation))
    keys = (table.installation[order], table.reading_type[order], moment[order])
    first = np.ones(len(order), np.bool_)
    first[1:] = np.logical_or.reduce([np.diff(key) != 0 for key in keys])
    nearest = np.zeros(len(order), np.bool_)
    nearest[order[first]] = True
    return nearest


def _interval_types() -> NDArray[np.int16]:
    """Give each register type's interval type as a table, 0 where there is none."""
    known = reading_type.table().values()
    result = np.zeros(max(t.id for t in known) + 1, np.int16)
    for each in known:
        if each.cumulative is not None:
            result[reading_type.named(each.cumulative).id] = each.id
    return result


def _no_steps() -> Steps:
    none = np.empty(0, np.int64)
    return Steps(none, none.astype(np.int16), none, none, none, none.astype(np.int16))
