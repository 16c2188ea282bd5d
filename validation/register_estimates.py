"""Estimates of register readings, as columns: what a register would have shown at a moment.

Every function takes readings and wanted moments as columns, and gives whether it could and the
reading. A reading is in register units: before the multiplier, and below the modulus where the
register starts again from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAY = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Good register readings, ordered by register and then by moment.

    Attributes
    ----------
    register : shape (k,), number of the register; another one after a meter exchange
    at : shape (k,) [s since 1970 UTC]
    value : shape (k,) [register unit]
    modulus : shape (k,), where the register starts again from 0; 0 for nowhere [register unit]

    Raises
    ------
    ValueError
        if there is no reading, or they are in another order.
    """

    register: NDArray[np.int64]
    at: NDArray[np.int64]
    value: NDArray[np.int64]
    modulus: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.at) or np.any(np.diff(_key(self.register, self.at)) <= 0):
            raise ValueError("readings: at least one, by register and moment, none twice")

    def before(self, register: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the row of the closest reading of a register at or before a moment, -1 for none."""
        key = _key(self.register, self.at)
        row = np.searchsorted(key, _key(register, at), side="right") - 1
        found = (row >= 0) & (self.register[np.maximum(row, 0)] == register)
        return np.where(found, row, -1)

    def after(self, register: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the row of the closest reading of a register at or after a moment, -1 for none."""
        key = _key(self.register, self.at)
        row = np.searchsorted(key, _key(register, at), side="left")
        inside = np.minimum(row, len(key) - 1)
        return np.where((row < len(key)) & (self.register[inside] == register), inside, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Intervals beside registers, on one grid of time.

    Attributes
    ----------
    values : shape (c, t), row c of register c, after the multiplier [scaled unit]
    known : shape (c, t), True where there is a value
    start : of the first interval [s since 1970 UTC]
    step : length of an interval [s]
    multiplier : shape (c,), scaled units that one register unit stands for
    """

    values: NDArray[np.int64]
    known: NDArray[np.bool_]
    start: int
    step: int
    multiplier: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Estimated:
    """Estimated readings: whether there is one, and which, shape (w,) [register unit]."""

    filled: NDArray[np.bool_]
    values: NDArray[np.int64]


def recent_load(
    readings: Readings,
    register: NDArray[np.int64],
    at: NDArray[np.int64],
    *,
    within_days: int,
    fewest_days: int,
) -> Estimated:
    r"""Go on from the closest reading before at the average daily use up to it.

    .. math:: ADC = (R_{latest} - R_{earliest}) / days, \quad R = R_{latest} + days · ADC

    rounded half up. Days are of elapsed time. Another register is another number, so nothing is
    averaged across a meter exchange.

    Parameters
    ----------
    register, at : shape (w,), what is wanted
    within_days : how far before the wanted moment readings count [days]
    fewest_days : days between the two readings below which it declines

    References
    ----------
    Itron Enterprise Edition, average recent load projection.
    """
    latest = readings.before(register, at)
    earliest = readings.after(register, at - within_days * _DAY)
    row, first = np.maximum(latest, 0), np.maximum(earliest, 0)
    span = readings.at[row] - readings.at[first]
    filled = (latest >= 0) & (earliest >= 0) & (span >= max(fewest_days * _DAY, 1))
    used = _used(readings, first, row)
    more = rated(used, np.where(filled, span, 1), at - readings.at[row])
    return _turned(readings, row, more, filled)


def usage_calculation(
    readings: Readings,
    intervals: Intervals,
    register: NDArray[np.int64],
    at: NDArray[np.int64],
    *,
    look_back_days: int,
) -> Estimated:
    """Add the intervals since the closest reading before to it.

    Every interval between must be known, and both moments on their grid. Rounded half up where the
    sum is no multiple of the multiplier.

    Parameters
    ----------
    register, at : shape (w,), what is wanted
    look_back_days : how old the reading before may be [days]

    References
    ----------
    Itron Enterprise Edition, usage calculation (ESTUSGCAL).
    """
    before = readings.before(register, at)
    row = np.maximum(before, 0)
    energy, unknown, whole = _between(intervals, register, readings.at[row], at)
    filled = (before >= 0) & whole & (unknown == 0)
    filled &= at - readings.at[row] <= look_back_days * _DAY
    more = rated(energy, intervals.multiplier[register], np.ones_like(energy))
    return _turned(readings, row, more, filled)


def prorated(
    readings: Readings,
    register: NDArray[np.int64],
    at: NDArray[np.int64],
    intervals: Intervals | None = None,
) -> Estimated:
    r"""Share the use between the readings before and after by time, known intervals apart.

    .. math:: R = R_1 + k_1 + (R_2 - R_1 - k) · t_1 / t

    k is what the known intervals between the readings say, t the time that they leave open; k₁
    and t₁ are the parts before the wanted moment. Without intervals k is 0 and t all of the time.
    Rounded half up. Where they say more than the registers, it declines.

    Parameters
    ----------
    register, at : shape (w,), what is wanted

    References
    ----------
    Oracle Utilities MDM, scalar proration.
    """
    before, after = readings.before(register, at), readings.after(register, at)
    filled = (before >= 0) & (after >= 0)
    first, last = np.maximum(before, 0), np.maximum(after, 0)
    begin, end = readings.at[first], readings.at[last]
    used = _used(readings, first, last)
    said = said_before = np.zeros_like(used)
    part, open_ = at - begin, end - begin
    if intervals is not None:
        energy_before, unknown_before, on_grid = _between(intervals, register, begin, at)
        energy, unknown, whole = _between(intervals, register, begin, end)
        unit, one = intervals.multiplier[register], np.ones_like(energy)
        said, said_before = rated(energy, unit, one), rated(energy_before, unit, one)
        part, open_ = unknown_before, unknown
        filled &= on_grid & whole & (said <= used)
    share = np.where(open_ > 0, rated(used - said, np.maximum(open_, 1), part), 0)
    return _turned(readings, first, said_before + share, filled)


def history(
    previous: NDArray[np.int64],
    length: NDArray[np.int64],
    periods: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]],
    *,
    least_good: float,
) -> Estimated:
    """Add the use of an earlier period, such as last month's or last year's, to the reading before.

    Periods are asked in the order given, one month ago and then one year ago or the other way
    round; one is rejected if too little of it was good. Its use is brought to the wanted length.

    Parameters
    ----------
    previous : shape (w,), reading at the beginning of the wanted period [register unit]
    length : shape (w,), of the wanted period [s, or intervals]
    periods : use [register unit], length [as ``length``] and good part [1], each of shape (w,)
    least_good : good part below which a period is rejected [1]

    References
    ----------
    Oracle Utilities MDM, scalar estimation; AEMO substitution types 61 and 62.
    """
    filled = np.zeros(len(previous), dtype=np.bool_)
    values = previous.copy()
    for used, lasted, good in periods:
        able = ~filled & (lasted > 0) & (good >= least_good)
        more = rated(used, np.maximum(lasted, 1), length)
        values = np.where(able, previous + more, values)
        filled |= able
    return Estimated(filled, np.where(filled, values, 0))


def rated(
    used: NDArray[np.int64], length: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Bring a period's use to another length, rounded half up.

    Parameters
    ----------
    used : shape (w,)
    length : shape (w,), of the period that it was used in; positive
    wanted : shape (w,), in the same unit
    """
    largest = int(np.abs(used).max(initial=0)) * int(np.abs(wanted).max(initial=0))
    # Python's integers where 64 bits could overflow: slow and exact.
    kind = np.int64 if largest < 2**61 else object
    product = used.astype(kind) * wanted.astype(kind)
    return np.asarray((2 * product + length) // (2 * length)).astype(np.int64)


def _key(register: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    # Seconds since 1970 take 33 bits until the year 2242.
    return (register << 33) + at


def _used(
    readings: Readings, first: NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.int64]:
    used, modulus = readings.value[last] - readings.value[first], readings.modulus[last]
    return np.where(modulus > 0, used % np.maximum(modulus, 1), used)


def _turned(
    readings: Readings, row: NDArray[np.int64], more: NDArray[np.int64], filled: NDArray[np.bool_]
) -> Estimated:
    """Add to readings, over the register's end where it has one."""
    values, modulus = readings.value[row] + more, readings.modulus[row]
    values = np.where(modulus > 0, values % np.maximum(modulus, 1), values)
    return Estimated(filled, np.where(filled, values, 0))


def _between(
    intervals: Intervals,
    register: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Give the known energy, the unknown seconds, and whether both ends are on the grid."""
    step, slots = intervals.step, intervals.values.shape[1]
    first, last = (begin - intervals.start) // step, (end - intervals.start) // step
    fits = ((begin - intervals.start) % step == 0) & ((end - intervals.start) % step == 0)
    fits &= (first >= 0) & (last <= slots) & (first <= last)
    first, last = np.where(fits, first, 0), np.where(fits, last, 0)

    def sums(amounts: NDArray[np.int64]) -> NDArray[np.int64]:
        until = np.zeros((len(amounts), slots + 1), dtype=np.int64)
        np.cumsum(amounts, axis=1, out=until[:, 1:])
        return until[register, last] - until[register, first]

    energy = sums(np.where(intervals.known, intervals.values, 0))
    return energy, sums((~intervals.known).astype(np.int64)) * step, fits
