"""What an engineer does with a meter beside reading it, in the domain's words.

Values check themselves when they are made and raise ValueError with what to correct. All of them
can be kept as JSON (``drivers.kept``), keys excepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

SwitchPosition = Literal["disconnected", "connected", "ready_for_reconnection"]
SwitchCommand = Literal["connect", "disconnect", "arm"]
KeyState = Literal["new", "old", "unknown"]
ImageStatus = Literal[
    "not_initiated",
    "initiated",
    "verification_initiated",
    "verification_successful",
    "verification_failed",
    "activation_initiated",
    "activation_successful",
    "activation_failed",
]

_WANTED: Final[Mapping[SwitchCommand, SwitchPosition]] = {
    "connect": "connected",
    "disconnect": "disconnected",
    "arm": "ready_for_reconnection",
}
_ARMING: Final = frozenset({1, 3, 5, 6})
_CONNECTING: Final = frozenset({2, 4})

LONGEST_SHIFT: Final = 900
"""Largest amount by which a clock is shifted rather than set [s] (IEC 62056-6-2, Clock)."""


@dataclass(frozen=True, slots=True)
class SwitchState:
    """What a meter's supply switch says of itself.

    Attributes
    ----------
    position : where its control stands
    supplied : whether the switch itself is closed, so that current can flow
    control_mode : 0 … 6, by which of remote, manual and local control it follows

    References
    ----------
    IEC 62056-6-2:2021, 4.5.8 (Disconnect control).
    """

    position: SwitchPosition
    supplied: bool
    control_mode: int

    @property
    def remote_commands(self) -> frozenset[SwitchCommand]:
        """Commands that a switch in this control mode follows from afar."""
        if self.control_mode in _CONNECTING:
            return frozenset({"disconnect", "connect"})
        return frozenset({"disconnect", "arm"} if self.control_mode in _ARMING else ())

    def obeys(self, command: SwitchCommand) -> bool:
        """Tell whether the switch is where a command wants it, its contacts included."""
        return self.position == _WANTED[command] and self.supplied == (command == "connect")


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What became of a change of keys: which of each is in force; never holds a key.

    Attributes
    ----------
    in_force : for each key's name ``new``, ``old``, or ``unknown`` if the meter could not be asked:
        both have to be kept, and ``Driver.keys_in_force`` asks again
    answered : whether the meter itself said that it took them; otherwise they were tried
    """

    in_force: Mapping[str, KeyState]
    answered: bool

    @property
    def done(self) -> bool:
        """Whether every new key is in force."""
        return all(state == "new" for state in self.in_force.values())


@dataclass(frozen=True, slots=True)
class ImageState:
    """How far a firmware image has come in a meter.

    Attributes
    ----------
    enabled : whether the meter takes images at all
    status : where it stands
    block_size : of one block [bytes]
    blocks, blocks_taken : blocks of the image, and how many of them the meter has
    identifications : of the images that would be activated, as text or hexadecimal
    """

    enabled: bool
    status: ImageStatus
    block_size: int
    blocks: int
    blocks_taken: int
    identifications: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PushWindow:
    """A stretch of time in which a meter may push, by its own clock.

    ``start`` and ``end`` are patterns as COSEM date-times in hexadecimal: 12 octets, all ones in
    each part that does not matter.
    """

    start: str
    end: str

    def __post_init__(self) -> None:
        for bound in (self.start, self.end):
            if len(bound) != 24 or any(digit not in "0123456789abcdef" for digit in bound):
                raise ValueError(
                    f"push window {bound!r} is no date-time of 12 octets in hexadecimal"
                )


@dataclass(frozen=True, slots=True)
class PushSetup:
    """What a meter sends by itself, and where to.

    Attributes
    ----------
    channel : number of the set-up in the meter, 0 … 255
    objects : what each message carries, in order, as ``class/OBIS/attribute`` or
        ``class/OBIS/attribute/data index``
    destination : where to, such as ``192.0.2.7:4059``; empty sends nothing
    transport : 0 TCP, 1 UDP, 2 FTP, 3 SMTP, 4 SMS, 5 HDLC, 6 M-Bus, 7 ZigBee
    message : 0 A-XDR, 1 and 2 XML; 128 … 255 the manufacturer's own
    windows : when it may send; empty means at any time
    randomisation_seconds : longest random delay before it sends [s]
    retries : how often it sends again what did not get through
    retry_seconds : how long it waits before that [s]
    """

    channel: int
    objects: tuple[str, ...]
    destination: str
    transport: int = 0
    message: int = 0
    windows: tuple[PushWindow, ...] = ()
    randomisation_seconds: int = 0
    retries: int = 0
    retry_seconds: int = 0

    def __post_init__(self) -> None:
        limits = {
            "channel": (self.channel, 0xFF),
            "transport": (self.transport, 0xFF),
            "message": (self.message, 0xFF),
            "randomisation_seconds": (self.randomisation_seconds, 0xFFFF),
            "retries": (self.retries, 0xFF),
            "retry_seconds": (self.retry_seconds, 0xFFFF),
        }
        for name, (value, most) in limits.items():
            if not 0 <= value <= most:
                raise ValueError(f"push set-up: {name} is {value}, not 0 … {most}")
        if len(self.objects) > 64 or len(self.windows) > 16:
            raise ValueError("push set-up: more than 64 objects or 16 windows")
        if len(self.destination) > 128 or not self.destination.isascii():
            raise ValueError("push set-up: the destination is not up to 128 ASCII characters")


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """Told during a transfer: blocks that the meter has, of how many."""

    blocks_taken: int
    blocks: int
