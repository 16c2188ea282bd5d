"""The second half of a run: blanks are filled, estimates scaled, and what is left is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.quality import QualityClass
from validation import runs, scaling, standing
from validation.checking import Checked
from validation.condition import ALWAYS
from validation.estimators import ESTIMATORS
from validation.failures import NOT_ESTIMATED, SCALING_REFUSED, Failures, distinct
from validation.finding import Action, Severity
from validation.matrix import Cube
from validation.programme import Programme
from validation.ruleset import EstimatorUse, RuleSet
from validation.views import Values, Views
from validation.work import Registers, Work, sums_by


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one estimator of a rule set did, in cells.

    Attributes
    ----------
    method : its name
    tried : cells that were still open when its turn came
    filled : of these, those that it could fill
    declined : the others, by why
    """

    method: str
    tried: int
    filled: int
    declined: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """What filling gave.

    Attributes
    ----------
    values, quality : shape (c, d, n), as in ``engine.Outcome``
    changed : shape (c, d), True where a value or a quality differs from the cube's
    failures : what couldn't be estimated, and what couldn't be scaled
    attempts : what each estimator of the set did, in its order
    scaled : shape (k,), flat indices of cells brought to their register's difference, ascending
    scaled_to : shape (k,), id of the tariff register that it is, 0 for the total
    estimates : flat indices of the cells that were filled, ascending
    left : flat indices of the cells still without a value, history included, ascending
    """

    values: Values
    quality: NDArray[np.int16]
    changed: NDArray[np.bool_]
    failures: tuple[Failures, ...]
    attempts: tuple[Attempt, ...]
    scaled: NDArray[np.int64]
    scaled_to: NDArray[np.int16]
    estimates: NDArray[np.int64]
    left: NDArray[np.int64]


