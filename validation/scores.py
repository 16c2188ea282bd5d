"""Scores of the scorecard: errors by method, class, gap length and season, and the best order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from validation.scorecard import BASELINES, Trial

SEASONS: Final = ("Dec–Feb", "Mar–May", "Jun–Aug", "Sep–Nov")
ALL: Final = "all"

_COLUMNS: Final = (
    "asked", "filled", "error", "bias", "truth", "relative", "positive",
    "brought", "scaled_error", "brought_truth", "persistence", "interpolate",
)  # fmt: skip
# Cells of a class and length that the order is found on: more would change nothing.
_SAMPLE: Final = 20_000
# An estimator that takes less than this part of the error away has no place in the order.
_WORTH: Final = 0.002


@dataclass(frozen=True, slots=True)
class Score:
    """How well a method fills the gaps of a class, a length and a season.

    Attributes
    ----------
    method, usage, length, season : which; season ``all`` for the whole
    asked, filled : hidden values, and those that it could fill
    wape : Σ|error| / Σ|true| over the filled ones [1]
    mape : mean of |error| / true over those of them that were above 0 [1]
    bias : Σ error / Σ|true| over the filled ones [1]
    scaled : WAPE once each gap is scaled to what flowed in it [1]
    persistence, interpolate : WAPE of the last value and of pandas' interpolate on the same [1]

    None where there is nothing to divide by.
    """

    method: str
    usage: str
    length: str
    season: str
    asked: int
    filled: int
    wape: float | None
    mape: float | None
    bias: float | None
    scaled: float | None
    persistence: float | None
    interpolate: float | None


@dataclass(slots=True)
class Scores:
    """Adds up trials.

    Attributes
    ----------
    usages : names of the classes; every trial's channels are numbered by them
    """

    usages: tuple[str, ...]
    _sums: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)
    _samples: dict[tuple[int, str], list[tuple[NDArray[np.int64], NDArray[np.bool_]]]] = field(
        default_factory=dict
    )
    _methods: tuple[str, ...] = ()

    def add(self, trial: Trial, usage: NDArray[np.int64], season: NDArray[np.int64]) -> None:
        """Add a trial.

        Parameters
        ----------
        usage : shape (c,), class of each channel, by its place in ``usages``
        season : shape (d,), of each day, by its place in ``SEASONS``
        """
        self._methods = trial.methods
        group = usage[trial.channel] * len(SEASONS) + season[trial.day]
        base = {name: trial.methods.index(name) for name in BASELINES}
        errors = trial.values - trial.truth
        for at, method in enumerate(trial.methods):
            done, brought = trial.filled[at], trial.brought[at]
            positive = done & (trial.truth > 0)
            absolute = np.abs(errors)
            columns = (
                np.ones(len(group)),
                done,
                absolute[at] * done,
                errors[at] * done,
                np.abs(trial.truth) * done,
                np.where(positive, absolute[at] / np.where(positive, trial.truth, 1), 0),
                positive,
                brought,
                np.abs(trial.scaled[at] - trial.truth) * brought,
                np.abs(trial.truth) * brought,
                *(absolute[base[name]] * done for name in BASELINES),
            )
            sums = self._sums.setdefault(
                (method, trial.length),
                np.zeros((len(_COLUMNS), len(self.usages) * len(SEASONS))),
            )
            for number, column in enumerate(columns):
                sums[number] += np.bincount(group, weights=column, minlength=sums.shape[1])
        scaled = np.where(trial.brought, trial.scaled - trial.truth, errors)
        self._keep(trial, usage[trial.channel], np.abs(np.array([errors, scaled])))

    def _keep(self, trial: Trial, usage: NDArray[np.int64], errors: NDArray[np.int64]) -> None:
        for number in np.unique(usage).tolist():
            kept = self._samples.setdefault((number, trial.length), [])
            room = _SAMPLE - sum(part.shape[2] for part, _ in kept)
            cells = np.flatnonzero(usage == number)[: max(room, 0)]
            if len(cells):
                # Left missing, a value is wrong by all of itself.
                missing = np.broadcast_to(np.abs(trial.truth[cells]), (2, 1, len(cells)))
                both = np.concatenate([errors[:, :, cells], missing], axis=1)
                kept.append((both, trial.filled[:, cells]))

    def table(self) -> list[Score]:
        """Give a score for each method, class, length and season that anything was hidden in."""
        found = []
        for (method, length), sums in self._sums.items():
            by_class = sums.reshape(len(_COLUMNS), len(self.usages), len(SEASONS))
            for number, usage in enumerate(self.usages):
                whole = by_class[:, number].sum(axis=1)
                parts = [(ALL, whole), *zip(SEASONS, by_class[:, number].T, strict=True)]
                found += [
                    _score(method, usage, length, season, each) for season, each in parts if each[0]
                ]
        return found

    def order(self, usage: str, *, registers: bool) -> list[str]:
        """Suggest the estimators of a class in the order that leaves the least error.

        Each length of gap has an equal say. One after the other, the estimator is put where it
        takes most error away, as long as that is worth it; the baselines are no candidates.

        Parameters
        ----------
        registers : whether a register's difference over each day is there to scale to; without
            one the estimator ``register`` is no candidate either
        """
        number = self.usages.index(usage)
        lengths = [kept for (of, _), kept in self._samples.items() if of == number and kept]
        if not lengths:
            return []
        errors, filled = [], []
        for kept in lengths:
            error = np.concatenate([each[int(registers)] for each, _ in kept], axis=1)
            errors.append(error / max(float(error[-1].sum()), 1.0))
            filled.append(np.concatenate([each for _, each in kept], axis=1))
        apart = {*BASELINES, *(() if registers else ("register",))}
        open_ = [at for at, name in enumerate(self._methods) if name not in apart]
        chosen = _greedy(np.concatenate(errors, axis=1), np.concatenate(filled, axis=1), open_)
        return [self._methods[at] for at in chosen]


def _score(method: str, usage: str, length: str, season: str, sums: NDArray[np.float64]) -> Score:
    of = dict(zip(_COLUMNS, sums.tolist(), strict=True))

    def ratio(part: str, whole: str) -> float | None:
        return of[part] / of[whole] if of[whole] else None

    return Score(
        method=method,
        usage=usage,
        length=length,
        season=season,
        asked=int(of["asked"]),
        filled=int(of["filled"]),
        wape=ratio("error", "truth"),
        mape=ratio("relative", "positive"),
        bias=ratio("bias", "truth"),
        scaled=ratio("scaled_error", "brought_truth"),
        persistence=ratio("persistence", "truth"),
        interpolate=ratio("interpolate", "truth"),
    )


def _greedy(
    error: NDArray[np.float64], filled: NDArray[np.bool_], candidates: Sequence[int]
) -> list[int]:
    chosen: list[int] = []
    open_ = list(candidates)
    total = left = float(error[-1].sum())
    while open_:
        tries = {
            (at, place): _left(error, filled, [*chosen[:place], at, *chosen[place:]])
            for at in open_
            for place in range(len(chosen) + 1)
        }
        (at, place), least = min(tries.items(), key=lambda each: each[1])
        if left - least <= _WORTH * total:
            break
        chosen.insert(place, at)
        open_.remove(at)
        left = least
    return chosen


def _left(error: NDArray[np.float64], filled: NDArray[np.bool_], order: Sequence[int]) -> float:
    """Give the error that an ordered set leaves: the first that can fills."""
    result = error[-1]
    for at in reversed(order):
        result = np.where(filled[at], error[at], result)
    return float(result.sum())
