"""COPY of rows with arrays as stacks: rows of equal lengths come as one two-dimensional array.

A row of its own costs 3 µs on the way, most of it in Python; in a stack it costs nothing that its
values do not cost. Arrays of integers come as ``array_octets`` gives them, one behind the other: a
head of five integers and the elements, as the server has them, or as it sends them where nobody
could make that function. Lengths tell which it is.

References
----------
PostgreSQL source, ``array_send``: dimensions, flags, element type, then size and first index of
each dimension, then the elements with their lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import TupleRow

from schemas import binary_copy, binary_fields, binary_rows
from schemas.binary_fields import Column
from schemas.binary_rows import Message

# A stack holds the rows of so many neighbours (two to this power) at most: a message of PostgreSQL
# ends at 1 GB, which a year of quarter-hours of four thousand channels reaches.
_NEIGHBOURS: Final = 10
# Sent element by element, an array takes a call of a function for each.
_OCTETS: Final = ("int2[]", "int4[]")
_HEAD: Final = 20


def read(
    connection: psycopg.Connection[TupleRow],
    query: str,
    parameters: Mapping[str, object],
    scalars: Mapping[str, str],
    arrays: Mapping[str, str],
) -> list[Column]:
    """COPY a query's rows out; in no certain order.

    Parameters
    ----------
    query : a SELECT with ``%(name)s`` placeholders
    scalars : types of its columns by name, the first an integer; none of them may be NULL
    arrays : types of its columns by name; none may be empty, all of a row are equally long; any but
        the first may be NULL

    Returns
    -------
    scalars, then arrays, as ``binary_copy.read`` gives them
    """
    together = [f"array_agg({name})::{type_}[]" for name, type_ in scalars.items()]
    together += [_together(name, type_) for name, type_ in arrays.items()]
    statement = (
        f"COPY (SELECT {', '.join(together)} FROM ("  # noqa: S608 (names are the code's)
        f" SELECT *, {_kind(next(iter(scalars)), *arrays)} AS stack FROM (\n{query}\n) AS each"
        " OFFSET 0) AS stacked GROUP BY stack) TO STDOUT (FORMAT BINARY)"
    )
    types = [*(f"{type_}[]" for type_ in scalars.values()), *arrays.values()]
    with connection.cursor() as cursor, cursor.copy(statement.encode(), parameters) as copy:
        return decode(binary_copy.messages(copy, connection.pgconn), types, len(scalars))


def _together(name: str, type_: str) -> str:
    if type_ in _OCTETS:
        return f"string_agg(array_octets({name}), ''::bytea)"
    return f"array_agg({name}) FILTER (WHERE {name} IS NOT NULL)"


def _kind(number: str, array: str, *others: str) -> str:
    """Give one number for rows that may go in one stack.

    Of one number from a subquery the planner expects two hundred; of several columns that it knows
    it expects a group for each row, and sorts the rows instead of hashing them.
    """
    flags = [f"({name} IS NULL)::integer << {n}" for n, name in enumerate(others)]
    whole = f"({number} >> {_NEIGHBOURS})::bigint << 32"
    return " | ".join(f"({part})" for part in (whole, f"cardinality({array}) << 4", *flags))


def decode(messages: Iterable[Message], types: list[str], scalars: int) -> list[Column]:
    """Decode stacks: what the server sends for ``read``.

    Parameters
    ----------
    types : of the stacks' columns, all arrays
    scalars : how many of them hold one element a row

    Raises
    ------
    ValueError
        if the bytes are not stacks of these types.
    """
    stacks = [_stack(bytes(row), types, scalars) for row in binary_rows.rows(list(messages))]
    lengths = []
    for stack in stacks:
        rows = {len(field) for field in stack if field is not None}
        if len(rows) != 1 or any(field is None for field in stack[: scalars + 1]):
            raise ValueError("a stack whose columns are not equally long")
        lengths.append(rows.pop())
    return [
        _scalar(type_.removesuffix("[]"), [stack[n] for stack in stacks])
        if n < scalars
        else _array(type_, [stack[n] for stack in stacks], lengths)
        for n, type_ in enumerate(types)
    ]


def _stack(row: bytes, types: list[str], scalars: int) -> list[NDArray[Any] | None]:
    """Take one stack apart; None is NULL."""
    if int.from_bytes(row[:2], "big") != len(types):
        raise ValueError(f"a stack of {int.from_bytes(row[:2], 'big')} columns, not {len(types)}")
    fields, place = list[NDArray[Any] | None](), 2
    for n, type_ in enumerate(types):
        size = int.from_bytes(row[place : place + 4], "big", signed=True)
        place += 4
        if size == binary_fields.NULL:
            fields.append(None)
        elif n >= scalars and type_ in _OCTETS:
            rows = 0 if fields[0] is None else len(fields[0])
            fields.append(_octets(row, place, size, type_, rows))
        else:
            fields.append(_field(row, place, size, type_))
        place += max(size, 0)
    if place != len(row):
        raise ValueError(f"a stack of {len(row)} bytes whose columns end at {place}")
    return fields


def _field(row: bytes, place: int, size: int, type_: str) -> NDArray[Any]:
    """Read an array of any number of dimensions."""
    if size < 12 or place + size > len(row):
        raise ValueError(f"a column of {size} bytes in a stack of {len(row)}")
    element, oid = binary_fields.ARRAYS[type_]
    dimensions, nulls, found = (int(n) for n in np.frombuffer(row, ">i4", 3, place))
    if found != oid or nulls or dimensions not in (1, 2) or size < 12 + 8 * dimensions:
        raise ValueError(f"{dimensions} dimensions of object id {found} are no stack of {type_}")
    shape = [int(n) for n in np.frombuffer(row, ">i4", 2 * dimensions, place + 12)[::2]]
    dtype = np.dtype([("bytes", ">i4"), ("data", element)])
    count, start = (size - 12 - 8 * dimensions) // dtype.itemsize, place + 12 + 8 * dimensions
    if min(shape) < 1 or count != np.prod(shape) or start + count * dtype.itemsize != place + size:
        raise ValueError(f"{size} bytes are no {type_} of shape {shape}")
    elements = np.frombuffer(row, dtype, count, start)
    native = elements["data"].astype(binary_fields.NATIVE[type_])
    if type_ in binary_fields.MOMENTS:
        native += binary_fields.EPOCH
    return native.reshape(shape)


def _octets(row: bytes, place: int, size: int, type_: str, rows: int) -> NDArray[Any]:
    """Read as many arrays of one length as there are rows."""
    length = size // rows if rows else 0
    if length <= _HEAD or size != rows * length or place + size > len(row):
        raise ValueError(f"a column of {size} bytes in a stack of {len(row)} with {rows} rows")
    octets = np.frombuffer(row, np.uint8, size, place).reshape(rows, length)
    # In the server's order, or in that of the network; there is one dimension.
    order = "<" if octets[0, 0] else ">"
    head = octets[0, :_HEAD].view(f"{order}i4").tolist()
    native = binary_fields.NATIVE[type_]
    count, width = head[3], native.itemsize
    alike = (octets[:, : _HEAD - 4] == octets[0, : _HEAD - 4]).all()
    if head[:3] != [1, 0, binary_fields.ARRAYS[type_][1]] or not alike:
        raise ValueError(f"a head of {head} is none of {type_}")
    if length == _HEAD + count * width:
        return octets[:, _HEAD:].view(f"{order}i{width}").astype(native)
    if length == _HEAD + count * (4 + width):
        sent = np.dtype([("bytes", ">i4"), ("data", f">i{width}")])
        return np.asarray(octets[:, _HEAD:].view(sent)["data"].astype(native))
    raise ValueError(f"{length} bytes are no {type_} of {count}")


def _scalar(type_: str, pieces: list[NDArray[Any] | None]) -> Column:
    known = [piece for piece in pieces if piece is not None]
    if any(piece.ndim != 1 for piece in known):
        raise ValueError(f"a column of {type_} in two dimensions")
    return Column(
        type_, np.concatenate(known) if known else np.empty(0, binary_fields.NATIVE[type_])
    )


def _array(type_: str, pieces: list[NDArray[Any] | None], lengths: list[int]) -> Column:
    known = [piece for piece in pieces if piece is not None]
    if any(piece.ndim != 2 for piece in known):
        raise ValueError(f"a column of {type_} in one dimension")
    rows, width = sum(lengths), max((piece.shape[1] for piece in known), default=0)
    values = np.zeros((rows, width), binary_fields.NATIVE[type_])
    length, null, place = np.zeros(rows, np.int32), np.zeros(rows, np.bool_), 0
    for piece, count in zip(pieces, lengths, strict=True):
        part = slice(place, place + count)
        if piece is None:
            null[part] = True
        else:
            values[part, : piece.shape[1]], length[part] = piece, piece.shape[1]
        place += count
    return Column(type_, values, length, null if null.any() else None)
