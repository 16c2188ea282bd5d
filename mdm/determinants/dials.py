"""Registers of many usage points between two readings, as columns of whole numbers.

Most meters were there for a whole period and were read when it began and ended, or for a part of it
and were read when they came and went. Exchanges, resets, and readings that are missing or that
intervals must bridge are looked at one by one (``registers.consumption``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.registers import MICRO, Reading, Span
from schemas import quality

# Beyond these nothing is plain: products stay below what int64 holds.
_HIGHEST: Final = 10**15
_MOST: Final = 2**62
_NOTHING: Final = Reading(0, 0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Dials:
    """A register of n usage points, each of one meter, from one reading to the next.

    Attributes
    ----------
    plain : shape (n,), where the rest holds
    end_devices : n of them
    read_at, value, kind : shape (n, 2), of the readings at both ends: moment
        [s since 1970-01-01 UTC], what the dial showed [scaled unit], ``QualityClass``
    micro : shape (n,), consumption after the multiplier [scaled unit / 10⁶]
    """

    plain: NDArray[np.bool_]
    end_devices: Sequence[str]
    read_at: NDArray[np.int64]
    value: NDArray[np.int64]
    kind: NDArray[np.uint8]
    micro: NDArray[np.int64]

    def taken(self, rows: NDArray[np.intp]) -> Dials:
        """Give some of the usage points."""
        return Dials(
            plain=self.plain[rows],
            end_devices=[self.end_devices[row] for row in rows.tolist()],
            read_at=self.read_at[rows],
            value=self.value[rows],
            kind=self.kind[rows],
            micro=self.micro[rows],
        )


def of(spans: Sequence[Sequence[Span]]) -> Dials:
    """Put the installations of usage points beside each other, a usage point an entry."""
    rows = [_row(several) for several in spans]
    table = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 8)
    value, modulus, multiplier = table[:, 2:4], table[:, 6], table[:, 7]
    gone = value[:, 1] - value[:, 0]
    over = gone + modulus
    # As ``registers.difference`` tells a rollover from a fall.
    rolled = (gone < 0) & (over >= 0) & (2 * over < modulus)
    gone = np.where(rolled, over, gone)
    plain = (multiplier > 0) & (gone >= 0)
    plain &= gone < _MOST // np.maximum(multiplier, 1)
    return Dials(
        plain=plain,
        end_devices=[row[0] for row in rows],
        read_at=table[:, :2],
        value=value,
        kind=quality.classes(table[:, 4:6].astype(np.int16)),
        micro=np.where(plain, gone * multiplier, 0),
    )


def _row(spans: Sequence[Span]) -> tuple[str, int, int, int, int, int, int, int, int]:
    """Give an end device, its readings, its modulus and its multiplier; 0 where it is not plain."""
    if len(spans) == 1:
        stretch, start, end = spans[0].stretch, spans[0].start, spans[0].end
        if (
            start is not None
            and end is not None
            and start.read_at == stretch.starts_at
            and end.read_at == stretch.ends_at
            and 0 <= start.value < _HIGHEST
            and 0 <= end.value < _HIGHEST
            and (modulus := stretch.modulus or 0) < _HIGHEST
        ):
            multiplier = int(stretch.multiplier * MICRO)
            bounds = start.read_at, end.read_at, start.value, end.value
            return (stretch.end_device, *bounds, start.quality, end.quality, modulus, multiplier)
    return "", 0, 0, 0, 0, 0, 0, 0, 0
