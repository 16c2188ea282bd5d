"""Rows of a profile buffer whose layouts alternate, found all at once.

Every place where the two octets of a row's head stand may begin a row. Where a row would end that
begins there, its values' tags say; the rows are those that follow one another from the first on.
So a buffer takes some dozens of numpy calls, however often its rows change.

References
----------
IEC 62056-6-2:2021, 4.3.6 (Profile generic).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr

NULLS: Final = (axdr.NULL, axdr.DONT_CARE)
STRINGS: Final = (axdr.OCTET_STRING, axdr.VISIBLE_STRING, axdr.UTF8_STRING)
_LONGEST_SHORT_FORM: Final = 0x7F
# Values of these take no fixed number of octets, or are not simple.
_STRING, _OTHER = -1, 0

Places = NDArray[np.intp] | slice
"""Indices, or evenly spaced ones."""


class Cells(NamedTuple):
    """A column's values of one kind.

    Attributes
    ----------
    tag, size : of each value: its tag, and the octets of its payload
    rows : the rows that they are in, None if in all
    at : where their payloads begin
    alone : the values themselves where they are neither numbers nor strings
    """

    tag: int
    size: int
    rows: NDArray[np.intp] | None
    at: Places
    alone: tuple[axdr.Value, ...] = ()


def _steps() -> NDArray[np.intp]:
    """Give for each tag the octets that such a value takes with its tag."""
    steps = np.full(256, _OTHER, np.intp)
    for tag, size in axdr.SIZES.items():
        steps[tag] = size + 1
    steps[list(STRINGS)] = _STRING
    return steps


_STEPS: Final = _steps()
_FIXED: Final = frozenset(axdr.SIZES)
# What looks like a row's head inside a value may seem to lead to another such place, and so on;
# more of them in a row than this are no accident, and another reader takes them.
_MOST_ROUNDS: Final = 8
# Fewer strings than these are stepped over one by one: a clock that only the first row has.
_FEW: Final = 4


class _Column(NamedTuple):
    """A column's tags row by row, which there are, and where they stand, shape (rows,)."""

    tags: NDArray[np.uint8]
    kinds: frozenset[int]
    places: NDArray[np.intp]


class Scan:
    """Rows of simple values.

    Parameters
    ----------
    is_even : whether the rows may all be built alike: the first is as long as they are on average
    """

    def __init__(self, data: bytes, count: int, columns: list[_Column], *, is_even: bool) -> None:
        self.data, self.count, self.is_even = data, count, is_even
        self.last: dict[int, NDArray[np.intp]] | None = None
        self._columns = columns

    def cells(self, index: int) -> list[Cells]:
        """Give a column's values, by their kinds; null-data are in none."""
        tags, kinds, at = self._columns[index]
        given = kinds.difference(NULLS)
        if len(kinds) == 1:
            return [cells for tag in given for cells in self._of_tag(tag, None, at)]
        found = []
        for tag in given:
            rows = (tags == tag).nonzero()[0]
            found += self._of_tag(tag, rows, at.take(rows))
        return found

    def _of_tag(self, tag: int, rows: NDArray[np.intp] | None, at: NDArray[np.intp]) -> list[Cells]:
        if tag not in STRINGS:
            return [Cells(tag, axdr.SIZES[tag], rows, at + 1)]
        sizes = np.frombuffer(self.data, np.uint8).take(at + 1)
        kinds = set(sizes.tobytes())
        if len(kinds) == 1:
            return [Cells(tag, kinds.pop(), rows, at + 2)]
        rows = np.arange(self.count) if rows is None else rows
        alike = [(size, sizes == size) for size in kinds]
        return [Cells(tag, size, rows[mask], at[mask] + 2) for size, mask in alike]


def scan(data: bytes, first: int, width: int, rows: int) -> Scan | None:
    """Find ``rows`` rows, the first of which begins at ``first``.

    Returns
    -------
    None if there are no such rows of simple values; another reader then says why
    """
    if not rows or width > _LONGEST_SHORT_FORM:
        return None
    head = np.frombuffer(bytes((axdr.STRUCTURE, width)), np.uint16)
    begins = (_every_octet(data) == head).nonzero()[0]
    begins = begins[begins.searchsorted(first) :]
    if not len(begins) or begins[0] != first:
        return None
    octets = np.frombuffer(data, np.uint8)
    columns, ends = _walk(octets, begins, width)
    if len(begins) > rows:
        begins = _pruned(begins, ends, len(data), rows)
        columns, ends = _walk(octets, begins, width)
    if len(begins) != rows or not _follow(begins, ends) or ends[-1] > len(data):
        return None
    is_even = bool((ends[0] - first) * rows == ends[-1] - first)
    return Scan(data, rows, columns, is_even=is_even)


def _every_octet(data: bytes) -> NDArray[Any]:
    """Give what stands from each octet on, as a word of two."""
    return np.ndarray((max(len(data) - 1, 0),), np.uint16, data, 0, (1,))


def _walk(
    octets: NDArray[np.uint8], begins: NDArray[np.intp], width: int
) -> tuple[list[_Column], NDArray[np.intp]]:
    """Go from value to value in all rows; give the columns and the rows' ends.

    A row with a value that is not simple, or beyond the last octet, ends nowhere: far behind.
    """
    nowhere = len(octets) * 2 + width
    columns = []
    at = begins + 2
    for _ in range(width):
        tags = octets.take(at, mode="clip")
        kinds = frozenset(tags.tobytes())
        columns.append(_Column(tags, kinds, at))
        following = _STEPS.take(tags)
        following += at
        if not kinds <= _FIXED:
            _pass_strings(octets, at, following, nowhere)
        at = following
    return columns, at


def _pass_strings(
    octets: NDArray[np.uint8], at: NDArray[np.intp], following: NDArray[np.intp], nowhere: int
) -> None:
    """Correct where values end that are strings or not simple."""
    rows = (following <= at).nonzero()[0]
    if len(rows) <= _FEW:
        for row in rows.tolist():
            head = octets[at[row] : at[row] + 2].tolist()
            short = len(head) == 2 and head[0] in STRINGS and head[1] <= _LONGEST_SHORT_FORM
            following[row] = at[row] + 2 + head[1] if short else nowhere
        return
    begins = at[rows]
    sizes = octets.take(begins + 1, mode="clip").astype(np.intp)
    short = (following[rows] < begins) & (sizes <= _LONGEST_SHORT_FORM)
    following[rows] = np.where(short, begins + 2 + sizes, nowhere)


def _follow(begins: NDArray[np.intp], ends: NDArray[np.intp]) -> bool:
    """Tell whether each row ends where the next one begins."""
    return begins[1:].tobytes() == ends[:-1].tobytes()


def _pruned(
    begins: NDArray[np.intp], ends: NDArray[np.intp], octets: int, rows: int
) -> NDArray[np.intp]:
    """Leave out what only looks like a row's head: where no row ends, none begins."""
    for _ in range(_MOST_ROUNDS):
        is_end = np.zeros(octets + 1, np.bool_)
        is_end[np.minimum(ends, octets)] = True
        kept = is_end[begins]
        kept[0] = True
        begins, ends = begins[kept], ends[kept]
        if len(begins) <= rows or kept.all():
            break
    return begins
