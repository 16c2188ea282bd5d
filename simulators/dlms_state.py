"""What the switch and the firmware image of a simulated DLMS meter are between connections."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Final

DISCONNECTED, CONNECTED, READY = 0, 1, 2
"""Control states of the supply switch."""

_RECONNECT: Final = {2: CONNECTED, 4: CONNECTED, 1: READY, 3: READY, 5: READY, 6: READY}
_CHECK: Final = 4


@dataclass
class Switch:
    """The supply switch (Blue Book, class 70).

    Attributes
    ----------
    state : of the control
    output : whether the contacts are closed
    mode : 0 … 6, what it follows
    """

    state: int = CONNECTED
    output: bool = True
    mode: int = 2

    def disconnect(self) -> bool:
        """Open, if the mode follows; tell whether it does."""
        if self.mode == 0:
            return False
        self.state, self.output = DISCONNECTED, False
        return True

    def reconnect(self, *, sticks: bool) -> bool:
        """Close or arm, as the mode has it; tell whether the mode follows at all.

        Parameters
        ----------
        sticks : the contacts stay open whatever the control says
        """
        if self.mode not in _RECONNECT:
            return False
        if self.state == DISCONNECTED:
            self.state = _RECONNECT[self.mode]
        self.output = self.state == CONNECTED and not sticks
        return True


NOT_INITIATED, INITIATED, VERIFYING, VERIFIED, WRONG, ACTIVATED = 0, 1, 2, 3, 4, 6
"""Statuses of an image transfer that meters here have."""


@dataclass
class Image:
    """A firmware image on its way: blocks by number, and what it is to be.

    An image ends with the CRC-32 of all before, most significant octet first. ``looks`` is how
    often its status is read before a verification that takes long is done.
    """

    enabled: bool = True
    status: int = NOT_INITIATED
    identifier: bytes = b""
    size: int = 0
    block_size: int = 256
    blocks: dict[int, bytes] = field(default_factory=dict, repr=False)
    looks: int = 0

    @property
    def count(self) -> int:
        """Blocks that the image has."""
        return -(-self.size // self.block_size)

    @property
    def taken(self) -> list[bool]:
        """Which of them are here."""
        return [number in self.blocks for number in range(self.count)]

    def initiate(self, identifier: bytes, size: int) -> None:
        """Begin with another image; what there was is forgotten."""
        self.identifier, self.size, self.blocks = identifier, size, {}
        self.status = INITIATED

    def look(self) -> int:
        """Give the status; a verification that takes long goes on by each look at it."""
        if self.status == VERIFYING:
            self.looks -= 1
            if self.looks <= 0:
                self.verify()
        return self.status

    def verify(self) -> bool:
        """Check that the image is whole, and what its maker made."""
        whole = b"".join(self.blocks.get(number, b"") for number in range(self.count))
        checked, check = whole[:-_CHECK], whole[-_CHECK:]
        right = len(whole) == self.size and zlib.crc32(checked).to_bytes(_CHECK, "big") == check
        self.status = VERIFIED if right else WRONG
        return right


def signed(firmware: bytes) -> bytes:
    """Make an image of firmware that these meters take."""
    return firmware + zlib.crc32(firmware).to_bytes(_CHECK, "big")
