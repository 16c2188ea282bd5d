"""Estimation from other series than the channel's own: check meter, balance, profile, temperature.

A cube may carry them; an estimator whose series isn't there declines everything.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import days, like_days
from validation.estimator import Estimates, estimator
from validation.register_estimates import rated
from validation.work import Work


@estimator(
    source="Itron Enterprise Edition, Check Meter; AEMO substitution type 11",
    quality=quality.ESTIMATED_CHECK_METER,
    scaled=quality.ESTIMATED_SCALED,
    declines="no good value of a check meter",
)
def check_meter_value(work: Work, cells: NDArray[np.int64]) -> Estimates:
    """Take the value of the check meter's channel, where it was measured, whole and undoubted.

    Parameters
    ----------
    work : the record under repair, with the check meter's channel: the same unit, multiplier
        applied
    cells : shape (k,), open cells, ascending
    """
    if work.check is None:
        return _nothing(cells)
    row = work.check[cells // work.stride]
    source = np.maximum(row, 0) * work.stride + cells % work.stride
    good = (row >= 0) & work.is_measured(source)
    return Estimates(good, np.where(good, work.values[source].astype(np.int64), 0))


@estimator(
    source="AEMO substitution type 12, calculated; WA Electricity Industry (Metering) Code, node "
    "balance",
    quality=quality.ESTIMATED_BALANCE,
    scaled=quality.ESTIMATED_SCALED,
    declines="not all other flows of the node are known",
)
def virtual_balance(work: Work, cells: NDArray[np.int64]) -> Estimates:
    """Take what the other flows of the node leave for this one.

    Parameters
    ----------
    work : the record under repair; its balance is the sum of the node's other flows with their
        signs, good where all of them are known
    cells : shape (k,), open cells, ascending
    """
    series = work.references.balance if work.references else None
    if series is None:
        return _nothing(cells)
    limits = np.iinfo(work.values.dtype)
    values = series.values.ravel()[cells]
    good = series.good.ravel()[cells] & (values >= limits.min) & (values <= limits.max)
    return Estimates(good, np.where(good, values, 0))


def _nothing(cells: NDArray[np.int64]) -> Estimates:
    return Estimates(np.zeros(len(cells), dtype=np.bool_), np.zeros(len(cells), dtype=np.int64))


@estimator(
    source="Oracle Utilities MDM, Interval Profile; Itron Enterprise Edition, Load Profiling; "
    "ElWG (Austria) 55(2)3",
    quality=quality.ESTIMATED_PROFILE,
    scaled=quality.ESTIMATED_SCALED,
    declines="no profile, or too few sound days to fit it to",
)
def class_profile(
    work: Work, cells: NDArray[np.int64], *, within_days: int, fewest: int
) -> Estimates:
    r"""Follow the profile of the class, at the channel's own size.

    .. math:: x = p · \sum_{sound} x / \sum_{sound} p

    over the sound days within reach on which the profile is known in full; rounded half up.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    within_days : how far to look, before and after [days]
    fewest : sound days below which it declines
    """
    profile = work.references.profile if work.references else None
    if profile is None:
        return _nothing(cells)
    total = len(work.days)
    exists = work.days.exists[None]
    shape = (-1, total, work.slots)
    values = work.values.reshape(shape).sum(axis=2, dtype=np.int64).ravel()
    weights = np.where(exists, profile.values, 0).sum(axis=2).ravel()
    usable = work.sound.ravel() & (profile.good | ~exists).all(axis=2).ravel()
    rows, which = np.unique(cells // work.slots, return_inverse=True)
    used, weight, count = (
        like_days.within(rows, total, within_days, np.where(usable, each, 0))
        for each in (values, weights, np.ones_like(values))
    )
    good = profile.good.ravel()[cells]
    filled = good & (count[which] >= max(fewest, 1)) & (weight[which] > 0)
    shares = rated(used[which], np.where(filled, weight[which], 1), profile.values.ravel()[cells])
    return Estimates(filled, np.where(filled, shares, 0))


@estimator(
    source="Oracle Utilities MDM, Proxy day",
    quality=quality.ESTIMATED_PROXY_DAY,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="too few sound days of like temperature",
)
def proxy_day(
    work: Work,
    cells: NDArray[np.int64],
    *,
    count: int,
    fewest: int,
    like: Literal["kind", "weekday"],
    within_days: int,
    within_degrees: float,
) -> Estimates:
    """Fill each slot with the mean of the same local time on the days nearest in temperature.

    Of two days equally near the earlier one; sound as for ``like_day``. Rounded half up.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    count : days to average
    fewest : days below which it declines
    like : days are alike by kind (weekday, weekend, holiday) or by weekday (holidays apart)
    within_days : how far to look, before and after [days]
    within_degrees : largest difference of mean temperature [K]
    """
    temperature = work.references.temperature if work.references else None
    if temperature is None:
        return _nothing(cells)
    total = len(work.days)
    rows, which = np.unique(cells // work.slots, return_inverse=True)
    channel, inside = rows // total, rows % total
    apart = np.abs(temperature[channel] - temperature[channel, inside][:, None])
    key, others = days.likeness(work.days, like), np.arange(total)
    able = work.sound[channel] & (key[None] == key[inside][:, None])
    able &= np.abs(others[None] - inside[:, None]) <= within_days
    # A temperature that isn't known is NaN, and near to nothing.
    able &= apart <= within_degrees
    nearest = np.argsort(np.where(able, apart, np.inf), axis=1, kind="stable")[:, :count]
    found = np.take_along_axis(able, nearest, axis=1)
    source = np.where(found, channel[:, None] * total + nearest, -1)
    return like_days.mean(work, like_days.same_time(work, cells, source[which]), fewest)


def regridded(
    values: NDArray[np.int64], good: NDArray[np.bool_], parts: int, *, into: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Bring a series to another interval length.

    Coarse values are chopped equally, whole units, the remainder one each on the earliest; fine
    ones are added up, good where all of them are.

    Parameters
    ----------
    values, good : shape (t,)
    parts : intervals of the finer length in one of the coarser
    into : True to chop, False to add up

    References
    ----------
    Itron Enterprise Edition, multi-week average and check meter with another interval length.
    """
    if into:
        base, rest = np.divmod(values, parts)
        pieces = base[:, None] + (np.arange(parts)[None] < rest[:, None])
        return pieces.ravel(), np.repeat(good, parts)
    whole = np.asarray(good.reshape(-1, parts).all(axis=1))
    return values.reshape(-1, parts).sum(axis=1), whole
