r"""Which meter explains the loss of a node best: wrong multiplier, bypass, or none.

A meter that counts one part in k of what flows leaves (k − 1)·x of the node's energy unexplained,
in its own pattern. So what is unexplained is held against each meter's pattern, from each day on:

.. math:: u_t = a + b·in_t + c·x_{j,t}·[t ≥ D] + e_t

``a`` is use without a meter, such as street lights, ``b`` what the technical loss was assumed
wrongly, a few percent at most. A meter that is bypassed whole has no pattern left: what
it misses against its own earlier days takes the place of x.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Cause = Literal["multiplier", "bypass", "counts_too_much"]

# How wrong the expected loss may be: a standard error, as a part of what flows in.
_WIRES: Final = 0.015
# What a suspect must explain of the variance, and of what flows in.
_EXPLAINS: Final = 0.15
# One that counts next to nothing since the loss began is under suspicion already: so much weighs
# that against another meter's pattern, since its own is gone.
_DEAD: Final = 0.05
_WEIGHT: Final = 3.0
_ENERGY: Final = 0.005
# Errors of good meters are far smaller than this part of what they count.
_FACTOR: Final = 0.12
# So many times its own error, which is taken from whole days, must an effect be.
_CERTAIN: Final = 5.0
# Others that explain this part of what the best explains cannot be told from it.
_AS_GOOD: Final = 0.8
FEWEST_DAYS: Final = 7
_LAST_DAYS: Final = 3
# A later beginning must explain this much more than one at the first day.
_BEGINNING: Final = 0.05
# Of the fall that a bypass makes in a meter's own count, so much must be seen.
_FALL: Final = 0.5
# What is missing from a former use may be so many times that use.
_FORMER: Final = (0.4, 2.0)
_SUSPECTS: Final = 3
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
    meter : its row
    cause : ``multiplier``: a constant factor, near a ratio of transformers; ``bypass``: counts less
        than flows, from ``since`` on; ``counts_too_much``: by a constant factor
    factor : what flows for each unit that it counts [1]; None where it counts next to nothing
    error : standard error of the factor, or of the part of its former use that is missing [1]
    ratio : the transformer ratio that the factor is near; None for none
    since : place of the first day among the days; None for the whole time
    explains : part of the variance of what is unexplained [1]
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


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """How well one meter's pattern from some day on explains what is left; ``gone``: bypassed."""

    meter: int
    since: int
    gone: bool
    explains: float
    slope: float
    pattern: NDArray[np.float64]


def suspects(
    flow_in: NDArray[np.float64],
    unexplained: NDArray[np.float64],
    meters: NDArray[np.float64],
    day: NDArray[np.int64],
    place: NDArray[np.int64],
) -> list[Suspect]:
    """Name the meters that explain what a node lacks, the likeliest first; most often none.

    After one was found its part is taken away and the rest is looked at again.

    Parameters
    ----------
    flow_in, unexplained : shape (t,), what flows in, and what neither meters nor the expected loss
        account for, of slots in which all is known
    meters : shape (k, t), what each meter counted
    day : shape (t,), number of each slot's day, ascending
    place : shape (t,), the slot's place in its day

    Returns
    -------
    no suspect where days are fewer than 7, or nothing stands out
    """
    found: list[Suspect] = []
    left = unexplained.astype(np.float64)
    numbers = np.unique(day)
    if len(numbers) < FEWEST_DAYS or not len(meters) or not flow_in.sum() > 0:
        return found
    while len(found) < _SUSPECTS:
        base, rest, variance = _residual(flow_in, left)
        if variance <= 1e-9 * float(flow_in @ flow_in):
            break
        fits = list(_fits(meters, (rest, base, day, place), variance))
        fits = [each for each in fits if each.meter not in {one.meter for one in found}]
        best = max(fits, key=_weight, default=None)
        suspect = None if best is None else _judged(best, fits, (flow_in, rest, base, day))
        if best is None or suspect is None:
            break
        found.append(suspect)
        if best.gone:
            break  # What it would have counted is only guessed: the rest has its errors.
        left = left - best.slope * best.pattern
    return found


