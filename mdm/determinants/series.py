"""One usage point's intervals of a reading type on one grid, and windows over them.

Where a meter was exchanged for one with another interval length, finer intervals are summed into
the shortest length that both divide: sums stay exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.determinant import Counts
from mdm.determinants.profile import KINDS, OUTSIDE, Profile
from schemas.quality import QualityClass

# Of several intervals that are joined the worst says what the whole is; by QualityClass, OUTSIDE.
_RANK: Final = np.array([1, 4, 5, 2, 3, 0], np.uint8)
_OF_RANK: Final = np.argsort(_RANK).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Equal intervals of one period of whole local days.

    Attributes
    ----------
    starts_at : start of the first interval [s since 1970-01-01 UTC]
    interval_seconds : length of each [s]
    midnights : shape (d + 1,), the slot at which each local day starts, and the end
    values : shape (s,) [scaled unit ÷ ``divisor``]; 0 where nothing is known
    kind : shape (s,), ``QualityClass`` or ``OUTSIDE`` where nothing was installed
    divisor : more than 1 only where values were multiplied by fractions
    """

    starts_at: int
    interval_seconds: int
    midnights: NDArray[np.int64]
    values: NDArray[Any]
    kind: NDArray[np.uint8]
    divisor: int = 1

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which slots say something, shape (s,)."""
        return np.asarray((self.kind != QualityClass.MISSING) & (self.kind != OUTSIDE))

    def moment(self, slot: int) -> int:
        """Give the start of a slot [s since 1970-01-01 UTC]."""
        return self.starts_at + slot * self.interval_seconds

    def counts(self, chosen: NDArray[Any] | slice | None = None) -> Counts:
        """Count slots by quality: all, or the chosen ones."""
        kind = self.kind if chosen is None else self.kind[chosen]
        return Counts(*np.bincount(kind, minlength=OUTSIDE + 1)[:KINDS].tolist())

    def coarser(self, interval_seconds: int) -> Series:
        """Sum into longer intervals, a whole number of these.

        Raises
        ------
        ValueError
            if a local day is not a whole number of the longer intervals.
        """
        width = interval_seconds // self.interval_seconds
        if width == 1:
            return self
        if (self.midnights % width).any():
            raise ValueError(
                f"a local day is not a whole number of intervals of {interval_seconds} s"
            )
        rank = _RANK[self.kind].reshape(-1, width)
        # Half a slot without a meter is a slot that nobody knows whole.
        torn = (rank == 0).any(axis=1) & ~(rank == 0).all(axis=1)
        kind = _OF_RANK[rank.max(axis=1)]
        kind[torn] = QualityClass.MISSING
        values = self.values.reshape(-1, width).sum(axis=1)
        return Series(self.starts_at, interval_seconds, self.midnights // width, values, kind)


def weighted(series: Series, factors: Sequence[Fraction]) -> Series:
    """Multiply each local day's values by a factor, exactly."""
    divisor = math.lcm(*(one.denominator for one in factors))
    numbers = [one.numerator * divisor // one.denominator for one in factors]
    if divisor == 1 and set(numbers) <= {1}:
        return series
    # Whole numbers without a limit where the sum of all might pass 64 bits.
    largest = int(np.abs(series.values).max(initial=0)) * max(numbers) * max(1, len(series.values))
    values = series.values.astype(np.int64 if largest < 2**62 else object)
    each = np.repeat(np.array(numbers, values.dtype), np.diff(series.midnights))
    return replace(series, values=values * each, divisor=divisor)


def joined(rows: Sequence[tuple[Profile, int]]) -> Series | None:
    """Join a usage point's channels of one reading type; None if it has none."""
    found = [
        Series(
            profile.starts_at,
            profile.interval_seconds,
            profile.midnights,
            profile.values[row].astype(np.int64),
            profile.kind[row],
        )
        for profile, row in rows
    ]
    if not found:
        return None
    first, *others = aligned(found)
    for other in others:
        first = combined(first, other, first.values + other.values, either=True)
    return first


def aligned(series: Sequence[Series]) -> list[Series]:
    """Bring series of one period to one grid: the shortest that all lengths divide."""
    length = math.lcm(*(one.interval_seconds for one in series))
    return [one.coarser(length) for one in series]


def combined(
    one: Series, other: Series, values: NDArray[np.int64], *, either: bool = False
) -> Series:
    """Give values that rest on two series of one grid the worse quality of both.

    Parameters
    ----------
    either : whether one of them is enough where the other had no meter
    """
    ranks = _RANK[one.kind], _RANK[other.kind]
    kind = _OF_RANK[np.maximum(*ranks)]
    if not either:
        kind[np.minimum(*ranks) == 0] = QualityClass.MISSING
        kind[np.maximum(*ranks) == 0] = OUTSIDE
    return Series(one.starts_at, one.interval_seconds, one.midnights, values, kind)


class Windows(NamedTuple):
    """Windows of one length over a grid, in order of time.

    Attributes
    ----------
    seconds : length [s]
    width : length [slots]
    begins : shape (w,), first slots
    usable : shape (w,), whether every slot is known and in an admitted period
    """

    seconds: int
    width: int
    begins: NDArray[np.int64]
    usable: NDArray[np.bool_]

    def sums(self, series: Series) -> NDArray[np.int64]:
        """Sum a series of the same grid in every window, shape (w,)."""
        running = np.concatenate([np.zeros(1, series.values.dtype), np.cumsum(series.values)])
        return np.asarray(running[self.begins + self.width] - running[self.begins])


def windows(
    series: Series, seconds: int, step_seconds: int, admitted: NDArray[np.bool_] | None = None
) -> Windows | str:
    """List demand windows, or say why there is none.

    Blocks (``step_seconds`` = ``seconds``) follow each other from local midnight and stay inside
    their day; other windows begin every step from local midnight and stay inside the period.

    Parameters
    ----------
    admitted : shape (s,), slots that a window may have; all unless given
    """
    length = series.interval_seconds
    width, rest = divmod(seconds, length)
    step, rest_too = divmod(step_seconds, length)
    if rest or rest_too or width == 0 or step == 0:
        of = "" if step_seconds == seconds else f" that moves by {step_seconds} s"
        return f"intervals of {length} s do not fill a window of {seconds} s{of}"
    begins = []
    for first, end in zip(series.midnights[:-1], series.midnights[1:], strict=True):
        last = end - width + 1 if step == width else min(int(end), len(series.kind) - width + 1)
        begins.append(np.arange(first, last, step, dtype=np.int64))
    starts = np.concatenate(begins) if begins else np.empty(0, np.int64)
    known = series.known
    good = known if admitted is None else known & admitted
    holes = np.concatenate([[0], np.cumsum(~good)])
    usable = holes[starts + width] == holes[starts]
    if not usable.any():
        inside = "" if admitted is None else " inside its time-of-use periods"
        return f"no window of {seconds} s is without a missing interval{inside}"
    return Windows(seconds, width, starts, usable)
