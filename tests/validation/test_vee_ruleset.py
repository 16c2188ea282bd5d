"""Rule sets: what is shipped, which one is in force, and what a wrong file is told."""

# A table of messages is read by its rows.
# ruff: noqa: E501

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.validation.vee_cubes import GAP, LINEAR, SPIKE, SUM_CHECK, rule_set
from validation import ruleset
from validation.finding import Action, Severity
from validation.parameters import RuleSetError
from validation.rule import Verdict

HEAD = """
name = "flats"
effective_from = 2026-01-01
description = "for a test"
scale_to_register = true
"""
WHOLE = HEAD + GAP + SUM_CHECK + SPIKE + LINEAR


def test_what_is_shipped_uses_the_same_rules_for_every_commodity() -> None:
    shipped = {each.name: each for each in ruleset.shipped()}
    assert set(shipped) == {"electricity", "electricity_export", "gas", "heat", "water"}
    # No export is as usual as much: what remarks on little has no place there.
    little = {"zero_run", "short_zero_run", "stuck", "high_low", "read_high_low", "read_unchanged"}
    left_out = {"electricity_export": little}
    everything = {use.rule.name for use in shipped["electricity"].rules}
    for name, each in shipped.items():
        used = {use.rule.name for use in each.rules}
        assert used == everything - left_out.get(name, set())
        # Only electricity has outages, and curves on which the weighted average was measured.
        zero = ["zero"] if name.startswith("electricity") else []
        weighted = ["weighted_average"] if name == "electricity" else []
        assert [use.estimator.name for use in each.estimators] == [
            *zero,
            *weighted,
            "linear",
            *weighted,
            "like_day",
            "two_week",
            "year_ago",
            "register",
        ]


def test_the_newest_version_that_has_begun_is_in_force() -> None:
    later = HEAD.replace("2026-01-01", "2026-07-01") + GAP + LINEAR
    versions = [ruleset.parse(WHOLE, "old.toml"), ruleset.parse(later, "new.toml")]
    assert ruleset.select(versions, "flats", date(2026, 6, 30)) is versions[0]
    assert ruleset.select(versions, "flats", date(2026, 7, 1)) is versions[1]
    with pytest.raises(LookupError, match=r"'flats'.*2025-12-31"):
        ruleset.select(versions, "flats", date(2025, 12, 31))
    with pytest.raises(LookupError, match="'villas'"):
        ruleset.select(versions, "villas", date(2026, 7, 1))


def test_a_file_is_read_with_its_responses(tmp_path: Path) -> None:
    path = tmp_path / "flats.toml"
    path.write_text(WHOLE, encoding="utf-8")
    spike = ruleset.read(path).use("spike")
    assert spike is not None
    assert spike.parameters == {"tolerance": 1.8, "minimum_per_hour": 100.0}
    assert spike.response == ruleset.Response(Severity.ISSUE, Action.SUSPECT)
    assert spike.by_register[Verdict.EXPLAINS].action is Action.ESTIMATE
    assert ruleset.read(path).use("stuck") is None


def test_the_digest_is_of_the_content_not_of_the_layout() -> None:
    digest = ruleset.parse(WHOLE, "a.toml").digest
    assert len(digest) == 64
    assert (
        ruleset.parse(HEAD + SPIKE + "\n# a remark\n\n" + SUM_CHECK + GAP + LINEAR, "b.toml").digest
        == digest
    )
    assert ruleset.parse(WHOLE.replace("1.8", "1.9"), "a.toml").digest != digest
    assert ruleset.parse(WHOLE.replace("2026-01-01", "2026-01-02"), "a.toml").digest != digest


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("tolerance = 1.8", "tolerance = -1", r"flats.toml: \[rules.spike\]: tolerance = -1 is not a number, 0 or more"),
        ("tolerance = 1.8", "tolerance = true", r"tolerance = True is not a number"),
        ("tolerance = 1.8", "tolerance = inf", r"tolerance = inf is not a number"),
        ("tolerance = 1.8", "", r"\[rules.spike\]: tolerance is missing; it is a number, 0 or more"),
        ("tolerance = 1.8", "tolerances = 1.8", r"unknown key tolerances; allowed: minimum_per_hour, tolerance"),
        ("[rules.spike]", "[rules.spikes]", r"\[rules.spikes\]: no such rule; allowed: gap, duplicate, "),
        ('severity = "issue"\naction = "suspect"', 'severity = "bad"\naction = "suspect"', r"severity = 'bad' is not one of info, issue, terminate"),
        ('severity = "info"\naction = "estimate"', 'severity = "info"\naction = "suspect"', r"\[rules.gap\]: action = 'suspect' is not one of note, estimate"),
        ('severity = "info"\naction = "estimate"', 'severity = "info"', r"\[rules.gap\]: action = None is not one of note, estimate"),
        ('{ severity = "info", action = "note" }', '"info"', r"register_agrees = 'info' is not \{ severity = …, action = … \}"),
        ('{ severity = "info", action = "note" }', '{ severity = "terminate", action = "note" }', r"'terminate' is not one of info, issue"),
        ("relative = 0", 'relative = 0\nregister_agrees = { severity = "info", action = "note" }', r"\[rules.sum_check\]: unknown key register_agrees"),
        (SUM_CHECK, "", r"\[rules.spike\] asks the register, but \[rules.sum_check\]"),
        ('method = "linear"', 'method = "cubic"', r"\[\[estimators\]\] number 1: method = 'cubic' is not one of zero, linear, like_day, weighted_average, two_week, "),
        ('one_anchor = "flat"', 'one_anchor = "flet"', r"number 1 \(linear\): one_anchor = 'flet' is not one of flat, decline"),
        ("inclusive = true", "inclusive = 1", r"inclusive = 1 is not true or false"),
        ("effective_from = 2026-01-01", 'effective_from = "soon"', r"effective_from = 'soon' is not a date"),
        ("effective_from = 2026-01-01", "effective_from = 2026-01-01T00:00:00", r"has a time"),
        ('name = "flats"', "", r"flats.toml: name is missing"),
        ('name = "flats"', 'name = "flats"\ncolour = "red"', r"unknown key colour; allowed: check_estimates, description, "),
        ("scale_to_register = true", "scale_to_register = true\nrules = 4", r"not TOML"),
        (WHOLE, HEAD + "rules = 4\nestimators = []", r"rules = 4 is not a table of rules"),
        (WHOLE, HEAD + "rules = { gap = 4 }\nestimators = []", r"\[rules.gap\]: 4 is not a table"),
        (WHOLE, HEAD + "rules = {}\nestimators = [4]", r"\[\[estimators\]\] number 1: 4 is not a table"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_where_what_and_what_is_allowed(old: str, new: str, told: str) -> None:
    assert old in WHOLE
    with pytest.raises(RuleSetError, match=told):
        ruleset.parse(WHOLE.replace(old, new, 1), "flats.toml")


def test_a_days_count_is_a_whole_number() -> None:
    like_day = '[[estimators]]\nmethod = "like_day"\ncount = 2.5\nfewest = 1\nlike = "kind"\nwithin_days = 9'
    with pytest.raises(RuleSetError, match=r"count = 2\.5 is not a whole number"):
        rule_set(GAP, like_day)
