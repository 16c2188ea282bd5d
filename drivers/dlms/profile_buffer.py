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

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr, clock_time, profile_rows
from drivers.dlms.profile_rows import Kind, Places, Rows
from drivers.errors import RemoteProtocolError

_NULLS: Final = (axdr.NULL, axdr.DONT_CARE)
_CLOCKS: Final = (axdr.OCTET_STRING, axdr.DATE_TIME)
_FORMS: Final = {tag: np.dtype(form.replace("?", "B")) for tag, form in axdr.NUMBERS.items()}
_TIME: Final = np.dtype((np.void, clock_time.SIZE))
_UNSIGNED: Final = np.dtype(">u8")
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
        rows = profile_rows.compact(data, width)
    elif tag == axdr.ARRAY:
        rows = profile_rows.tagged(data, width)
    elif tag == axdr.NULL:
        rows = Rows(data, [])
    else:
        raise RemoteProtocolError(f"a profile buffer is no array: it begins 0x{data[:1].hex()}")
    others = tuple(_column(rows, i) for i in range(width) if i != clock)
    if clock is None:
        return Columns(rows.count, None, others)
    times = _clock_column(rows, clock, period_seconds, assumed_deviation)
    return Columns(rows.count, times, others)


def _column(rows: Rows, index: int) -> Column:
    kinds = [kind for kind in rows.kinds(index) if kind[0] not in _NULLS]
    place, values = _merged([_given(rows, index, kind) for kind in kinds])
    if len(values) == rows.count:
        return Column(values, np.ones(rows.count, np.bool_))
    if not len(values):
        return Column(np.zeros(rows.count, values.dtype), np.zeros(rows.count, np.bool_))
    last = _last_given(place, rows.count)
    return Column(values[np.maximum(last, 0)], last >= 0)


def _merged(
    given: list[tuple[Places, NDArray[Any]]],
) -> tuple[Places, NDArray[Any]]:
    """Give values of several kinds, each with their rows, in the order of the rows."""
    if len(given) == 1:
        return given[0]
    if not given:
        return slice(0), np.zeros(0, np.int64)
    forms = {values.dtype for _, values in given}
    form = forms.pop() if len(forms) == 1 else np.dtype(object)
    place = np.concatenate([place for place, _ in given])
    values = np.concatenate([values.astype(form) for _, values in given])
    order = place.argsort()
    return place[order], values[order]


def _given(rows: Rows, index: int, kind: Kind) -> tuple[Places, NDArray[Any]]:
    """Give a column's values of one kind as int64, float64 or objects, and their rows."""
    tag, size = kind
    place, at = rows.places(index, kind)
    if tag in _FORMS:
        return place, _numbers(rows.at_every_octet(_FORMS[tag])[at])
    if tag in axdr.SIZES or tag in profile_rows.STRINGS:
        # A string without octets may end the buffer.
        begins = range(len(rows.data) + 1)[at] if isinstance(at, slice) else at.tolist()
        return place, _objects([rows.data[begin : begin + size] for begin in begins])
    return place, _objects(rows.alone(index, kind))


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


def _last_given(place: Places, count: int) -> NDArray[np.intp]:
    """Give for each row which of the rows ``place`` was the last up to it, -1 if none was."""
    given = np.zeros(count, np.intp)
    given[place] = 1
    return given.cumsum() - 1


def _clock_column(rows: Rows, index: int, period: int, assumed_deviation: int | None) -> Clock:
    kinds = [kind for kind in rows.kinds(index) if kind[0] not in _NULLS]
    place, octets = _merged([_times(rows, index, kind) for kind in kinds])
    octets = octets.view(np.uint8).reshape(-1, clock_time.SIZE)
    moments, present, status = clock_time.decode_column(octets, assumed_deviation)
    if len(moments) == rows.count:
        return Clock(moments, present, status)
    if not len(moments):
        none = np.zeros(rows.count, np.uint8)
        return Clock(none.astype(np.int64), none.astype(np.bool_), none)
    last = _last_given(place, rows.count)
    source = np.maximum(last, 0)
    present = present[source] & (last >= 0)
    later = np.arange(rows.count) - np.arange(rows.count)[place][source]
    return Clock((moments[source] + later * period) * present, present, status[source])


def _times(rows: Rows, index: int, kind: Kind) -> tuple[Places, NDArray[Any]]:
    """Give a clock column's values of one kind, twelve octets each, and their rows."""
    place, at = rows.places(index, kind)
    if kind[0] in _CLOCKS and kind[1] == clock_time.SIZE:
        return place, np.ascontiguousarray(rows.at_every_octet(_TIME)[at])
    # What is no time: zeros are none either.
    return place, np.zeros(rows.count if isinstance(place, slice) else len(place), _TIME)
