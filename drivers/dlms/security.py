"""How a client shows a meter who it is, and what protects its messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from drivers.dlms.association import Mechanism
from drivers.dlms.ciphering import Keys

# "MIQ" is no registered manufacturer; a client's title only has to be its own on this meter.
CLIENT_TITLE: Final = b"MIQ\x00\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Security:
    """How a client shows who it is, and what protects its messages.

    Attributes
    ----------
    mechanism : none, low (password) or high with GMAC
    password : for mechanism low
    keys : the meter's keys where messages are protected, else None
    take_counter : gives an invocation counter that was never used and never will be again
    """

    mechanism: Mechanism = Mechanism.NONE
    password: bytes = field(default=b"", repr=False)
    keys: Keys | None = None
    take_counter: Callable[[], int] = field(default=lambda: 0, repr=False)
