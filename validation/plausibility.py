"""Rules about what a meter of this kind can measure, and what this one measured before."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validation import days
from validation.finding import Action
from validation.lasting import lasting
from validation.rule import AGREEMENT, Mask, Verdict, mask, rule
from validation.views import DayMatrix, DayTotals, Timeline, Values

_ANY = frozenset(Action)
_DOUBT = frozenset({Action.NOTE, Action.SUSPECT})


@rule(source="Oracle Utilities MDM, Negative Consumption Check", actions=_ANY, registers=AGREEMENT)
def negative(block: DayMatrix) -> Mask:
    """Mark every value below 0 on a channel that counts in one direction [scaled unit]."""
    fails = (block.values < 0) & block.present & block.one_way[:, None]
    return mask(fails, block.values, 0)


@rule(
    source="Oracle Utilities MDM, Interval Spike Check (D2-INTSPKCHK)",
    actions=_ANY,
    registers=frozenset(Verdict),
)
def spike(block: DayMatrix, *, tolerance: float, minimum_per_hour: float) -> Mask:
    r"""Mark the one or two intervals of a day that stand far above its third-highest.

    .. math:: (P - P_3) / P_3 > tolerance

    The limit is the highest value that would have passed. Days with fewer than three values pass.

    Parameters
    ----------
    block : days of channels, shape (m, n) [scaled unit]
    tolerance : allowed excess over the third-highest [1]
    minimum_per_hour : rate below which nothing is a spike [scaled unit / h]
    """
    minimum = minimum_per_hour * block.interval_seconds / 3600
    some = _top_may_stand_alone(block.values, tolerance, minimum)
    lowest = np.iinfo(block.values.dtype).min
    values = np.where(block.present[some], block.values[some], lowest)
    third = np.full(len(values), lowest, dtype=values.dtype)
    if values.shape[1] >= 3:
        third = np.partition(values, -3, axis=1)[:, -3]
    # Below zero the third-highest is no measure of a day; zero then stands for it.
    limit = np.maximum(np.maximum(third, 0) * (1 + tolerance), minimum)
    above = (values > limit[:, None]) & (third > lowest)[:, None]
    fails = np.zeros(block.values.shape, dtype=np.bool_)
    fails[some] = above
    limits = np.zeros(len(fails))
    limits[some] = limit
    return mask(fails, block.values, limits[:, None])


def _top_may_stand_alone(values: Values, tolerance: float, minimum: float) -> NDArray[np.int64]:
    # Sorting every day is dear. Folding a row on itself keeps maxima of disjoint parts, so the
    # third-highest of the folded row is at most the true one: rows that pass by it need no sorting.
    folded = values
    while folded.shape[1] >= 24:
        half = folded.shape[1] // 2
        rest = folded.shape[1] - half
        folded = (
            np.maximum(folded[:, :half], folded[:, rest:])
            if half == rest
            else np.hstack([np.maximum(folded[:, :half], folded[:, rest:]), folded[:, half:rest]])
        )
    top = folded.max(axis=1)
    some = np.flatnonzero((top > minimum) & (top > 0))
    if not len(some) or folded.shape[1] < 3:
        return some
    third = np.maximum(np.partition(folded[some], -3, axis=1)[:, -3], 0)
    alone: NDArray[np.int64] = some[top[some] > third * (1 + tolerance)]
    return alone


@rule(source="Oracle Utilities MDM, High/Low Check (D2-HILO-CHK)", actions=_DOUBT)
def high_low(
    totals: DayTotals,
    *,
    high: float,
    low: float,
    minimum: float,
    fewest: int,
    like: Literal["kind", "weekday"],
) -> Mask:
    r"""Mark days whose average use is far from that of the channel's other like days.

    .. math:: u > high · h \quad or \quad u < low · h

    where u is the day's use per slot and h the mean of it over the sound like days, itself apart.
    Observed and limit are use per slot [scaled unit].

    Parameters
    ----------
    totals : sums of days, shape (c, d) [scaled unit]
    high : times the history's average above which a day fails [1]
    low : times the history's average below which a day fails [1]
    minimum : smallest use of a day, or of the history for ``low``, that can fail [scaled unit]
    fewest : like days below which there is no history to judge by
    like : days are alike by kind (weekday, weekend, holiday) or by weekday (holidays apart)
    """
    length = totals.days.length
    key = days.likeness(totals.days, like)
    group = (key[:, None] == np.unique(key)[None, :]).astype(np.int64)
    of_day = group.argmax(axis=1)
    sound = totals.sound.astype(np.int64)
    total = np.where(totals.sound, totals.total, 0)
    others = (sound @ group)[:, of_day] - sound
    slots = ((sound * length) @ group)[:, of_day] - sound * length
    use = (total @ group)[:, of_day] - total
    history = use / np.maximum(slots, 1)
    average = totals.total / length
    judged = (totals.absent == 0) & (others >= fewest)
    above = (average > high * history) & (totals.total > minimum)
    below = (average < low * history) & (history * length > minimum)
    return mask(judged & (above | below), average, np.where(above, high, low) * history)


@rule(
    source="Oracle Utilities MDM, Consecutive Interval Check (D2-CONSINTRV); "
    "OpenSTEF FlatlineChecker, zero mode",
    actions=_ANY,
    registers=AGREEMENT,
)
def zero_run(line: Timeline, *, hours: float) -> Mask:
    """Mark runs of zeros, across midnight too.

    Observed is the whole run's length [h].

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    hours : shortest run that fails [h]
    """
    return lasting(line, _zeros(line), hours, 0)


def _zeros(line: Timeline) -> NDArray[np.bool_]:
    """Give the zeros that no outage explains."""
    zeros: NDArray[np.bool_] = (line.values == 0) & line.present
    zeros.flat[line.broken] = False
    return zeros


@rule(
    source="Oracle Utilities MDM, Consecutive Interval Check (D2-CONSINTRV)",
    actions=_ANY,
    registers=AGREEMENT,
)
def short_zero_run(line: Timeline, *, hours: float) -> Mask:
    """Mark runs of zeros too short for ``zero_run``, for what a register says of them.

    Observed is the whole run's length [h].

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    hours : shortest run that fails [h]
    """
    return lasting(line, _zeros(line), hours, 0)


@rule(
    source="OpenSTEF FlatlineChecker; pvanalytics gaps.stale_values_diff",
    actions=_ANY,
    registers=AGREEMENT,
)
def stuck(line: Timeline, *, hours: float) -> Mask:
    """Mark runs of one and the same value other than 0, across midnight too.

    Observed is the whole run's length [h].

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    hours : shortest run that fails [h]
    """
    same = np.empty(line.values.shape, dtype=np.bool_)
    same[:, 1:] = line.values[:, 1:] == line.values[:, :-1]
    same[:, :1] = False
    # A missing slot holds 0 in a timeline, so it is neither a member nor an end of such a run.
    same &= line.values != 0
    return lasting(line, same, hours, 1)
