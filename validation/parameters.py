"""Parameters in rule-set files, checked against the signature of what takes them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NewType, get_args, get_origin, get_type_hints

from validation import formula

Parameter = str | int | float | bool | tuple[float, ...] | tuple[str, ...]
Signed = NewType("Signed", float)
"""A number that may be below 0."""
Numbers = NewType("Numbers", tuple[float, ...])
"""One number or more, any of them."""
Formula = NewType("Formula", str)
"""A comparison over statistics, as ``validation.formula`` reads it."""

_WORDS: Final[dict[object, str]] = {
    int: "a whole number, 0 or more",
    float: "a number, 0 or more",
    bool: "true or false",
    Signed: "a number",
    Numbers: "a list of numbers, one or more",
    Formula: f"a comparison over {', '.join(formula.NAMES)}",
}


class RuleSetError(ValueError):
    """A rule-set file says something that can't be; the message says where and what may be."""


def checked(
    function: Callable[..., Any], given: Mapping[str, object], where: str
) -> dict[str, Parameter]:
    """Check parameters against a function's keyword-only ones, all of which must be given.

    Parameters
    ----------
    function : a rule's check or an estimator's fill
    given : keys and values as the file has them
    where : file and table, for messages

    Raises
    ------
    RuleSetError
        naming the key, the value and what is allowed.
    """
    hints = get_type_hints(function)
    wanted = {
        name: hints[name]
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    known_keys(given, wanted, where)
    for key, hint in wanted.items():
        if key not in given:
            raise RuleSetError(f"{where}: {key} is missing; it is {allowed(hint)}")
    return {key: _value(hint, given[key], f"{where}: {key}") for key, hint in wanted.items()}


def known_keys(given: Iterable[str], wanted: Iterable[str], where: str) -> None:
    """Refuse keys that nothing reads.

    Raises
    ------
    RuleSetError
        naming the first such key and the ones that are allowed.
    """
    names = sorted(wanted)
    for key in given:
        if key not in names:
            listed = ", ".join(names) if names else "none"
            raise RuleSetError(f"{where}: unknown key {key}; allowed: {listed}")


def choice(value: object, choices: Iterable[str], where: str) -> str:
    """Give a value that must be one of some words.

    Raises
    ------
    RuleSetError
        naming the value and the words.
    """
    words = list(choices)
    if not isinstance(value, str) or value not in words:
        raise RuleSetError(f"{where} = {value!r} is not one of {', '.join(words)}")
    return value


def allowed(hint: object) -> str:
    """Say in words what a parameter of this type may be."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if get_origin(hint) is tuple:
        return "a list of " + ", ".join(get_args(get_args(hint)[0]))
    return _WORDS[hint]


def _value(hint: object, value: object, where: str) -> Parameter:
    if get_origin(hint) is Literal:
        return choice(value, get_args(hint), where)
    if get_origin(hint) is tuple and isinstance(value, list) and value:
        return tuple(choice(each, get_args(get_args(hint)[0]), where) for each in value)
    if hint is Formula and isinstance(value, str):
        try:
            formula.parse(value)
        except formula.FormulaError as error:
            raise RuleSetError(f"{where} = {value!r}: {error}") from error
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint is Numbers and isinstance(value, list) and value:
        return tuple(number(Signed, each, where) for each in value)
    if hint in (int, float, Signed):
        return number(hint, value, where)
    raise RuleSetError(f"{where} = {value!r} is not {allowed(hint)}")


def text(value: object, where: str) -> str:
    """Give a value that must be a word.

    Raises
    ------
    RuleSetError
        naming the value.
    """
    if not isinstance(value, str) or not value:
        raise RuleSetError(f"{where} = {value!r} is not a name in quotes")
    return value


def number(hint: object, value: object, where: str) -> int | float:
    """Give a value that must be a number of a type: int, float or ``Signed``.

    Raises
    ------
    RuleSetError
        naming the value and what is allowed.
    """
    kinds = (int,) if hint is int else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool):
        number = int(value) if hint is int else float(value)
        if math.isfinite(number) and (number >= 0 or hint is Signed):
            return number
    raise RuleSetError(f"{where} = {value!r} is not {allowed(hint)}")
