"""One grade for a batch: how much of it is there, and how much of it stands out."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from validation import spikes
from validation.finding import Action
from validation.rule import Mask, mask, nothing, rule
from validation.views import Curves, Timeline

_GRADES: Final = {"A": 1, "B": 2, "C": 3}
_FAILED: Final = 4
# mako's: a value above ten times the median of up to three neighbours on each side.
_FACTOR: Final = 10.0
_NEIGHBOURS: Final = 3
_ZEROS: Final = 2


@rule(
    source="mako quality grades: A, B, C, and F, which blocks billing",
    actions=frozenset({Action.NOTE, Action.SUSPECT}),
)
def grade(curves: Curves, *, worst: Literal["A", "B", "C"], days: int) -> Mask:
    r"""Mark days with which a batch of days gets a worse grade than ``worst``.

    With g gaps, a anomalies and the coverage p, the part of the batch's slots that have a value:
    A: g = 0, a = 0, p ≥ 99 %, and every value on the grid; B: g ≤ 1, a ≤ 1, p ≥ 99 %; C: g ≤ 3,
    a ≤ 3, p ≥ 95 %; else F. A gap is a run of missing slots; an anomaly a run of more than two
    zeros, or a value above ten times the median of its neighbours. Observed and limit are grades:
    A 1, B 2, C 3, F 4.

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    worst : the worst grade that passes
    days : the batch's days, this one and those before it
    """
    channels, count, _ = curves.values.shape
    if days < 1 or count < days:
        return nothing((channels, count))
    expected, missing = _expected(curves), ~curves.present
    gaps = _runs(curves, missing & expected, 1, days)
    zeros = _runs(curves, (curves.values == 0) & curves.present, _ZEROS + 1, days)
    outliers = _outliers(curves).reshape(channels, count)
    anomalies = zeros + _summed(outliers, days)
    slots = _summed(np.count_nonzero(expected, axis=2), days)
    there = _summed(np.count_nonzero(expected & curves.present, axis=2), days)
    part = there / np.maximum(slots, 1)
    off = np.zeros((channels, count), dtype=np.int64)
    if curves.misfit is not None:
        off = _summed(np.count_nonzero(curves.misfit, axis=2), days)
    found = np.full((channels, count), _FAILED)
    found[(gaps <= 3) & (anomalies <= 3) & (part >= 0.95)] = _GRADES["C"]
    found[(gaps <= 1) & (anomalies <= 1) & (part >= 0.99)] = _GRADES["B"]
    found[(gaps == 0) & (anomalies == 0) & (part >= 0.99) & (off == 0)] = _GRADES["A"]
    judged = slots > 0
    judged[:, : days - 1] = False
    return mask(judged & (found > _GRADES[worst]), found, _GRADES[worst])


def _expected(curves: Curves) -> NDArray[np.bool_]:
    exists = np.broadcast_to(curves.days.exists, curves.values.shape)
    return exists if curves.outside is None else exists & ~curves.outside


def _runs(curves: Curves, members: NDArray[np.bool_], least: int, days: int) -> NDArray[np.int64]:
    """Count the runs of at least so many slots that touch each batch, shape (c, d).

    A run across midnight is one; one that is long enough counts in each batch that it touches.
    """
    channels, count, _ = members.shape
    line = members[:, curves.days.exists]
    begins = np.diff(line, axis=1, prepend=False) & line
    number = np.cumsum(begins, axis=1)
    row = np.arange(channels)[:, None] * (line.shape[1] + 1)
    length = np.bincount((number + row)[line], minlength=channels * (line.shape[1] + 1))
    long = line & (length[number + row] >= least)
    starts = np.zeros(members.shape, dtype=np.bool_)
    starts[:, curves.days.exists] = begins & long
    # A batch whose first slot goes on with a run from before has that run, too.
    first = np.zeros((channels, count), dtype=np.bool_)
    places = np.cumsum(curves.days.length) - curves.days.length
    first[:] = long[:, places] & ~begins[:, places]
    found = _summed(np.count_nonzero(starts, axis=2), days)
    found[:, days - 1 :] += first[:, : count - days + 1]
    return found


def _outliers(curves: Curves) -> NDArray[np.int64]:
    channels, count, width = curves.values.shape
    exists = curves.days.exists
    line = Timeline(
        curves.values[:, exists],
        curves.present[:, exists],
        curves.interval_seconds,
        np.empty(0, dtype=np.int64),
    )
    fails = spikes.spike_neighbours(
        line, factor=_FACTOR, neighbours=_NEIGHBOURS, fewest=_NEIGHBOURS, minimum_per_hour=0.0
    ).fails
    found = np.zeros((channels, count, width), dtype=np.bool_)
    found[:, exists] = fails
    return np.asarray(np.count_nonzero(found, axis=2))


def _summed(amounts: NDArray[np.int64], days: int) -> NDArray[np.int64]:
    """Add up each day and those before it, shape (c, d); the first ones over fewer days."""
    until = np.cumsum(amounts, axis=1)
    result = until.copy()
    result[:, days:] -= until[:, :-days]
    return result
