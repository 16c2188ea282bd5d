"""The record under repair: what is blank, what may be filled, and what the registers say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validation import standing
from validation.days import Days
from validation.matrix import References
from validation.programme import Programme
from validation.views import Values


@dataclass(frozen=True, slots=True, eq=False)
class Registers:
    """Register spans against the cells that were measured in them, one row a span.

    Attributes
    ----------
    first, after : shape (s,), flat cell index of the first cell and of the one after the last
    energy : shape (s,), register difference [scaled unit]
    measured : shape (s,), sum of the cells that are not blank [scaled unit]
    """

    first: NDArray[np.int64]
    after: NDArray[np.int64]
    energy: NDArray[np.int64]
    measured: NDArray[np.int64]

    def span_of(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the span that each cell lies in, -1 for none; shape as ``cells``."""
        return span_of(self.first, self.after, cells)


def span_of(
    first: NDArray[np.int64], after: NDArray[np.int64], cells: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give the span that each cell lies in, -1 for none; spans ascending and apart."""
    if not len(first):
        return np.full(len(cells), -1, dtype=np.int64)
    span = np.searchsorted(first, cells, side="right") - 1
    return np.where((span >= 0) & (cells < after[span]), span, -1)


def sums_by(group: NDArray[np.int64], amounts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Add amounts by group in exact integers; groups below 0 are left out; shape (count,)."""
    sums = np.zeros(count, dtype=np.int64)
    inside = group >= 0
    np.add.at(sums, group[inside], amounts[inside])
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Values and qualities on their way to the final record.

    Attributes
    ----------
    values : shape (c·d·n,), changed in place [scaled unit]
    quality : shape (c·d·n,), changed in place; of class missing at every blank cell not yet filled
    blank : shape (k,), flat indices of cells without a usable value, ascending
    gaps : shape (g,), those of ``blank`` at which a value is expected, ascending
    sound : shape (c, d), True where a day is good enough to fill others from
    days : the d days
    axis : shape (t,), flattened (day, slot) index of the slots that exist
    interval_seconds : length of a slot [s]
    registers : spans with what was measured in them
    outage : shape (c·d·n,), True where an outage or a disconnection is on record; None for nowhere
    references : other series beside the channels; None for none
    check : shape (c,), row of the channel of a check meter, -1 for none; None for none at all
    programme : tariff registers that estimates may be scaled to; None for none
    """

    values: Values
    quality: NDArray[np.int16]
    blank: NDArray[np.int64]
    gaps: NDArray[np.int64]
    sound: NDArray[np.bool_]
    days: Days
    axis: NDArray[np.int64]
    interval_seconds: int
    registers: Registers
    outage: NDArray[np.bool_] | None = None
    references: References | None = None
    check: NDArray[np.int64] | None = None
    programme: Programme | None = None

    @property
    def slots(self) -> int:
        """Slots a day, padding included."""
        return int(self.days.clock.shape[1])

    @property
    def stride(self) -> int:
        """Cells of a channel, padding included."""
        return self.days.clock.size

    def position(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give each cell's place in its channel's row of existing slots."""
        inside = cells % self.stride
        if len(self.axis) == self.stride:
            return inside
        position: NDArray[np.int64] = np.searchsorted(self.axis, inside)
        return position

    def cell(self, channel: NDArray[np.int64], position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the flat index of a channel's slot; the inverse of ``position``."""
        cell: NDArray[np.int64] = channel * self.stride + self.axis[position]
        return cell

    def can_anchor(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which cells are good enough to interpolate from."""
        return self._allows(cells, standing.ANCHOR)

    def is_measured(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which cells are good enough to fill others from."""
        return self._allows(cells, standing.HISTORY)

    def is_blank(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which cells have no value now."""
        return ~self._allows(cells, standing.PRESENT)

    def filled(self) -> NDArray[np.int64]:
        """Give the flat indices of blank cells that were filled, ascending."""
        return self.blank[~self.is_blank(self.blank)]

    def still_blank(self) -> NDArray[np.int64]:
        """Give the flat indices of cells without a value now, ascending."""
        return self.blank[self.is_blank(self.blank)]

    def _allows(self, cells: NDArray[np.int64], use: int) -> NDArray[np.bool_]:
        return np.asarray(standing.table()[self.quality[cells]] & use != 0)
