"""Rule sets: which rules and estimators run, with which parameters, from which date on."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from validation import condition, parameters, scaling
from validation.condition import ALWAYS, Condition
from validation.estimator import Estimator
from validation.estimators import ESTIMATORS
from validation.finding import Action, Severity
from validation.parameters import Parameter, RuleSetError
from validation.rule import Rule, Verdict
from validation.rules import RULES

_TOP: Final = (
    "name", "effective_from", "description", "scale_to_register", "scaling", "check_estimates",
    "rules", "groups", "estimators",
)  # fmt: skip
# What a file without [scaling] has; of a table, registers alone may be left out. A set that was
# stored before there was a choice means what it meant: what it made is proved as it was made.
_SCALING: Final = {"intervals": "estimated", "negative": "refuse", "registers": "total"}
_SEVERITIES: Final = {each.name.lower(): each for each in Severity}


@dataclass(frozen=True, slots=True)
class Response:
    """What a failure means and what is done about it."""

    severity: Severity
    action: Action


@dataclass(frozen=True, slots=True)
class RuleUse:
    """A rule in a rule set.

    Attributes
    ----------
    rule : which
    parameters : its keyword parameters
    response : to a failure
    by_register : responses where a register tells more, by what it says
    when : to which channels and days it applies
    """

    rule: Rule
    parameters: Mapping[str, Parameter]
    response: Response
    by_register: Mapping[Verdict, Response]
    when: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class EstimatorUse:
    """An estimator in a rule set, with its keyword parameters, and of which slots it is asked."""

    estimator: Estimator
    parameters: Mapping[str, Parameter]
    when: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One version of a rule set.

    Attributes
    ----------
    name : such as ``electricity``
    effective_from : first local day that it applies to
    description : for people
    rules : in the file's order; the order changes nothing but the findings' order in a slot
    estimators : in order: the first that can fill a slot does
    scale_to_register : whether estimates are brought to the register's difference
    scaling : how, as keyword parameters of ``scaling.scaled``
    check_estimates : whether the rules look at the estimates, too
    digest : sha256 of the canonical content, for the provenance
    text : the TOML text that it was made of
    """

    name: str
    effective_from: date
    description: str
    rules: tuple[RuleUse, ...]
    estimators: tuple[EstimatorUse, ...]
    scale_to_register: bool
    digest: str
    scaling: Mapping[str, Any] = field(default_factory=lambda: dict(_SCALING))
    check_estimates: bool = False
    text: str = field(default="", repr=False, compare=False)

    def use(self, name: str) -> RuleUse | None:
        """Give the rule of that name as this set uses it, None if it doesn't."""
        return next((use for use in self.rules if use.rule.name == name), None)


@cache
def shipped() -> tuple[RuleSet, ...]:
    """Read the rule sets that come with the program."""
    folder = resources.files("validation").joinpath("rulesets")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=str)
    return tuple(parse(file.read_text(encoding="utf-8"), file.name) for file in files)


def read(path: Path) -> RuleSet:
    """Read a rule set from a TOML file.

    Raises
    ------
    RuleSetError
        saying which key of which table is wrong and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RuleSetError(f"{path} is not text in UTF-8 ({error.reason}); save it so") from error
    return parse(text, path.name)


def select(rule_sets: Iterable[RuleSet], name: str, day: date) -> RuleSet:
    """Choose the version of a rule set in force on a local day.

    Raises
    ------
    LookupError
        if no version of that name was in force.
    """
    in_force = [each for each in rule_sets if each.name == name and each.effective_from <= day]
    if not in_force:
        raise LookupError(
            f"no rule set {name!r} is effective on {day}; add one from an earlier day"
        )
    return max(in_force, key=lambda each: each.effective_from)


def parse(text: str, file: str) -> RuleSet:
    """Make a rule set of TOML text.

    Parameters
    ----------
    text : the file's content
    file : its name, for messages

    Raises
    ------
    RuleSetError
        saying which key of which table is wrong and what is allowed.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleSetError(f"{file}: not TOML: {error}") from error
    parameters.known_keys(content, _TOP, file)
    effective_from = _typed(content, "effective_from", date, "a date such as 2026-01-31", file)
    if isinstance(effective_from, datetime):
        raise RuleSetError(f"{file}: effective_from = {effective_from} has a time; write the date")
    rules = _typed(content, "rules", dict, "a table of rules: [rules.gap] …", file)
    estimators = _typed(content, "estimators", list, "a list: [[estimators]] …", file)
    result = RuleSet(
        name=_typed(content, "name", str, "a name in quotes", file),
        effective_from=effective_from,
        description=_typed(content, "description", str, "a sentence in quotes", file),
        rules=(
            *(_rule(name, table, f"{file}: [rules.{name}]") for name, table in rules.items()),
            *_groups(content.get("groups", []), file),
        ),
        estimators=tuple(
            _estimator(table, f"{file}: [[estimators]] number {number}")
            for number, table in enumerate(estimators, 1)
        ),
        scale_to_register=_typed(content, "scale_to_register", bool, "true or false", file),
        digest=_digest(content),
        scaling=_scaling(content.get("scaling", _SCALING), f"{file}: [scaling]"),
        check_estimates=_typed(
            {"check_estimates": False, **content}, "check_estimates", bool, "true or false", file
        ),
        text=text,
    )
    _check_registers(result, file)
    _check_conditions(result, file)
    return result


