"""Profile buffers of the simulated meters: every row is written once, as one row of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators import dlms_codec, dlms_time
from simulators.dlms_apdu import Selection
from simulators.dlms_codec import Data, Malformed
from simulators.stored import Rows

Octets = NDArray[np.uint8]

CLOCK: Final = (8, bytes.fromhex("0000010000ff"))


@dataclass(frozen=True)
class Column:
    """A capture object: attribute 2 of an object, written for every row, shape (n, width)."""

    class_id: int
    name: bytes
    written: Octets = field(repr=False)

    @property
    def described(self) -> bytes:
        """The capture object definition."""
        return dlms_codec.structure(
            dlms_codec.long_unsigned(self.class_id),
            dlms_codec.octets(self.name),
            dlms_codec.integer(2),
            dlms_codec.long_unsigned(0),
        )


@dataclass(frozen=True, eq=False)
class Profile:
    """A profile generic object's content.

    Attributes
    ----------
    rows : what is stored
    columns : the capture objects, the clock first
    capture_period : [s], 0 when rows are captured by events
    zone : of the meter's local time
    """

    rows: Rows
    columns: tuple[Column, ...]
    capture_period: int
    zone: str

    @cached_property
    def _matrix(self) -> Octets:
        """All rows, all columns: shape (n, bytes of a row)."""
        return _joined(self.columns)

    def capture_objects(self) -> bytes:
        """Write the list of capture objects."""
        return dlms_codec.array([column.described for column in self.columns])

    def buffer(self, selection: Selection | None, now: int) -> bytes:
        """Write the rows that there are at a moment, all or selected ones.

        Raises
        ------
        Malformed
            if the selection makes no sense.
        """
        if selection is None:
            return self._written(slice(0, self.rows.visible(now)), ())
        parameters = selection.parameters
        if not isinstance(parameters, list) or len(parameters) != 4:
            raise Malformed("a selection has four parameters")
        if selection.selector == 1:
            first, last = (self._moment(bound) for bound in parameters[1:3])
            chosen = self._chosen(parameters[3])
            return self._written(self.rows.between(first, last, now), chosen)
        if selection.selector == 2:
            return self._entries([_number(value) for value in parameters], now)
        raise Malformed(f"selector {selection.selector} is not known")

    def _entries(self, bounds: list[int], now: int) -> bytes:
        """Write rows and columns by their numbers, from 1; 0 as a last means to the end."""
        first, last, first_column, last_column = bounds
        there = self.rows.visible(now)
        rows = slice(max(first, 1) - 1, min(last or there, there))
        columns = self.columns[max(first_column, 1) - 1 : last_column or None]
        return self._written(rows, () if columns == self.columns else columns)

    def _written(self, rows: slice, columns: Sequence[Column]) -> bytes:
        matrix = _joined(columns) if columns else self._matrix
        part = matrix[rows]
        return b"\x01" + dlms_codec.length(len(part)) + part.tobytes()

    def _moment(self, bound: Data) -> int:
        if not isinstance(bound, bytes):
            raise Malformed("a range is given by date-times")
        return dlms_time.moment(bound, self.zone)

    def _chosen(self, selected: Data) -> list[Column]:
        """Find the columns that a range names; none named means all."""
        if not isinstance(selected, list):
            raise Malformed("selected values are an array")
        known = {(column.class_id, column.name): column for column in self.columns}
        chosen = []
        for item in selected:
            if not isinstance(item, list) or len(item) != 4:
                raise Malformed("a selected value is a capture object definition")
            key = (_number(item[0]), item[1] if isinstance(item[1], bytes) else b"")
            if key not in known:
                raise Malformed("a selected value is not captured here")
            chosen.append(known[key])
        return chosen


def clock_column(written: Octets) -> Column:
    """Make the column of date-times, given as shape (n, 12)."""
    tagged = np.empty((len(written), 14), dtype=np.uint8)
    tagged[:, :2] = (0x09, 12)
    tagged[:, 2:] = written
    return Column(*CLOCK, tagged)


def unsigned_column(name: bytes, values: NDArray[np.int64], class_id: int = 1) -> Column:
    """Make a column of numbers of 8 bits."""
    tagged = np.empty((len(values), 2), dtype=np.uint8)
    tagged[:, 0] = 0x11
    tagged[:, 1] = values
    return Column(class_id, name, tagged)


def long_column(name: bytes, values: NDArray[np.int64], class_id: int = 3) -> Column:
    """Make a column of numbers of 16 bits without sign."""
    tagged = np.empty((len(values), 3), dtype=np.uint8)
    tagged[:, 0] = 0x12
    tagged[:, 1:] = values.astype(">u2").view(np.uint8).reshape(-1, 2)
    return Column(class_id, name, tagged)


def double_long_column(name: bytes, values: NDArray[np.int64], class_id: int = 3) -> Column:
    """Make a column of numbers of 32 bits without sign."""
    tagged = np.empty((len(values), 5), dtype=np.uint8)
    tagged[:, 0] = 0x06
    tagged[:, 1:] = values.astype(">u4").view(np.uint8).reshape(-1, 4)
    return Column(class_id, name, tagged)


def _joined(columns: Sequence[Column]) -> Octets:
    """Put columns side by side behind the tag of a structure."""
    count = len(columns[0].written)
    head = np.empty((count, 2), dtype=np.uint8)
    head[:] = (0x02, len(columns))
    return np.ascontiguousarray(np.hstack([head, *(column.written for column in columns)]))


def _number(value: Data) -> int:
    if not isinstance(value, int):
        raise Malformed("a number is wanted here")
    return value
