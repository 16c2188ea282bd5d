"""Profile buffers (class 7, attribute 2) as columns.

A buffer is an array of structures. Nearly always row after row has the first row's layout: the
same tags and lengths at the same places. Such a run of rows is read at once, as a strided view of
the bytes; where the layout changes, a new run begins. So a buffer of one layout takes a handful of
numpy calls, and any other buffer is read by the same code, a run at a time.

Null-data mean "as in the row before", in a clock column "one capture period later".

References
----------
IEC 62056-6-2:2021, 4.3.6 (Profile generic) and 4.1.5 (compact array).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr, clock_time
from drivers.errors import RemoteProtocolError

# Longer runs are found by asking for four times as many rows at a time, so that a buffer in which
# each row differs costs no more than its size.
_FIRST_GUESS: Final = 16
# Two years of quarter-hours that alternate; more is no profile, and would take minutes to read.
_MOST_RUNS: Final = 1 << 16
_STRINGS: Final = (axdr.OCTET_STRING, axdr.VISIBLE_STRING, axdr.UTF8_STRING)
_NULLS: Final = (axdr.NULL, axdr.DONT_CARE)
_CLOCKS: Final = (axdr.OCTET_STRING, axdr.DATE_TIME)
_FORMS: Final = {tag: np.dtype(form.replace("?", "B")) for tag, form in axdr.NUMBERS.items()}
_LARGEST: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One captured object's values.

    Attributes
    ----------
    values : shape (n,), int64; float64 or object where a value is no such integer
    present : shape (n,), False where the meter has given no value so far
    """

    values: NDArray[Any]
    present: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """A clock column.

    Attributes
    ----------
    moments : shape (n,), int64 [s since 1970-01-01 UTC, 0 where there is none]
    present : shape (n,), False where a time is missing or none that can be placed
    status : shape (n,), uint8, bits of ``clock_time``
    """

    moments: NDArray[np.int64]
    present: NDArray[np.bool_]
    status: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A buffer: its clock column, None if it has none, and the others in their order."""

    rows: int
    clock: Clock | None
    others: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A value's place in a row: its tag, where its payload begins, and how long that is.

    ``alone`` holds a value that was read by itself, because it is neither a number nor a string.
    """

    tag: int
    at: int
    size: int
    alone: tuple[axdr.Value, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    size: int
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows of one layout, shape (rows, layout.size), from row ``first`` on."""

    first: int
    layout: _Layout
    octets: NDArray[np.uint8]

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + len(self.octets))


_ReadRow = Callable[[bytes, int], _Layout]


def decode(
    data: bytes,
    *,
    width: int,
    clock: int | None,
    period_seconds: int,
    assumed_deviation: int | None = None,
) -> Columns:
    """Read a buffer.

    Parameters
    ----------
    data : the attribute's bytes, A-XDR
    width : number of captured objects
    clock : which of them is the clock, None if none is
    period_seconds : capture period, for null-data in the clock column [s]
    assumed_deviation : for times that leave their deviation open [min]

    Raises
    ------
    RemoteProtocolError
        if the bytes are no such buffer.
    """
    tag = data[0] if data else -1
    if tag == axdr.COMPACT_ARRAY:
        runs = _compact_runs(data, width)
    elif tag == axdr.ARRAY:
        runs = _tagged_runs(data, width)
    elif tag == axdr.NULL:
        runs = []
    else:
        raise RemoteProtocolError(f"a profile buffer is no array: it begins 0x{data[:1].hex()}")
    rows = runs[-1].rows.stop if runs else 0
    others = tuple(_column(runs, i, rows) for i in range(width) if i != clock)
    if clock is None:
        return Columns(rows, None, others)
    times = _clock_column(runs, clock, rows, period_seconds, assumed_deviation)
    return Columns(rows, times, others)


def _tagged_runs(data: bytes, width: int) -> list[_Run]:
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
        return _Layout(position - at, tuple(cells))

    return list(_runs(data[at:], read_row, rows))


def _row_head(data: bytes, at: int) -> tuple[int, int]:
    if data[at : at + 1] != bytes((axdr.STRUCTURE,)):
        raise RemoteProtocolError(f"a profile's row begins 0x{data[at : at + 1].hex()}")
    return axdr.length(data, at + 1)


def _compact_runs(data: bytes, width: int) -> list[_Run]:
    form, at = axdr.element_type(data, 1)
    contents, _ = axdr.octets(data, at)
    if form.tag != axdr.STRUCTURE or len(form.parts) != width or form.size == 0:
        raise RemoteProtocolError(f"a compact array of {form.values} values is no row of {width}")

    def read_row(data: bytes, at: int) -> _Layout:
        cells, position = [], at
        for part in form.parts:
            cell, position = _untagged_cell(part, data, position, at)
            cells.append(cell)
        return _Layout(position - at, tuple(cells))

    return list(_runs(contents, read_row, None))


def _tagged_cell(data: bytes, position: int, row: int) -> tuple[_Cell, int]:
    tag = data[position] if position < len(data) else -1
    if tag in axdr.SIZES or tag in _STRINGS:
        return _simple_cell(tag, data, position + 1, row)
    value, end = axdr.decode(data, position)
    return _Cell(tag, position - row, end - position, (value,)), end


def _untagged_cell(
    form: axdr.ElementType, data: bytes, position: int, row: int
) -> tuple[_Cell, int]:
    if form.tag in axdr.SIZES or form.tag in _STRINGS:
        return _simple_cell(form.tag, data, position, row)
    value, end = axdr.decode_untagged(form, data, position)
    return _Cell(form.tag, position - row, end - position, (value,)), end


def _simple_cell(tag: int, data: bytes, begin: int, row: int) -> tuple[_Cell, int]:
    if tag in _STRINGS:
        size, begin = axdr.length(data, begin)
    else:
        size = axdr.SIZES[tag]
    if begin + size > len(data):
        raise RemoteProtocolError("a profile buffer ends inside a row")
    return _Cell(tag, begin - row, size), begin + size


def _runs(data: bytes, read_row: _ReadRow, rows: int | None) -> Iterator[_Run]:
    """Cut rows into runs of one layout; ``rows`` None means as many as there are."""
    octets = np.frombuffer(data, np.uint8)
    done = at = runs = 0
    while at < len(data) if rows is None else done < rows:
        if (runs := runs + 1) > _MOST_RUNS:
            raise RemoteProtocolError(f"a profile changes its layout more than {_MOST_RUNS} times")
        layout = read_row(data, at)
        most = len(data) if rows is None else rows - done
        count = _run_length(octets[at:], layout, most)
        end = at + count * layout.size
        yield _Run(done, layout, octets[at:end].reshape(count, layout.size))
        done, at = done + count, end


def _run_length(octets: NDArray[np.uint8], layout: _Layout, rows: int) -> int:
    """Count the rows from here on, at least the first, that are built as the first is."""
    if any(cell.alone for cell in layout.cells):
        return 1
    whole = min(rows, len(octets) // layout.size)
    matrix = octets[: whole * layout.size].reshape(whole, layout.size)
    places = _structure(layout)
    expected = matrix[0, places]
    done, step = 1, _FIRST_GUESS
    while done < whole:
        alike = (matrix[done : done + step, places] == expected).all(axis=1)
        if not alike.all():
            return done + int(alike.argmin())
        done, step = done + len(alike), step * 4
    return whole


def _structure(layout: _Layout) -> NDArray[np.intp]:
    """Give the places of tags and lengths in a row."""
    structure = np.ones(layout.size, dtype=bool)
    for cell in layout.cells:
        structure[cell.at : cell.at + cell.size] = False
    return np.flatnonzero(structure)


def _column(runs: list[_Run], index: int, rows: int) -> Column:
    pieces = [(run, run.layout.cells[index]) for run in runs]
    given = [(run.rows, _values(run, cell)) for run, cell in pieces if cell.tag not in _NULLS]
    kinds = {values.dtype for _, values in given}
    values = np.zeros(rows, kinds.pop() if len(kinds) == 1 else np.int64 if not kinds else object)
    null = np.ones(rows, dtype=bool)
    for place, part in given:
        values[place] = part
        null[place] = False
    if not null.any():
        return Column(values, ~null)
    source = _last_given(null)
    return Column(values[np.maximum(source, 0)], source >= 0)


def _values(run: _Run, cell: _Cell) -> NDArray[Any]:
    """Give a cell of each row as int64 or float64, or as objects."""
    field = run.octets[:, cell.at : cell.at + cell.size]
    if cell.alone or cell.tag not in _FORMS:
        return _objects(cell, field)
    numbers: NDArray[Any] = np.ascontiguousarray(field).view(_FORMS[cell.tag])[:, 0]
    if numbers.dtype.kind == "f":
        return numbers.astype(np.float64)
    if numbers.dtype == np.dtype(">u8") and (numbers > _LARGEST).any():
        return numbers.astype(object)
    return numbers.astype(np.int64)


def _objects(cell: _Cell, field: NDArray[np.uint8]) -> NDArray[Any]:
    objects = np.empty(len(field), dtype=object)
    for i in range(len(field)):
        objects[i] = cell.alone[0] if cell.alone else field[i].tobytes()
    return objects


def _last_given(null: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Give for each row the last row up to it that has a value, -1 where none has."""
    return np.maximum.accumulate(np.where(null, -1, np.arange(len(null))))


def _clock_column(
    runs: list[_Run], index: int, rows: int, period: int, assumed_deviation: int | None
) -> Clock:
    moments = np.zeros(rows, np.int64)
    present = np.zeros(rows, dtype=bool)
    status = np.zeros(rows, np.uint8)
    null = np.zeros(rows, dtype=bool)
    for run in runs:
        cell = run.layout.cells[index]
        null[run.rows] = cell.tag in _NULLS
        if cell.tag in _CLOCKS and cell.size == clock_time.SIZE:
            octets = run.octets[:, cell.at : cell.at + cell.size]
            times = clock_time.decode_column(octets, assumed_deviation)
            moments[run.rows], present[run.rows], status[run.rows] = times
    if not null.any():
        return Clock(moments, present, status)
    last = _last_given(null)
    source = np.maximum(last, 0)
    later = (np.arange(rows) - source) * period
    return Clock(moments[source] + later, present[source] & (last >= 0), status[source])
