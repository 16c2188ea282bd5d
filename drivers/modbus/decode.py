"""Words of a meter's answer to readings, and to texts that say who the meter is."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from drivers import quantity
from drivers.modbus.register_map import DataType, Field, Register

_FORMATS: Final[dict[DataType, str]] = {
    "u16": ">H",
    "i16": ">h",
    "u32": ">I",
    "i32": ">i",
    "u64": ">Q",
    "i64": ">q",
    "float32": ">f",
    "float64": ">d",
}


def raw(words: Sequence[int], field: Field) -> bytes:
    """Give a field's bytes with the most significant one first.

    Parameters
    ----------
    words : the field's words in the order they came, each 0 … 65535
    """
    ordered = words if field.word_order == "big" else words[::-1]
    return struct.pack(f">{len(ordered)}H", *ordered)


def value(words: Sequence[int], register: Register) -> int | None:
    """Decode a reading, rounded once to the reading type's scaled unit.

    Parameters
    ----------
    words : of the register's fields, one field after the other, each as they came

    Returns
    -------
    value [scaled unit]; None where the meter says that it has none, or gives a float that is not a
    number or larger than anything that can be stored. A sum with such a part has no value either
    """
    numbers: list[Decimal] = []
    for field in register.fields:
        own, words = words[: field.span.count], words[field.span.count :]
        data = raw(own, field)
        if int.from_bytes(data, "big") in register.unavailable:
            return None
        # A float becomes the Decimal that it is, digit by digit: nothing is rounded before the end.
        numbers.append(Decimal(struct.unpack(_FORMATS[field.data_type], data)[0]))
    try:
        exact = [quantity.exact(number, register.factor) for number in numbers]
        amount = quantity.nearest(quantity.total(exact))
    except quantity.OutOfRange:
        return None
    return {"whole": amount, "positive": max(amount, 0), "negative": max(-amount, 0)}[register.part]


def text(words: Sequence[int], field: Field) -> str:
    """Decode what a meter says about itself: ASCII characters, or a number as decimal digits."""
    data = raw(words, field)
    if field.data_type == "ascii":
        printable = data.decode("ascii", errors="replace")
        return "".join(char for char in printable if char.isprintable()).strip()
    return str(struct.unpack(_FORMATS[field.data_type], data)[0])


def is_there(memory: Mapping[tuple[int, int], int], register: Register) -> bool:
    """Tell whether all words of a register were read."""
    return all(has(memory, field) for field in register.fields)


def has(memory: Mapping[tuple[int, int], int], field: Field) -> bool:
    """Tell whether all words of a field were read."""
    span = field.span
    return all((span.function, address) in memory for address in range(span.address, span.end))


def reading(memory: Mapping[tuple[int, int], int], register: Register) -> int | None:
    """Decode a register out of what was read; parameters, result and errors as of its parts."""
    return value([word for field in register.fields for word in pick(memory, field)], register)


def pick(memory: Mapping[tuple[int, int], int], field: Field) -> list[int]:
    """Take a field's words out of what was read.

    Parameters
    ----------
    memory : words by function code and address

    Raises
    ------
    KeyError
        if one of them was not read.
    """
    span = field.span
    return [memory[span.function, address] for address in range(span.address, span.end)]
