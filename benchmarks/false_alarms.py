"""Share of fault-free real days that fail each rule, with the parameters of the documentation.

Real load curves of three households, as they were measured, with daily registers that are right.
Rules of the shipped set are run as shipped; the others as the example of their section has them.
The last line is one JSON object: rule → [% of days that fail, % of severity issue or more].
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from validation import days, engine, matrix, ruleset
from validation.dials import DialSteps, no_steps
from validation.finding import Severity
from validation.matrix import Cube
from validation.ruleset import RuleSet

_PAGE: Final = Path(__file__).parents[1] / "docs" / "rules.md"
_HEAD: Final = """
name = "example"
effective_from = 2000-01-01
description = "one rule of the documentation"
scale_to_register = true
estimators = []
[rules.sum_check]
severity = "info"
action = "note"
tolerance = 0
relative = 0
"""
ANY: Final = "any"
# The curves' stamps have no zone, or one without clock changes.
ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True)
class Curve:
    """A real load curve.

    Attributes
    ----------
    values : shape (d, n), whole weeks from a Monday on [Wh]
    """

    name: str
    first: date
    interval_seconds: int
    values: NDArray[np.int32]


def curves() -> list[Curve]:
    """Read the real curves in the repository, at the interval lengths they were measured with."""
    folder = resources.files("simulators").joinpath("curves")
    table = folder.joinpath("curves.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(table.splitlines()):
        packed = folder.joinpath(f"{row['name']}.csv.gz").read_bytes()
        values = np.array(gzip.decompress(packed).decode().split()[1:], dtype=np.int32)
        seconds = int(row["interval_seconds"])
        days_ = values.reshape(-1, 86_400 // seconds)
        found.append(Curve(row["name"], date.fromisoformat(row["first_local"]), seconds, days_))
    return found


def cube(curve: Curve, *, registers: bool = True) -> Cube:
    """Lay a curve out as a cube of one channel, with or without registers read at midnight."""
    values, interval_seconds = curve.values[None], curve.interval_seconds
    _, count, slots = values.shape
    start = np.arange(count) * slots
    energy = values.sum(axis=2, dtype=np.int64).ravel()
    none = np.zeros(count, dtype=np.int64)
    channel, first_slot, after = (each.astype(np.int32) for each in (none, start, start + slots))
    return Cube(
        values=values,
        quality=np.zeros(values.shape, dtype=np.int16),
        target=np.ones((1, count), dtype=np.bool_),
        days=days.of(curve.first, count, ZONE, interval_seconds, weekend={5, 6}),
        interval_seconds=interval_seconds,
        one_way=np.ones(1, dtype=np.bool_),
        spans=matrix.spans(channel, first_slot, after, energy) if registers else matrix.no_spans(),
        dials=no_steps()
        if not registers
        else DialSteps(
            channel=none,
            register=np.ones(count, dtype=np.int16),
            first=start,
            last=start + slots - 1,
            start=np.arange(count) * 86_400,
            end=np.arange(1, count + 1) * 86_400,
            change=energy,
            modulus=none,
            multiplier=np.ones(count),
            tariff=none.astype(np.bool_),
        ),
    )


def rule_sets() -> list[RuleSet]:
    """Give the shipped set for electricity, and one for each example of the documentation."""
    shipped = ruleset.select(ruleset.shipped(), "electricity", date(2026, 6, 1))
    page = _PAGE.read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(\[rules\..+?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return [shipped, *(ruleset.parse(_HEAD + each, "docs/rules.md") for each in examples)]


def shares(rule_set: RuleSet, *, registers: bool = True) -> dict[str, tuple[float, float]]:
    """Give each rule's % of days that fail, and % that fail with severity issue or more.

    ``any`` is the days that fail any rule at all.
    """
    names = {use.rule.name for use in rule_set.rules}
    failing: dict[str, list[int]] = {name: [0, 0] for name in (*names, ANY)}
    total = 0
    for curve in curves():
        given = cube(curve, registers=registers)
        found = engine.run(given, rule_set).findings
        total += given.target.size
        for name, counts in failing.items():
            mine = np.ones(len(found), dtype=np.bool_)
            if name != ANY:
                mine = found.rule == found.names.index(name)
            for column, chosen in enumerate((mine, mine & (found.severity >= Severity.ISSUE))):
                counts[column] += len(np.unique(found.day[chosen]))
    return {name: (100 * any_ / total, 100 * bad / total) for name, (any_, bad) in failing.items()}


def main() -> None:
    """Measure every rule; print a line each."""
    result: dict[str, tuple[float, float]] = {}
    for rule_set in rule_sets():
        result = shares(rule_set) | result
    del result[ANY]
    for name, (every, bad) in result.items():
        print(f"{name:22} {every:6.2f} % of days fail, {bad:5.2f} % as an issue")
    print(f"{sum(len(curve.values) for curve in curves())} days")
    print(json.dumps({name: [round(each, 3) for each in row] for name, row in result.items()}))


if __name__ == "__main__":
    main()
