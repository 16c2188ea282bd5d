"""Rows of a profile buffer: where in its bytes each value is.

Nearly always row after row has the first row's layout: the same tags and lengths at the same
places. Such a run of rows is found without reading each of them. Null-data, where a meter sends
them, make the layouts alternate: ``profile_scan`` finds such rows all at once. What is left, such
as rows that hold structures, is cut into runs of one layout: those seen last are tried before a row
is read by itself.

References
----------
IEC 62056-6-2:2021, 4.3.6 (Profile generic) and 4.1.5 (compact array).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr, profile_scan
from drivers.dlms.profile_scan import NULLS, STRINGS, Cells, Scan
from drivers.errors import RemoteProtocolError

# Longer runs are found by asking for four times as many rows at a time, so that a buffer in which
# each row differs costs no more than its size.
_FIRST_GUESS: Final = 128
# Two years of quarter-hours that alternate; more is no profile, and would take minutes to read.
_MOST_RUNS: Final = 1 << 16
# Layouts that a row is compared with before it is read by itself.
_SEEN: Final = 8
# Longer type descriptions are not kept from one buffer to the next.
_LONGEST_KEY: Final = 512

_Kind = tuple[int, int]
"""A value's tag and the size of its payload."""


class _Cell(NamedTuple):
    """A value's place in a row: its tag, where its payload begins, and how long that is.

    ``alone`` holds a value that was read by itself, because it is neither a number nor a string.
    """

    tag: int
    at: int
    size: int
    alone: tuple[axdr.Value, ...] = ()


class _Layout(NamedTuple):
    """How a row is built.

    Attributes
    ----------
    size : octets of a row
    cells : its values' places
    structure : the octets that are no payload but tags and lengths, each with its place
    repeats : whether other rows can be told to be built alike by ``structure``
    """

    size: int
    cells: tuple[_Cell, ...]
    structure: tuple[tuple[int, bytes], ...]
    repeats: bool

    @classmethod
    def of(cls, row: bytes, cells: list[_Cell]) -> _Layout:
        """Describe the row that holds these cells."""
        structure: list[tuple[int, bytes]] = []
        at = 0
        for cell in cells:
            structure.extend((place, row[place : place + 1]) for place in range(at, cell.at))
            at = cell.at + cell.size
        repeats = not any(cell.alone for cell in cells)
        # From the end, where rows that differ only in what is null-data differ first.
        return cls(len(row), tuple(cells), tuple(reversed(structure)), repeats)


class _Run(NamedTuple):
    """``many`` rows of one layout, which begin at ``at``."""

    many: int
    layout: _Layout
    at: int


class Rows:
    """All rows of a buffer, and where in it each value is."""

    def __init__(self, data: bytes, runs: list[_Run]) -> None:
        self.data, self.runs = data, runs
        self.last: dict[int, NDArray[np.intp]] | None = None
        self._many = [run.many for run in runs]
        self.count = sum(self._many)
        if len(runs) > 1:
            size = self._spread([run.layout.size for run in runs])
            # Each row is where those before it end; a buffer's rows follow without a gap.
            self._at = np.cumsum(size) - size + runs[0].at

    def cells(self, index: int) -> list[Cells]:
        """Give a column's values, by their kinds; null-data are in none."""
        cells = self._cells(index)
        if len(cells) == 1:
            many, layout, at = self.runs[0]
            tag, place, size, alone = cells[0]
            if tag in NULLS:
                return []
            first = at + place
            spaced = slice(first, first + (many - 1) * layout.size + 1, layout.size)
            return [Cells(tag, size, None, spaced, alone)]
        kinds = {(cell.tag, cell.size) for cell in cells}
        return [self._of_kind(cells, kind) for kind in kinds if kind[0] not in NULLS]

    def _of_kind(self, cells: list[_Cell], kind: _Kind) -> Cells:
        inside = self._spread([cell.at if cell[::2] == kind else -1 for cell in cells])
        rows = (inside >= 0).nonzero()[0]
        alone = [cell.alone[0] for cell in cells if cell[::2] == kind and cell.alone]
        return Cells(*kind, rows, self._at[rows] + inside[rows], tuple(alone))

    def _cells(self, index: int) -> list[_Cell]:
        return [run.layout.cells[index] for run in self.runs]

    def _spread(self, of_runs: list[int]) -> NDArray[np.intp]:
        return np.repeat(np.array(of_runs, np.intp), self._many)


_ReadRow = Callable[[bytes, int], _Layout]


