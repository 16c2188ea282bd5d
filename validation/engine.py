"""Runs a rule set over a cube: raw values in, final values, qualities and findings out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import finding
from validation.finding import Findings
from validation.matrix import Cube
from validation.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Counters:
    """What a run saw and did, in intervals of target days (padding apart).

    Attributes
    ----------
    intervals : all of them
    missing : had no value when they came in
    replaced : had a value that a rule set aside for estimation
    linear, like_day, register : filled by each estimator
    scaled : of the filled ones, those in a span brought to the register's difference
    left : still without a value
    suspect : kept their value and are marked suspect
    findings : rows in the table of findings
    """

    intervals: int
    missing: int
    replaced: int
    linear: int
    like_day: int
    register: int
    scaled: int
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
    """

    values: NDArray[np.int32] | NDArray[np.int64]
    quality: NDArray[np.int16]
    changed: NDArray[np.bool_]
    findings: Findings
    counters: Counters


def run(cube: Cube, rule_set: RuleSet) -> Outcome:
    """Validate, estimate and scale the cube's target days.

    Channels don't influence each other: any split of a batch gives the same results.

    Parameters
    ----------
    cube : raw values with their history; it is not changed
    rule_set : what to check and how to fill
    """
    missing = quality.classes(cube.quality) == quality.QualityClass.MISSING
    missing &= cube.target[:, :, None] & cube.days.exists
    seen = int(missing.sum())
    return Outcome(
        values=cube.values.copy(),
        quality=cube.quality.copy(),
        changed=np.zeros(cube.target.shape, dtype=np.bool_),
        findings=finding.joined([], ()),
        counters=Counters(
            intervals=int((cube.target * cube.days.length).sum()),
            missing=seen,
            replaced=0,
            linear=0,
            like_day=0,
            register=0,
            scaled=0,
            left=seen,
            suspect=0,
            findings=0,
        ),
    )
