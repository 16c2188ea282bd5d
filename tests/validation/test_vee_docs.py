"""The page about rules says what the code does, and nothing else."""

from __future__ import annotations

import inspect
import re
from datetime import date
from pathlib import Path

import pytest

from tests.validation.vee_cubes import SUM_CHECK, rule_set
from validation import ruleset, scaling
from validation.estimators import ESTIMATORS
from validation.failures import NAMES
from validation.rule import Verdict
from validation.rules import RULES
from validation.ruleset import Response

PAGE = Path(__file__).parents[2].joinpath("docs", "rules.md").read_text(encoding="utf-8")
SECTIONS = {
    part.split("`", 1)[0]: part.split("\n## ", 1)[0]
    for part in re.split(r"^### `", PAGE, flags=re.MULTILINE)[1:]
}
COMMODITIES = ("electricity", "water")
SHIPPED = {use.rule.name for each in ruleset.shipped() for use in each.rules}


def cell(value: object) -> str:
    if isinstance(value, Response):
        return f"{value.severity.name.lower()}, {value.action.name.lower()}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def defaults(commodity: str, name: str) -> dict[str, str]:
    """Give a rule's or an estimator's keys as the shipped rule set has them."""
    used = ruleset.select(ruleset.shipped(), commodity, date(2026, 6, 1))
    rule = used.use(name)
    if rule is None:
        found = [each for each in used.estimators if each.estimator.name == name]
        keys = found[0].parameters if found else ()
        return {key: " / ".join(cell(use.parameters[key]) for use in found) for key in keys}
    answer = rule.response
    return {
        "severity": answer.severity.name.lower(),
        "action": answer.action.name.lower(),
        **{str(verdict): cell(each) for verdict, each in rule.by_register.items()},
        **{key: cell(value) for key, value in rule.parameters.items()},
    }


def normal(number: str) -> str:
    return re.sub(r"\.0(?= |$)", "", number)


def test_every_rule_estimator_and_finding_has_its_section_and_no_other_has() -> None:
    assert set(SECTIONS) == {*NAMES, *ESTIMATORS}


@pytest.mark.parametrize("name", [*RULES, *ESTIMATORS])
def test_a_section_names_the_source_and_the_shipped_defaults_or_gives_an_example(name: str) -> None:
    section = SECTIONS[name]
    source = RULES[name].source if name in RULES else ESTIMATORS[name].source
    assert f"Source: {source}\n" in section
    if name not in ESTIMATORS and name not in SHIPPED:
        (example,) = re.findall(r"^```toml\n(.+?)^```", section, flags=re.MULTILINE | re.DOTALL)
        assert next(use.rule.name for use in rule_set(example + SUM_CHECK).rules) == name
        assert re.search(r"^Days that fail: \w", section, flags=re.MULTILINE)
        return
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, flags=re.MULTILINE)
    for column, commodity in enumerate(COMMODITIES, start=1):
        written = {row[0]: normal(row[column]) for row in rows if row[column] != "–"}
        assert written == {k: normal(v) for k, v in defaults(commodity, name).items()}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimators_section_names_its_parameters(name: str) -> None:
    written = re.findall(r"^\| `(\w+)` \|", SECTIONS[name], flags=re.MULTILINE)
    signature = inspect.signature(ESTIMATORS[name].fill).parameters.values()
    assert written == [each.name for each in signature if each.kind is each.KEYWORD_ONLY]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimators_section_names_its_quality_codes(name: str) -> None:
    said = {int(code) for code in re.findall(r"\b(3[012]\d)\b", SECTIONS[name])}
    assert said == {ESTIMATORS[name].quality, ESTIMATORS[name].scaled}


def test_scaling_and_the_registers_words_stand_there() -> None:
    section = PAGE.split("\n## Scaling\n", 1)[1].split("\n## ", 1)[0]
    assert f"Source: {scaling.SOURCE}\n" in section
    written = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    signature = inspect.signature(scaling.scaled).parameters.values()
    assert written == [each.name for each in signature if each.kind is each.KEYWORD_ONLY]
    assert all(f"| `{verdict}` | " in PAGE for verdict in Verdict)
