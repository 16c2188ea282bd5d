"""The views of a cube that rules look at: target days, time axes, days, sums, register steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import standing
from validation.days import Days
from validation.dials import DialSteps
from validation.matrix import Cube, Delivered

Values = NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DayMatrix:
    """Target days as rows.

    Attributes
    ----------
    values : shape (m, n) [scaled unit]
    present : shape (m, n), True where there is a value
    expected : shape (m, n), False at the padding past a day's length and where nothing can come
    one_way : shape (m,), True where a negative value can't be
    duplicate, misfit : shape (m, n), as in the cube
    outage : shape (m, n), as in the cube; None for nowhere
    interval_seconds : length of a slot [s]
    early : shape (m, n), True where a value came before its slot was over; None for nowhere
    """

    values: Values
    present: NDArray[np.bool_]
    expected: NDArray[np.bool_]
    one_way: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    misfit: NDArray[np.bool_]
    outage: NDArray[np.bool_] | None
    interval_seconds: int
    early: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Each channel's days one after the other, without padding.

    Attributes
    ----------
    values : shape (c, t) [scaled unit]
    present : shape (c, t), True where there is a value
    interval_seconds : length of a slot [s]
    broken : shape (k,), flat indices of values with an outage in them, or of a part of a slot only
    """

    values: Values
    present: NDArray[np.bool_]
    interval_seconds: int
    broken: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DayTotals:
    """Sums over days.

    Attributes
    ----------
    total : shape (c, d), int64, sum of what is present [scaled unit]
    absent : shape (c, d), slots without a value
    sound : shape (c, d), True where the day is good enough to judge others by
    days : the d days
    """

    total: NDArray[np.int64]
    absent: NDArray[np.int64]
    sound: NDArray[np.bool_]
    days: Days


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Each channel's days beside each other, history included.

    Attributes
    ----------
    values : shape (c, d, n) [scaled unit]
    present : shape (c, d, n), True where there is a value
    quality : shape (c, d, n), codes as they came, padding MISSING
    misfit : shape (c, d, n), as in the cube; None for nowhere
    outside : shape (c, d, n), as in the cube; None for nowhere
    totals : sums over the days
    sibling, check : shape (c,), as in the cube
    interval_seconds : length of a slot [s]
    delivered : how values came, as in the cube
    broken : shape (k,), flat indices of values with an outage in them, or of a part of a slot only
    """

    values: Values
    present: NDArray[np.bool_]
    quality: NDArray[np.int16]
    misfit: NDArray[np.bool_] | None
    outside: NDArray[np.bool_] | None
    totals: DayTotals
    sibling: NDArray[np.int64]
    check: NDArray[np.int64]
    interval_seconds: int
    delivered: Delivered
    broken: NDArray[np.int64]

    @property
    def days(self) -> Days:
        """The d days."""
        return self.totals.days


@dataclass(frozen=True, slots=True, eq=False)
class SpanTotals:
    """Sums over register spans.

    Attributes
    ----------
    total : shape (s,), sum of what is present [scaled unit]
    absent : shape (s,), slots without a value
    energy : shape (s,), register difference [scaled unit]
    misread : shape (s,), by how much the intervals contradict the register readings in the middle
        of a joined span; 0 for spans that weren't joined [scaled unit]
    """

    total: NDArray[np.int64]
    absent: NDArray[np.int64]
    energy: NDArray[np.int64]
    misread: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """Values that came with another quality code than plainly valid, one row a value.

    Attributes
    ----------
    cells : shape (k,), flat indices in the cube, ascending
    code : shape (k,), quality codes
    values : shape (k,) [scaled unit]
    """

    cells: NDArray[np.int64]
    code: NDArray[np.int16]
    values: Values


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """Values that differ from what was measured before, as the record has it, one row a value.

    Attributes
    ----------
    cells : shape (k,), flat indices in the cube, ascending
    came, stored : shape (k,), int64 [scaled unit]
    worse : shape (k,), True where what came has no value, or one that is less sure
    """

    cells: NDArray[np.int64]
    came: NDArray[np.int64]
    stored: NDArray[np.int64]
    worse: NDArray[np.bool_]


def no_changes() -> Changed:
    """Give an empty table of changes."""
    none = np.empty(0, dtype=np.int64)
    return Changed(none, none, none, none.astype(np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Everything that rules look at, made once a run.

    Attributes
    ----------
    values : shape (c, d, n), a copy of the cube's with 0 at every missing slot and padding; the
        views share its memory where they can
    days, timeline, totals, curves, spans, dials, marked, changed : the views that rules see
    rows : shape (m,), flattened (channel, day) index of each row of ``days``
    axis : shape (t,), flattened (day, slot) index of each column of ``timeline``
    missing : flat cell indices without a value, ascending, padding apart
    """

    values: Values
    days: DayMatrix
    timeline: Timeline
    totals: DayTotals
    curves: Curves
    spans: SpanTotals
    dials: DialSteps
    rows: NDArray[np.int64]
    axis: NDArray[np.int64]
    missing: NDArray[np.int64]
    marked: Marked
    changed: Changed = field(default_factory=no_changes)


