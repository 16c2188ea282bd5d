"""Rows that end in arrays as ``array_octets`` gives them, to numpy matrices.

An array comes as the server has it: a head of five integers (dimensions, place of the data if there
are NULLs, element type, length, lower bound) and the elements, in the server's order of octets.
Where nobody could make that function, the array comes as it is sent: the same head in network
order, each element after its length. A field's length tells which it is.

References
----------
PostgreSQL source, ``src/include/utils/array.h``; ``array_send`` in ``arrayfuncs.c``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.binary_rows import Message

_HEAD: Final = 20
_NULL: Final = -1
# Element types by their object id.
_ELEMENTS: Final = {21: "i2", 23: "i4"}


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Rows of whole numbers and arrays.

    Attributes
    ----------
    scalars : a column of each, shape (k,)
    arrays : of each, shape (k, w) with w the longest array of all; 0 past an array's length and
        where there is none
    length : shape (k,), of the first array
    """

    scalars: list[NDArray[np.int64]]
    arrays: list[NDArray[Any]]
    length: NDArray[np.int32]


def decode(rows: Sequence[Message], scalars: Sequence[str], arrays: Sequence[str]) -> Blocks:
    """Decode rows of scalars and arrays; an array of which a row has NULL is 0 there.

    Parameters
    ----------
    rows : as ``binary_copy.rows`` gives them
    scalars : types of the first fields, such as ``>i4``
    arrays : element types of the fields that follow, such as ``i4``

    Raises
    ------
    ValueError
        if the bytes are not such rows, or an array has more than one dimension or a NULL.
    """
    sizes = np.fromiter(map(len, rows), np.int64, len(rows))
    parts: list[tuple[NDArray[np.intp], NDArray[Any]]] = []
    for size in np.unique(sizes).tolist():
        parts += _of_size(rows, np.flatnonzero(sizes == size), size, scalars, arrays)
    widths = [_width(parsed, f"a{index}") for _, parsed in parts for index in range(len(arrays))]
    width = max(widths, default=0)
    found = Blocks(
        [np.empty(len(rows), np.int64) for _ in scalars],
        [np.zeros((len(rows), width), kind) for kind in arrays],
        np.zeros(len(rows), np.int32),
    )
    for at, parsed in parts:
        # A slice is copied at once, row numbers one by one.
        place: Any = slice(None) if len(at) == len(rows) else at
        found.length[place] = _width(parsed, "a0")
        for index in range(len(scalars)):
            found.scalars[index][place] = parsed[f"s{index}"]
        for index in range(len(arrays)):
            if size := _width(parsed, f"a{index}"):
                found.arrays[index][place, :size] = _elements(parsed, f"a{index}")
    return found


def _of_size(
    rows: Sequence[Message],
    chosen: NDArray[np.intp],
    size: int,
    scalars: Sequence[str],
    arrays: Sequence[str],
) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
    """Parse rows of equal size; those of another make come in another turn."""
    every = rows if len(chosen) == len(rows) else [rows[row] for row in chosen.tolist()]
    raw = np.frombuffer(b"".join(every), np.uint8).reshape(len(chosen), size)
    while len(chosen):
        dtype, fixed = _form(raw[0].tobytes(), scalars, arrays)
        same = (raw[:, fixed] == raw[0, fixed]).all(axis=1)
        alike = raw if same.all() else raw[same]
        yield chosen[same], alike.view(dtype)[:, 0]
        chosen, raw = chosen[~same], raw[~same]


def _form(
    row: bytes, scalars: Sequence[str], arrays: Sequence[str]
) -> tuple[np.dtype[Any], NDArray[np.intp]]:
    """Walk a row: give its form, and the places of all that rows of this form have in common."""
    if len(row) < 2 or int.from_bytes(row[:2], "big") != len(scalars) + len(arrays):
        raise ValueError(f"no row of {len(scalars) + len(arrays)} fields")
    fields: list[tuple[Any, ...]] = [("fields", "V2")]
    fixed, place = [0, 1], 2
    for index, kind in enumerate([*scalars, *arrays]):
        size = int.from_bytes(row[place : place + 4], "big", signed=True)
        fixed += range(place, place + 4)
        place += 4
        fields.append((f"length{index}", "V4"))
        if index < len(scalars):
            if size != np.dtype(kind).itemsize:
                raise ValueError(f"a field of {size} bytes is no {kind}")
            fields.append((f"s{index}", kind))
        elif size != _NULL:
            fixed += range(place, place + min(size, _HEAD))
            fields += _array(f"a{index - len(scalars)}", kind, row[place : place + max(size, 0)])
        place += max(size, 0)
    if place != len(row):
        raise ValueError(f"a row of {len(row)} bytes whose fields end at {place}")
    return np.dtype(fields), np.array(fixed, np.intp)


def _array(name: str, kind: str, field: bytes) -> list[tuple[Any, ...]]:
    """Describe an array's field."""
    order = "<" if field[:1] == b"\1" else ">"
    if len(field) < _HEAD:
        if len(field) == _HEAD - 8 and not any(field[:8]):
            return [(f"{name}none", f"V{len(field)}")]
        raise ValueError(f"an array of {len(field)} bytes")
    dimensions, nulls, oid, length, _ = np.frombuffer(field[:_HEAD], f"{order}i4").tolist()
    width = np.dtype(kind).itemsize
    if dimensions != 1 or nulls or _ELEMENTS.get(oid) != kind or length < 1:
        raise ValueError(f"no array of one dimension of {kind} without NULLs")
    head = (f"{name}head", f"V{_HEAD}")
    if len(field) == _HEAD + length * width:
        return [head, (name, f"{order}{kind}", (length,))]
    if order == ">" and len(field) == _HEAD + length * (4 + width):
        return [head, (name, [("bytes", ">i4"), ("data", f">{kind}")], (length,))]
    raise ValueError(f"an array of {length} elements in {len(field)} bytes")


def _width(parsed: NDArray[Any], name: str) -> int:
    """Give an array's length, 0 where there is none."""
    return parsed.dtype[name].shape[0] if name in (parsed.dtype.names or ()) else 0


def _elements(parsed: NDArray[Any], name: str) -> NDArray[Any]:
    elements = parsed[name]
    if elements.dtype.names is None:
        return elements
    if (elements["bytes"] != elements.dtype["data"].itemsize).any():
        raise ValueError("an array with a NULL in it")
    return np.asarray(elements["data"])
