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
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm.export import thrift
from mdm.export.parquet_column import PLACES, PRECISION, WIDTH, Column, Kind, Packed
from mdm.export.thrift import I64, Struct

_MAGIC: Final = b"PAR1"
_INT32, _INT64, _BYTES, _FIXED = 1, 2, 6, 7
_PLAIN, _RLE, _DICTIONARY = 0, 3, 8
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
# How whole numbers stand in a page.
_NUMBERS: Final = {"int32": "<i4", "int64": "<i8", "timestamp": "<i8"}


def written(columns: Sequence[Column | Packed], metadata: dict[str, str]) -> bytes:
    """Write a file.

    Raises
    ------
    ValueError
        if a decimal has more than ``PLACES`` decimals or does not fit into 38 digits.
    """
    packed = [one if isinstance(one, Packed) else Packed.of(one) for one in columns]
    rows = len(packed[0].values)
    content, chunks, total = bytearray(_MAGIC), [], 0
    for column in packed:
        pages, described = _chunk(column, len(content))
        content += pages
        total += len(pages)
        chunks.append(described)
    root: Struct = {4: "schema", 5: len(columns)}
    footer = thrift.struct(
        {
            1: 2,
            2: [root, *(_described(column) for column in packed)],
            3: I64(rows),
            4: [{1: chunks, 2: I64(total), 3: I64(rows)}],
            5: [{1: key, 2: value} for key, value in sorted(metadata.items())],
            6: "miqyas parquet writer 1",
        }
    )
    return bytes(content) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _described(column: Packed) -> Struct:
    """Give a column's element of the schema."""
    own: dict[int, thrift.Value] = {1: _physical(column.kind)}
    if column.kind == "decimal":
        own[2] = WIDTH
    own[3] = int(column.optional)
    own[4] = column.name
    if column.kind == "text":
        own |= {6: 0, 10: {1: {}}}
    elif column.kind == "timestamp":
        own |= {6: 10, 10: {8: {1: True, 2: {2: {}}}}}
    elif column.kind == "decimal":
        own |= {6: 5, 7: PLACES, 8: PRECISION, 10: {5: {1: PLACES, 2: PRECISION}}}
    return own


def _physical(kind: Kind) -> int:
    return {"text": _BYTES, "int32": _INT32, "int64": _INT64, "timestamp": _INT64}.get(kind, _FIXED)


def _chunk(column: Packed, offset: int) -> tuple[bytes, Struct]:
    """Write a column's pages; give them and what the footer says of them."""
    values, levels = column.values, b""
    if column.optional and column.present is not None:
        values = values[column.present]
        runs = _runs(column.present.astype(np.int64), 1)
        levels = struct.pack("<I", len(runs)) + runs
    dictionary, encoding = b"", _PLAIN
    if column.kind == "text":
        texts, indexes = _dictionary(column.texts, values)
        dictionary = _page(b"".join(_text(text) for text in texts), {7: {1: len(texts), 2: _PLAIN}})
        width = max(1, (len(texts) - 1).bit_length())
        body, encoding = bytes([width]) + _runs(indexes, width), _DICTIONARY
    elif column.kind == "decimal":
        body = values.tobytes()
    else:
        body = values.astype(_NUMBERS[column.kind], copy=False).tobytes()
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


def _dictionary(
    texts: Sequence[str], places: NDArray[np.int64]
) -> tuple[list[str], NDArray[np.int64]]:
    """Put texts in the order in which they come first; give them and each row's place there."""
    rows = len(places)
    first = np.full(len(texts), rows)
    # Of several rows the one that is written last stays: the first one.
    first[places[::-1]] = np.arange(rows)[::-1]
    order = np.argsort(first, kind="stable")[: int((first < rows).sum())]
    rank = np.zeros(len(texts), np.int64)
    rank[order] = np.arange(len(order))
    return [texts[place] for place in order.tolist()], rank[places]


def _runs(values: NDArray[np.int64], width: int) -> bytes:
    """Write small numbers as the RLE/bit-packing hybrid: one run, of either kind."""
    count = len(values)
    if count and (values == values[0]).all():
        return thrift.varint(count << 1) + int(values[0]).to_bytes((width + 7) // 8, "little")
    groups = -(-count // 8)
    padded = np.zeros((groups * 8, 1), "<u4")
    padded[:count, 0] = values
    bits = np.unpackbits(padded.view(np.uint8), axis=1, count=width, bitorder="little")
    packed = np.packbits(bits.ravel(), bitorder="little")
    return thrift.varint(groups << 1 | 1) + packed.tobytes()


def _text(value: str) -> bytes:
    octets = value.encode()
    return struct.pack("<I", len(octets)) + octets
