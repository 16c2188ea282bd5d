"""Profile buffers (class 7, attribute 2) as columns.

A buffer is an array of structures. ``profile_rows`` finds where each value is; here all values of a
column that are of one kind are taken at once. So a buffer takes some dozens of numpy calls, however
many rows it has.

Null-data mean "as in the row before", in a clock column "one capture period later".

References
----------
IEC 62056-6-2:2021, 4.3.6 (Profile generic) and 4.1.5 (compact array).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr, clock_time, profile_known, profile_rows
from drivers.dlms.profile_known import Known, Table
from drivers.dlms.profile_rows import Rows
from drivers.dlms.profile_scan import STRINGS, Cells
from drivers.errors import RemoteProtocolError

_CLOCKS: Final = (axdr.OCTET_STRING, axdr.DATE_TIME)
_FORMS: Final = {tag: np.dtype(form.replace("?", "B")) for tag, form in axdr.NUMBERS.items()}
_TIME: Final = np.dtype((np.void, clock_time.SIZE))
_UNSIGNED: Final = np.dtype(">u8")
_WORD: Final = np.dtype(">i8")
_LARGEST: Final = np.iinfo(np.int64).max


class Column(NamedTuple):
    """One captured object's values.

    Attributes
    ----------
    values : shape (n,), int64; float64 or object where a value is no such integer
    present : shape (n,), False where the meter has given no value so far
    """

    values: NDArray[Any]
    present: NDArray[np.bool_]


class Clock(NamedTuple):
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


class Columns(NamedTuple):
    """A buffer: its clock column, None if it has none, and the others in their order."""

    rows: int
    clock: Clock | None
    others: tuple[Column, ...]


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
    if tag in (axdr.ARRAY, axdr.COMPACT_ARRAY):
        rows: Table = profile_known.recognised(data, width) or _learned(data, width)
    elif tag == axdr.NULL:
        rows = Rows(data, [])
    else:
        raise RemoteProtocolError(f"a profile buffer is no array: it begins 0x{data[:1].hex()}")
    taken = _integers(rows)
    others = tuple(taken.get(i) or _column(rows, i) for i in range(width) if i != clock)
    if clock is None:
        return Columns(rows.count, None, others)
    times = _clock_column(rows, clock, period_seconds, assumed_deviation)
    return Columns(rows.count, times, others)


def _learned(data: bytes, width: int) -> Table:
    is_tagged = data[0] == axdr.ARRAY
    rows = profile_rows.tagged(data, width) if is_tagged else profile_rows.compact(data, width)
    profile_known.learn(data, width, rows)
    return rows


def _integers(rows: Table) -> dict[int, Column]:
    """Take columns of integers at once, if it is known where they are."""
    integers = rows.integers if isinstance(rows, Known) else None
    if integers is None:
        return {}
    values = _at_every_octet(rows.data, _WORD)[integers.at].astype(np.int64)
    values &= integers.masks
    if integers.signs is not None:
        values ^= integers.signs
        values -= integers.signs
    every = _all(rows.count)
    return {index: Column(own, every) for index, own in zip(integers.columns, values, strict=True)}


def _column(rows: Table, index: int) -> Column:
    cells = rows.cells(index)
    if len(cells) == 1 and cells[0].rows is None:
        return Column(_given(rows, cells[0]), _all(rows.count))
    place, values = _merged(rows.count, [(one, _given(rows, one)) for one in cells])
    if not len(values):
        return Column(np.zeros(rows.count, values.dtype), np.zeros(rows.count, np.bool_))
    last = None if rows.last is None else rows.last.get(index)
    if last is None:
        last = _last_given(place, rows.count)
        if rows.last is not None:
            rows.last[index] = last
    if place[0] == 0:
        return Column(values.take(last), _all(rows.count))
    return Column(values[np.maximum(last, 0)], last >= 0)


@lru_cache(maxsize=64)
def _all(count: int) -> NDArray[np.bool_]:
    """Give as many times True; nobody may change them."""
    every = np.ones(count, np.bool_)
    every.setflags(write=False)
    return every


def _merged(
    count: int, given: list[tuple[Cells, NDArray[Any]]]
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Give the rows that have values, in order, and the values of all kinds in that order."""
    if not given:
        return np.zeros(0, np.intp), np.zeros(0, np.int64)
    places = [np.arange(count) if cells.rows is None else cells.rows for cells, _ in given]
    if len(given) == 1:
        return places[0], given[0][1]
    forms = {values.dtype for _, values in given}
    form = forms.pop() if len(forms) == 1 else np.dtype(object)
    place = np.concatenate(places)
    values = np.concatenate([values.astype(form) for _, values in given])
    order = place.argsort()
    return place[order], values[order]


