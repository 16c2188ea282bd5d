"""A-XDR values that know where their octets stand, for whoever wants to find them again.

Values are those of ``axdr.decode``, of types that have an ``at``: what reads the ones reads the
others as well.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import axdr
from drivers.errors import RemoteProtocolError

_OCTETS: Final = frozenset({axdr.OCTET_STRING, axdr.DATE_TIME})
_TEXTS: Final = frozenset({axdr.VISIBLE_STRING, axdr.UTF8_STRING})
_FLOATS: Final = frozenset({axdr.FLOAT32, axdr.FLOAT64})
_DEEPEST: Final = 12


class Number(int):
    """An integer; ``at`` is the place of its tag.

    ``paired``: it is one of two in a row of their own, as a scaler and a unit are.
    """

    at: int
    tag: int
    paired: bool = False


class Octets(bytes):
    """An octet-string or date-time; ``at`` is the place of its first octet."""

    at: int


class Text(str):
    """A visible-string or utf8-string of ``size`` octets; ``at`` is the place of the first."""

    __slots__ = ("at", "size")

    at: int
    size: int


def decode(data: bytes, at: int, depth: int = 0) -> tuple[axdr.Value, int]:
    """Read one value as ``axdr.decode`` does; what is no number, octets or text knows no place.

    Raises
    ------
    RemoteProtocolError
        as ``axdr.decode`` does.
    """
    value, end = axdr.decode(data, at)
    tag = data[at]
    if tag in (axdr.ARRAY, axdr.STRUCTURE):
        if depth >= _DEEPEST:
            raise RemoteProtocolError(f"values nest more than {_DEEPEST} deep")
        return _sequence(data, at, depth)
    if tag in axdr.NUMBERS and tag not in _FLOATS and not isinstance(value, bool):
        number = Number(value)
        number.at, number.tag = at, tag
        return number, end
    if tag in _OCTETS:
        octets = Octets(value)
        octets.at = end - len(value)
        return octets, end
    if tag in _TEXTS:
        text = Text(value)
        size, text.at = axdr.length(data, at + 1)
        text.size = size
        return text, end
    return value, end


def _sequence(data: bytes, at: int, depth: int) -> tuple[axdr.Value, int]:
    count, place = axdr.length(data, at + 1)
    elements = []
    for _ in range(count):
        element, place = decode(data, place, depth + 1)
        elements.append(element)
    numbers = [element for element in elements if isinstance(element, Number)]
    if count == 2 and len(numbers) == 2:
        for number in numbers:
            number.paired = True
    return (elements if data[at] == axdr.ARRAY else tuple(elements)), place
