"""Columns of many rows, and how PostgreSQL writes a field of each type in its binary format.

References
----------
PostgreSQL documentation, COPY, "File Formats: Binary Format".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NULL: Final = -1
# PostgreSQL counts microseconds from 2000-01-01, Unix from 1970-01-01.
EPOCH: Final = 946_684_800_000_000

SCALARS: Final = {
    "bool": "u1",
    "int2": ">i2",
    "int4": ">i4",
    "int8": ">i8",
    "float8": ">f8",
    "timestamptz": ">i8",
}
# Element type and its object id, which every array value repeats.
ARRAYS: Final = {
    "int2[]": (">i2", 21),
    "int4[]": (">i4", 23),
    "int8[]": (">i8", 20),
    "timestamptz[]": (">i8", 1184),
}
MOMENTS: Final = ("timestamptz", "timestamptz[]")
TEXT: Final = "text"
_TEXT_OID: Final = 25
RAW: Final = "raw"
NATIVE: Final = {
    "bool": np.dtype(np.bool_),
    "int2": np.dtype(np.int16),
    "int4": np.dtype(np.int32),
    "int8": np.dtype(np.int64),
    "float8": np.dtype(np.float64),
    "timestamptz": np.dtype(np.int64),
    "int2[]": np.dtype(np.int16),
    "int4[]": np.dtype(np.int32),
    "int8[]": np.dtype(np.int64),
    "timestamptz[]": np.dtype(np.int64),
}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of many rows.

    Attributes
    ----------
    type : ``bool``, ``int2``, ``int4``, ``int8``, ``float8``, ``timestamptz``, ``text``,
        ``raw``, ``int2[]``, ``int4[]``, ``int8[]`` or ``timestamptz[]``
    values : shape (k,), or (k, w) for arrays. A timestamptz is int64 [µs since 1970-01-01 UTC];
        text is UTF-8 in a dtype ``S…``; raw, which is only written, is the field's bytes in a
        dtype ``V…``: a bytea, or what ``binary_numeric`` makes
    length : shape (k,), elements of each array; None when all have w
    null : shape (k,), True where the row has NULL; None when none has

    Raises
    ------
    ValueError
        if the type is not one of these or a shape does not fit.
    """

    type: str
    values: NDArray[Any]
    length: NDArray[Any] | None = None
    null: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.type not in (*NATIVE, TEXT, RAW):
            known = ", ".join((TEXT, RAW, *NATIVE))
            raise ValueError(f"no column type {self.type!r}; known: {known}")
        if self.values.ndim != (2 if self.type in ARRAYS else 1):
            raise ValueError(f"{self.type} has values of shape {self.values.shape}")
        for part in (self.length, self.null):
            if part is not None and part.shape != self.values.shape[:1]:
                raise ValueError(f"{self.type}: {part.shape} beside {len(self.values)} rows")

    def __len__(self) -> int:
        return len(self.values)


def constant(type_: str, value: object, rows: int) -> Column:
    """Give a column that has the same scalar in every row; None is NULL.

    Parameters
    ----------
    value : as ``Column.values`` has it; text as ``str``
    """
    if value is None:
        empty = np.zeros(rows, NATIVE.get(type_, np.dtype("S1")))
        return Column(type_, empty, null=np.ones(rows, np.bool_))
    raw = value.encode() if isinstance(value, str) else value
    return Column(type_, np.broadcast_to(np.array(raw), (rows,)))


def text_array(texts: Sequence[str]) -> np.void:
    """Write a text[] as one field of the type ``raw``."""
    words = [text.encode() for text in texts]
    head = [1, 0, _TEXT_OID, len(words), 1] if words else [0, 0, _TEXT_OID]
    parts = [np.array(head, ">i4").tobytes()]
    parts += [len(word).to_bytes(4, "big") + word for word in words]
    return np.void(b"".join(parts))


def nulls(column: Column) -> NDArray[np.bool_]:
    """Tell which rows have NULL, shape (k,)."""
    return np.zeros(len(column), np.bool_) if column.null is None else column.null


def described(type_: str, size: int) -> list[tuple[Any, ...]]:
    """Describe one field's bytes; ``size`` is elements, bytes of text, or −1 for NULL."""
    if size == NULL:
        return [("bytes", ">i4")]
    if type_ == TEXT:
        return [("bytes", ">i4"), ("data", f"S{size}")] if size else [("bytes", ">i4")]
    if type_ == RAW:
        return [("bytes", ">i4"), ("data", f"V{size}")]
    if type_ in SCALARS:
        return [("bytes", ">i4"), ("data", SCALARS[type_])]
    head = [("bytes", ">i4"), ("dimensions", ">i4"), ("nulls", ">i4"), ("oid", ">i4")]
    if size == 0:
        return head
    element = [("bytes", ">i4"), ("data", ARRAYS[type_][0])]
    return [*head, ("length", ">i4"), ("lower", ">i4"), ("elements", element, (size,))]


def row_dtype(kinds: Sequence[list[tuple[Any, ...]]]) -> np.dtype[Any]:
    """Give the form of a row whose fields are ``described`` so."""
    return np.dtype([("fields", ">i2"), *((f"f{i}", kind) for i, kind in enumerate(kinds))])
