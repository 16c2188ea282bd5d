"""Parquet files, written here: the same columns give the same bytes for ever.

A library writes its own version and its newest choices into a file, so that a bill's file could not
be made again after its update. This writes one row group, a page a column, without compression;
texts by a dictionary, which makes the columns of an export small.

References
----------
Apache Parquet, file format and Thrift definition (parquet.thrift), version 2.9: data pages 1,
encodings PLAIN, RLE and RLE_DICTIONARY, logical types STRING, DECIMAL and TIMESTAMP.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mdm.export import thrift
from mdm.export.thrift import I64, Struct

Kind = Literal["text", "int32", "int64", "decimal", "timestamp"]

PLACES: Final = 9
"""Decimals that a decimal column keeps."""

_MAGIC: Final = b"PAR1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT32, _INT64, _BYTES, _FIXED = 1, 2, 6, 7
_PLAIN, _RLE, _DICTIONARY = 0, 3, 8
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_WIDTH, _PRECISION = 16, 38


@dataclass(frozen=True, slots=True)
class Column:
    """A column: text, whole numbers, Decimal or aware datetime.

    Attributes
    ----------
    optional : whether values may be None
    """

    name: str
    kind: Kind
    values: Sequence[Any]
    optional: bool = False


def written(columns: Sequence[Column], metadata: dict[str, str]) -> bytes:
    """Write a file.

    Raises
    ------
    ValueError
        if a decimal has more than ``PLACES`` decimals or does not fit into 38 digits.
    """
    rows = len(columns[0].values)
    content, chunks, total = bytearray(_MAGIC), [], 0
    for column in columns:
        pages, described = _chunk(column, len(content))
        content += pages
        total += len(pages)
        chunks.append(described)
    root: Struct = {4: "schema", 5: len(columns)}
    footer = thrift.struct(
        {
            1: 2,
            2: [root, *(_described(column) for column in columns)],
            3: I64(rows),
            4: [{1: chunks, 2: I64(total), 3: I64(rows)}],
            5: [{1: key, 2: value} for key, value in sorted(metadata.items())],
            6: "miqyas parquet writer 1",
        }
    )
    return bytes(content) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _described(column: Column) -> Struct:
    """Give a column's element of the schema."""
    own: dict[int, thrift.Value] = {1: _physical(column.kind)}
    if column.kind == "decimal":
        own[2] = _WIDTH
    own[3] = int(column.optional)
    own[4] = column.name
    if column.kind == "text":
        own |= {6: 0, 10: {1: {}}}
    elif column.kind == "timestamp":
        own |= {6: 10, 10: {8: {1: True, 2: {2: {}}}}}
    elif column.kind == "decimal":
        own |= {6: 5, 7: PLACES, 8: _PRECISION, 10: {5: {1: PLACES, 2: _PRECISION}}}
    return own


def _physical(kind: Kind) -> int:
    return {"text": _BYTES, "int32": _INT32, "int64": _INT64, "timestamp": _INT64}.get(kind, _FIXED)


def _chunk(column: Column, offset: int) -> tuple[bytes, Struct]:
    """Write a column's pages; give them and what the footer says of them."""
    present = [value for value in column.values if value is not None]
    levels = b""
    if column.optional:
        known = np.array([value is not None for value in column.values], np.int64)
        runs = _runs(known, 1)
        levels = struct.pack("<I", len(runs)) + runs
    dictionary, encoding = b"", _PLAIN
    if column.kind == "text":
        codes = {value: code for code, value in enumerate(dict.fromkeys(present))}
        dictionary = _page(
            b"".join(_text(value) for value in codes), {7: {1: len(codes), 2: _PLAIN}}
        )
        width = max(1, (len(codes) - 1).bit_length())
        indexes = np.array([codes[value] for value in present], np.int64)
        body, encoding = bytes([width]) + _runs(indexes, width), _DICTIONARY
    else:
        body = _PLAINLY[column.kind](present)
    count = len(column.values)
    page = _page(levels + body, {5: {1: count, 2: encoding, 3: _RLE, 4: _RLE}})
    size = len(dictionary) + len(page)
    meta: dict[int, thrift.Value] = {
        1: _physical(column.kind),
        2: [_PLAIN, _RLE, _DICTIONARY] if dictionary else [_PLAIN, _RLE],
        3: [column.name],
        4: 0,
        5: I64(count),
        6: I64(size),
        7: I64(size),
        9: I64(offset + len(dictionary)),
    }
    if dictionary:
        meta[11] = I64(offset)
    return dictionary + page, {2: I64(offset), 3: meta}


def _page(body: bytes, header: Struct) -> bytes:
    kind = _DICTIONARY_PAGE if 7 in header else _DATA_PAGE
    return thrift.struct({1: kind, 2: len(body), 3: len(body), **header}) + body


def _runs(values: NDArray[np.int64], width: int) -> bytes:
    """Write small numbers as the RLE/bit-packing hybrid: one run, of either kind."""
    count = len(values)
    if count and (values == values[0]).all():
        return thrift.varint(count << 1) + int(values[0]).to_bytes((width + 7) // 8, "little")
    groups = -(-count // 8)
    padded = np.zeros(groups * 8, np.int64)
    padded[:count] = values
    bits = (padded[:, None] >> np.arange(width)) & 1
    packed = np.packbits(bits.astype(np.uint8).ravel(), bitorder="little")
    return thrift.varint(groups << 1 | 1) + packed.tobytes()


def _text(value: str) -> bytes:
    octets = value.encode()
    return struct.pack("<I", len(octets)) + octets


def fits(value: Decimal) -> bool:
    """Tell whether a decimal column can hold a figure exactly."""
    return _scaled(value) is not None


def _decimals(values: Sequence[Decimal]) -> bytes:
    return b"".join(_decimal(value) for value in values)


def _decimal(value: Decimal) -> bytes:
    whole = _scaled(value)
    if whole is None:
        raise ValueError(
            f"{value} does not fit into {_PRECISION} digits, {PLACES} of them decimals"
        )
    return whole.to_bytes(_WIDTH, "big", signed=True)


def _scaled(value: Decimal) -> int | None:
    with localcontext() as exact:
        exact.prec = 100
        scaled = value.scaleb(PLACES)
        whole = int(scaled)
        return whole if whole == scaled and abs(whole) < 10**_PRECISION else None


def _stamps(values: Sequence[datetime]) -> bytes:
    micro = timedelta(microseconds=1)
    return np.array([(value - _EPOCH) // micro for value in values], "<i8").tobytes()


_PLAINLY: Final[dict[Kind, Callable[[Sequence[Any]], bytes]]] = {
    "int32": lambda values: np.array(values, "<i4").tobytes(),
    "int64": lambda values: np.array(values, "<i8").tobytes(),
    "decimal": _decimals,
    "timestamp": _stamps,
}
