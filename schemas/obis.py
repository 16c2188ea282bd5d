"""OBIS codes (IEC 62056-61): six octets that name a measured quantity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_TEXT = re.compile(r"^(\d{1,3})[.-](\d{1,3})[.:](\d{1,3})\.(\d{1,3})\.(\d{1,3})[.*](\d{1,3})$")


@dataclass(frozen=True, slots=True, order=True)
class Obis:
    """One OBIS code, groups A to F.

    References
    ----------
    IEC 62056-61:2021, clause 5.
    """

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 255

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.0.1.8.0.255`` or ``1-0:1.8.0*255``.

        Raises
        ------
        ValueError
            if the text is not six groups of 0…255.
        """
        match = _TEXT.match(text.strip())
        groups = [int(group) for group in match.groups()] if match else []
        if len(groups) != 6 or max(groups) > 255:
            raise ValueError(f"{text!r} is not an OBIS code such as 1.0.1.8.0.255")
        return cls(*groups)

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """Read the six octets of a logical name.

        Raises
        ------
        ValueError
            if there are not exactly six octets.
        """
        if len(octets) != 6:
            raise ValueError(f"a logical name has 6 octets, not {len(octets)}")
        return cls(*octets)

    def __bytes__(self) -> bytes:
        return bytes((self.a, self.b, self.c, self.d, self.e, self.f))

    def __str__(self) -> str:
        return f"{self.a}.{self.b}.{self.c}.{self.d}.{self.e}.{self.f}"