def fill(cube: Cube, views: Views, checked: Checked, rule_set: RuleSet) -> Filled:
    """Set bad values aside, estimate what is to be filled, and scale it to the registers.

    The first estimator of the set that can fill a cell does.
    """
    work = prepared(cube, views, checked)
    attempts = tuple(
        _apply(work, use, _of(use, cube, views, checked.estimate)) for use in rule_set.estimators
    )
    failures = [_not_estimated(work, checked.estimate, cube.shape[2])]
    moved = np.empty(0, dtype=np.int64)
    by = np.empty(0, dtype=np.int16)
    if rule_set.scale_to_register and (len(cube.spans) or cube.programme is not None):
        moved, by, refused = _scale(work, cube, rule_set)
        failures.append(refused)
    changed = np.zeros(cube.target.shape, dtype=np.bool_)
    for cells in (checked.estimate, checked.suspect, moved):
        differs = (work.quality[cells] != cube.quality.ravel()[cells]) | (
            work.values[cells] != cube.values.ravel()[cells]
        )
        changed.ravel()[cells[differs] // cube.shape[2]] = True
    return Filled(
        values=work.values.reshape(cube.shape),
        quality=work.quality.reshape(cube.shape),
        changed=changed,
        failures=tuple(failures),
        attempts=attempts,
        scaled=moved,
        scaled_to=by,
        estimates=checked.estimate[~work.is_blank(checked.estimate)],
        left=work.still_blank(),
    )


def prepared(cube: Cube, views: Views, checked: Checked) -> Work:
    """Set bad values aside and give the record under repair, nothing filled yet."""
    values, codes = views.values.ravel(), cube.quality.ravel().copy()
    aside = np.setdiff1d(checked.estimate, views.missing, assume_unique=True)
    first = cube.spans.channel.astype(np.int64) * cube.days.clock.size
    registers = Registers(
        first=first + cube.spans.start,
        after=first + cube.spans.end,
        energy=cube.spans.energy,
        measured=views.spans.total,
    )
    lost = sums_by(registers.span_of(aside), values[aside].astype(np.int64), len(first))
    codes[checked.suspect] = quality.SUSPECT
    codes[aside] = quality.MISSING
    values[aside] = 0
    # Nothing was set aside most often, and to sort all that is missing again takes its time.
    blank = np.union1d(views.missing, aside) if len(aside) else views.missing
    return Work(
        values=values,
        quality=codes,
        blank=blank,
        gaps=blank[cube.expects(blank)],
        sound=checked.sound,
        days=cube.days,
        axis=views.axis,
        interval_seconds=cube.interval_seconds,
        references=cube.references,
        check=cube.check,
        outage=None if cube.outage is None else cube.outage.ravel(),
        registers=replace(registers, measured=views.spans.total - lost),
    )


def _of(
    use: EstimatorUse, cube: Cube, views: Views, wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Take the cells of the channels and days of which an estimator is asked."""
    if use.when == ALWAYS:
        return wanted
    return wanted[use.when.of(cube, views).ravel()[wanted // cube.shape[2]]]


def _apply(work: Work, use: EstimatorUse, wanted: NDArray[np.int64]) -> Attempt:
    """Fill what an estimator can of the cells still open."""
    cells = wanted[work.is_blank(wanted)]
    if not len(cells):
        return Attempt(use.estimator.name, 0, 0, {})
    estimates = use.estimator(work, cells, **use.parameters)
    work.values[cells[estimates.filled]] = estimates.values[estimates.filled]
    work.quality[cells[estimates.filled]] = use.estimator.quality
    filled = int(np.count_nonzero(estimates.filled))
    reasons = estimates.reasons or {use.estimator.declines: len(cells) - filled}
    declined = {reason: count for reason, count in reasons.items() if count}
    return Attempt(use.estimator.name, len(cells), filled, declined)


def _scale(
    work: Work, cube: Cube, rule_set: RuleSet
) -> tuple[NDArray[np.int64], NDArray[np.int16], Failures]:
    """Bring register spans to what they counted.

    Returns
    -------
    the cells that were, the tariff register that each was brought to (0: the total), the refused
    """
    mode: dict[str, Any] = dict(rule_set.scaling)
    work = replace(work, programme=_programme(work, cube, rule_set))
    result = scaling.scaled(
        work, _scalable(work, cube) if mode["intervals"] == "all" else np.empty(0, np.int64), **mode
    )
    work.values[result.cells] = result.values
    work.quality[result.cells] = _scaled_codes()[work.quality[result.cells]]
    refused = _refused(work.registers, result.refused)
    if work.programme is not None and len(result.tariffs_refused):
        refused = distinct([refused, _tariffs_refused(work, work.programme, result)])
    return result.cells, result.register, refused


def _programme(work: Work, cube: Cube, rule_set: RuleSet) -> Programme | None:
    """Give the spans of tariff registers that are fit to scale to.

    Where the total was read in between, its own spans are the finer ones; where the tariff
    registers don't add up to it, by the set's sum check, nobody knows which is right.
    """
    if cube.programme is None:
        return None
    found = cube.programme.within(work.registers.first, work.registers.after)
    use = rule_set.use("tou_sum_check")
    if use is None:
        return found
    return found.without(use.rule(cube.dials, **use.parameters).fails, cube.dials)


def _scalable(work: Work, cube: Cube) -> NDArray[np.int64]:
    """Give the measured cells of target days that nobody doubts or has decided about."""
    codes = work.quality.reshape(cube.shape)
    able = standing.table()[codes] & (standing.PRESENT | standing.SETTLED) == standing.PRESENT
    able &= quality.class_table()[codes] == QualityClass.VALID
    able &= cube.target[:, :, None] & cube.days.exists
    return np.flatnonzero(able)


def _scaled_codes() -> NDArray[np.int16]:
    codes = np.arange(32768, dtype=np.int16)
    codes[quality.class_table() == QualityClass.VALID] = quality.SCALED_MEASURED
    for each in ESTIMATORS.values():
        codes[each.quality] = each.scaled
    return codes


def _not_estimated(work: Work, wanted: NDArray[np.int64], slots: int) -> Failures:
    left = wanted[work.is_blank(wanted)]
    found = runs.of_cells(left, left // slots)
    return _issues(
        NOT_ESTIMATED, left[found.first], left[found.last], found.length, np.zeros_like(found.first)
    )


def _refused(registers: Registers, refused: NDArray[np.bool_]) -> Failures:
    return _issues(
        SCALING_REFUSED,
        registers.first[refused],
        registers.after[refused] - 1,
        registers.measured[refused],
        registers.energy[refused],
    )


def _tariffs_refused(work: Work, programme: Programme, result: scaling.Scaled) -> Failures:
    refused = result.tariffs_refused
    first = programme.channel[refused] * work.stride
    return _issues(
        SCALING_REFUSED,
        first + programme.start[refused],
        first + programme.end[refused] - 1,
        result.tariffs_measured,
        programme.energy[refused],
    )


def _issues(
    name: str,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    observed: NDArray[np.int64],
    limit: NDArray[np.int64],
) -> Failures:
    return Failures(
        name=name,
        first=first,
        last=last,
        observed=observed.astype(np.float64),
        limit=limit.astype(np.float64),
        severity=np.full(len(first), Severity.ISSUE, dtype=np.int8),
        action=np.full(len(first), Action.NOTE, dtype=np.int8),
    )
