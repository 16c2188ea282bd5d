"""A-XDR: DLMS values as bytes, and back.

Values are Python's own: None, bool, int, float, bytes (octet-string, and date-time, date and time
with a tag of their own), str (visible-string, utf8-string), ``BitString``, list (array,
compact-array) and tuple (structure).

References
----------
IEC 62056-6-2:2021, 4.1.5 (Data types); IEC 61334-6 (A-XDR).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from drivers.errors import LocalProtocolError, RemoteProtocolError

# Any: the type refers to itself, and readers check what they use.
Value = Any

NULL: Final = 0
ARRAY: Final = 1
STRUCTURE: Final = 2
BIT_STRING: Final = 4
OCTET_STRING: Final = 9
VISIBLE_STRING: Final = 10
UTF8_STRING: Final = 12
COMPACT_ARRAY: Final = 19
FLOAT32: Final = 23
FLOAT64: Final = 24
DATE_TIME: Final = 25
DONT_CARE: Final = 255

# Real objects nest four deep at most (a push object list inside a structure).
_DEEPEST: Final = 12
# Types of a compact array can say "65,535 elements of 65,535 elements" in a few bytes.
_MOST_VALUES: Final = 1 << 20
# Null-data have no octets there: "65,535 of them beside one octet" would be said again and again.
_MOST_VALUES_AN_OCTET: Final = 64

# Tag: format of the number behind it. Enumerations and BCD are numbers too.
NUMBERS: Final = {
    3: ">?", 5: ">i", 6: ">I", 13: ">b", 15: ">b", 16: ">h", 17: ">B", 18: ">H",
    20: ">q", 21: ">Q", 22: ">B", FLOAT32: ">f", FLOAT64: ">d",
}  # fmt: skip
_NUMBER: Final = {tag: struct.Struct(form) for tag, form in NUMBERS.items()}
_OCTETS: Final = {DATE_TIME: 12, 26: 5, 27: 4}
# Octets behind the tag, for the types of which every value has as many.
SIZES: Final = {NULL: 0, DONT_CARE: 0, **{t: s.size for t, s in _NUMBER.items()}, **_OCTETS}


@dataclass(frozen=True, slots=True)
class BitString:
    """A bit-string: its octets, and how many bits of them count, the first bit on the left."""

    octets: bytes
    bits: int

    def __int__(self) -> int:
        return int.from_bytes(self.octets) >> (len(self.octets) * 8 - self.bits)


def decode(data: bytes, at: int = 0) -> tuple[Value, int]:
    """Read one value.

    Parameters
    ----------
    data : bytes that hold the value, and maybe more
    at : where the value begins

    Returns
    -------
    the value, and where the next one begins

    Raises
    ------
    RemoteProtocolError
        if the bytes end inside the value, nest too deep or have a tag that the standard lacks.
    """
    try:
        return _decode(data, at, 0)
    except (IndexError, struct.error):
        raise RemoteProtocolError(f"the data end inside a value ({len(data)} bytes)") from None


def length(data: bytes, at: int) -> tuple[int, int]:
    """Read a length or count: one octet, or 0x81…0x84 and as many octets.

    Raises
    ------
    RemoteProtocolError
        if it is longer than four octets or cut off.
    """
    if at >= len(data):
        raise RemoteProtocolError("the data end before a length")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    octets = first & 0x7F
    if not 1 <= octets <= 4 or at + 1 + octets > len(data):
        raise RemoteProtocolError(f"0x{first:02x} begins no length, or the length is cut off")
    return int.from_bytes(data[at + 1 : at + 1 + octets]), at + 1 + octets


def octets(data: bytes, at: int) -> tuple[bytes, int]:
    """Read octets that stand behind their length.

    Raises
    ------
    RemoteProtocolError
        if there are fewer than the length says.
    """
    count, at = length(data, at)
    if at + count > len(data):
        raise RemoteProtocolError(f"{count} octets are announced and {len(data) - at} are there")
    return data[at : at + count], at + count


def _decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    tag = data[at]
    if tag in _NUMBER:
        number = _NUMBER[tag]
        return number.unpack_from(data, at + 1)[0], at + 1 + number.size
    if tag in (NULL, DONT_CARE):
        return None, at + 1
    if tag in _OCTETS:
        return _take(data, at + 1, _OCTETS[tag])
    if tag in _VARIABLE:
        return _VARIABLE[tag](data, at + 1)
    if depth >= _DEEPEST:
        raise RemoteProtocolError(f"values nest more than {_DEEPEST} deep")
    if tag in (ARRAY, STRUCTURE):
        return _decode_sequence(data, at, depth)
    if tag == COMPACT_ARRAY:
        form, at = element_type(data, at + 1)
        contents, at = octets(data, at)
        return list(_elements(form, contents)), at
    raise RemoteProtocolError(f"tag {tag} is no data type")


def _decode_sequence(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    count, position = length(data, at + 1)
    if count > len(data) - position:
        raise RemoteProtocolError(f"{count} elements cannot be in {len(data) - position} bytes")
    elements = []
    for _ in range(count):
        element, position = _decode(data, position, depth + 1)
        elements.append(element)
    return (elements if data[at] == ARRAY else tuple(elements)), position


def _take(data: bytes, at: int, count: int) -> tuple[bytes, int]:
    if at + count > len(data):
        raise IndexError
    return data[at : at + count], at + count


def _text(data: bytes, at: int) -> tuple[str, int]:
    text, at = octets(data, at)
    # Meters fill fixed fields with zeros, and some write Latin-1 into utf8-strings.
    return text.decode("utf-8", errors="replace"), at


def _bits(data: bytes, at: int) -> tuple[BitString, int]:
    bits, at = length(data, at)
    text, at = _take(data, at, (bits + 7) // 8)
    return BitString(text, bits), at


_VARIABLE: Final[dict[int, Callable[[bytes, int], tuple[Value, int]]]] = {
    BIT_STRING: _bits,
    OCTET_STRING: octets,
    VISIBLE_STRING: _text,
    UTF8_STRING: _text,
}


@dataclass(frozen=True, slots=True)
class ElementType:
    """Type of a compact array's elements, as its type description says.

    ``size`` is the octets that each takes, None where they differ, and ``least`` the fewest that
    it can take; ``values`` counts the simple values in each.
    """

    tag: int
    parts: tuple[ElementType, ...]
    size: int | None
    least: int
    values: int

    @property
    def bounded(self) -> bool:
        """Whether octets bound the number of values: few enough of them take none."""
        return self.values <= _MOST_VALUES_AN_OCTET * self.least


def element_type(data: bytes, at: int, depth: int = 0) -> tuple[ElementType, int]:
    """Read a compact array's type description.

    Raises
    ------
    RemoteProtocolError
        if it is cut off, nests too deep, or describes elements without any octet.
    """
    if at >= len(data) or depth >= _DEEPEST:
        raise RemoteProtocolError("a type description is cut off or nests too deep")
    tag = data[at]
    if tag == ARRAY:
        count = int.from_bytes(data[at + 1 : at + 3])
        part, at = element_type(data, at + 3, depth + 1)
        return _sequence_type(tag, (part,), count), at
    if tag == STRUCTURE:
        count, at = length(data, at + 1)
        parts: list[ElementType] = []
        for _ in range(count):
            part, at = element_type(data, at, depth + 1)
            parts.append(part)
        return _sequence_type(tag, tuple(parts), 1), at
    if tag not in SIZES and tag not in _VARIABLE:
        raise RemoteProtocolError(f"tag {tag} is no data type")
    # A string has at least its length.
    return ElementType(tag, (), SIZES.get(tag), SIZES.get(tag, 1), 1), at + 1


def _sequence_type(tag: int, parts: tuple[ElementType, ...], times: int) -> ElementType:
    sizes = [part.size for part in parts]
    size = None if None in sizes else times * sum(s for s in sizes if s is not None)
    values = times * sum(part.values for part in parts)
    if not 0 < values <= _MOST_VALUES:
        raise RemoteProtocolError(f"a type description of {values} values is none that we read")
    least = times * sum(part.least for part in parts)
    return ElementType(tag, parts * times if tag == ARRAY else parts, size, least, values)


def _elements(form: ElementType, contents: bytes) -> list[Value]:
    if not form.bounded:
        raise RemoteProtocolError(
            f"a compact array's elements of {form.values} values and {form.least} octets are none "
            "that we read: too many null-data"
        )
    elements: list[Value] = []
    at = 0
    while at < len(contents):
        if form.values * len(elements) > _MOST_VALUES:
            raise RemoteProtocolError(f"a compact array has more than {_MOST_VALUES} values")
        element, at = decode_untagged(form, contents, at)
        elements.append(element)
    return elements


def decode_untagged(form: ElementType, data: bytes, at: int) -> tuple[Value, int]:
    """Read one value of a known type, which stands without tags in a compact array.

    Raises
    ------
    RemoteProtocolError
        if the bytes end inside it.
    """
    try:
        return _untagged(form, data, at)
    except (IndexError, struct.error):
        raise RemoteProtocolError(f"the data end inside a value ({len(data)} bytes)") from None


def _untagged(form: ElementType, data: bytes, at: int) -> tuple[Value, int]:
    if form.tag in _NUMBER:
        number = _NUMBER[form.tag]
        return number.unpack_from(data, at)[0], at + number.size
    if form.tag in _VARIABLE:
        return _VARIABLE[form.tag](data, at)
    if form.tag not in (ARRAY, STRUCTURE):
        return _take(data, at, SIZES[form.tag]) if SIZES[form.tag] else (None, at)
    parts = []
    for part in form.parts:
        value, at = _untagged(part, data, at)
        parts.append(value)
    return (parts if form.tag == ARRAY else tuple(parts)), at


def encode_length(count: int) -> bytes:
    """Write a length or count in the fewest octets."""
    if count < 0x80:
        return bytes((count,))
    size = (count.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + count.to_bytes(size)


def encode_octets(text: bytes) -> bytes:
    """Write octets behind their length."""
    return encode_length(len(text)) + text


def encode_number(tag: int, number: float) -> bytes:
    """Write a number under a tag.

    Raises
    ------
    LocalProtocolError
        if the type cannot hold the number.
    """
    try:
        return bytes((tag,)) + _NUMBER[tag].pack(number)
    except struct.error:
        raise LocalProtocolError(f"{number} does not fit data type {tag}") from None


def encode_octet_string(text: bytes) -> bytes:
    """Write an octet-string."""
    return bytes((OCTET_STRING,)) + encode_octets(text)


def encode_sequence(tag: int, *elements: bytes) -> bytes:
    """Write an array or structure of elements that are written already."""
    return bytes((tag,)) + encode_length(len(elements)) + b"".join(elements)
