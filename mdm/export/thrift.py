"""Thrift's compact protocol, as far as the footer of a Parquet file needs it: writing structs.

References
----------
Apache Thrift, Thrift Compact protocol encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_TRUE, _FALSE, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 5, 6, 8, 9, 12
_SHORT: Final = 15


@dataclass(frozen=True, slots=True)
class I64:
    """A number of a field that the definition has as i64; plain integers are i32."""

    value: int


Value = bool | int | I64 | str | bytes | Mapping[int, "Value"] | Sequence["Value"]
Struct = Mapping[int, Value]
"""Fields by their ids, in the order of the ids; lists have elements of one kind."""


def struct(fields: Struct) -> bytes:
    """Write a struct."""
    parts, last = [], 0
    for number, value in fields.items():
        kind = _kind(value)
        delta = number - last
        last = number
        # All ids here follow each other closely enough for the short form.
        parts += [bytes([delta << 4 | kind]), b"" if isinstance(value, bool) else _written(value)]
    return b"".join((*parts, b"\0"))


def varint(value: int) -> bytes:
    """Write an unsigned number: seven bits an octet, lowest first."""
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _written(value: Value) -> bytes:
    match value:
        case I64(number):
            return _zigzag(number)
        case int():
            return _zigzag(value)
        case str():
            return _written(value.encode())
        case bytes():
            return varint(len(value)) + value
        case Mapping():
            return struct(value)
    return _list(value)


def _list(values: Sequence[Value]) -> bytes:
    kind = _kind(values[0]) if values else _STRUCT
    size = len(values)
    head = bytes([size << 4 | kind]) if size < _SHORT else bytes([0xF0 | kind]) + varint(size)
    return head + b"".join(_written(value) for value in values)


def _zigzag(value: int) -> bytes:
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _kind(value: Value) -> int:
    match value:
        case bool():
            return _TRUE if value else _FALSE
        case I64():
            return _I64
        case int():
            return _I32
        case str() | bytes():
            return _BINARY
        case Mapping():
            return _STRUCT
    return _LIST
