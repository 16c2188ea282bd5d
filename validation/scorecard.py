"""The estimator scorecard: known values are hidden, estimated, and held against what they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas import quality
from validation import filling, matrix, ruleset, runs, scaling, standing, views
from validation.checking import Checked
from validation.matrix import Cube, Spans
from validation.ruleset import EstimatorUse
from validation.work import Work, sums_by

HOURS: Final = (0.0, 1.0, 2.0, 6.0, 12.0, 24.0)
"""Lengths of the gaps: one slot, some hours, a whole local day."""
PERSISTENCE: Final = "persistence"
INTERPOLATE: Final = "pandas interpolate"
BASELINES: Final = (PERSISTENCE, INTERPOLATE)

# Of every so many days one is hidden: never two that are a few weeks apart, so that the days that
# an estimator would take are there.
_EVERY: Final = 11
_WHOLE_DAY: Final = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What every method made of the gaps of one length.

    Attributes
    ----------
    length : of the gaps, in words: ``1 slot``, ``6 h``, ``1 day``
    methods : m names, the estimators and after them the baselines
    channel, day, gap : shape (k,), of each hidden cell: its row, its day, its gap's number
    truth : shape (k,), what was hidden [scaled unit]
    filled : shape (m, k), True where the method could
    values : shape (m, k), what it gave; 0 where it couldn't [scaled unit]
    brought : shape (m, k), True where a gap was filled whole and could be scaled
    scaled : shape (m, k), values scaled so that each gap adds up to what flowed; 0 elsewhere
    """

    length: str
    methods: tuple[str, ...]
    channel: NDArray[np.int64]
    day: NDArray[np.int64]
    gap: NDArray[np.int64]
    truth: NDArray[np.int64]
    filled: NDArray[np.bool_]
    values: NDArray[np.int64]
    brought: NDArray[np.bool_]
    scaled: NDArray[np.int64]


@cache
def candidates() -> tuple[EstimatorUse, ...]:
    """Give every estimator with the parameters of ``candidates.toml``."""
    file = resources.files("validation").joinpath("candidates.toml")
    return ruleset.parse(file.read_text(encoding="utf-8"), file.name).estimators


def trials(
    cube: Cube, uses: Sequence[EstimatorUse], *, turns: int = 1, hours: Sequence[float] = HOURS
) -> Iterator[Trial]:
    """Hide gaps of several lengths in a cube's target days, and have every method fill them.

    Where the gaps are depends on nothing but the cube's shape and the turn. Each lies within one
    local day; each day with a gap has a register span over it, as if the register had been read
    at both midnights.

    Parameters
    ----------
    cube : known values; it is not changed
    uses : estimators with their parameters
    turns : how often to hide gaps of each length, each time on other days; at most 11
    hours : lengths [h]; 0 is one slot, 24 a whole local day
    """
    seen = set()
    for number, length in enumerate(hours):
        slots = max(1, round(length * 3600 / cube.interval_seconds))
        if slots in seen or (length < _WHOLE_DAY and slots >= cube.days.length.min()):
            continue
        seen.add(slots)
        for turn in range(turns):
            cells = hidden(cube, None if length == _WHOLE_DAY else slots, (number, turn))
            if len(cells):
                yield _trial(cube, uses, cells, _named(length))


def _named(hours: float) -> str:
    if not hours:
        return "1 slot"
    return "1 day" if hours == _WHOLE_DAY else f"{hours:g} h"


def hidden(cube: Cube, slots: int | None, turn: tuple[int, int]) -> NDArray[np.int64]:
    """Choose cells to hide, ascending: at most one gap a day, of measured values only.

    Parameters
    ----------
    slots : length of a gap; None for whole days
    turn : number of the length and of the turn; gaps of different ones lie elsewhere
    """
    channels, days, width = cube.shape
    random = np.random.default_rng([*turn, channels, days, width])
    channel, day = np.nonzero(cube.target)
    mine = (day + 3 * channel + 4 * turn[1] + turn[0]) % _EVERY == 0
    channel, day = channel[mine], day[mine]
    length = cube.days.length[day].astype(np.int64)
    size = length if slots is None else np.full(len(day), slots, dtype=np.int64)
    start = (random.random(len(day)) * (length - size + 1)).astype(np.int64)
    first = (channel * days + day) * width + start
    cells = np.repeat(first, size) + _counted(size)
    measured = standing.table()[cube.quality.ravel()[cells]] & standing.HISTORY != 0
    gap = np.repeat(np.arange(len(size)), size)
    whole = np.ones(len(size), dtype=np.bool_)
    whole[gap[~measured]] = False
    return np.asarray(cells[whole[gap]])


