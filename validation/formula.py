"""Comparisons over statistics, such as ``max > 3 * max_before``: read without running any code."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STATISTICS: Final = (
    "sum", "min", "max", "average", "median", "deviation", "zeros", "outages", "count",
)  # fmt: skip
"""Of a day's values; with ``_before`` of those of the days before it."""
NAMES: Final = (*STATISTICS, *(f"{name}_before" for name in STATISTICS))

_LONGEST: Final = 300
_DEEPEST: Final = 12
_Columns = Mapping[str, NDArray[np.float64]]
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ORDER: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


class FormulaError(ValueError):
    """A text is no comparison; the message says what is wrong and what is allowed."""


@dataclass(frozen=True)
class Comparison:
    """A comparison, ready to be worked out.

    Attributes
    ----------
    names : statistics that it needs
    """

    names: frozenset[str]
    _tree: ast.expr

    def of(self, columns: _Columns) -> NDArray[np.bool_]:
        """Work it out for columns of numbers of one shape; what is NaN compares as False."""
        with np.errstate(all="ignore"):
            return np.asarray(_truth(self._tree, columns))

    def sides(self, columns: _Columns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give both sides of the first comparison, for people to see."""
        first = self._tree
        while isinstance(first, ast.BoolOp):
            first = first.values[0]
        if not isinstance(first, ast.Compare):
            raise FormulaError("there is no comparison")
        with np.errstate(all="ignore"):
            both = (_number(each, columns) for each in (first.left, first.comparators[0]))
            left, right = np.broadcast_arrays(*both)
        return np.asarray(left), np.asarray(right)


@lru_cache(maxsize=64)
def parse(text: str) -> Comparison:
    """Read a comparison.

    Numbers, the names of ``NAMES``, ``+ - * /``, brackets, one of ``< <= > >=``; comparisons may
    be joined by ``and`` and ``or``. Nothing else is read, and nothing is run.

    Raises
    ------
    FormulaError
        saying what is wrong and what is allowed.
    """
    if len(text) > _LONGEST:
        raise FormulaError(f"it has {len(text)} characters; {_LONGEST} are allowed")
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError("it cannot be read; write such as max > 3 * max_before") from error
    names: set[str] = set()
    _check_truth(tree, names, 0)
    return Comparison(frozenset(names), tree)


def _check_truth(tree: ast.expr, names: set[str], depth: int) -> None:
    if isinstance(tree, ast.BoolOp) and depth < _DEEPEST:
        for each in tree.values:
            _check_truth(each, names, depth + 1)
    elif isinstance(tree, ast.Compare) and len(tree.ops) == 1 and type(tree.ops[0]) in _ORDER:
        for each in (tree.left, tree.comparators[0]):
            _check_number(each, names, depth + 1)
    else:
        raise FormulaError("it is no comparison with one of < <= > >=, joined by and, or")


def _check_number(tree: ast.expr, names: set[str], depth: int) -> None:
    if depth > _DEEPEST:
        raise FormulaError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(tree, ast.Name):
        if tree.id not in NAMES:
            raise FormulaError(f"unknown name {tree.id}; allowed: {', '.join(NAMES)}")
        names.add(tree.id)
    elif isinstance(tree, ast.BinOp) and type(tree.op) in _ARITHMETIC:
        _check_number(tree.left, names, depth + 1)
        _check_number(tree.right, names, depth + 1)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        _check_number(tree.operand, names, depth + 1)
    elif not _is_number(tree):
        raise FormulaError("only numbers, names of statistics, + - * / and brackets are allowed")


def _is_number(tree: ast.expr) -> bool:
    return (
        isinstance(tree, ast.Constant)
        and type(tree.value) in (int, float)
        and abs(float(str(tree.value))) < float("inf")
    )


def _truth(tree: ast.expr, columns: _Columns) -> Any:
    if isinstance(tree, ast.BoolOp):
        join = np.logical_and if isinstance(tree.op, ast.And) else np.logical_or
        result = _truth(tree.values[0], columns)
        for each in tree.values[1:]:
            result = join(result, _truth(each, columns))
        return result
    if isinstance(tree, ast.Compare):
        compare = _ORDER[type(tree.ops[0])]
        return compare(_number(tree.left, columns), _number(tree.comparators[0], columns))
    raise FormulaError("it is no comparison")


def _number(tree: ast.expr, columns: _Columns) -> Any:
    if isinstance(tree, ast.Name):
        return columns[tree.id]
    if isinstance(tree, ast.BinOp):
        work = _ARITHMETIC[type(tree.op)]
        return work(_number(tree.left, columns), _number(tree.right, columns))
    if isinstance(tree, ast.UnaryOp):
        return -_number(tree.operand, columns)
    if isinstance(tree, ast.Constant):
        return np.float64(float(str(tree.value)))
    raise FormulaError("it is no number")
