"""Rows in PostgreSQL's binary COPY format, to and from numpy columns.

Rows whose fields have equal lengths are one numpy structured array. Rows of other lengths (days of
23 or 25 hours, NULLs) make groups of their own, so the work in Python grows with the number of
different shapes, never with the number of values.

References
----------
PostgreSQL documentation, COPY, "File Formats: Binary Format".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas import binary_fields
from schemas.binary_fields import Column

Message = bytes | bytearray | memoryview
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
# The last message is the trailer; of no rows at all, the header and the trailer.
LAST: Final = (len(_TRAILER), len(_HEADER) + len(_TRAILER))
# The parts of a field that rows of one group share.
_SHAPE: Final = {"bytes", "dimensions", "nulls", "oid", "length"}
# Measured on day blocks of 96: 20 M values/s at once, 78 M/s a thousand rows at a time.
_PIECE: Final = 1000


def encode(columns: Sequence[Column]) -> bytes:
    """Encode rows for ``COPY … FROM STDIN (FORMAT BINARY)``, header and trailer included.

    Rows of equal shape stand together; among them the order is kept.

    Parameters
    ----------
    columns : in the order of the COPY statement's columns, of equal length

    Raises
    ------
    ValueError
        if the columns' lengths differ or a value does not fit its type.
    """
    return b"".join(encoded_pieces(columns))


def encoded_pieces(columns: Sequence[Column]) -> Iterator[bytes]:
    """Encode as ``encode`` does, a thousand rows at a time: pieces that stay in the cache."""
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"columns of {[len(column) for column in columns]} rows")
    sizes = np.stack([_sizes(column) for column in columns], axis=1)
    yield _HEADER
    for group in _groups(sizes):
        for first in range(0, len(group), _PIECE):
            yield _encode_group(columns, sizes[group[0]], group[first : first + _PIECE])
    yield _TRAILER


def decode(messages: Iterable[Message], types: Sequence[str]) -> list[Column]:
    """Decode what ``COPY … TO STDOUT (FORMAT BINARY)`` sends.

    Parameters
    ----------
    messages : one a row, as the server sends them and psycopg hands them on; the header comes
        before the first, the trailer last
    types : of the statement's columns

    Returns
    -------
    columns in the order of ``types``, rows in the order of the messages; arrays as wide as the
    longest, 0 past their length

    Raises
    ------
    ValueError
        if the bytes are not rows of these types, or an array has more than one dimension or a NULL.
    """
    rows_ = rows(list(messages))
    sizes = np.fromiter(map(len, rows_), np.int64, len(rows_))
    pieces: list[tuple[NDArray[np.intp], NDArray[Any]]] = []
    for group in _groups(sizes[:, None]):
        size = int(sizes[group[0]])
        chosen = rows_ if len(group) == len(rows_) else [rows_[i] for i in group]
        raw = np.frombuffer(b"".join(chosen), np.uint8).reshape(len(group), size)
        pieces.extend((group[part], parsed) for part, parsed in _parse(raw, types))
    return [_gathered(index, type_, pieces, len(rows_)) for index, type_ in enumerate(types)]


def _sizes(column: Column) -> NDArray[np.int64]:
    """Give what makes a row's field as long as it is: elements, bytes of text, or NULL."""
    if column.type == binary_fields.TEXT:
        same = column.values.strides == (0,) and len(column) > 0
        lengths = np.char.str_len(column.values[:1] if same else column.values)
        sizes = np.broadcast_to(lengths.astype(np.int64), (len(column),))
    elif column.type == binary_fields.RAW:
        sizes = np.full(len(column), column.values.dtype.itemsize, np.int64)
    elif column.length is not None:
        sizes = column.length.astype(np.int64)
    else:
        width = column.values.shape[1] if column.values.ndim == 2 else 0
        sizes = np.full(len(column), width, np.int64)
    return sizes if column.null is None else np.where(column.null, binary_fields.NULL, sizes)


