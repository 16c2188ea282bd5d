"""What a rule is: a function from a view of the cube to a mask of what fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.finding import Action


class Verdict(StrEnum):
    """What the register of a span says of values in it that fail a rule.

    ``agrees``: every interval is there and they add up to the register's difference.
    ``explains``: they add up to more, and the excess is what the failing values have too much;
    only for rules whose limit is the highest value that would have passed.
    ``disagrees``: every interval is there, they don't add up, it isn't explained, and other values
    in place of the failing ones, none below 0, could make the sum right.
    Where it says none of these, there is no register, or too much is missing to tell.
    """

    AGREES = "register_agrees"
    EXPLAINS = "register_explains"
    DISAGREES = "register_disagrees"


AGREEMENT: Final = frozenset({Verdict.AGREES, Verdict.DISAGREES})


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """What fails a rule, and by how much.

    Attributes
    ----------
    fails : True = fails; shaped like the cells, days or spans of the view that the rule sees
    cells : shape (k,), flat indices of the failing ones, ascending
    observed : shape (k,), what was seen there
    limit : shape (k,), what it was held against
    """

    fails: NDArray[np.bool_]
    cells: NDArray[np.int64]
    observed: NDArray[np.float64]
    limit: NDArray[np.float64]


def mask(fails: NDArray[np.bool_], observed: ArrayLike, limit: ArrayLike) -> Mask:
    """Make a mask from arrays that broadcast to the shape of ``fails``."""
    cells = np.flatnonzero(fails)
    where = np.unravel_index(cells, fails.shape)

    def picked(array: ArrayLike) -> NDArray[np.float64]:
        return np.broadcast_to(np.asarray(array), fails.shape)[where].astype(np.float64)

    return Mask(fails, cells, picked(observed), picked(limit))


def nothing(shape: tuple[int, ...]) -> Mask:
    """Make a mask of that shape in which nothing fails."""
    none = np.empty(0, dtype=np.float64)
    return Mask(np.broadcast_to(np.False_, shape), none.astype(np.int64), none, none)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A validation rule.

    Attributes
    ----------
    check : takes a view and the rule's parameters by keyword, gives a ``Mask``
    view : the view that it sees
    source : where it was published
    actions : what a rule set may do with the values that fail
    registers : what a register may say of failing cells, so that a rule set can answer it apart
    """

    check: Callable[..., Mask]
    view: type
    source: str
    actions: frozenset[Action]
    registers: frozenset[Verdict]

    @property
    def name(self) -> str:
        """The name in rule sets and findings."""
        return self.check.__name__

    def __call__(self, view: Any, /, **parameters: Any) -> Mask:
        """Check a view; parameters as the function's docstring says."""
        return self.check(view, **parameters)


def rule(
    *,
    source: str,
    actions: frozenset[Action],
    registers: frozenset[Verdict] = frozenset(),
) -> Callable[[Callable[..., Mask]], Rule]:
    """Make a rule of a function whose first parameter is annotated with the view that it sees."""

    def made(check: Callable[..., Mask]) -> Rule:
        view = next(iter(get_type_hints(check).values()))
        return Rule(check, view, source, actions, registers)

    return made
