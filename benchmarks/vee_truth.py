"""How true validation is: recall and false alarms of each rule, and the error of each estimator.

Three parts, all on the real load curves in the repository:

1. the simulators' labelled faults over the curves, through the whole MDM: what each rule caught,
   what it found where nothing was wrong, and what the record has in the end;
2. the curves as they are, without a fault: days that fail a shipped rule, with registers or none
   (``benchmarks.false_alarms`` has the other rules);
3. hidden gaps of 1 to 96 slots: the shipped order of estimators and each estimator alone, against
   the last value and pandas' interpolate.

The last line is one JSON object::

    {"least_recall": of the rules that have to see a fault, the lowest share of labels,
     "recall": {rule: share}, "false_alarms": % of fault-free real days with an issue or worse,
     "false_alarms_no_register": the same without registers,
     "false_alarms_fleet": % of the fleet's days without a fault with an issue or worse,
     "clean_days_changed": days without a fault that came out otherwise than they went in,
     "against_last_value", "against_pandas": the shipped order's error over theirs, at its worst,
     "estimates": {curve: {slots: [shipped, last value, pandas]}}}   % of the mean, later unknown
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Final

from benchmarks import false_alarms, vee_truth_faults, vee_truth_gaps
from benchmarks.vee_truth_faults import Found
from benchmarks.vee_truth_gaps import LAST, PANDAS, SHIPPED, SLOTS, WITH_REGISTER, Error
from validation import ruleset
from validation.ruleset import RuleSet

_ALONE: Final = (
    "linear", "like_day 1", "like_day 2", "weighted_average 1", "weighted_average 2",
    "average_like_day",
)  # fmt: skip


def main() -> None:
    """Measure all three; print a table each."""
    rules = ruleset.select(ruleset.shipped(), "electricity", date(2026, 6, 1))
    found = vee_truth_faults.found()
    _show_faults(found)
    alarms = {
        name: false_alarms.shares(rules, registers=registers)[false_alarms.ANY][1]
        for name, registers in (("false_alarms", True), ("false_alarms_no_register", False))
    }
    print(f"\nFault-free real days with an issue: {alarms} %\n")
    errors = _errors(rules)
    recall = {name: seen.caught / seen.labels for name, seen in found.rules.items() if seen.labels}
    figures = {
        "least_recall": round(min(recall.values()), 4),
        "recall": {name: round(each, 4) for name, each in recall.items()},
        **{name: round(each, 3) for name, each in alarms.items()},
        "false_alarms_fleet": round(100 * found.issue_days / found.clean_days, 3),
        "clean_days_changed": found.changed,
        "against_last_value": round(_worst(errors, LAST), 4),
        "against_pandas": round(_worst(errors, PANDAS), 4),
        "estimates": _estimates(errors),
    }
    print(json.dumps(figures))


def _show_faults(found: Found) -> None:
    print("| rule | faults | caught | days without a fault that it names | as an issue |")
    print("|---|---|---|---|---|")
    for name, seen in found.rules.items():
        share = [f"{100 * n / found.clean_days:.2f} %" for n in (seen.alarms, seen.issues)]
        print(f"| {name} | {seen.labels} | {seen.caught} | {' | '.join(share)} |")
    print(f"\n{found.clean_days} days without a fault, {found.changed} of them changed.\n")
    print("| fault | labels | energy right in the end | error of its days' intervals |")
    print("|---|---|---|---|")
    for kind, (labels, exact, error) in found.kinds.items():
        print(f"| {kind} | {labels} | {exact} | {error:.1f} % |")


def _errors(rules: RuleSet) -> list[Error]:
    found: list[Error] = []
    for later in (False, True):
        print(f"Error in % of the mean, days after the gap {'known' if later else 'not known'}:\n")
        shown = (SHIPPED, LAST, PANDAS, WITH_REGISTER, *(() if later else _ALONE))
        print(f"| curve | slots | gaps | {' | '.join(shown)} | MAE of the shipped order [Wh] |")
        print("|---" * (4 + len(shown)) + "|")
        for curve in false_alarms.curves():
            for slots in SLOTS:
                row = vee_truth_gaps.errors(curve, rules, slots, later=later)
                found += row
                print(_row(row, shown), flush=True)
        print()
    return found


def _row(errors: Sequence[Error], shown: Sequence[str]) -> str:
    by_method = {each.method: each for each in errors}
    cells = [
        f"{100 * each.share:.1f}" if each and each.filled > 0.5 else "–"
        for each in map(by_method.get, shown)
    ]
    own = by_method[SHIPPED]
    return f"| {own.curve} | {own.slots} | {own.gaps} | {' | '.join(cells)} | {own.mae:.0f} |"


def _worst(errors: Sequence[Error], other: str) -> float:
    """Give the largest ratio of the shipped order's error to another's, over all gaps."""
    share = {(each.curve, each.slots, each.later, each.method): each.share for each in errors}
    return max(
        each.share / share[each.curve, each.slots, each.later, other]
        for each in errors
        if each.method == SHIPPED
    )


def _estimates(errors: Sequence[Error]) -> dict[str, dict[int, list[float]]]:
    found: dict[str, dict[int, dict[str, float]]] = {}
    for each in errors:
        if not each.later:
            cells = found.setdefault(each.curve, {}).setdefault(each.slots, {})
            cells[each.method] = round(100 * each.share, 1)
    return {
        curve: {
            slots: [cells[name] for name in (SHIPPED, LAST, PANDAS)] for slots, cells in by.items()
        }
        for curve, by in found.items()
    }


if __name__ == "__main__":
    main()