def _typed(table: Mapping[str, Any], key: str, kind: type, words: str, where: str) -> Any:
    if key not in table:
        raise RuleSetError(f"{where}: {key} is missing; it is {words}")
    if not isinstance(table[key], kind):
        raise RuleSetError(f"{where}: {key} = {table[key]!r} is not {words}")
    return table[key]


def _groups(groups: object, file: str) -> Iterator[RuleUse]:
    """Read rules that apply together, such as in summer, or to a sector."""
    if not isinstance(groups, list) or not all(isinstance(each, dict) for each in groups):
        raise RuleSetError(f"{file}: groups = {groups!r} is not a list: [[groups]] …")
    for number, group in enumerate(groups, 1):
        where = f"{file}: [[groups]] number {number}"
        parameters.known_keys(group, ("when", "rules"), where)
        when = condition.parse(group.get("when"), f"{where}: when")
        for name, table in _typed(group, "rules", dict, "a table of rules", where).items():
            if isinstance(table, dict) and "when" in table:
                raise RuleSetError(
                    f"{where}: {name}: the group has its when; a rule in it has none"
                )
            yield replace(_rule(name, table, f"{where}: {name}"), when=when)


def _rule(name: str, table: object, where: str) -> RuleUse:
    if name not in RULES:
        raise RuleSetError(f"{where}: no such rule; allowed: {', '.join(RULES)}")
    if not isinstance(table, dict):
        raise RuleSetError(f"{where}: {table!r} is not a table of keys and values")
    rest, rule = dict(table), RULES[name]
    when = condition.parse(rest.pop("when"), f"{where}: when") if "when" in rest else ALWAYS
    response = _response({key: rest.pop(key, None) for key in ("severity", "action")}, rule, where)
    by_register = {
        verdict: _answer(rest.pop(verdict), rule, f"{where}: {verdict}")
        for verdict in Verdict
        if verdict in rest and verdict in rule.registers
    }
    checked = parameters.checked(rule.check, rest, where)
    return RuleUse(rule, checked, response, by_register, when)


def _response(table: object, rule: Rule, where: str) -> Response:
    if not isinstance(table, dict):
        raise RuleSetError(f"{where} = {table!r} is not {{ severity = …, action = … }}")
    parameters.known_keys(table, ("severity", "action"), where)
    severity = parameters.choice(table.get("severity"), _SEVERITIES, f"{where}: severity")
    actions = {each.name.lower(): each for each in sorted(rule.actions)}
    action = parameters.choice(table.get("action"), actions, f"{where}: action")
    return Response(_SEVERITIES[severity], actions[action])


def _answer(table: object, rule: Rule, where: str) -> Response:
    answer = _response(table, rule, where)
    if answer.severity is Severity.TERMINATE:
        raise RuleSetError(f"{where}: severity = 'terminate' is not one of info, issue")
    return answer


def _estimator(table: object, where: str) -> EstimatorUse:
    if not isinstance(table, dict):
        raise RuleSetError(f"{where}: {table!r} is not a table of keys and values")
    rest = dict(table)
    method = parameters.choice(rest.pop("method", None), ESTIMATORS, f"{where}: method")
    chosen, where = ESTIMATORS[method], f"{where} ({method})"
    when = condition.parse(rest.pop("when"), f"{where}: when") if "when" in rest else ALWAYS
    if when.only_if or when.above_per_day is not None:
        raise RuleSetError(f"{where}: when: only rules have only_if and above_per_day")
    return EstimatorUse(chosen, parameters.checked(chosen.fill, rest, where), when)


def _scaling(table: object, where: str) -> dict[str, Parameter]:
    if not isinstance(table, dict):
        raise RuleSetError(f"{where}: {table!r} is not a table of keys and values")
    return parameters.checked(scaling.scaled, {"registers": _SCALING["registers"], **table}, where)


def _check_registers(rule_set: RuleSet, file: str) -> None:
    for use in rule_set.rules:
        asks = use.by_register or use.rule.name == "register_misread"
        if asks and not rule_set.use("sum_check"):
            raise RuleSetError(
                f"{file}: [rules.{use.rule.name}] asks the register, but [rules.sum_check] with "
                f"its tolerance is not in the file; add it"
            )


def _check_conditions(rule_set: RuleSet, file: str) -> None:
    first = {use.rule.name for use in rule_set.rules if not use.when.only_if}
    for use in rule_set.rules:
        where = f"{file}: {use.rule.name}"
        if use.rule.name in ("sum_check", "register_misread") and use.when != ALWAYS:
            raise RuleSetError(f"{where} decides what registers say of all days; it has no when")
        if not use.when.only_if:
            continue
        if use.when.only_if not in first:
            raise RuleSetError(
                f"{where}: only_if = {use.when.only_if!r} is no rule of the file without an only_if"
            )
        if use.response.severity is Severity.TERMINATE:
            raise RuleSetError(f"{where}: a rule of severity terminate comes first; no only_if")


def _digest(content: Mapping[str, object]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=date.isoformat)
    return hashlib.sha256(canonical.encode()).hexdigest()
