"""Rule sets: which rules run, with which parameters, from which date on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One version of a rule set.

    Attributes
    ----------
    name : such as ``electricity``
    effective_from : first local day that it applies to
    digest : sha256 of the canonical content, for the provenance
    """

    name: str
    effective_from: date
    digest: str


def select(rule_sets: Iterable[RuleSet], name: str, day: date) -> RuleSet:
    """Choose the version of a rule set in force on a local day.

    Raises
    ------
    LookupError
        if no version of that name was in force.
    """
    in_force = [each for each in rule_sets if each.name == name and each.effective_from <= day]
    if not in_force:
        raise LookupError(f"no rule set {name!r} is effective on {day}")
    return max(in_force, key=lambda each: each.effective_from)
