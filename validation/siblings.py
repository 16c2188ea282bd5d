"""Rules that hold a channel against another one of its usage point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from validation.finding import Action
from validation.rule import Mask, mask, rule
from validation.views import Curves

_NOTE = frozenset({Action.NOTE})


@rule(source="Oracle Utilities MDM, Ensure IMD Exists for Sibling MCs", actions=_NOTE)
def sibling_missing(curves: Curves) -> Mask:
    """Mark days that have values, while the reactive or active channel beside them has none.

    Observed is the number of slots that the other channel lacks, the limit 0.
    """
    totals = curves.totals
    length = totals.days.length
    empty = totals.absent == length
    fails = ~empty & _of(curves.sibling, empty)
    return mask(fails, length, 0)


@rule(
    source="California DASMMD, kVARh check: its rules hold for kWh and kvarh alike; IEC 61968-9 "
    "reading quality x.6.1, zero usage",
    actions=_NOTE,
)
def sibling_zero(curves: Curves, *, minimum: float) -> Mask:
    """Mark days of use in which the reactive or active channel beside it counted nothing at all.

    Only where the other channel has every value of the day. Observed is the day's use, the limit
    ``minimum`` [scaled unit].

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    minimum : use of a day above which it fails [scaled unit]
    """
    totals = curves.totals
    # A sum of 0 may hide a plus and a minus: nothing means that no slot has anything.
    nothing = (totals.absent == 0) & (totals.total == 0)
    fails = (totals.total > minimum) & _of(curves.sibling, nothing)
    if fails.any():
        row, day = np.nonzero(fails)
        fails[row, day] = ~np.any(curves.values[curves.sibling[row], day], axis=1)
    return mask(fails, totals.total, minimum)


@rule(source="Itron Enterprise Edition, check meter comparison (CHECKMETER)", actions=_NOTE)
def check_meter(curves: Curves, *, tolerance: float, relative: float) -> Mask:
    r"""Mark days on which a channel and its check meter's differ.

    .. math:: |\sum x - \sum y| > \max(tolerance, relative · |\sum y|)

    Days that either of the two lacks a value of pass. Observed is the day's use, the limit the
    check meter's [scaled unit].

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    tolerance : allowed difference of a day [scaled unit]
    relative : allowed difference as a part of the check meter's [1]
    """
    totals = curves.totals
    whole = totals.absent == 0
    other = np.where((curves.check >= 0)[:, None], totals.total[curves.check], 0)
    allowed = np.maximum(tolerance, relative * np.abs(other))
    fails = whole & _of(curves.check, whole) & (np.abs(totals.total - other) > allowed)
    return mask(fails, totals.total, other)


def _of(partner: NDArray[np.int64], days: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give what holds of the partner's days; False where there is no partner."""
    return np.asarray(days[partner] & (partner >= 0)[:, None])
