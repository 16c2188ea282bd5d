"""Rules about registers: what they counted between two readings, and how they got there."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from validation.dials import DialSteps
from validation.finding import Action
from validation.parameters import Signed
from validation.rule import Mask, mask, rule

_NOTE = frozenset({Action.NOTE})
_DAY: Final = 86_400
# Sums of products with broken multipliers are not exact.
_ROUNDING: Final = 1e-6


@rule(source="Itron Enterprise Edition, Delta High/Low Limit", actions=_NOTE)
def register_limit(steps: DialSteps, *, high_per_day: float, low_per_day: Signed) -> Mask:
    """Mark steps of a register that counted more or less a day than can be.

    Observed is what it counted, the limit what it could have counted in that time [scaled unit].
    Where a register fell, nothing is known of what it counted.

    Parameters
    ----------
    steps : between neighbouring readings, shape (k,)
    high_per_day : rate above which a step fails [scaled unit / 24 h]
    low_per_day : rate below which a step fails [scaled unit / 24 h]
    """
    days, energy = (steps.end - steps.start) / _DAY, steps.energy
    above, below = energy > high_per_day * days, energy < low_per_day * days
    return mask(above | below, energy, np.where(above, high_per_day, low_per_day) * days)


@rule(source="Itron Enterprise Edition, Delta High/Low Limit Per Diff", actions=_NOTE)
def register_change(steps: DialSteps, *, tolerance: float, minimum_per_day: float) -> Mask:
    r"""Mark steps whose rate is far from that of the step before.

    .. math:: |u - u_{before}| / u > tolerance

    where u is the energy by elapsed time, so clock changes don't matter. Observed is u, the limit
    the rate before [scaled unit / 24 h].

    Parameters
    ----------
    steps : between neighbouring readings, shape (k,)
    tolerance : allowed change, as a part of the newer rate [1]
    minimum_per_day : rate that one of the two must reach [scaled unit / 24 h]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = steps.energy / ((steps.end - steps.start) / _DAY)
    before = np.full(len(steps), np.nan)
    before[1:] = np.where(_follows(steps), rate[:-1], np.nan)
    far = np.abs(rate - before) > tolerance * np.abs(rate)
    fails = far & (np.maximum(rate, before) >= minimum_per_day) & np.isfinite(rate)
    return mask(fails, rate, before)


def _follows(steps: DialSteps) -> NDArray[np.bool_]:
    """Tell which steps begin where the one above them ends, shape (k - 1,)."""
    same = (steps.channel[1:] == steps.channel[:-1]) & (steps.register[1:] == steps.register[:-1])
    return np.asarray(same & (steps.start[1:] == steps.end[:-1]))


@rule(
    source="AEMO MDFF reason code 18, reading below the previous one; IEC 61968-9 reading quality "
    "x.4.8, reset occurred",
    actions=_NOTE,
)
def register_decrease(steps: DialSteps) -> Mask:
    """Mark steps in which a register fell, and no wrap explains it.

    A meter exchange is no fall: the two meters' registers are never compared. Observed is the
    change, the limit 0 [scaled unit, before the multiplier].
    """
    return mask(steps.fell, steps.change, 0)


@rule(
    source="BDEW Messwertstatuszusatz Z85, real rollover checked; an odometer's 99,986 to 11 on "
    "five dials",
    actions=_NOTE,
)
def register_rollover(steps: DialSteps) -> Mask:
    """Mark steps in which a register passed its highest figure and began again.

    Observed is what it counted, the limit where it wraps [scaled unit, before the multiplier].
    """
    return mask(steps.wrapped, steps.change + steps.modulus, steps.modulus)


@rule(
    source="Oracle Utilities MDM, Sum Check (D2-SUM-CHK); IEC 61968-9 reading quality x.6.9, TOU "
    "sum check",
    actions=_NOTE,
)
def tou_sum_check(steps: DialSteps, *, tolerance: float, relative: float) -> Mask:
    r"""Mark steps of a total register that the tariff registers beside it don't add up to.

    .. math:: |\sum R_t - R| > \max(tolerance, relative · |R|)

    over the tariff registers read at the same two moments; where one is missing that the channel
    has at other times, nothing can be said. Observed is the sum, the limit the total's [scaled
    unit].

    Parameters
    ----------
    steps : between neighbouring readings, shape (k,)
    tolerance : allowed difference [scaled unit]
    relative : allowed difference as a part of the total's [1]
    """
    total = np.zeros(len(steps))
    complete = np.zeros(len(steps), dtype=np.bool_)
    if steps.tariff.any() and not steps.tariff.all():
        total, complete = _tariffs(steps)
    allowed = np.maximum(tolerance, relative * np.abs(steps.energy))
    fails = complete & ~steps.tariff & (np.abs(total - steps.energy) > allowed + _ROUNDING)
    return mask(fails, total, steps.energy)


def _tariffs(steps: DialSteps) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give each step the sum of tariff registers over it, and whether all of them are in it."""
    keys = np.column_stack([steps.channel, steps.start, steps.end])
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.ravel()
    energy = np.where(steps.tariff, steps.energy, 0.0)
    total: NDArray[np.float64] = np.bincount(group, weights=energy)[group].astype(np.float64)
    count: NDArray[np.float64] = np.bincount(group, weights=steps.tariff)[group].astype(np.float64)
    most = np.zeros(int(steps.channel.max()) + 1)
    np.maximum.at(most, steps.channel, count)
    return total, (count > 0) & (count == most[steps.channel])
