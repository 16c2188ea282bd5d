"""Rules about how values came, and what was recorded before: worked by hand from their sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas import quality, quality_mapping
from tests.validation.vee_cubes import GAP, LINEAR, cube, rows_of, rule_set, seen
from validation import delivery, engine, views
from validation.matrix import Cube, Delivered
from validation.parameters import RuleSetError

DAY = [10] * 24
TERMINATE = '[rules.other_unit]\nseverity = "terminate"\naction = "note"\n'


def marks(*names: str) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f'[rules.device_mark]\nseverity = "issue"\naction = "suspect"\nmarks = [{listed}]\n'


def replacing(beyond: str, *, tolerance: float = 5, relative: float = 0.1) -> str:
    return f"""
    [rules.replacement]
    severity = "issue"
    action = "note"
    tolerance = {tolerance}
    relative = {relative}
    beyond = "{beyond}"
    """


def test_what_came_before_its_slot_was_over_is_from_the_future() -> None:
    # mako V08: from > now. Read at 03:30: the slot 03:00 to 04:00 and all later ones.
    early = np.zeros((1, 1, 24), np.bool_)
    early[0, 0, 3:] = True
    row = [*DAY[:20], None, *DAY[21:]]
    found = delivery.future(seen(row, delivered=Delivered(early=early)).days)
    assert np.flatnonzero(found.fails).tolist() == [*range(3, 20), 21, 22, 23]
    assert not delivery.future(seen(row).days).fails.any()


def test_another_unit_ends_the_day() -> None:
    # Oracle: the delivered unit differs from the configured one; terminate.
    foreign = np.array([[False, True, True]])
    rows = [[DAY, [None, *DAY[1:]], [None] * 24]]
    given_ = cube(rows, delivered=Delivered(foreign=foreign))
    outcome = engine.run(given_, rule_set(GAP + TERMINATE, LINEAR))
    # Nothing else looks at that day, nothing in it is estimated; a day without values has no unit.
    assert rows_of(outcome.findings)[0] == ("other_unit", "terminate", "note", 1, 0, 23)
    assert {row[3] for row in rows_of(outcome.findings)[1:]} == {2}
    assert outcome.quality[0, 1, 0] == quality.MISSING
    assert set(outcome.quality[0, 1, 1:].tolist()) == {quality.SUSPECT}
    assert outcome.findings.observed[0] == 23


def test_another_multiplier_is_told_by_the_source() -> None:
    # CT 200/5 is 40; the source says 40, 60, nothing, 60 on a day without values, and 40.2.
    came = np.array([[40, 60, np.nan, 60, 40.2]])
    rows = [[DAY, DAY, DAY, [None] * 24, DAY]]
    given_ = cube(rows, delivered=Delivered(multiplier=came, configured=np.full((1, 5), 40.0)))

    def fails(tolerance: float) -> list[tuple[int, float, float]]:
        found = delivery.other_multiplier(views.of(given_).curves, tolerance=tolerance)
        days = np.flatnonzero(found.fails).tolist()
        return list(zip(days, found.observed.tolist(), found.limit.tolist(), strict=True))

    assert fails(0) == [(1, 60, 40), (4, 40.2, 40)]
    # 0.2 of 40 is half of a percent.
    assert fails(0.005000001) == [(1, 60, 40)]
    assert not delivery.other_multiplier(seen(DAY).curves, tolerance=0).fails.any()


@pytest.mark.parametrize(
    ("name", "iec"),
    # IEC 61968-9: overflow x.4.1, test data x.4.5, reset x.4.8, clock error x.1.9, clock invalid.
    [("overflow", "1.4.1"), ("test_data", "1.4.5"), ("reset", "1.4.8"),
     ("clock_shifted", "1.1.9"), ("clock_invalid", "1.4.256")],
)  # fmt: skip
def test_a_device_says_that_something_was_wrong(name: str, iec: str) -> None:
    code = getattr(quality, name.upper())
    assert quality_mapping.to_iec(code)[0] == iec
    codes = {(0, 0, 5): code, (0, 0, 6): code, (0, 0, 9): quality.LATE_SAMPLE}
    outcome = engine.run(cube([[DAY]], codes=codes), rule_set(marks(name)))
    assert rows_of(outcome.findings) == [("device_mark", "issue", "suspect", 0, 5, 6)]
    assert outcome.findings.limit.tolist() == [code]
    assert outcome.quality[0, 0, 4:7].tolist() == [0, quality.SUSPECT, quality.SUSPECT]


def test_marks_are_words_of_a_list() -> None:
    with pytest.raises(RuleSetError, match="'slow' is not one of clock_shifted, clock_invalid"):
        rule_set(marks("slow"))
    with pytest.raises(RuleSetError, match="is not a list of clock_shifted"):
        rule_set(marks())
    assert rule_set(marks("reset")).rules[0].parameters["marks"] == ("reset",)


def recorded(**changes: Any) -> Cube:
    """Give a day of which 100 was recorded everywhere: slot 1 now has 105, 2 has 111, 3 nothing."""
    row = [100, 105, 111, None, *[100] * 20]
    stored = np.full((1, 1, 24), 100, np.int32)
    codes = np.zeros((1, 1, 24), np.int16)
    for slot, code in changes.pop("stored_codes", {}).items():
        codes[0, 0, slot] = code
    return cube([[row]], delivered=Delivered(stored=stored, stored_quality=codes), **changes)


def test_a_recorded_value_is_replaced_beyond_the_limit_only() -> None:
    # Oracle: replace only if the difference is above the absolute or relative threshold:
    # 10 % of 100 is 10: 105 stays as recorded, 111 replaces it. No value ranks below a value.
    outcome = engine.run(recorded(), rule_set(GAP + replacing("replace"), LINEAR))
    assert outcome.values[0, 0, :5].tolist() == [100, 100, 111, 100, 100]
    assert set(outcome.quality[0, 0].tolist()) == {0}
    assert rows_of(outcome.findings) == [("replacement", "issue", "note", 0, 2, 3)]


def test_held_for_a_person_it_stays_as_recorded_and_is_told() -> None:
    outcome = engine.run(recorded(), rule_set(replacing("hold")))
    assert outcome.values[0, 0, :5].tolist() == [100] * 5
    assert rows_of(outcome.findings) == [("replacement", "issue", "note", 0, 2, 3)]
    # Of the two slots the one without a value is further off: 0 against 100.
    assert (outcome.findings.observed.tolist(), outcome.findings.limit.tolist()) == ([0], [100])


def test_what_ranks_better_always_replaces() -> None:
    stored = {1: quality.ESTIMATED_LINEAR, 2: quality.SUSPECT, 3: quality.MISSING}
    outcome = engine.run(recorded(stored_codes=stored), rule_set(replacing("hold")))
    assert outcome.values[0, 0, :3].tolist() == [100, 105, 111]
    assert outcome.quality[0, 0, 3] == quality.MISSING
    assert rows_of(outcome.findings) == []
    edited = recorded(codes={(0, 0, 2): quality.EDITED})
    assert engine.run(edited, rule_set(replacing("hold"))).values[0, 0, 2] == 111


def test_without_the_rule_or_out_of_its_season_everything_is_replaced() -> None:
    for rules in (GAP, GAP + replacing("hold") + "when = { months = [1] }\n"):
        outcome = engine.run(recorded(), rule_set(rules, LINEAR))
        assert outcome.values[0, 0, :5].tolist() == [100, 105, 111, 106, 100]


def test_history_is_never_put_back() -> None:
    given_ = recorded()
    outcome = engine.run(
        replace(given_, target=np.zeros((1, 1), np.bool_)), rule_set(replacing("hold"))
    )
    assert outcome.values[0, 0, :3].tolist() == [100, 105, 111]


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"delivered\.foreign is \(2, 2\), not \(1, 1\)"):
        cube([[DAY]], delivered=Delivered(foreign=np.zeros((2, 2), np.bool_)))
