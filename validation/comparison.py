"""A rule that is a formula over statistics of the day and of the days before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from validation import formula
from validation.finding import Action
from validation.parameters import Formula
from validation.rule import Mask, mask, nothing, rule
from validation.views import Curves

_BEFORE: Final = "_before"
_Floats = NDArray[np.float64]


@rule(
    source="Oracle Utilities MDM, Dynamic Comparison",
    actions=frozenset({Action.NOTE, Action.SUSPECT}),
)
def comparison(curves: Curves, *, fails_if: Formula, days: int, fewest: int) -> Mask:
    """Mark days of which a comparison of statistics holds.

    Statistics of the day's values are ``sum``, ``min``, ``max``, ``average``, ``median``,
    ``deviation`` (standard deviation, of all of them), ``zeros``, ``outages`` and ``count``; with
    ``_before`` they are of all values of the sound days among the ``days`` days before it. Days
    that aren't complete pass, and those with fewer than ``fewest`` sound days before, if the
    formula asks for any. Observed and limit are the two sides of the first comparison.

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    fails_if : the comparison
    days : how many days before the day belong to its history
    fewest : sound days below which there is no history to judge by
    """
    wanted = formula.parse(str(fails_if))
    totals = curves.totals
    whole = totals.absent == 0
    columns: dict[str, _Floats] = {}
    own = {name.removesuffix(_BEFORE) for name in wanted.names}
    if own:
        columns |= _of_days(curves, own)
    before = {name.removesuffix(_BEFORE) for name in wanted.names if name.endswith(_BEFORE)}
    if before:
        sound = totals.sound & whole
        if days < 1:
            return nothing(whole.shape)
        columns |= _of_before(curves, before, sound, days)
        whole = whole & (_window_sum(sound.astype(np.float64), days) >= max(fewest, 1))
    fails = whole & wanted.of(columns)
    left, right = wanted.sides(columns)
    return mask(fails, left, right)


def _of_days(curves: Curves, names: set[str]) -> dict[str, _Floats]:
    """Give statistics of each day's values, shape (c, d); of padding nothing counts."""
    there = np.where(curves.present, curves.values, np.nan)
    empty = ~curves.present.any(axis=2)
    there[empty] = 0
    work: dict[str, Callable[[], _Floats]] = {
        "sum": lambda: np.nansum(there, axis=2),
        "min": lambda: np.nanmin(there, axis=2),
        "max": lambda: np.nanmax(there, axis=2),
        "average": lambda: np.nanmean(there, axis=2),
        "median": lambda: np.nanmedian(there, axis=2),
        "deviation": lambda: np.nanstd(there, axis=2),
        **_counts(curves),
    }
    return {name: np.asarray(work[name](), dtype=np.float64) for name in names}


def _counts(curves: Curves) -> Mapping[str, Callable[[], _Floats]]:
    """Give what counts slots of each day, shape (c, d)."""
    slots = curves.values.shape[2]

    def outages() -> _Floats:
        of_day = np.bincount(curves.broken // slots, minlength=curves.totals.total.size)
        return np.asarray(of_day.reshape(curves.totals.total.shape), dtype=np.float64)

    def zeros() -> _Floats:
        none = (curves.values == 0) & curves.present
        return np.asarray(np.count_nonzero(none, axis=2), dtype=np.float64)

    def count() -> _Floats:
        return np.asarray(np.count_nonzero(curves.present, axis=2), dtype=np.float64)

    return {"zeros": zeros, "outages": outages, "count": count}


def _of_before(
    curves: Curves, names: set[str], sound: NDArray[np.bool_], days: int
) -> dict[str, _Floats]:
    """Give statistics of all values of the sound days before each day, shape (c, d)."""
    parts = _of_days(curves, {"sum", "min", "max", "zeros", "outages", "count"})
    # Outages are counted on all days: a day with one is no sound day.
    sums = {
        name: _window_sum(np.where(sound | (name == "outages"), parts[name], 0), days)
        for name in ("sum", "zeros", "outages", "count")
    }
    count = np.where(sums["count"] > 0, sums["count"], np.nan)
    found: dict[str, _Floats] = {**sums, "average": sums["sum"] / count}
    if "deviation" in names:
        found["deviation"] = _deviation(curves, sound, days, found["average"], count)
    if "median" in names:
        found["median"] = _median(curves, sound, days)
    for name, edge, far in (("min", np.min, np.inf), ("max", np.max, -np.inf)):
        windows = _windows(np.where(sound, parts[name], far), days, far)
        found[name] = edge(windows, axis=2)
    return {f"{name}{_BEFORE}": found[name] for name in names}


def _deviation(
    curves: Curves, sound: NDArray[np.bool_], days: int, average: _Floats, count: _Floats
) -> _Floats:
    # Around the channel's own middle: squares of large numbers would swallow small differences.
    middle = np.nanmean(average, axis=1, keepdims=True) if average.size else average
    shifted = np.where(curves.present, curves.values - middle[:, :, None], 0.0)
    squares = _window_sum(np.where(sound, (shifted**2).sum(axis=2), 0), days)
    return np.sqrt(np.maximum(squares / count - (average - middle) ** 2, 0))


def _median(curves: Curves, sound: NDArray[np.bool_], days: int) -> _Floats:
    known = np.where(curves.present & sound[:, :, None], curves.values, np.nan)
    found = np.full(sound.shape, np.nan)
    for day in range(1, sound.shape[1]):
        window = known[:, max(day - days, 0) : day].reshape(len(known), -1)
        some = ~np.isnan(window).all(axis=1)
        found[some, day] = np.nanmedian(window[some], axis=1)
    return found


def _window_sum(amounts: _Floats, days: int) -> _Floats:
    """Add up the days before each day, itself apart, shape (c, d)."""
    until = np.concatenate([np.zeros((len(amounts), 1)), np.cumsum(amounts, axis=1)], axis=1)
    day = np.arange(amounts.shape[1])
    return np.asarray(until[:, day] - until[:, np.maximum(day - days, 0)])


def _windows(amounts: _Floats, days: int, far: float) -> _Floats:
    """Give the days before each day, itself apart, shape (c, d, days)."""
    padded = np.concatenate([np.full((len(amounts), days), far), amounts[:, :-1]], axis=1)
    return sliding_window_view(padded, days, axis=1)