def _counted(size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give 0 … size - 1 for each size, one after the other."""
    return np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)


def _trial(
    cube: Cube, uses: Sequence[EstimatorUse], cells: NDArray[np.int64], length: str
) -> Trial:
    _, days, width = cube.shape
    truth = cube.values.ravel()[cells].astype(np.int64)
    work = _work(cube, cells)
    estimates = [use.estimator(work, cells, **use.parameters) for use in uses]
    made = [(each.filled, each.values) for each in estimates] + _baselines(work, cells)
    filled = np.array([each for each, _ in made])
    values = np.array([np.where(done, each, 0) for done, each in made], dtype=np.int64)
    gap = runs.of_cells(cells, cells // width).run
    brought, scaled = _scaled(filled, values, gap, truth)
    return Trial(
        length=length,
        methods=(*labels(uses), *BASELINES),
        channel=cells // (days * width),
        day=cells // width % days,
        gap=gap,
        truth=truth,
        filled=filled,
        values=values,
        brought=brought,
        scaled=scaled,
    )


def _work(cube: Cube, cells: NDArray[np.int64]) -> Work:
    """Make the record under repair, as a validation run would with these cells missing."""
    values, codes = cube.values.copy(), cube.quality.copy()
    values.ravel()[cells], codes.ravel()[cells] = 0, quality.MISSING
    gone = replace(cube, values=values, quality=codes, spans=_day_spans(cube, cells))
    seen = views.of(gone)
    none = np.empty(0, dtype=np.int64)
    checked = Checked(failures=(), estimate=cells, suspect=none, sound=seen.totals.sound)
    return filling.prepared(gone, seen, checked)


def _day_spans(cube: Cube, cells: NDArray[np.int64]) -> Spans:
    """Give a register span over each whole day in which something is hidden."""
    _, days, width = cube.shape
    rows = np.unique(cells // width)
    length = cube.days.length[rows % days]
    there = standing.present(cube.quality.reshape(-1, width)[rows]).sum(axis=1) == length
    rows, length = rows[there], length[there]
    start = rows % days * width
    return matrix.spans(
        (rows // days).astype(np.int32),
        start.astype(np.int32),
        (start + length).astype(np.int32),
        cube.values.reshape(-1, width)[rows].sum(axis=1, dtype=np.int64),
    )


def _baselines(
    work: Work, cells: NDArray[np.int64]
) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Give what goes on with the last value, and what pandas interpolates, each rounded."""
    every = np.arange(work.values.size // work.stride)[:, None] * work.stride + work.axis
    known = ~work.is_blank(every.ravel()).reshape(every.shape)
    lines = np.where(known, work.values[every], np.nan).T
    at = (work.position(cells), cells // work.stride)
    found = []
    for filled in naive(lines):
        values = filled[at]
        there = ~np.isnan(values)
        found.append((there, np.floor(np.where(there, values, 0) + 0.5).astype(np.int64)))
    return found


def naive(lines: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Go on with the last value, and interpolate as pandas does.

    Parameters
    ----------
    lines : shape (t, c), a column a channel, NaN where nothing is known

    Returns
    -------
    both of shape (t, c), not rounded; NaN where nothing was before
    """
    table = pd.DataFrame(lines)
    return table.ffill().to_numpy(), table.interpolate(limit_direction="both").to_numpy()


def _scaled(
    filled: NDArray[np.bool_],
    values: NDArray[np.int64],
    gap: NDArray[np.int64],
    truth: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Scale each gap that a method filled whole to what flowed in it."""
    count = int(gap[-1]) + 1
    target = sums_by(gap, truth, count)
    brought, scaled = np.zeros_like(filled), np.zeros_like(values)
    for method, (done, given) in enumerate(zip(filled, values, strict=True)):
        able = sums_by(gap, (~done).astype(np.int64), count) == 0
        able &= (target >= 0) & (sums_by(gap, given, count) >= 0)
        mine = able[gap]
        numbers, which = np.unique(gap[mine], return_inverse=True)
        brought[method] = mine
        scaled[method, mine] = scaling.apportioned(given[mine], which, target[numbers])
    return brought, scaled


def labels(uses: Sequence[EstimatorUse]) -> list[str]:
    """Give each use's name, numbered where an estimator stands more than once."""
    names = [use.estimator.name for use in uses]
    return [
        name if names.count(name) == 1 else f"{name} {names[: at + 1].count(name)}"
        for at, name in enumerate(names)
    ]
