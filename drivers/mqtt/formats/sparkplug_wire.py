"""Sparkplug B payloads on the wire: the few protobuf fields that readings need, bounded.

References
----------
Eclipse Sparkplug 3.0, §6.4 (payload, metric and data types); Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from drivers.mqtt.payload import LARGEST, Malformed

_MOST_METRICS: Final = 5000
_LONGEST_NAME: Final = 250
_MASK: Final = (1 << 64) - 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Data types (§6.4.16), and how many bits a signed one has.
_SIGNED: Final = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED: Final = frozenset({5, 6, 7, 8})
_FLOATS: Final = frozenset({9, 10})
BOOLEAN: Final = 11

Value = Decimal | str | bool


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : empty where only the alias is sent
    alias : None without one
    timestamp : [ms since 1970], None where the payload's counts
    datatype : of §6.4.16; 0 where it is not sent
    value : None where it is null, or of a kind that no reading has (data sets, bytes)
    """

    name: str
    alias: int | None
    timestamp: int | None
    datatype: int
    value: Value | None


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload; ``timestamp`` [ms since 1970] and ``seq`` are None where they are not sent."""

    timestamp: int | None
    seq: int | None
    metrics: tuple[Metric, ...]


def parse(data: bytes) -> Payload:
    """Read a payload.

    Raises
    ------
    Malformed
        if it is none, or more than is bearable.
    """
    if len(data) > LARGEST:
        raise Malformed(f"{len(data)} bytes are more than {LARGEST}")
    timestamp = seq = None
    metrics: list[Metric] = []
    for number, wire, value in _fields(data):
        if number == 1 and wire == _VARINT:
            timestamp = _integer(value)
        elif number == 2 and wire == _BYTES:
            metrics.append(_metric(_octets(value)))
            if len(metrics) > _MOST_METRICS:
                raise Malformed(f"more than {_MOST_METRICS} metrics")
        elif number == 3 and wire == _VARINT:
            seq = _integer(value)
    return Payload(timestamp, seq, tuple(metrics))


def typed(metric: Metric, datatype: int) -> Value | None:
    """Give a metric's value by its data type: two's complement for signed integers.

    Raises
    ------
    Malformed
        if the value is none of that type.
    """
    value = metric.value
    if datatype not in _SIGNED or value is None:
        return value
    if not isinstance(value, Decimal) or value != value.to_integral_value():
        raise Malformed(f"{metric.name[:40]!r} is no integer")
    bits = _SIGNED[datatype]
    low = int(value) & ((1 << bits) - 1)
    return Decimal(low - (1 << bits) if low >> (bits - 1) else low)


def rebirth(now_ms: int) -> bytes:
    """Write the command that asks an edge node for its birth certificate (§6.4.24)."""
    name = b"Node Control/Rebirth"
    metric = b"\x0a" + bytes([len(name)]) + name + b"\x20\x0b" + b"\x70\x01"
    return b"\x08" + _varint(now_ms) + b"\x12" + bytes([len(metric)]) + metric


def _metric(data: bytes) -> Metric:
    name, alias, timestamp, datatype, null = "", None, None, 0, False
    value: Value | None = None
    for number, wire, raw in _fields(data):
        if number == 1 and wire == _BYTES:
            name = _name(_octets(raw))
        elif number == 2 and wire == _VARINT:
            alias = _integer(raw)
        elif number == 3 and wire == _VARINT:
            timestamp = _integer(raw)
        elif number == 4 and wire == _VARINT:
            datatype = _integer(raw)
        elif number == 7 and wire == _VARINT:
            null = bool(raw)
        elif 10 <= number <= 15:
            value = _value(number, wire, raw)
    return Metric(name, alias, timestamp, datatype, None if null else value)


def _value(number: int, wire: int, raw: int | bytes) -> Value | None:
    """Read the value; a field of another wire type than its own is not that field."""
    if number in (10, 11) and wire == _VARINT:
        return Decimal(_integer(raw))
    if number == 12 and wire == _FIXED32:
        return _float(struct.unpack("<f", _octets(raw))[0])
    if number == 13 and wire == _FIXED64:
        return _float(struct.unpack("<d", _octets(raw))[0])
    if number == 14 and wire == _VARINT:
        return bool(raw)
    if number == 15 and wire == _BYTES:
        return _text(_octets(raw))
    return None


def _float(value: float) -> Decimal | None:
    """Give a float exactly; what is not a number is no value."""
    return Decimal(value) if value - value == 0 else None


def _name(octets: bytes) -> str:
    name = _text(octets)
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Malformed("a metric's name is too long or not printable")
    return name


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a text is not UTF-8") from error


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Walk the fields of a message: number, wire type, and a number or octets."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            whole, at = _read_varint(data, at)
            yield number, wire, whole
            continue
        if wire == _BYTES:
            size, at = _read_varint(data, at)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
        if number == 0 or size < 0 or at + size > len(data):
            raise Malformed(f"no protobuf at byte {at}")
        yield number, wire, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value & _MASK, at
    raise Malformed(f"no protobuf at byte {at}")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(value: int | bytes) -> int:
    return value if isinstance(value, int) else int.from_bytes(value, "little")


def _octets(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""
