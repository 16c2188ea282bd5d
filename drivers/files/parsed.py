"""What reading a file gives: all that is good, and every row that is not, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from drivers import quantity
from schemas.reading import IntervalBlock, RegisterReading

LARGEST_INTERVAL: Final = 2**31 - 1
"""Largest amount of one interval [scaled unit]: intervals are stored in 32 bits."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_LONGEST: Final = 40


class BadField(ValueError):
    """One field is wrong; it never leaves this package."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not read.

    Attributes
    ----------
    line : counted from 1; 0 means the file as a whole
    column : its name
    value : what stands there, shortened
    reason : what is wrong, and what would be right
    """

    line: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        if not self.line:
            return f"the {self.column} {self.reason}"
        return f"line {self.line}, {self.column} {self.value!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Source:
    """Whose data it is, as far as the file says; empty where it does not.

    Attributes
    ----------
    end_device : the meter's name or serial number
    usage_point : the place, for AEMO the NMI
    register : tells several registers of the same reading type at one place apart, such as ``E2``
    """

    end_device: str
    usage_point: str = ""
    register: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FileBlock:
    """An interval block and the line that it begins at."""

    source: Source
    block: IntervalBlock
    line: int


@dataclass(frozen=True, slots=True)
class FileReading:
    """A register reading and its line."""

    source: Source
    reading: RegisterReading
    line: int


@dataclass(slots=True)
class Parsed:
    """A file's contents; every row with data is in exactly one of the three lists."""

    blocks: list[FileBlock] = field(default_factory=list)
    readings: list[FileReading] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def reject(self, line: int, wrong: BadField) -> None:
        """Note a row that is not read."""
        shown = wrong.value if len(wrong.value) <= _LONGEST else wrong.value[: _LONGEST - 1] + "…"
        self.rejected.append(Rejected(line, wrong.column, shown, wrong.reason))


def decimal(column: str, written: str) -> Decimal:
    """Read a number in plain notation.

    Raises
    ------
    BadField
        if it is none: no exponents, no separators of thousands, a point for decimals.
    """
    if not _NUMBER.fullmatch(written):
        raise BadField(column, written, "is not a number such as 12.345")
    return Decimal(written)


def amount(column: str, written: str, scale: Decimal, largest: int) -> tuple[int, bool]:
    """Read an amount, rounded once to the scaled unit.

    Parameters
    ----------
    scale : scaled units in one unit of the file
    largest : [scaled unit]

    Returns
    -------
    amount [scaled unit], and whether anything was rounded away
    """
    try:
        product = quantity.exact(decimal(column, written), scale)
        whole = quantity.nearest(product)
    except quantity.OutOfRange as error:
        raise BadField(column, written, str(error)) from error
    if abs(whole) > largest:
        raise BadField(column, written, f"is more than can be stored ({largest})")
    return whole, whole != product


def text_of(data: bytes) -> str:
    """Decode a file's bytes: UTF-8, with or without its mark, else Latin-1.

    Raises
    ------
    BadField
        if it is in UTF-16, as spreadsheets call "Unicode text".
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise BadField("file", "", "is in UTF-16; save it with the encoding UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
