r"""Which meter explains the loss of a node: wrong multiplier, bypass, another feeder, or none.

A meter that counts one part in k of what flows leaves (k − 1)·x of the node's energy unexplained,
in its own pattern, all the time or from a day on. So what is unexplained is held against the
patterns of all meters at once (``balance_fit``), and the likeliest is taken aside, three at most.
They are named only if nothing but noise is left then: a tap before the meters has the pattern of no
meter, and is told as that. A meter that is bypassed whole has no pattern left: what it misses
against its own earlier days takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mdm import balance_fit
from mdm.balance_fit import Fit, Floats

Cause = Literal["multiplier", "bypass", "counts_too_much", "elsewhere", "unregistered"]

FEWEST_DAYS: Final = 7
_LAST_DAYS: Final = 3
_SUSPECTS: Final = 3
# So many times its own error, which is taken from whole days, must an effect be.
_CERTAIN: Final = 6.0
# Errors of good meters are far smaller than this part of what they count.
_FACTOR: Final = 0.12
# What an effect must move of what flows in while it lasts.
_ENERGY: Final = 0.0015
# A later beginning must explain this much more of what is left than one at the first day.
_BEGINNING: Final = 0.05
# What is left is noise if neighbouring slots say little of each other, and it is no larger than
# before.
_ALIKE: Final = 0.2
_NORMAL: Final = 3.0
_PEAKS: Final = 1.5
_FAR: Final = 4.0
_LARGER: Final = 1.4
_SLOTS_BEFORE: Final = 48
# A meter's share of the node must have fallen as its bypass makes it, within so many errors.
_FELL: Final = 3.0
# Neighbouring days err together: so many of them tell as much as one.
_TOGETHER: Final = 3
# Others that take this part of what the best takes cannot be told from it.
_AS_GOOD: Final = 0.8
# A meter that counts next to nothing since a day; what it misses must explain so much of the rest,
# and may be so many times its former use.
_DEAD: Final = 0.05
_EXPLAINS: Final = 0.05
_FORMER: Final = (0.4, 2.0)
_DEAD_ENERGY: Final = 0.003
_BEYOND_WIRES: Final = 0.05
# What the count of a meter that belongs to another node may be, for each unit that flows here.
_ELSEWHERE: Final = 0.1
_WHOLE: Final = 0.15
_RATIOS: Final = (
    2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 30, 32, 40, 50, 60, 75, 80, 100, 120, 160, 200,
)  # fmt: skip
_NEAR: Final = 0.04
_NEAR_AT_MOST: Final = 0.1


@dataclass(frozen=True, slots=True)
class Suspect:
    """A meter that explains what a node lacks.

    Attributes
    ----------
    meter : its row; rows of other nodes' meters follow those of this one's
    cause : ``multiplier``: a constant factor, near a ratio of transformers; ``bypass``: counts less
        than flows, from ``since`` on; ``counts_too_much``: by a constant factor; ``elsewhere``:
        what it counts does not flow through this node; ``unregistered``: what it counts does,
        though it is not among the node's
    factor : what flows for each unit that it counts [1]; None where it counts next to nothing
    error : standard error of the factor, or of the part of its former use that is missing [1]
    ratio : the transformer ratio that the factor is near; None for none
    since : place of the first day among the days; None for the whole time
    explains : part of what was left unexplained by what every node has that it takes away [1]
    energy : what it accounts for, in the unit of the flows
    alone : whether no other meter explains nearly as much
    """

    meter: int
    cause: Cause
    factor: float | None
    error: float
    ratio: float | None
    since: int | None
    explains: float
    energy: float
    alone: bool


@dataclass(frozen=True, slots=True)
class Unmetered:
    """Something that no meter counts: since which day, None for all, and how much [flows' unit]."""

    since: int | None
    energy: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: suspects, the likeliest first, most often none; or what no meter explains."""

    suspects: tuple[Suspect, ...] = ()
    unmetered: Unmetered | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """The slots of the days: number of each slot's day, its place in it, first slot of each day."""

    day: NDArray[np.int64]
    place: NDArray[np.int64]
    first: NDArray[np.intp]

    def since(self, day: int) -> NDArray[np.bool_]:
        """Tell the slots from a day on."""
        return np.asarray(np.arange(len(self.day)) >= self.first[day])


@dataclass(frozen=True, slots=True, eq=False)
class _Pick:
    """A line from a day on, and what it takes of what the picks before it left."""

    meter: int
    since: int
    pattern: Floats
    explains: float
    alone: bool


def look(
    flow_in: Floats,
    unexplained: Floats,
    meters: Floats,
    times: tuple[NDArray[np.int64], NDArray[np.int64]],
    others: Floats | None = None,
) -> Look:
    """Name the meters that explain what a node lacks, or say that something does and no meter.

    Parameters
    ----------
    flow_in, unexplained : shape (t,), what flows in, and what neither meters nor the expected loss
        account for, of slots in which all is known
    meters : shape (k, t), what each meter counted
    times : shape (t,) each, number of the slot's day, ascending, and its place in the day
    others : shape (l, t), what meters counted that are not of this node; None for none

    Returns
    -------
    nothing where days are fewer than 7, or nothing stands out
    """
    day, place = times
    numbers = np.unique(day)
    if len(numbers) < FEWEST_DAYS or not len(meters) or not flow_in.sum() > 0:
        return Look()
    days = _Days(day, place, np.searchsorted(day, numbers))
    done = balance_fit.fit(unexplained.astype(np.float64), meters)
    if done.variance <= 1e-9 * float(flow_in @ flow_in):
        return Look()
    picks: list[_Pick] = []
    silent = list(_silent(meters, days))
    for picks, left in _picked(done, meters, others, days):
        if any(abs(picks[0].since - since) <= 1 for _, since, _ in silent):
            break  # One fell silent just when the loss began: another's pattern is chance.
        told = _told(done, picks, flow_in, meters, days)
        if told and _noise(left, flow_in, days, picks):
            return Look(tuple(told))
    whole = _bypassed_whole(done, flow_in, silent, days)
    if whole is not None:
        return Look((whole,))
    return Look(unmetered=_unmetered(picks, flow_in, unexplained, days))


def _picked(
    done: Fit, meters: Floats, others: Floats | None, days: _Days
) -> Iterator[tuple[list[_Pick], Fit]]:
    """Take the likeliest lines aside, one after the other, as long as they are certain."""
    own = len(meters)
    lines = meters if others is None or not len(others) else np.concatenate([meters, others])
    picks: list[_Pick] = []
    while len(picks) < _SUSPECTS:
        found = balance_fit.gains(done, lines, days.first)
        gain = np.where(np.abs(found.slope) < _FACTOR, 0, found.gain)
        # A meter of another node counts here as it is, or not at all.
        gain[own:][np.abs(found.slope[own:] - 1) > _WHOLE] = 0
        gain[:, len(days.first) - _LAST_DAYS + 1 :] = 0
        gain[[each.meter for each in picks]] = 0
        meter = int(gain.max(axis=1).argmax())
        since = int(gain[meter].argmax())
        if gain[meter, since] - gain[meter, 0] < _BEGINNING * done.variance:
            since = 0
        best, slots = float(gain[meter, since]), len(days.day)
        if best <= _CERTAIN**2 * (done.variance - best) / slots:
            return
        second = np.delete(gain.max(axis=1), meter).max(initial=0)
        pattern = np.where(days.since(since), lines[meter], 0.0)
        alone = bool(second < _AS_GOOD * best)
        picks = [*picks, _Pick(meter, since, pattern, best / done.variance, alone)]
        done = done.beside(pattern)
        yield picks, done


def _noise(done: Fit, flow_in: Floats, days: _Days, picks: Sequence[_Pick]) -> bool:
    """Tell whether nothing but noise is left, since the first pick began."""
    part = done.left / np.maximum(flow_in, 1e-9 + 0.05 * float(flow_in.mean()))
    since = days.since(min(each.since for each in picks))
    after, before = part[since], part[~since]
    size = float(after @ after)
    if float(after[1:] @ after[:-1]) > _ALIKE * size:
        return False
    # A load has peaks that noise has not.
    peaks = float(np.mean((after - after.mean()) ** 4)) / max(float(after.var()) ** 2, 1e-30)
    if peaks > _NORMAL + max(_PEAKS, _FAR * float(np.sqrt(24 / len(after)))):
        return False
    usual = float(before @ before) / max(len(before), 1)
    return len(before) < _SLOTS_BEFORE or size / len(after) <= _LARGER * usual


def _told(
    done: Fit, picks: Sequence[_Pick], flow_in: Floats, meters: Floats, days: _Days
) -> list[Suspect] | None:
    """Say what picks mean; None where one of them does not hold."""
    slope, error = balance_fit.slopes(done, [each.pattern for each in picks], days.day)
    found = []
    for pick, c, e in zip(picks, slope.tolist(), error.tolist(), strict=True):
        energy = c * float(pick.pattern.sum())
        flowed = float(flow_in[days.since(pick.since)].sum())
        if abs(c) < max(_FACTOR, _CERTAIN * e) or abs(energy) < _ENERGY * flowed:
            return None
        kind = _cause(pick, c, e, len(meters))
        if kind is None:
            return None
        if kind[0] == "bypass" and pick.since and not _fell(meters, pick, c, days):
            return None
        cause, factor, ratio = kind
        since = pick.since or None
        found.append(
            Suspect(pick.meter, cause, factor, e, ratio, since, pick.explains, energy, pick.alone)
        )
    return found


def _cause(
    pick: _Pick, slope: float, error: float, own: int
) -> tuple[Cause, float, float | None] | None:
    """Give cause, factor and ratio of a slope; None where it can mean nothing."""
    if pick.meter >= own:
        return ("unregistered", slope, None) if abs(slope - 1) <= _WHOLE else None
    factor = 1 + slope
    if abs(factor) <= max(_ELSEWHERE, 2 * error):
        return "elsewhere", max(factor, 0.0), None
    if factor < 0:
        return None
    ratio = _ratio(factor, error)
    return "multiplier" if ratio else "bypass" if factor > 1 else "counts_too_much", factor, ratio


def _fell(meters: Floats, pick: _Pick, slope: float, days: _Days) -> bool:
    """Tell whether a meter's share of the node fell as it must, as far as its days can tell."""
    daily = np.add.reduceat(meters, days.first, axis=1)
    share = daily[pick.meter] / np.maximum(daily.sum(axis=0), 1e-9)
    before, after = share[: pick.since], share[pick.since :]
    usual = float(before.mean())
    if usual <= 0:
        return False
    spread = sum(float(each.var()) * _TOGETHER / max(len(each), 1) for each in (before, after))
    expected = usual / (1 + max(slope, 0.0))
    return bool(after.mean() <= expected + _FELL * np.sqrt(spread))


def _bypassed_whole(
    done: Fit, flow_in: Floats, silent: Sequence[tuple[int, int, Floats]], days: _Days
) -> Suspect | None:
    """Name the meter that counts next to nothing since the loss began, if what it misses is it."""
    best: tuple[float, int, int, Floats] | None = None
    for meter, since, pattern in silent:
        apart = done.apart(pattern)
        size, along = float(apart @ apart), float(apart @ done.rest)
        if along > 0 and size > 1e-9 * float(pattern @ pattern):
            explains = along**2 / size / done.variance
            if best is None or explains > best[0]:
                best = explains, meter, since, pattern
    if best is None or best[0] < _EXPLAINS:
        return None
    explains, meter, since, pattern = best
    slope, error = (float(each[0]) for each in balance_fit.slopes(done, [pattern], days.day))
    energy = slope * float(pattern.sum())
    if slope < _CERTAIN * error or not _FORMER[0] <= slope <= _FORMER[1]:
        return None
    if energy < _DEAD_ENERGY * float(flow_in[days.since(since)].sum()):
        return None
    return Suspect(meter, "bypass", None, error, None, since, explains, energy, True)


def _silent(meters: Floats, days: _Days) -> Iterator[tuple[int, int, Floats]]:
    """Give meters that count next to nothing from a day on, the day, and what they miss then."""
    first = days.first
    for meter, line in enumerate(meters):
        daily = np.add.reduceat(line, first) / np.diff([*first, len(line)])
        dead = daily <= _DEAD * float(np.median(daily[: max(len(daily) // 4, _LAST_DAYS)]))
        since = len(daily) - int(np.argmin(dead[::-1])) if not dead.all() else 0
        if not _LAST_DAYS <= since <= len(daily) - _LAST_DAYS or not line.any():
            continue
        before = ~days.since(since)
        width = int(days.place.max()) + 1
        total = np.bincount(days.place[before], line[before], width)
        usual = total / np.maximum(np.bincount(days.place[before], minlength=width), 1)
        yield meter, since, np.where(before, 0.0, np.maximum(usual[days.place] - line, 0))


def _unmetered(
    picks: Sequence[_Pick], flow_in: Floats, unexplained: Floats, days: _Days
) -> Unmetered | None:
    """Say what no meter explains: since when, and by how much more is unexplained than before."""
    since = min((each.since for each in picks), default=0)
    after = days.since(since)
    usual = float(unexplained[~after].mean()) if since else 0.0
    energy = float((unexplained[after] - usual).sum())
    # Without any pattern, no more is said than what the wires can't lose beyond what is expected.
    least = _DEAD_ENERGY if picks else _BEYOND_WIRES
    if energy < least * float(flow_in[after].sum()):
        return None
    return Unmetered(since or None, energy)


def _ratio(factor: float, error: float) -> float | None:
    """Give the ratio of transformers, or its inverse, that a factor is near."""
    known = [*map(float, _RATIOS), *(1 / ratio for ratio in _RATIOS)]
    nearest = min(known, key=lambda ratio: abs(np.log(factor / ratio)))
    within = max(_NEAR, min(2 * error / factor, _NEAR_AT_MOST))
    return nearest if abs(factor / nearest - 1) <= within else None