def _given(rows: Table, cells: Cells) -> NDArray[Any]:
    """Give values of one kind as int64, float64 or objects."""
    tag, size, _, at, alone = cells
    if tag in _FORMS:
        return _numbers(_at_every_octet(rows.data, _FORMS[tag])[at])
    if tag in axdr.SIZES or tag in STRINGS:
        # A string without octets may end the buffer.
        begins = range(len(rows.data) + 1)[at] if isinstance(at, slice) else at.tolist()
        return _objects([rows.data[begin : begin + size] for begin in begins])
    return _objects(list(alone))


def _at_every_octet(data: bytes, form: np.dtype[Any]) -> NDArray[Any]:
    """Give what stands from each octet on, in a form."""
    return np.ndarray((len(data) - form.itemsize + 1,), form, data, 0, (1,))


def _numbers(numbers: NDArray[Any]) -> NDArray[Any]:
    if numbers.dtype.kind == "f":
        return numbers.astype(np.float64)
    if numbers.dtype == _UNSIGNED and (numbers > _LARGEST).any():
        return numbers.astype(object)
    return numbers.astype(np.int64)


def _objects(values: list[axdr.Value]) -> NDArray[Any]:
    # By hand: numpy would make a matrix of values that are sequences.
    objects = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        objects[i] = value
    return objects


def _last_given(place: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Give for each row which of the rows ``place`` was the last up to it, -1 if none was."""
    given = np.zeros(count, np.intp)
    given[place] = 1
    last = given.cumsum()
    last -= 1
    return last


def _clock_column(rows: Table, index: int, period: int, assumed_deviation: int | None) -> Clock:
    cells = rows.cells(index)
    if len(cells) == 1 and _is_first_only(cells[0]):
        clock = _counted(rows, cells[0], period, assumed_deviation)
        if clock is not None:
            return clock
    place, times = _merged(rows.count, [(one, _times(rows, one)) for one in cells])
    octets = times.view(np.uint8).reshape(-1, clock_time.SIZE)
    moments, present, status = clock_time.decode_column(octets, assumed_deviation)
    if len(moments) == rows.count:
        return Clock(moments, present, status)
    if not len(moments):
        none = np.zeros(rows.count, np.uint8)
        return Clock(none.astype(np.int64), none.astype(np.bool_), none)
    last = _last_given(place, rows.count)
    source = np.maximum(last, 0)
    present = present[source] & (last >= 0)
    later = np.arange(rows.count) - place[source]
    return Clock((moments[source] + later * period) * present, present, status[source])


def _is_first_only(cells: Cells) -> bool:
    """Tell whether a time stands in the first row and in no other."""
    return cells.rows is not None and len(cells.rows) == 1 and cells.rows[0] == 0


def _counted(rows: Table, cells: Cells, period: int, assumed_deviation: int | None) -> Clock | None:
    """Give the clock of a meter that writes the first row's time only, None if that is no time."""
    if cells.tag not in _CLOCKS or cells.size != clock_time.SIZE or isinstance(cells.at, slice):
        return None
    at = int(cells.at[0])
    time = clock_time.moment(rows.data[at : at + clock_time.SIZE], assumed_deviation)
    if time is None:
        return None
    moments = _elapsed(rows.count, period) + time[0]
    return Clock(moments, _all(rows.count), _status(rows.count, time[1]))


@lru_cache(maxsize=64)
def _elapsed(count: int, period: int) -> NDArray[np.int64]:
    """Give the seconds from the first row to each."""
    return np.arange(count, dtype=np.int64) * period


@lru_cache(maxsize=64)
def _status(count: int, bits: int) -> NDArray[np.uint8]:
    """Give as many times the same clock status; nobody may change it."""
    every = np.full(count, bits, np.uint8)
    every.setflags(write=False)
    return every


def _times(rows: Table, cells: Cells) -> NDArray[Any]:
    """Give a clock column's values of one kind, twelve octets each."""
    if cells.tag in _CLOCKS and cells.size == clock_time.SIZE:
        return np.ascontiguousarray(_at_every_octet(rows.data, _TIME)[cells.at])
    # What is no time: zeros are none either.
    return np.zeros(rows.count if cells.rows is None else len(cells.rows), _TIME)
