"""What an estimator is: a function from the work and the open cells to their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation.work import Work


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Values for some of the open cells.

    Attributes
    ----------
    filled : shape (k,), True where the estimator could
    values : shape (k,), [scaled unit]; 0 where it couldn't
    reasons : how many cells it declined, by why; empty where its usual reason says it all
    """

    filled: NDArray[np.bool_]
    values: NDArray[np.int64]
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """A way to fill cells.

    Attributes
    ----------
    fill : takes the work, the open cells (flat, ascending) and its parameters by keyword
    source : where it was published
    quality : code of the values it gives
    scaled : code of them once a register's difference has scaled them
    declines : why it usually can't
    """

    fill: Callable[..., Estimates]
    source: str
    quality: int
    scaled: int
    declines: str

    @property
    def name(self) -> str:
        """The name in rule sets."""
        return self.fill.__name__

    def __call__(self, work: Work, cells: NDArray[np.int64], /, **parameters: Any) -> Estimates:
        """Estimate open cells; parameters as the function's docstring says."""
        return self.fill(work, cells, **parameters)


def estimator(
    *, source: str, quality: int, scaled: int, declines: str
) -> Callable[[Callable[..., Estimates]], Estimator]:
    """Make an estimator of a function."""

    def made(fill: Callable[..., Estimates]) -> Estimator:
        return Estimator(fill, source, quality, scaled, declines)

    return made