def _groups(sizes: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Part rows by equal rows of a table of sizes, shape (k, c); rows stay in order."""
    if not len(sizes):
        return []
    varying = [column for column in sizes.T if (column != column[0]).any()]
    if not varying:
        return [np.arange(len(sizes))]
    key = np.zeros(len(sizes), np.int64)
    for column in varying:
        distinct, place = np.unique(column, return_inverse=True)
        # Renumbering at each step keeps the key below k times the number of sizes.
        _, key = np.unique(key * len(distinct) + place, return_inverse=True)
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _encode_group(
    columns: Sequence[Column], sizes: NDArray[np.int64], rows: NDArray[np.intp]
) -> bytes:
    shapes = [int(size) for size in sizes]
    kinds = [
        binary_fields.described(column.type, size)
        for column, size in zip(columns, shapes, strict=True)
    ]
    buffer = np.zeros(len(rows), binary_fields.row_dtype(kinds))
    buffer["fields"] = len(columns)
    for index, (column, size) in enumerate(zip(columns, shapes, strict=True)):
        _fill(buffer[f"f{index}"], column.type, size, column.values[rows])
    return buffer.tobytes()


def _fill(field: NDArray[Any], type_: str, size: int, values: NDArray[Any]) -> None:
    """Write one field of a group's rows."""
    field["bytes"] = binary_fields.NULL if size == binary_fields.NULL else field.dtype.itemsize - 4
    if size == binary_fields.NULL:
        return
    if type_ not in binary_fields.ARRAYS:
        if "data" in (field.dtype.names or ()):
            field["data"] = (
                values - binary_fields.EPOCH
                if type_ in binary_fields.MOMENTS
                else _fitting(type_, values)
            )
        return
    field["oid"] = binary_fields.ARRAYS[type_][1]
    if size == 0:
        return
    field["dimensions"], field["length"], field["lower"] = 1, size, 1
    field["elements"]["bytes"] = binary_fields.NATIVE[type_].itemsize
    elements = _fitting(type_, values[:, :size])
    field["elements"]["data"] = (
        elements - binary_fields.EPOCH if type_ in binary_fields.MOMENTS else elements
    )


def _fitting(type_: str, values: NDArray[Any]) -> NDArray[Any]:
    """Refuse integers that the column cannot hold: a cast would wrap them silently."""
    native = binary_fields.NATIVE.get(type_)
    if native is None or native.kind != "i" or values.dtype.itemsize <= native.itemsize:
        return values
    bounds = np.iinfo(native.name)
    if values.size and (values.min() < bounds.min or values.max() > bounds.max):
        raise ValueError(f"{type_} cannot hold {values.min()} … {values.max()}")
    return values


def rows(messages: list[Message]) -> list[Message]:
    """Take the header and the trailer off what the server sends; give its rows."""
    if not messages or bytes(messages[0][:19]) != _HEADER:
        raise ValueError("no binary COPY header; is the statement COPY … (FORMAT BINARY)?")
    messages[0] = messages[0][19:]
    if bytes(messages[-1][-2:]) != _TRAILER:
        raise ValueError("binary COPY without its trailer: the stream was cut")
    messages[-1] = messages[-1][:-2]
    return messages if all(messages) else [message for message in messages if len(message)]


def _parse(
    raw: NDArray[np.uint8], types: Sequence[str]
) -> Iterable[tuple[NDArray[np.intp], NDArray[Any]]]:
    """Parse rows of equal size, shape (n, bytes); those of another make come in another turn."""
    rest = np.arange(len(raw))
    while len(rest):
        sizes = _sizes_of(raw[rest[0]].tobytes(), types)
        dtype = binary_fields.row_dtype(
            [binary_fields.described(t, s) for t, s in zip(types, sizes, strict=True)]
        )
        parsed = raw[rest].view(dtype)[:, 0] if len(rest) < len(raw) else raw.view(dtype)[:, 0]
        same = np.ones(len(rest), np.bool_)
        for index in range(len(types)):
            field = parsed[f"f{index}"]
            for name in _SHAPE.intersection(field.dtype.names or ()):
                same &= field[name] == field[name][0]
        yield rest[same], parsed[same] if not same.all() else parsed
        rest = rest[~same]


def _sizes_of(row: bytes, types: Sequence[str]) -> list[int]:
    """Walk one row's fields."""
    if int.from_bytes(row[:2], "big") != len(types):
        raise ValueError(f"a row of {int.from_bytes(row[:2], 'big')} fields, not {len(types)}")
    sizes, place = [], 2
    for type_ in types:
        count = int.from_bytes(row[place : place + 4], "big", signed=True)
        field = row[place + 4 : place + 4 + max(count, 0)]
        sizes.append(binary_fields.NULL if count == binary_fields.NULL else _size_of(field, type_))
        place += 4 + max(count, 0)
    if place != len(row):
        raise ValueError(f"a row of {len(row)} bytes whose fields end at {place}")
    return sizes


def _size_of(field: bytes, type_: str) -> int:
    if type_ == binary_fields.TEXT:
        return len(field)
    if type_ in binary_fields.SCALARS:
        if len(field) != np.dtype(binary_fields.SCALARS[type_]).itemsize:
            raise ValueError(f"a field of {len(field)} bytes is no {type_}")
        return 0
    dimensions, nulls, oid = np.frombuffer(field[:12], ">i4")
    if oid != binary_fields.ARRAYS[type_][1]:
        raise ValueError(f"an array of elements with object id {oid} is no {type_}")
    if dimensions == 0:
        return 0
    if dimensions != 1 or nulls:
        raise ValueError(f"an {type_} of {dimensions} dimensions or with NULLs in it")
    return int.from_bytes(field[12:16], "big")


def _gathered(
    index: int, type_: str, pieces: Sequence[tuple[NDArray[np.intp], NDArray[Any]]], rows: int
) -> Column:
    """Put one field of all groups together, in the rows' order."""
    fields = [(place, parsed[f"f{index}"]) for place, parsed in pieces]
    null = np.zeros(rows, np.bool_)
    length = np.zeros(rows, np.int32)
    values = _room(type_, rows, [field for _, field in fields])
    for place, field in fields:
        names = field.dtype.names or ()
        target: Any = slice(None) if len(place) == rows else place
        if "elements" in names:
            width = field.dtype["elements"].shape[0]
            length[target] = width
            elements = field["elements"]["data"]
            values[target, :width] = (
                elements + binary_fields.EPOCH if type_ in binary_fields.MOMENTS else elements
            )
        elif "data" in names:
            data = field["data"]
            values[target] = data + binary_fields.EPOCH if type_ in binary_fields.MOMENTS else data
        null[target] = field["bytes"][0] == binary_fields.NULL
    return Column(
        type_,
        values,
        length if type_ in binary_fields.ARRAYS else None,
        null if null.any() else None,
    )


def _room(type_: str, rows: int, fields: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Make an empty column, wide enough for the widest field."""
    kinds = [field.dtype for field in fields]
    if type_ == binary_fields.TEXT:
        widest = max((k["data"].itemsize for k in kinds if "data" in (k.names or ())), default=1)
        return np.zeros(rows, f"S{widest}")
    if type_ not in binary_fields.ARRAYS:
        return np.zeros(rows, binary_fields.NATIVE[type_])
    arrays = [kind["elements"].shape[0] for kind in kinds if "elements" in (kind.names or ())]
    return np.zeros((rows, max(arrays, default=0)), binary_fields.NATIVE[type_])
