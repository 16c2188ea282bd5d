"""Runs a rule set over a cube: raw values in, final values, qualities and findings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas import reading_type
from validation import checking, failures, filling, misreads, rechecking, replacing, views
from validation.filling import Attempt
from validation.finding import Findings
from validation.matrix import Cube
from validation.ruleset import RuleSet
from validation.views import Values


@dataclass(frozen=True, slots=True)
class Counters:
    """What a run saw and did, in intervals of target days, padding apart.

    Attributes
    ----------
    intervals : all of them
    missing : had no value when they came in, and should have had one
    replaced : had a value that a rule set aside for estimation
    filled : by each estimator of the rule set, by its name
    attempts : what each estimator of the rule set was asked for, could fill and declined, and why
    scaled : those in a span brought to the register's difference: of the filled ones, and of the
        measured too where the set has all scaled
    scaled_to : of these, by the register that they were brought to; ``total`` for the total's
    failing : stretches of estimates that fail a rule themselves, where the set has them checked
    left : still without a value that they should have
    suspect : kept their value and are marked suspect
    findings : rows in the table of findings
    """

    intervals: int
    missing: int
    replaced: int
    filled: Mapping[str, int]
    attempts: tuple[Attempt, ...]
    scaled: int
    scaled_to: Mapping[str, int]
    failing: int
    left: int
    suspect: int
    findings: int


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The result of a run.

    Attributes
    ----------
    values : shape (c, d, n), the cube's type [scaled unit]; 0 where quality is missing
    quality : shape (c, d, n), int16, codes of ``schemas.quality``
    changed : shape (c, d), True where a value or a quality differs from the cube's
    findings : what failed, and what couldn't be estimated or scaled
    counters : what was seen and done
    scaled : shape (k,), flat indices of the cells that were scaled, ascending
    scaled_to : shape (k,), id of the tariff register that they were brought to, 0 for the total
    """

    values: Values
    quality: NDArray[np.int16]
    changed: NDArray[np.bool_]
    findings: Findings
    counters: Counters
    scaled: NDArray[np.int64]
    scaled_to: NDArray[np.int16]


def run(cube: Cube, rule_set: RuleSet) -> Outcome:
    """Validate, estimate and scale the cube's target days.

    Channels don't influence each other: any split of a batch gives the same results.

    Parameters
    ----------
    cube : raw values with their history; it is not changed
    rule_set : what to check and how to fill
    """
    seen = views.of(cube)
    if cube.delivered is not None and cube.delivered.stored is not None:
        cube, seen = replacing.kept(cube, seen, rule_set)
    if rule_set.use("register_misread"):
        cube, seen = misreads.joined(cube, seen, checking.margin(seen.spans, rule_set))
    checked = checking.check(cube, seen, rule_set)
    filled = filling.fill(cube, seen, checked, rule_set)
    rechecked = []
    if rule_set.check_estimates and len(filled.estimates):
        done = replace(cube, values=filled.values, quality=filled.quality)
        rechecked.append(rechecking.failing(done, filled.estimates, rule_set))
    findings = failures.table([*checked.failures, *filled.failures, *rechecked], cube)
    return Outcome(
        values=filled.values,
        quality=filled.quality,
        changed=filled.changed,
        findings=findings,
        counters=Counters(
            intervals=int((cube.target * cube.days.length).sum()),
            missing=_in_targets(cube, seen.missing),
            replaced=len(np.setdiff1d(checked.estimate, seen.missing, assume_unique=True)),
            filled=_by_method(filled.attempts),
            attempts=filled.attempts,
            scaled=len(filled.scaled),
            scaled_to=_by_register(filled.scaled_to),
            failing=sum(len(each.first) for each in rechecked),
            left=_in_targets(cube, filled.left),
            suspect=len(checked.suspect),
            findings=len(findings),
        ),
        scaled=filled.scaled,
        scaled_to=filled.scaled_to,
    )


def _by_register(registers: NDArray[np.int16]) -> dict[str, int]:
    kinds, count = np.unique(registers, return_counts=True)
    return {
        reading_type.of_id(kind).name if kind else "total": number
        for kind, number in zip(kinds.tolist(), count.tolist(), strict=True)
    }


def _by_method(attempts: Sequence[Attempt]) -> dict[str, int]:
    """Add up by name: an estimator may stand twice in a set, with other parameters."""
    filled: Counter[str] = Counter()
    for attempt in attempts:
        filled[attempt.method] += attempt.filled
    return dict(filled)


def _in_targets(cube: Cube, cells: NDArray[np.int64]) -> int:
    wanted = cube.target.ravel()[cells // cube.shape[2]] & cube.expects(cells)
    return int(np.count_nonzero(wanted))
