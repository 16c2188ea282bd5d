"""The estimator scorecard on the real load curves in the repository, as the table in docs/rules.md.

``python -m benchmarks.scorecard`` prints, for each curve and length of gap, the error of each
estimator beside the last value's and pandas' interpolate's on the same values, and the order that
leaves the least error. ``--out FILE`` writes all scores, by season too.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from console import scorecard_command
from console.scorecard_command import percent
from schemas import quality
from simulators import load_curve
from validation import days, matrix, scorecard
from validation.matrix import Cube
from validation.scores import ALL, Score, Scores

# First local day of each curve, a Monday (simulators/curves/curves.csv).
CURVES: Final = {
    "uk_hourly": date(2021, 3, 1),
    "uk_half_hourly": date(2013, 8, 12),
    "il_cooling": date(2016, 5, 2),
}
_TURNS: Final = 11


def cube(name: str) -> Cube:
    """Give a real curve as one channel of whole hours; its stamps know no change of clocks."""
    hours = load_curve.curve(name).reshape(1, -1, 24)
    table = days.of(CURVES[name], hours.shape[1], ZoneInfo("UTC"), 3600, weekend={5, 6})
    return Cube(
        values=hours.astype(np.int64),
        quality=np.full(hours.shape, quality.VALID, dtype=np.int16),
        target=np.ones(hours.shape[:2], dtype=np.bool_),
        days=table,
        interval_seconds=3600,
        one_way=np.ones(1, dtype=np.bool_),
        spans=matrix.no_spans(),
    )


def scores(turns: int = _TURNS) -> Scores:
    """Score every estimator on every curve."""
    found = Scores(tuple(CURVES))
    for number, (name, first) in enumerate(CURVES.items()):
        given = cube(name)
        months = np.datetime64(first) + np.arange(len(given.days))
        season = months.astype("datetime64[M]").astype(np.int64) % 12
        for trial in scorecard.trials(given, scorecard.candidates(), turns=turns):
            found.add(trial, np.array([number]), (season + 1) % 12 // 3)
    return found


def _row(each: Score) -> str:
    cells = (
        percent(each.filled / each.asked, 0), percent(each.wape), percent(each.mape),
        percent(each.bias, sign=True), percent(each.scaled), percent(each.persistence),
        percent(each.interpolate),
    )  # fmt: skip
    return f"| {each.usage} | {each.length} | {each.method} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table and the orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=_TURNS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = scores(given.turns)
    print("| curve | gap | method | filled | WAPE | MAPE | bias | scaled | last value | pandas |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    table = found.table()
    for each in table:
        if each.season == ALL and each.filled:
            print(_row(each))
    for name in CURVES:
        for registers, words in ((False, "without a register"), (True, "with one")):
            print(f"{name}, {words}: {', '.join(found.order(name, registers=registers))}")
    if given.out:
        scorecard_command.write(table, given.out)


if __name__ == "__main__":
    main()
