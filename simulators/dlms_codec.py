"""A-XDR data of DLMS as the simulated meters write and read it (IEC 62056-6-2, clause 4.1.5).

This is the meters' own codec: the driver has another, and each is checked against gurux-dlms.
"""

from __future__ import annotations

import struct
from typing import Final

Data = None | bool | int | bytes | str | list["Data"]

NULL: Final = b"\0"

_FIXED: Final = {
    # tag: struct format (big endian)
    0x03: ">?",
    0x05: ">i",
    0x06: ">I",
    0x0F: ">b",
    0x10: ">h",
    0x11: ">B",
    0x12: ">H",
    0x14: ">q",
    0x15: ">Q",
    0x16: ">B",
}
_OCTETS: Final = 0x09
_TEXT: Final = 0x0A
_DATE_TIME: Final = 0x19
_LISTS: Final = (0x01, 0x02)
_DEEPEST: Final = 8


class Malformed(ValueError):
    """Bytes that are not what they should be."""


class Reader:
    """Takes bytes from the front; everything that is missing is Malformed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """Take some bytes."""
        if count > self.left:
            raise Malformed(f"{count} bytes wanted at {self.at}, {self.left} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        """Take an unsigned number of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(self.left)

    def length(self) -> int:
        """Take a length: one byte below 128, else a byte that counts the bytes that follow."""
        first = self.number(1)
        return first if first < 0x80 else self.number(min(first & 0x7F, 4))

    def value(self, depth: int = 0) -> Data:
        """Take one value with its tag."""
        tag = self.number(1)
        if tag == 0:
            return None
        if form := _FIXED.get(tag):
            taken: bool | int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
            return taken
        if tag in _LISTS and depth < _DEEPEST:
            return [self.value(depth + 1) for _ in range(self.length())]
        if tag == _DATE_TIME:
            return self.take(12)
        if tag in (_OCTETS, _TEXT):
            return self.take(self.length())
        raise Malformed(f"data of tag {tag} is not read by meters")


def whole(data: bytes) -> Data:
    """Read one value that fills the bytes to their end.

    Raises
    ------
    Malformed
        if it does not.
    """
    reader = Reader(data)
    value = reader.value()
    if reader.left:
        raise Malformed(f"{reader.left} bytes follow the value")
    return value


def length(count: int) -> bytes:
    """Write a length."""
    if count < 0x80:
        return bytes((count,))
    return b"\x81" + bytes((count,)) if count < 0x100 else b"\x82" + count.to_bytes(2, "big")


def octets(data: bytes) -> bytes:
    """Write an octet-string."""
    return b"\x09" + length(len(data)) + data


def array(items: list[bytes]) -> bytes:
    """Write an array of values that are written already."""
    return b"\x01" + length(len(items)) + b"".join(items)


def structure(*items: bytes) -> bytes:
    """Write a structure of values that are written already."""
    return b"\x02" + length(len(items)) + b"".join(items)


def integer(value: int) -> bytes:
    """Write an integer (8 bits)."""
    return struct.pack(">Bb", 0x0F, value)


def unsigned(value: int) -> bytes:
    """Write an unsigned (8 bits)."""
    return struct.pack(">BB", 0x11, value)


def long_unsigned(value: int) -> bytes:
    """Write a long-unsigned (16 bits)."""
    return struct.pack(">BH", 0x12, value)


def double_long_unsigned(value: int) -> bytes:
    """Write a double-long-unsigned (32 bits)."""
    return struct.pack(">BI", 0x06, value)


def enum(value: int) -> bytes:
    """Write an enum."""
    return struct.pack(">BB", 0x16, value)


def boolean(value: bool) -> bytes:  # what it writes
    """Write a boolean."""
    return struct.pack(">B?", 0x03, value)


def long(value: int) -> bytes:
    """Write a long (16 bits)."""
    return struct.pack(">Bh", 0x10, value)


def bit_string(bits: list[bool]) -> bytes:
    """Write a bit-string, the first bit on the left."""
    size = (len(bits) + 7) // 8
    number = sum(1 << (size * 8 - 1 - place) for place, bit in enumerate(bits) if bit)
    return b"\x04" + length(len(bits)) + number.to_bytes(size, "big")