def _residual(
    flow_in: NDArray[np.float64], left: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Take away a constant and a part of what flows in; give the basis that did it, and the rest.

    The part is held near 0 by one more row, as if it had been measured once with the error that
    wires allow: else a large consumer's pattern would be taken for a loss.
    """
    columns = np.stack([np.ones_like(flow_in), flow_in], axis=1)
    free = left - columns @ np.linalg.lstsq(columns, left, rcond=None)[0]
    held = np.append(columns, [[0.0, float(np.std(free)) / _WIRES]], axis=0)
    base = np.linalg.qr(held)[0]
    known = np.append(left, 0.0)
    rest = known - base @ (base.T @ known)
    return base[:-1], rest[:-1], float(rest @ rest)


def _fits(
    meters: NDArray[np.float64],
    known: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    variance: float,
) -> Iterator[_Fit]:
    """Give each meter's best beginning, and its bypassed former use where it has one."""
    rest, base, day, place = known
    first = np.searchsorted(day, np.unique(day))

    def after(products: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum from each day's start on, shape (k, days)."""
        days = np.add.reduceat(products, first, axis=1)
        return np.asarray(np.cumsum(days[:, ::-1], axis=1)[:, ::-1])

    along = after(meters * rest)
    size = after(meters**2) - sum(after(meters * column) ** 2 for column in base.T)
    scale = after(meters**2)[:, :1]
    able = size > 1e-9 * np.maximum(scale, 1e-9)
    gain = np.where(able, along**2 / np.where(able, size, 1), 0)
    # Less is counted than flows from some day on; too much only all the time.
    slope = np.where(able, along / np.where(able, size, 1), 0)
    gain[:, 1:][~_fell(meters, first, slope)[:, 1:]] = 0
    gain[:, len(first) - _LAST_DAYS + 1 :] = 0
    for meter in range(len(meters)):
        since = int(gain[meter].argmax())
        if gain[meter, since] - gain[meter, 0] < _BEGINNING * variance:
            since = 0
        pattern = np.where(np.arange(len(day)) >= first[since], meters[meter], 0.0)
        explains = float(gain[meter, since]) / variance
        yield _Fit(meter, since, False, explains, float(slope[meter, since]), pattern)
        gone = _gone(meters[meter], day, place, first)
        if gone is not None:
            yield _against(meter, gone, rest, base, variance)


def _fell(
    meters: NDArray[np.float64], first: NDArray[np.intp], slope: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell from which days on a meter's own count fell as it must if it misses so much since."""
    days = np.add.reduceat(meters, first, axis=1)
    count = np.arange(days.shape[1])
    until = np.cumsum(days, axis=1) - days
    before = until / np.maximum(count, 1)
    after = (days.sum(axis=1, keepdims=True) - until) / (len(count) - count)
    missing = slope / (1 + np.maximum(slope, 0))
    return np.asarray((slope > 0) & (after <= before * (1 - _FALL * missing)))


def _gone(
    line: NDArray[np.float64],
    day: NDArray[np.int64],
    place: NDArray[np.int64],
    first: NDArray[np.intp],
) -> tuple[int, NDArray[np.float64]] | None:
    """Give the day from which a meter counts next to nothing, and what it misses then."""
    days = np.add.reduceat(line, first) / np.diff([*first, len(line)])
    dead = days <= _DEAD * float(np.median(days[: max(len(days) // 4, _LAST_DAYS)]))
    since = len(days) - int(np.argmin(dead[::-1])) if not dead.all() else 0
    if not _LAST_DAYS <= since <= len(days) - _LAST_DAYS or not line.any():
        return None
    before = np.arange(len(day)) < first[since]
    width = int(place.max()) + 1
    total = np.bincount(place[before], line[before], width)
    usual = total / np.maximum(np.bincount(place[before], minlength=width), 1)
    return since, np.where(before, 0.0, np.maximum(usual[place] - line, 0))


def _against(
    meter: int,
    gone: tuple[int, NDArray[np.float64]],
    rest: NDArray[np.float64],
    base: NDArray[np.float64],
    variance: float,
) -> _Fit:
    """Hold what a meter misses against its former use against what is unexplained."""
    since, pattern = gone
    apart = pattern - base @ (base.T @ pattern)
    size = float(apart @ apart)
    if size <= 1e-9 * float(pattern @ pattern):
        return _Fit(meter, since, True, 0.0, 0.0, pattern)
    slope = float(apart @ rest) / size
    return _Fit(meter, since, True, max(slope, 0.0) ** 2 * size / variance, slope, pattern)


def _judged(
    best: _Fit,
    fits: Sequence[_Fit],
    known: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]],
) -> Suspect | None:
    """Say what the best fit means; None where it does not stand out."""
    flow_in, rest, base, day = known
    error = _error(best, rest, base, day)
    energy = best.slope * float(best.pattern.sum())
    if _weight(best) < _EXPLAINS or abs(best.slope) < _CERTAIN * error:
        return None
    if best.gone and not _FORMER[0] <= best.slope <= _FORMER[1]:
        return None
    if abs(energy) < _ENERGY * float(flow_in.sum()) or abs(best.slope) < _FACTOR:
        return None
    others = (_weight(each) for each in fits if each.meter != best.meter)
    alone = max(others, default=0.0) < _AS_GOOD * _weight(best)
    since = best.since or None
    if best.gone:
        # What it misses beside its former use: no factor of what it counts.
        return Suspect(best.meter, "bypass", None, error, None, since, best.explains, energy, alone)
    factor = 1 + best.slope
    if factor <= 0:
        return None
    ratio = _ratio(factor, error)
    cause: Cause = "multiplier" if ratio else "bypass" if factor > 1 else "counts_too_much"
    return Suspect(best.meter, cause, factor, error, ratio, since, best.explains, energy, alone)


def _weight(fit: _Fit) -> float:
    return fit.explains * (_WEIGHT if fit.gone else 1.0)


def _error(
    fit: _Fit, rest: NDArray[np.float64], base: NDArray[np.float64], day: NDArray[np.int64]
) -> float:
    """Give the standard error of a slope, from days: hours of one day err together."""
    apart = fit.pattern - base @ (base.T @ fit.pattern)
    first = np.searchsorted(day, np.unique(day))
    scores = np.add.reduceat(apart * (rest - fit.slope * apart), first)
    few = len(first) / max(len(first) - 1, 1)
    return float(np.sqrt(few * (scores @ scores)) / max(float(apart @ apart), 1e-12))


def _ratio(factor: float, error: float) -> float | None:
    """Give the ratio of transformers, or its inverse, that a factor is near."""
    known = [*map(float, _RATIOS), *(1 / ratio for ratio in _RATIOS)]
    nearest = min(known, key=lambda ratio: abs(np.log(factor / ratio)))
    within = max(_NEAR, min(2 * error / factor, _NEAR_AT_MOST))
    return nearest if abs(factor / nearest - 1) <= within else None
