"""Rules that apply to some channels and days only, or after another rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from schemas import quality
from tests.validation.vee_cubes import GAP, SUM_CHECK, cube, rows_of, rule_set
from validation import engine
from validation.matrix import Cube
from validation.parameters import RuleSetError

# Thursday to Sunday, around the end of May; Friday and Saturday are Kuwait's weekend.
FIRST = date(2026, 5, 28)
LIMIT = """
severity = "issue"
action = "note"
high_per_hour = 50
low_per_hour = -1
"""


def two_channels() -> Cube:
    made = cube([[[60] * 24] * 4, [[60] * 24] * 4], first=FIRST)
    kinds = np.array([11, 12], dtype=np.int16)
    return replace(made, reading_type=kinds, sector=np.array(["residential", "industrial"]))


def days_that_fail(when: str, **changes: Any) -> list[tuple[int, int]]:
    rules = rule_set(f"[rules.demand_limit]{LIMIT}when = {{ {when} }}")
    findings = engine.run(replace(two_channels(), **changes), rules).findings
    return sorted(set(zip(findings.channel.tolist(), findings.day.tolist(), strict=True)))


@pytest.mark.parametrize(
    ("when", "channels", "days"),
    [
        ('reading_types = ["active_energy_export_interval"]', [1], range(4)),
        ('sectors = ["residential", "chalet"]', [0], range(4)),
        ("interval_seconds = [900, 3600]", [0, 1], range(4)),
        ("interval_seconds = [900]", [], range(4)),
        ("months = [6]", [0, 1], []),
        ("months = [5]", [0, 1], range(4)),
        ('days = ["weekend"]', [0, 1], [1, 2]),
        ('days = ["weekday", "holiday"]', [0, 1], [0, 3]),
        ("above_per_day = 1439", [0, 1], range(4)),
        ("above_per_day = 1440", [], range(4)),
        ('sectors = ["industrial"], days = ["weekend"]', [1], [1, 2]),
    ],
)
def test_a_rule_applies_where_all_of_its_conditions_hold(
    when: str, channels: list[int], days: list[int]
) -> None:
    assert days_that_fail(when) == [(channel, day) for channel in channels for day in days]


def test_a_condition_on_what_is_not_known_does_not_hold() -> None:
    assert days_that_fail('sectors = ["residential"]', sector=None) == []
    assert (
        days_that_fail("reading_types = ['active_energy_import_interval']", reading_type=None) == []
    )


def test_a_season_ends_with_its_month() -> None:
    rules = rule_set(f"[rules.demand_limit]{LIMIT}when = {{ months = [6, 7, 8] }}")
    summer = cube([[[60] * 24] * 3], first=date(2026, 5, 31))
    assert rows_of(engine.run(summer, rules).findings) == [
        ("demand_limit", "issue", "note", 1, 0, 23),
        ("demand_limit", "issue", "note", 2, 0, 23),
    ]


def test_a_group_has_rules_of_its_own_and_the_worst_answer_stays() -> None:
    rules = f"""
    [rules.demand_limit]
    severity = "info"
    action = "note"
    high_per_hour = 50
    low_per_hour = -1
    [[groups]]
    when = {{ sectors = ["industrial"], days = ["weekend"] }}
    [groups.rules.demand_limit]{LIMIT}
    """
    found = rows_of(engine.run(two_channels(), rule_set(rules)).findings)
    assert [row[1] for row in found] == ["info"] * 4 + ["info", "issue", "issue", "info"]


def test_a_rule_may_look_only_where_another_one_failed() -> None:
    rules = f"{SUM_CHECK}[rules.demand_limit]{LIMIT}when = {{ only_if = 'sum_check' }}"
    spans = [(0, 0, 24, 1440), (0, 24, 48, 1441)]
    given = cube([[[60] * 24] * 3], spans=spans)
    assert rows_of(engine.run(given, rule_set(rules)).findings) == [
        ("sum_check", "issue", "note", 1, 0, 23),
        ("demand_limit", "issue", "note", 1, 0, 23),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("when = { colour = 1 }", r"when: unknown key colour; allowed: above_per_day, days"),
        ("when = 4", r"demand_limit\]: when = 4 is not a table"),
        ("when = { months = [13] }", r"months = \[13\] are not from 1 to 12"),
        ("when = { months = [] }", r"months = \[\] is not a list of one or more"),
        ('when = { days = ["Monday"] }', r"'Monday' is not one of weekday, weekend, holiday"),
        ('when = { reading_types = ["energy"] }', r"'energy' is not one of active_energy_export"),
        ("when = { sectors = [4] }", r"sectors = 4 is not a name in quotes"),
        ('when = { above_per_day = "a" }', r"above_per_day = 'a' is not a number"),
        ('when = { only_if = "spike" }', r"only_if = 'spike' is no rule of the file"),
        ('when = { only_if = "demand_limit" }', r"only_if = 'demand_limit' is no rule of the file"),
        ("[[groups]]\nrules = {}", r"number 1: when = None is not a table"),
        ("[[groups]]\nwhen = {}", r"number 1: rules is missing"),
        ("[[groups]]\nwhen = {}\nname = 4", r"unknown key name; allowed: rules, when"),
    ],
)
def test_a_wrong_condition_is_told(text: str, told: str) -> None:
    with pytest.raises(RuleSetError, match=told):
        rule_set(f"[rules.demand_limit]{LIMIT}{text}")


def test_what_decides_about_registers_has_no_condition() -> None:
    with pytest.raises(RuleSetError, match="sum_check decides what registers say of all days"):
        rule_set(f"{SUM_CHECK}when = {{ months = [1] }}")


def test_what_comes_first_waits_for_no_other() -> None:
    ending = LIMIT.replace("issue", "terminate")
    with pytest.raises(RuleSetError, match="terminate comes first"):
        rule_set(f"{SUM_CHECK}[rules.demand_limit]{ending}when = {{ only_if = 'sum_check' }}")


BY_SECTOR = """
[[estimators]]
method = "linear"
limit_hours = 2
inclusive = true
one_anchor = "flat"
beside_bad = "decline"
when = { sectors = ["industrial"], days = ["weekend"] }

[[estimators]]
method = "like_day"
count = 1
fewest = 1
like = "kind"
within_days = 7
"""


def test_an_estimator_is_asked_where_its_condition_holds() -> None:
    """An hour lacks on Friday and on Sunday; a line is drawn on industry's Friday alone."""
    gap = [60] * 9 + [None] + [60] * 14
    days = [[60] * 24, gap, [60] * 24, gap]
    sectors = np.array(["residential", "industrial"])
    made = replace(cube([days, days], first=FIRST), sector=sectors)
    filled = engine.run(made, rule_set(GAP, BY_SECTOR)).quality[:, [1, 3], 9]
    line, like = quality.ESTIMATED_LINEAR, quality.ESTIMATED_LIKE_DAY
    assert filled.tolist() == [[like, like], [line, like]]


@pytest.mark.parametrize("when", ["above_per_day = 5", 'only_if = "gap"'])
def test_an_estimator_is_not_asked_by_what_rules_find(when: str) -> None:
    estimator = f'[[estimators]]\nmethod = "linear"\nlimit_hours = 2\nwhen = {{ {when} }}'
    with pytest.raises(RuleSetError, match=r"number 1 \(linear\): when: only rules"):
        rule_set(GAP, estimator)
