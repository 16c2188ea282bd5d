"""A meter's programme of tariff registers: which of them counts in which slot, and how much."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from validation.dials import DialSteps


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """Tariff registers beside the channels of a cube, and when each of them counts.

    Attributes
    ----------
    of : shape (c,), row of ``counts`` that a channel goes by, -1 for none
    counts : shape (p, d, n), id of the reading type of the register that counts in a slot; 0 where
        none is known
    register : shape (s,), id of the reading type of a span's register, ascending
    channel, start, end : shape (s,), as in ``matrix.Spans``; ascending and apart for one register
    energy : shape (s,), what the register counted [scaled unit]
    """

    of: NDArray[np.int64]
    counts: NDArray[np.int16]
    register: NDArray[np.int16]
    channel: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    energy: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.register)

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Programme:
        """Choose spans, in their order."""
        columns = ("register", "channel", "start", "end", "energy")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def counting(self, cells: NDArray[np.int64]) -> NDArray[np.int16]:
        """Give the register that counts at flat cells, 0 for none; shape as ``cells``."""
        stride = self.counts[0].size if len(self.counts) else 1
        row = self.of[cells // stride]
        known = row >= 0
        found = np.zeros(len(cells), dtype=np.int16)
        inside = cells[known] % stride
        found[known] = self.counts.reshape(len(self.counts), stride)[row[known], inside]
        return found

    def span_of(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the span whose register counts at each flat cell, -1 for none."""
        found = np.full(len(cells), -1, dtype=np.int64)
        if not len(self):
            return found
        stride = self.counts[0].size
        first, after = self.channel * stride + self.start, self.channel * stride + self.end
        counting = self.counting(cells)
        for register in np.unique(self.register):
            mine = np.flatnonzero(counting == register)
            low, high = np.searchsorted(self.register, [register, register + 1])
            at = np.searchsorted(first[low:high], cells[mine], side="right") - 1 + low
            inside = (at >= low) & (cells[mine] < after[np.maximum(at, 0)])
            found[mine[inside]] = at[inside]
        return found

    def members(self, spans: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the flat cells of some spans at which their register counts, and whose they are.

        Returns
        -------
        cells, and for each the place in ``spans``
        """
        stride = self.counts[0].size if len(self.counts) else 1
        length = self.end[spans] - self.start[spans]
        place = np.repeat(np.arange(len(spans)), length)
        within = np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)
        cells = (self.channel[spans] * stride + self.start[spans])[place] + within
        mine = self.counting(cells) == self.register[spans][place]
        return cells[mine], place[mine]

    def within(self, first: NDArray[np.int64], after: NDArray[np.int64]) -> Programme:
        """Leave out the spans in the middle of which the total register was read.

        Parameters
        ----------
        first, after : flat cells at which the total's spans begin and end, ascending
        """
        stride = self.counts[0].size if len(self.counts) else 1
        start, end = self.channel * stride + self.start, self.channel * stride + self.end
        read = np.zeros(len(self), dtype=np.bool_)
        for edges in (first, after):
            begin = np.searchsorted(edges, start, side="right")
            read |= np.searchsorted(edges, end, side="left") > begin
        return self.rows(~read)

    def without(self, doubted: NDArray[np.bool_], dials: DialSteps) -> Programme:
        """Leave out the spans over which the tariff registers don't add up to the total.

        Parameters
        ----------
        doubted : shape (k,), the steps of totals to which their tariff registers don't add up
        dials : those k steps
        """
        if not doubted.any():
            return self
        stride = self.counts[0].size if len(self.counts) else 1
        bad = np.stack([dials.first[doubted], dials.last[doubted] + 1], axis=1)
        mine = np.stack([self.channel * stride + self.start, self.channel * stride + self.end])
        return self.rows(~(mine.T[:, None, :] == bad[None]).all(axis=2).any(axis=1))
