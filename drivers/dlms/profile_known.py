"""Buffers whose rows are built as those of one before: only their payloads differ.

Night after night, and from meter to meter of a fleet, null-data stand at the same places. What is
no payload, all tags, counts and lengths, is remembered with its places; a buffer of the same size
in which the same octets stand there is built alike, and where each value is, is known.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr
from drivers.dlms.profile_scan import Cells

# A day of quarter-hours with fifteen columns. Longer ones gain little, and would take memory.
_LARGEST: Final = 8 << 10
_MOST_SIZES: Final = 64
_MOST_OF_A_SIZE: Final = 3
# Structures of a size that are learned without any coming again; each that does earns more.
_PATIENCE: Final = 8
_EARNED: Final = 4
# Integers that int64 has room for, and whether they have a sign.
_SIGNED: Final = {
    tag: np.dtype(form).kind == "i"
    for tag, form in axdr.NUMBERS.items()
    if np.dtype(form).kind in "iu" and np.can_cast(np.dtype(form), np.int64)
}
_WORD: Final = 8


class Integers(NamedTuple):
    """Columns of integers that have a value from the first row on, to be taken at once.

    A word of eight octets is taken that ends where the value ends; what is before it is masked.

    Attributes
    ----------
    columns : shape (k,), their indices
    at : shape (k, rows), where the words begin; for null-data, of the value that they repeat
    masks : shape (k, 1), the value's bits
    signs : shape (k, 1), its sign bit, 0 where it has none; None if no column has one
    """

    columns: tuple[int, ...]
    at: NDArray[np.intp]
    masks: NDArray[np.int64]
    signs: NDArray[np.int64] | None


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
    integers : columns that can be taken at once, None if there are none
    """

    data: bytes
    count: int
    columns: list[list[Cells]]
    last: dict[int, NDArray[np.intp]] | None
    integers: Integers | None

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
    integers: Integers | None
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
            found = structure
            return Known(data, found.count, found.columns, found.last, found.integers)
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
    return _Structure(places, octets, table.count, columns, _integers(columns, table.count))


def _integers(columns: list[list[Cells]], count: int) -> Integers | None:
    """Find columns of one kind of integer each."""
    found: dict[int, Cells] = {}
    for index, cells in enumerate(columns):
        if len(cells) == 1 and cells[0].tag in _SIGNED:
            rows, at = cells[0].rows, np.asarray(cells[0].at)
            is_from_first = rows is None or (len(rows) > 0 and rows[0] == 0)
            if is_from_first and at[0] + cells[0].size >= _WORD:
                found[index] = cells[0]
    if not found:
        return None
    sizes = [one.size for one in found.values()]
    signs = [_SIGNED[one.tag] << (8 * one.size - 1) for one in found.values()]
    masks = [(1 << 8 * size) - 1 for size in sizes]
    return Integers(
        tuple(found),
        np.stack([_of_every_row(one, count) + one.size - _WORD for one in found.values()]),
        np.array(masks, np.uint64).astype(np.int64)[:, None],
        np.array(signs, np.uint64).astype(np.int64)[:, None] if any(signs) else None,
    )


def _of_every_row(cells: Cells, count: int) -> NDArray[np.intp]:
    """Give where each row's value begins, which may stand in a row before it."""
    at = np.asarray(cells.at)
    if cells.rows is None:
        return at
    return at[cells.rows.searchsorted(np.arange(count), "right") - 1]


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
