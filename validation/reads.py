"""Rules about the readings of meters that have registers only: month by month, or day by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from validation.finding import Action
from validation.rule import Mask, mask, rule

_NOTE = frozenset({Action.NOTE})
_DAY: Final = 86_400
# Moments are below this, so that a register's number and a moment make one key.
_SPAN: Final = 2**34


@dataclass(frozen=True, slots=True, eq=False)
class ReadSteps:
    """What registers counted from one reading to the next, and since the last, by register.

    Attributes
    ----------
    register : shape (k,), number of the register of one installed meter, ascending
    start, end : shape (k,), moments of the two readings [s], ascending within a register
    energy : shape (k,), what was counted; NaN where the register fell, and since the last reading
        [scaled unit]
    estimated : shape (k,), True where the reading at the end is an estimate
    open : shape (k,), True for the time since a register's last reading; ``end`` is now
    """

    register: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    energy: NDArray[np.float64]
    estimated: NDArray[np.bool_]
    open: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.register)

    @property
    def days(self) -> NDArray[np.float64]:
        """Shape (k,), how long each lasted [days]."""
        return np.asarray((self.end - self.start) / _DAY)


@rule(
    source="Oracle Utilities MDM, High/Low Check (D2-HILO-CHK) of scalars: average daily use",
    actions=_NOTE,
)
def read_high_low(
    steps: ReadSteps,
    *,
    high: float,
    low: float,
    minimum_per_day: float,
    within_days: float,
    fewest: int,
) -> Mask:
    r"""Mark steps whose average daily use is far from that of the time before.

    .. math:: u > high · h \quad or \quad u < low · h

    where u is the step's use a day and h that of all measured steps of the register that began at
    most ``within_days`` before it. Observed is u, the limit high · h or low · h [scaled unit / d].

    Parameters
    ----------
    steps : between readings, shape (k,)
    high, low : times the history's average above and below which a step fails [1]
    minimum_per_day : use that the higher of u and h must pass [scaled unit / d]
    within_days : how far the history reaches back [days]
    fewest : steps below which there is no history to judge by
    """
    counts = np.isfinite(steps.energy) & ~steps.open
    good = counts & ~steps.estimated
    key = steps.register * _SPAN + steps.start
    first = np.searchsorted(key, key - np.int64(within_days * _DAY))
    first = np.maximum(first, np.searchsorted(steps.register, steps.register))
    here = np.arange(len(steps))

    def before(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        until = np.concatenate([[0.0], np.cumsum(np.where(good, amounts, 0.0))])
        return np.asarray(until[here] - until[first])

    days, number = before(steps.days), before(np.ones(len(steps)))
    with np.errstate(divide="ignore", invalid="ignore"):
        usual, rate = before(steps.energy) / days, steps.energy / steps.days
    judged = counts & (number >= max(fewest, 1)) & (days > 0)
    above = judged & (rate > high * usual) & (rate > minimum_per_day)
    below = judged & (rate < low * usual) & (usual > minimum_per_day)
    return mask(above | below, rate, np.where(above, high, low) * usual)


@rule(
    source="IEC 61968-9 reading qualities x.6.1, zero usage, and x.3.5, static data; AEMO MDFF "
    "reason code 68, zero consumption",
    actions=_NOTE,
)
def read_unchanged(steps: ReadSteps, *, days: float) -> Mask:
    """Mark steps at the end of which the register has stood still for so long.

    Observed is since when, the limit ``days`` [days].

    Parameters
    ----------
    steps : between readings, shape (k,)
    days : shortest time that fails [days]
    """
    still = (steps.energy == 0) & ~steps.open
    lasted = _lasted(steps, still)
    return mask(still & (lasted >= days), lasted, days)


@rule(
    source="OpenDSM data settings, after CalTRACK: billing periods of 25 to 70 days",
    actions=_NOTE,
)
def read_period(steps: ReadSteps, *, shortest_days: float, longest_days: float) -> Mask:
    """Mark steps that are too short or too long to say something of the use in between.

    Observed is how long the step is, the limit the one that it is past [days].

    Parameters
    ----------
    steps : between readings, shape (k,)
    shortest_days, longest_days : what passes [days]
    """
    short, long = steps.days < shortest_days, steps.days > longest_days
    limit = np.where(short, shortest_days, longest_days)
    return mask((short | long) & ~steps.open, steps.days, limit)


@rule(source="Oracle Utilities MDM, Prolonged Estimation", actions=_NOTE)
def read_estimated(steps: ReadSteps, *, days: float) -> Mask:
    """Mark estimated readings when the last one that a meter gave is longer ago than that.

    Observed is how long, the limit ``days`` [days].

    Parameters
    ----------
    steps : between readings, shape (k,)
    days : longest time that passes [days]
    """
    estimated = steps.estimated & ~steps.open
    lasted = _lasted(steps, estimated)
    return mask(estimated & (lasted > days), lasted, days)


@rule(
    source="Oracle Utilities MDM, Raise Missing Quantity; IEC 61968-9 reading quality 2.5.259, "
    "known missing read",
    actions=_NOTE,
)
def read_missing(
    steps: ReadSteps, *, times: float, least_days: float, otherwise_days: float
) -> Mask:
    """Mark registers whose next reading should have come by now.

    It is due ``times`` the median time between the register's readings after the last one, but not
    before ``least_days``; where there was one reading only, ``otherwise_days`` after it. Observed
    is how long it is since the last reading, the limit when it was due [days].

    Parameters
    ----------
    steps : between readings and since the last, shape (k,)
    times : of the usual time between readings [1]
    least_days : earliest that a reading is missed [days]
    otherwise_days : the same where nothing is known of the usual time [days]
    """
    due = np.full(len(steps), otherwise_days, dtype=np.float64)
    begins = np.searchsorted(steps.register, steps.register)
    for row in np.flatnonzero(steps.open).tolist():
        mine = slice(int(begins[row]), row)
        known = steps.days[mine][~steps.estimated[mine]]
        if len(known):
            due[row] = max(times * float(np.median(known)), least_days)
    return mask(steps.open & (steps.days > due), steps.days, due)


def _lasted(steps: ReadSteps, members: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give how long each member's run of members has lasted at its end, shape (k,) [days]."""
    begins = members.copy()
    same = steps.register[1:] == steps.register[:-1]
    begins[1:] &= ~(members[:-1] & same)
    start = np.where(begins, steps.start, 0)
    # The start of the newest run: starts grow within a register, so rows are counted instead.
    row = np.maximum.accumulate(np.where(begins, np.arange(len(steps)), 0))
    return np.asarray((steps.end - start[row]) / _DAY)
