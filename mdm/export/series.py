"""Intervals and register readings of one usage point, as exports carry them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.period import Period
from schemas.reading import BlockTable


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """A channel's equal intervals, one after the other without a hole; what is unknown is MISSING.

    Attributes
    ----------
    starts_at : start of the first one [s since 1970-01-01 UTC]
    values : shape (n,), after the multiplier [the reading type's scaled unit]
    quality : shape (n,), codes of ``schemas.quality``
    """

    reading_type: str
    interval_seconds: int
    starts_at: int
    values: NDArray[np.int64]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which intervals have a value, shape (n,)."""
        return np.asarray(quality.classes(self.quality) != quality.QualityClass.MISSING)

    @property
    def ends_at(self) -> int:
        """End of the last one [s since 1970-01-01 UTC]."""
        return self.starts_at + len(self) * self.interval_seconds

    def start(self, slot: int) -> datetime:
        """Give the moment at which an interval begins; ``len(self)`` gives the end of the last."""
        return datetime.fromtimestamp(self.starts_at + slot * self.interval_seconds, UTC)


@dataclass(frozen=True, slots=True)
class Dial:
    """One register reading, as the dial showed it.

    Attributes
    ----------
    multiplier : by which differences are multiplied
    modulus : where the dial starts again from 0 [scaled unit]; None if nobody knows
    read_at : [s since 1970-01-01 UTC]
    value : before the multiplier [scaled unit]
    quality : code of ``schemas.quality``
    """

    reading_type: str
    end_device: str
    multiplier: Decimal
    modulus: int | None
    read_at: int
    value: int
    quality: int

    @property
    def moment(self) -> datetime:
        """When it was read."""
        return datetime.fromtimestamp(self.read_at, UTC)


@dataclass(frozen=True, slots=True)
class Meter:
    """An end device at the usage point, for a stretch of time [s since 1970-01-01 UTC]."""

    end_device: str
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured at a usage point in a period.

    Attributes
    ----------
    intervals : by reading type and length
    dials : by reading type and end device, then as they were read
    meters : oldest first
    pairs : the two readings that bound each stretch of a register, as a bill names them; None
        where nobody named any
    """

    intervals: tuple[Intervals, ...] = ()
    dials: tuple[Dial, ...] = ()
    meters: tuple[Meter, ...] = ()
    pairs: tuple[tuple[Dial, Dial], ...] | None = None

    def meter_at(self, second: int) -> str:
        """Give the end device that was there at a moment; empty where none was."""
        found = (m.end_device for m in self.meters if m.starts_at <= second < m.ends_at)
        return next(found, "")

    def spans(self) -> Iterator[tuple[Dial, Dial]]:
        """Give the register readings by twos: what a dial showed first, and what it showed next.

        A meter that was away between the two gives none: it counted elsewhere.
        """
        if self.pairs is not None:
            yield from self.pairs
            return
        for one, next_ in pairwise(self.dials):
            if (one.reading_type, one.end_device) == (next_.reading_type, next_.end_device) and any(
                meter.end_device == one.end_device
                and meter.starts_at <= one.read_at
                and next_.read_at <= meter.ends_at
                for meter in self.meters
            ):
                yield one, next_


NOTHING: Final = Series()


def consumption(one: Dial, next_: Dial) -> Decimal | None:
    """Give what went through between two readings [scaled unit], after the multiplier.

    A dial that stands lower has started again from 0, if it is known where; else None.
    """
    difference = next_.value - one.value
    if difference < 0:
        if next_.modulus is None:
            return None
        difference += next_.modulus
    return difference * next_.multiplier


def cut(blocks: BlockTable, reading_type: str, interval_seconds: int, period: Period) -> Intervals:
    """Lay a channel's blocks out over a period.

    Parameters
    ----------
    blocks : of one channel, in any order; what is outside the period is left away

    Returns
    -------
    the intervals that begin in the period, on the grid of the blocks or, without any, of the
    period's start
    """
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    if len(blocks):
        # The grid is the blocks': a period of local days and the days' blocks begin together.
        start += (int(blocks.starts_at.min()) - start) % interval_seconds
    count = max(0, -(-(end - start) // interval_seconds))
    values = np.zeros(count, np.int64)
    codes = np.full(count, quality.MISSING, np.int16)
    for row in range(len(blocks)):
        first = (int(blocks.starts_at[row]) - start) // interval_seconds
        last = first + int(blocks.length[row])
        low, high = max(first, 0), min(last, count)
        if low < high:
            values[low:high] = blocks.values[row, low - first : high - first]
            codes[low:high] = blocks.quality[row, low - first : high - first]
    return Intervals(reading_type, interval_seconds, start, values, codes)


def ordered(
    intervals: Iterable[Intervals],
    dials: Iterable[Dial],
    meters: Iterable[Meter],
    pairs: Iterable[tuple[Dial, Dial]] | None = None,
) -> Series:
    """Put a usage point's series together, always in the same order."""
    return Series(
        tuple(sorted(intervals, key=lambda one: (one.reading_type, one.interval_seconds))),
        tuple(sorted(set(dials), key=_key)),
        tuple(sorted(set(meters), key=lambda m: (m.starts_at, m.ends_at, m.end_device))),
        None
        if pairs is None
        else tuple(sorted(set(pairs), key=lambda p: (_key(p[0]), _key(p[1])))),
    )


def _key(dial: Dial) -> tuple[str, str, int]:
    return dial.reading_type, dial.end_device, dial.read_at
