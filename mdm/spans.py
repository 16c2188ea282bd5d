"""Many numbers as a statement's limits: a range where they lie close together, else a list.

A run asks for thousands of neighbours. A list of them costs the planner 3 µs a number (it looks
each up in the column's statistics) and the index a descent for each; a range costs neither.
Statements take both (``low``, ``high``, ``together``, ``numbers``)::

    x BETWEEN %(low)s AND %(high)s
    AND (%(together)s OR x = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))

The list stands in a subquery so that the planner does not look into it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from schemas import binary_copy
from schemas.binary_fields import Column

# A row too many costs less than the descent that finds a wanted one; a day of values costs more.
SHORT_ROWS: Final = 4.0
LONG_ROWS: Final = 1.2
EXACTLY: Final = 1.0


def limits(numbers: NDArray[Any], slack: float) -> dict[str, object]:
    """Give the limits for some numbers.

    Parameters
    ----------
    numbers : each once, in any order
    slack : how many times as many the range may hold; ``among`` tells those that were not wanted
    """
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (1, 0)
    together = high - low < slack * len(numbers) if len(numbers) else True
    listed = "{}" if together else binary_copy.array(numbers)
    return {"low": low, "high": high, "together": together, "numbers": listed}


def among(numbers: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_] | slice:
    """Choose the rows that were wanted, from what a statement found within the limits.

    Parameters
    ----------
    numbers : each once, in any order
    found : the column that the limits are on
    """
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (1, 0)
    if not len(found) or high - low + 1 == len(numbers):
        return slice(None)
    if high - low >= SHORT_ROWS * len(numbers):
        return slice(None)
    wanted = np.zeros(high - low + 1, np.bool_)
    wanted[numbers - low] = True
    return np.asarray(wanted[found - low])


def kinds(numbers: Column, wanted: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find numbers among those of several kinds; give the kind of each, and its place in it.

    Parameters
    ----------
    numbers : those of a kind in each row, as ``array_agg`` gives them
    wanted : shape (k,), all of them among ``numbers``
    """
    lengths = np.zeros(len(numbers), np.int32) if numbers.length is None else numbers.length
    kind, place = np.nonzero(np.arange(numbers.values.shape[1]) < lengths[:, None])
    at = readings_columns.places((numbers.values[kind, place],), (wanted,))
    return kind[at], place[at]
