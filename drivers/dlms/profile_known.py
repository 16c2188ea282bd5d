"""Buffers whose rows are built as those of one before: only their payloads differ.

Night after night, and from meter to meter of a fleet, null-data stand at the same places. What is
no payload, all tags, counts and lengths, is remembered with its places; a buffer of the same size
in which the same octets stand there is built alike, and where each value is, is known.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.dlms.profile_scan import Cells

# A day of quarter-hours with fifteen columns. Longer ones gain little, and would take memory.
_LARGEST: Final = 8 << 10
_MOST_SIZES: Final = 64
_MOST_OF_A_SIZE: Final = 3
# Structures of a size that are learned without any coming again; each that does earns more.
_PATIENCE: Final = 8
_EARNED: Final = 4


class Table(Protocol):
    """Rows, and where in the buffer each value is."""

    data: bytes
    count: int
    last: dict[int, NDArray[np.intp]] | None

    def cells(self, index: int) -> list[Cells]:
        """Give a column's values, by their kinds; null-data are in none."""


@dataclass(slots=True)
class Known:
    """Rows that are built as others were.

    Attributes
    ----------
    last : by column, which of its values was the last up to each row; kept from buffer to buffer
    """

    data: bytes
    count: int
    columns: list[list[Cells]]
    last: dict[int, NDArray[np.intp]] | None

    def cells(self, index: int) -> list[Cells]:
        """Give a column's values, by their kinds; null-data are in none."""
        return self.columns[index]


@dataclass(slots=True)
class _Structure:
    """Where tags, counts and lengths stand, and what they are."""

    places: NDArray[np.intp]
    octets: bytes
    count: int
    columns: list[list[Cells]]
    last: dict[int, NDArray[np.intp]] = field(default_factory=dict)
    came_again: bool = False


@dataclass(slots=True)
class _Size:
    """What is known of buffers of one size and width; ``patience`` to learn more of them."""

    structures: list[_Structure] = field(default_factory=list)
    patience: int = _PATIENCE
    seen: bool = False


_sizes: OrderedDict[tuple[int, int], _Size] = OrderedDict()


def recognised(data: bytes, width: int) -> Known | None:
    """Give a buffer's rows if it is built as one before, else None."""
    size = _sizes.get((width, len(data)))
    if size is None:
        return None
    octets = np.frombuffer(data, np.uint8)
    for structure in size.structures:
        if octets.take(structure.places).tobytes() == structure.octets:
            if not structure.came_again:
                structure.came_again = True
                size.patience += _EARNED
            return Known(data, structure.count, structure.columns, structure.last)
    return None


def learn(data: bytes, width: int, table: Table) -> None:
    """Remember how a buffer is built, if others of its size came before it.

    Parameters
    ----------
    table : the buffer's rows; its bytes are all of the buffer, or all behind a type description
    """
    if len(data) > _LARGEST or not table.count or not data.endswith(table.data):
        return
    key = (width, len(data))
    size = _sizes.setdefault(key, _Size())
    _sizes.move_to_end(key)
    while len(_sizes) > _MOST_SIZES:
        _sizes.popitem(last=False)
    if size.seen and size.patience:
        structure = _structure(data, width, table)
        if structure is not None:
            size.patience -= 1
            size.structures = [structure, *size.structures[: _MOST_OF_A_SIZE - 1]]
    size.seen = True


def _structure(data: bytes, width: int, table: Table) -> _Structure | None:
    """Describe a buffer of numbers, strings and null-data; None if there is anything else."""
    before = len(data) - len(table.data)
    columns = [_fixed(table.cells(index), before) for index in range(width)]
    is_payload = np.zeros(len(data), np.bool_)
    for cells in (one for column in columns for one in column):
        if cells.alone:
            return None
        at = np.asarray(cells.at)
        is_payload[(at[:, None] + np.arange(cells.size)).ravel()] = True
    places = (~is_payload).nonzero()[0]
    octets = np.frombuffer(data, np.uint8).take(places).tobytes()
    return _Structure(places, octets, table.count, columns)


def _fixed(cells: list[Cells], before: int) -> list[Cells]:
    """Give places one by one, which those of another buffer are, too.

    Parameters
    ----------
    before : octets of the buffer that the places do not count
    """
    return [
        one._replace(
            at=before + np.arange(one.at.start, one.at.stop, one.at.step)
            if isinstance(one.at, slice)
            else before + one.at
        )
        for one in cells
    ]