def tagged(data: bytes, width: int) -> Rows | Scan:
    """Find the rows of a buffer that is an array of structures.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no such array, or its rows have not ``width`` values.
    """
    rows, at = axdr.length(data, 1)
    # A row has a tag and a count, and each value at least a tag.
    if rows * (2 + width) > len(data) - at:
        raise RemoteProtocolError(f"{rows} rows cannot be in {len(data) - at} bytes")

    def read_row(data: bytes, at: int) -> _Layout:
        count, position = _row_head(data, at)
        if count != width:
            raise RemoteProtocolError(f"a row has {count} values for {width} captured objects")
        cells = []
        for _ in range(width):
            cell, position = _tagged_cell(data, position, at)
            cells.append(cell)
        return _Layout.of(data[at:position], cells)

    seen = _seen(width, b"")
    for layout in tuple(seen):
        if rows and _run_length(data, at, layout, rows) == rows:
            return Rows(data, [_Run(rows, layout, at)])
    found = profile_scan.scan(data, at, width, rows)
    if found is None:
        return Rows(data, list(_runs(data, at, read_row, rows, seen)))
    if found.is_even:
        seen.appendleft(read_row(data, at))
    return found


def _row_head(data: bytes, at: int) -> tuple[int, int]:
    if data[at : at + 1] != bytes((axdr.STRUCTURE,)):
        raise RemoteProtocolError(f"a profile's row begins 0x{data[at : at + 1].hex()}")
    return axdr.length(data, at + 1)


def compact(data: bytes, width: int) -> Rows:
    """Find the rows of a buffer that is a compact array.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no such array, or its rows have not ``width`` values.
    """
    form, at = axdr.element_type(data, 1)
    contents, _ = axdr.octets(data, at)
    types = data[1:at]
    if form.tag != axdr.STRUCTURE or len(form.parts) != width or not form.bounded:
        raise RemoteProtocolError(f"a compact array of {form.values} values is no row of {width}")

    def read_row(data: bytes, at: int) -> _Layout:
        cells, position = [], at
        for part in form.parts:
            cell, position = _untagged_cell(part, data, position, at)
            cells.append(cell)
        return _Layout.of(data[at:position], cells)

    seen = _seen(width, types) if len(types) <= _LONGEST_KEY else deque[_Layout](maxlen=_SEEN)
    return Rows(contents, list(_runs(contents, 0, read_row, None, seen)))


def _tagged_cell(data: bytes, position: int, row: int) -> tuple[_Cell, int]:
    tag = data[position] if position < len(data) else -1
    if tag in axdr.SIZES or tag in STRINGS:
        return _simple_cell(tag, data, position + 1, row)
    value, end = axdr.decode(data, position)
    return _Cell(tag, position - row, end - position, (value,)), end


def _untagged_cell(
    form: axdr.ElementType, data: bytes, position: int, row: int
) -> tuple[_Cell, int]:
    if form.tag in axdr.SIZES or form.tag in STRINGS:
        return _simple_cell(form.tag, data, position, row)
    value, end = axdr.decode_untagged(form, data, position)
    return _Cell(form.tag, position - row, end - position, (value,)), end


def _simple_cell(tag: int, data: bytes, begin: int, row: int) -> tuple[_Cell, int]:
    if tag in STRINGS:
        size, begin = axdr.length(data, begin)
    else:
        size = axdr.SIZES[tag]
    if begin + size > len(data):
        raise RemoteProtocolError("a profile buffer ends inside a row")
    return _Cell(tag, begin - row, size), begin + size


@lru_cache(maxsize=256)
def _seen(width: int, types: bytes) -> deque[_Layout]:
    """Give the layouts that rows of so many values had last, in whatever buffer.

    Parameters
    ----------
    types : a compact array's type description, empty where each value has its tag
    """
    return deque(maxlen=_SEEN)


def _runs(
    data: bytes, at: int, read_row: _ReadRow, rows: int | None, seen: deque[_Layout]
) -> Iterator[_Run]:
    """Cut rows into runs of one layout.

    Parameters
    ----------
    rows : None means as many as there are
    seen : layouts to try before a row is read by itself; new ones are put first
    """
    done = runs = 0
    while at < len(data) if rows is None else done < rows:
        if (runs := runs + 1) > _MOST_RUNS:
            raise RemoteProtocolError(f"a profile changes its layout more than {_MOST_RUNS} times")
        most = len(data) if rows is None else rows - done
        for layout in tuple(seen):
            if many := _run_length(data, at, layout, most):
                break
        else:
            layout = read_row(data, at)
            many = 1
            if layout.repeats:
                seen.appendleft(layout)
                many = _run_length(data, at, layout, most)
        yield _Run(many, layout, at)
        done, at = done + many, at + many * layout.size


def _run_length(data: bytes, at: int, layout: _Layout, rows: int) -> int:
    """Count the rows from ``at`` on that are built like this, at most ``rows``."""
    size = layout.size
    whole = min(rows, (len(data) - at) // size)
    done, asked = 0, _FIRST_GUESS
    while done < whole:
        begin = at + done * size
        alike = asked = min(asked, whole - done)
        for place, octet in layout.structure:
            # The octets at this place of row after row: as many as are equal lead.
            octets = data[begin + place : begin + alike * size : size]
            alike -= len(octets.lstrip(octet))
            if not alike:
                return done
        done += alike
        if alike < asked:
            return done
        asked *= 4
    return done
