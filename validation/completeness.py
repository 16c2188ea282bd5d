"""Rules about what came in: is there one value for each slot, and is it of that slot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.quality import QualityClass
from validation.finding import Action
from validation.rule import AGREEMENT, Mask, mask, nothing, rule
from validation.views import Curves, DayMatrix

_ANY = frozenset(Action)
_NOTE = frozenset({Action.NOTE})


@rule(
    source="Itron Enterprise Edition, Gap Check; Oracle Utilities MDM, Raise Missing Quantity",
    actions=frozenset({Action.NOTE, Action.ESTIMATE}),
)
def gap(block: DayMatrix) -> Mask:
    """Mark every slot without a value.

    Observed is the number of such slots in the day, the limit is 0 [slots].
    """
    fails = block.expected & ~block.present
    return mask(fails, np.count_nonzero(fails, axis=1)[:, None], 0)


@rule(source="Oracle Utilities MDM, Duplicate IMD Check", actions=_ANY, registers=AGREEMENT)
def duplicate(block: DayMatrix) -> Mask:
    """Mark every slot for which a second and different value came.

    The same value twice is no duplicate: it was dropped before. Observed is the value that
    counts, the one that came first [scaled unit].
    """
    return mask(block.duplicate & block.present, block.values, 0)


@rule(source="Oracle Utilities MDM, Interval Size Validation", actions=_ANY, registers=AGREEMENT)
def interval_size(block: DayMatrix) -> Mask:
    """Mark every slot whose value came with another interval length or off the grid.

    Observed is the value [scaled unit], the limit the channel's interval length [s].
    """
    return mask(block.misfit & block.present, block.values, block.interval_seconds)


@rule(source="Oracle Utilities MDM, Inactive Measurement", actions=_ANY)
def inactive_use(block: DayMatrix, *, tolerance_per_hour: float) -> Mask:
    """Mark use while the record of outages and disconnections says that nothing can have flowed.

    Observed is the value [scaled unit].

    Parameters
    ----------
    block : days of channels, shape (m, n) [scaled unit]
    tolerance_per_hour : rate up to which it is no use [scaled unit / h]
    """
    if block.outage is None:
        return nothing(block.values.shape)
    limit = tolerance_per_hour * block.interval_seconds / 3600
    fails = block.outage & block.present & (np.abs(block.values) > limit)
    return mask(fails, block.values, limit)


@rule(source="mako V07, a day of 25 hours with 24 of them covered", actions=_NOTE)
def collapsed_hour(curves: Curves) -> Mask:
    """Mark days on which clocks go back that lack just the hour that is there twice.

    Either of the two hours of the same local time is missing, or, where a series was counted from
    midnight on, the day's last hour. Observed is what is covered, the limit the day's length [h].
    """
    length = curves.days.length
    extra = length - 86_400 // curves.interval_seconds
    fails = (extra > 0) & (curves.totals.absent == extra)
    for day in np.flatnonzero(fails.any(axis=0)):
        rows = np.flatnonzero(fails[:, day])
        fails[rows, day] = _lost_hour(curves, rows, int(day), int(extra[day]))
    hours = curves.interval_seconds / 3600
    return mask(fails, (length - curves.totals.absent) * hours, length * hours)


def _lost_hour(curves: Curves, rows: NDArray[np.intp], day: int, extra: int) -> NDArray[np.bool_]:
    """Tell which channels lack just one of the two hours, or the day's last one."""
    length, clock = curves.days.length[day], curves.days.clock[day]
    twice = np.flatnonzero(clock[: length - extra] == clock[extra:length])
    missing = ~curves.present[rows, day, :length]
    if curves.outside is not None:
        missing &= ~curves.outside[rows, day, :length]
    places = (twice, twice + extra, np.arange(length - extra, length))
    lost = [missing[:, place].sum(axis=1) == extra for place in places]
    return np.asarray(np.any(lost, axis=0), dtype=np.bool_)


@rule(source="Oracle Utilities MDM, Prolonged Estimation", actions=_NOTE)
def prolonged_estimation(curves: Curves, *, days: int) -> Mask:
    """Mark days at the end of more days than that of which nothing was measured.

    A day counts whose slots are all missing, and so to be estimated, or were estimated before.
    Where nothing can come, because no end device was installed, the row ends. Observed is the
    length of the row so far, the limit ``days`` [days].

    Parameters
    ----------
    curves : days of channels, shape (c, d, n)
    days : longest row that passes [days]
    """
    kinds = quality.class_table()[curves.quality]
    measured = (kinds != QualityClass.MISSING) & (kinds != QualityClass.ESTIMATED)
    bare = ~measured.any(axis=2)
    if curves.outside is not None:
        bare &= ~curves.outside.any(axis=2)
    place = np.arange(1, bare.shape[1] + 1)
    row = place - np.maximum.accumulate(np.where(bare, 0, place), axis=1)
    return mask(row > days, row, days)
