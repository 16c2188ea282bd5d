"""Rules with limits that people set for a kind of meter or a kind of site."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from validation.finding import Action
from validation.lasting import lasting
from validation.parameters import Numbers, Signed
from validation.rule import AGREEMENT, Mask, mask, nothing, rule
from validation.views import Curves, DayMatrix, Timeline

_ANY = frozenset(Action)
_NOTE = frozenset({Action.NOTE})
_DOUBT = frozenset({Action.NOTE, Action.SUSPECT})


@rule(
    source="Itron Enterprise Edition, demand high and low limit (LIMIT)",
    actions=_ANY,
    registers=AGREEMENT,
)
def demand_limit(line: Timeline, *, high_per_hour: Signed, low_per_hour: Signed) -> Mask:
    """Mark values above or below what a meter of this kind can measure.

    A value with an outage in it may be low. Observed is the value, the limit the one it is past.

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    high_per_hour : rate above which a value fails [scaled unit / h]
    low_per_hour : rate below which a value fails [scaled unit / h]
    """
    hours = line.interval_seconds / 3600
    above, below = line.values > high_per_hour * hours, line.values < low_per_hour * hours
    below.ravel()[line.broken] = False
    limit = np.where(above, high_per_hour * hours, low_per_hour * hours)
    return mask((above | below) & line.present, line.values, limit)


@rule(source="Itron Enterprise Edition, Historical Max Usage Per Diff", actions=_DOUBT)
def peak_change(curves: Curves, *, days: int, tolerance: float, minimum_per_hour: float) -> Mask:
    r"""Mark days with which the peak of some days is far from that of as many days before.

    .. math:: |P - P_{before}| / P_{before} > tolerance

    where P is the highest value of the ``days`` days that end with this one, and P_before that of
    the ``days`` days before these. All of them must be measured in full, without an outage.
    Observed is P, the limit P_before [scaled unit].

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    days : days on each side of the comparison
    tolerance : allowed change as a part of the peak before [1]
    minimum_per_hour : peak, as a rate, that one of the two must pass [scaled unit / h]
    """
    channels, count, _ = curves.values.shape
    if days < 1 or count < 2 * days:
        return nothing((channels, count))
    fails = np.zeros((channels, count), dtype=np.bool_)
    observed, limit = np.zeros((channels, count)), np.zeros((channels, count))
    sound = curves.totals.sound & (curves.totals.absent == 0)
    peaks = sliding_window_view(curves.values.max(axis=2), days, axis=1).max(axis=2)
    whole = np.asarray(sliding_window_view(sound, days, axis=1).all(axis=2))
    now, before = peaks[:, days:].astype(np.float64), peaks[:, :-days].astype(np.float64)
    minimum = minimum_per_hour * curves.interval_seconds / 3600
    far = np.abs(now - before) > tolerance * np.abs(before)
    last = np.s_[:, 2 * days - 1 :]
    fails[last] = far & whole[:, days:] & whole[:, :-days] & (np.maximum(now, before) > minimum)
    observed[last], limit[last] = now, before
    return mask(fails, observed, limit)


@rule(
    source="Oracle Utilities MDM, Consecutive Interval Check (D2-CONSINTRV)",
    actions=_ANY,
    registers=AGREEMENT,
)
def condition_run(
    line: Timeline,
    *,
    least_per_hour: Signed,
    most_per_hour: Signed,
    hours: float,
    outages: Literal["count", "break"],
) -> Mask:
    """Mark runs of values that all lie in a range, across midnight and from the days before on.

    A water meter whose flow is never below the least for days tells of a leak; 0 to 0 gives runs
    of zeros. Observed is the whole run's length [h], the limit ``hours``.

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    least_per_hour : lowest rate of a member [scaled unit / h]
    most_per_hour : highest rate of a member [scaled unit / h]
    hours : shortest run that fails [h]
    outages : whether a value with an outage in it counts like any other, or breaks the run
    """
    slot = line.interval_seconds / 3600
    members = (line.values >= least_per_hour * slot) & (line.values <= most_per_hour * slot)
    members &= line.present
    if outages == "break":
        # Chosen columns need not lie in order of rows: ravel would give a copy.
        members.flat[line.broken] = False
    return lasting(line, members, hours)


@rule(source="pvanalytics quality.gaps.interpolation_diff", actions=_DOUBT, registers=AGREEMENT)
def interpolated(line: Timeline, *, hours: float, within: float) -> Mask:
    """Mark runs that rise or fall by the same amount each slot: somebody has interpolated there.

    Observed is the whole run's length [h], the limit ``hours``.

    Parameters
    ----------
    line : days of channels in a row, shape (c, t) [scaled unit]
    hours : shortest run that fails, no less than three slots [h]
    within : how far two neighbouring differences may be apart, for rounding [scaled unit]
    """
    members = np.zeros(line.values.shape, dtype=np.bool_)
    step = np.diff(line.values.astype(np.int64), axis=1)
    steady = (np.abs(np.diff(step, axis=1)) <= within) & (step[:, 1:] != 0) & (step[:, :-1] != 0)
    there = line.present
    members[:, 2:] = steady & there[:, 2:] & there[:, 1:-1] & there[:, :-2]
    return lasting(line, members, hours, heads=2)


@rule(
    source="Energy Sparks, validate_amr_data: 186227.0865 kWh is what a failing feed sends",
    actions=_ANY,
    registers=AGREEMENT,
)
def sentinel(block: DayMatrix, *, values: Numbers, within: float, most: int) -> Mask:
    """Mark values that a device or a feed is known to send when it has none.

    With more than ``most`` of them, the whole day fails. Observed is the value, the limit the
    sentinel next to it.

    Parameters
    ----------
    block : days of channels, shape (m, n) [scaled unit]
    values : known sentinels [scaled unit]
    within : how far from one a value still is it [scaled unit]
    most : sentinels in a day up to which only they fail
    """
    known = np.sort(np.array(values))
    fails = np.zeros(block.values.shape, dtype=np.bool_)
    for each in known:
        fails |= (block.values >= each - within) & (block.values <= each + within)
    fails &= block.present
    broken = np.count_nonzero(fails, axis=1) > most
    fails[broken] = block.present[broken]
    cells = np.flatnonzero(fails)
    observed = block.values.ravel()[cells].astype(np.float64)
    nearest = known[np.abs(observed[:, None] - known).argmin(axis=1)] if len(cells) else observed
    return Mask(fails, cells, observed, nearest)


@rule(source="Energy Sparks, validate_amr_data: zeros at night on sites with solar", actions=_DOUBT)
def night_zero(
    curves: Curves, *, from_hour: float, until_hour: float, below_per_hour: float, share: float
) -> Mask:
    """Mark days with too many slots without load at night, when no sun can explain it.

    Observed is the part of the night's values that are below the rate, the limit ``share``.

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    from_hour : local time at which night begins [h]
    until_hour : local time at which it ends, of the next day where it is the earlier one [h]
    below_per_hour : rate below which a slot has no load [scaled unit / h]
    share : part of the night above which the day fails [1]
    """
    hour = curves.days.clock * (curves.interval_seconds / 3600)
    after, before = hour >= from_hour, hour < until_hour
    night = (after & before if from_hour < until_hour else after | before) & (hour >= 0)
    seen = curves.present & night
    low = seen & (curves.values < below_per_hour * curves.interval_seconds / 3600)
    count = np.count_nonzero(seen, axis=2)
    part = np.count_nonzero(low, axis=2) / np.maximum(count, 1)
    return mask((count > 0) & (part > share), part, share)