def of(cube: Cube) -> Views:
    """Make the views of a cube."""
    channels, days, slots = cube.shape
    exists = cube.days.exists
    special, uses = _special(cube)
    missing = special[uses & standing.PRESENT == 0]
    values = cube.values.copy(order="C")
    values.ravel()[missing] = 0
    present = np.ones(cube.shape, dtype=np.bool_)
    present.ravel()[missing] = False
    if not exists.all():
        values[:, ~exists] = 0
        present[:, ~exists] = False
    unsound = np.zeros(channels * days, dtype=np.bool_)
    unsound[special[uses & standing.HISTORY == 0] // slots] = True
    if cube.outage is not None:
        unsound |= cube.outage.any(axis=2).ravel()
    totals = DayTotals(
        total=values.sum(axis=2, dtype=np.int64),
        absent=np.bincount(missing // slots, minlength=channels * days).reshape(channels, days),
        sound=~unsound.reshape(channels, days),
        days=cube.days,
    )
    rows, axis = np.flatnonzero(cube.target), np.flatnonzero(exists)
    broken, there = _broken(cube, special), special[uses & standing.PRESENT != 0]
    return Views(
        values=values,
        days=_day_matrix(cube, values, present, rows),
        timeline=_timeline(cube, values, present, axis, broken),
        totals=totals,
        curves=_curves(cube, values, present, totals, broken),
        spans=_span_totals(cube, values, totals, present),
        dials=cube.dials,
        rows=rows,
        axis=axis,
        missing=missing,
        marked=Marked(there, cube.quality.ravel()[there], values.ravel()[there]),
    )


def _special(cube: Cube) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    # Only cells whose quality isn't plainly valid are looked up: a few in a hundred, most often.
    exists = cube.days.exists
    special = np.flatnonzero(cube.quality)
    if not exists.all():
        special = special[exists.ravel()[special % exists.size]]
    return special, standing.table()[cube.quality.ravel()[special]]


def _day_matrix(
    cube: Cube, values: Values, present: NDArray[np.bool_], rows: NDArray[np.int64]
) -> DayMatrix:
    _, days, slots = cube.shape
    whole = len(rows) == cube.target.size

    def chosen(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        if mask is None:
            return np.broadcast_to(np.False_, (len(rows), slots))
        flat = mask.reshape(-1, slots)
        return flat if whole else flat[rows]

    flat = values.reshape(-1, slots)
    exists = cube.days.exists
    expected: NDArray[np.bool_] = np.broadcast_to(exists.all(), (len(rows), slots))
    if not exists.all():
        expected = exists[rows % days]
    if cube.outside is not None:
        expected = expected & ~chosen(cube.outside)
    return DayMatrix(
        values=flat if whole else flat[rows],
        present=chosen(present),
        expected=expected,
        one_way=cube.one_way[rows // days],
        duplicate=chosen(cube.duplicate),
        misfit=chosen(cube.misfit),
        outage=None if cube.outage is None else chosen(cube.outage),
        interval_seconds=cube.interval_seconds,
        early=None
        if cube.delivered is None or cube.delivered.early is None
        else chosen(cube.delivered.early),
    )


def _broken(cube: Cube, special: NDArray[np.int64]) -> NDArray[np.int64]:
    codes = cube.quality.ravel()[special]
    broken: NDArray[np.int64] = special[(codes == quality.POWER_DOWN) | (codes == quality.PARTIAL)]
    if cube.outage is not None:
        broken = np.union1d(broken, np.flatnonzero(cube.outage & cube.days.exists))
    return broken


def _timeline(
    cube: Cube,
    values: Values,
    present: NDArray[np.bool_],
    axis: NDArray[np.int64],
    broken: NDArray[np.int64],
) -> Timeline:
    channels, days, slots = cube.shape
    flat, there = values.reshape(channels, days * slots), present.reshape(channels, days * slots)
    if len(axis) < days * slots:
        flat, there = flat[:, axis], there[:, axis]
        row, place = np.divmod(broken, days * slots)
        broken = row * len(axis) + np.searchsorted(axis, place)
    return Timeline(flat, there, cube.interval_seconds, broken)


def _curves(
    cube: Cube,
    values: Values,
    present: NDArray[np.bool_],
    totals: DayTotals,
    broken: NDArray[np.int64],
) -> Curves:
    none = np.broadcast_to(np.int64(-1), (cube.shape[0],))
    return Curves(
        values=values,
        present=present,
        quality=cube.quality,
        misfit=cube.misfit,
        outside=cube.outside,
        totals=totals,
        sibling=none if cube.sibling is None else cube.sibling,
        check=none if cube.check is None else cube.check,
        interval_seconds=cube.interval_seconds,
        delivered=cube.delivered or Delivered(),
        broken=broken,
    )


def _span_totals(
    cube: Cube, values: Values, totals: DayTotals, present: NDArray[np.bool_]
) -> SpanTotals:
    _, days, slots = cube.shape
    table, unit = cube.spans, 1
    amounts: NDArray[np.int64] | Values = values
    blanks: NDArray[np.bool_] | NDArray[np.int64] = ~present & cube.days.exists
    if not np.any(table.start % slots) and not np.any(table.end % slots):
        # Registers read at midnight: days are added, not slots.
        amounts, blanks, unit = totals.total, totals.absent, slots
    first = (table.channel.astype(np.int64) * days * slots + table.start) // unit
    after = first + (table.end - table.start) // unit
    return SpanTotals(
        total=_between(amounts.ravel(), first, after),
        absent=_between(blanks.ravel(), first, after),
        energy=table.energy,
        misread=np.zeros(len(table), dtype=np.int64),
    )


def _between(
    array: NDArray[np.generic], first: NDArray[np.int64], after: NDArray[np.int64]
) -> NDArray[np.int64]:
    if not len(first):
        return np.empty(0, dtype=np.int64)
    edges = np.column_stack([first, after]).ravel()
    if edges[-1] == len(array):
        edges = edges[:-1]
    sums: NDArray[np.int64] = np.add.reduceat(array, edges, dtype=np.int64)[::2]
    return sums
