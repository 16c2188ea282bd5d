"""Simulated Modbus TCP meters: published register layouts, encoded here and nowhere else.

The head-end has register maps of its own for the same meters. Nothing is shared between the two:
what one of them has wrong, the other one shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from simulators.clock import Clock
from simulators.line import HangUp, Lines
from simulators.meter import ACTIVE, Meter

_ILLEGAL_FUNCTION: Final = 1
_ILLEGAL_ADDRESS: Final = 2
_ILLEGAL_VALUE: Final = 3
_MOST_WORDS: Final = 125
_LARGEST_LENGTH: Final = 254

Amount = Callable[[Meter, int], int]
"""What a register stands for at a moment [Unix s], in the meter's own scaled unit."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One meter model's registers, as its vendor publishes them.

    Attributes
    ----------
    areas : function code and half-open ranges of addresses that can be read; what has no
        meaning there reads as zero
    most_words : in one request
    even : whether start and count must be even
    words : gives the words that have a meaning: function code, address, bytes
    """

    areas: Sequence[tuple[int, int, int]]
    most_words: int
    even: bool
    words: Callable[[Meter, int], Iterator[tuple[int, int, bytes]]]


async def serve(meters: Sequence[Meter], clock: Clock, *, port: int) -> Lines:
    """Serve Modbus meters, each at its own address.

    Parameters
    ----------
    port : where all of them listen; 0 takes a free port

    Raises
    ------
    ValueError
        if a meter's profile is none that can be simulated.
    OSError
        if the port is taken.
    """
    for meter in meters:
        if meter.profile not in LAYOUTS:
            known = ", ".join(LAYOUTS)
            raise ValueError(f"{meter.mrid}: no simulated {meter.profile!r}; there are {known}")
    lines = Lines(meters, clock, lambda meter: Talk(meter, clock))
    await lines.start(port)
    return lines


class Talk:
    """One client's conversation with one meter: MBAP frames in and out."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter, self._clock = meter, clock
        self._layout = LAYOUTS[meter.profile]
        self._unit = int(meter.address.get("unit", 1))
        self._rest = b""

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come, give the answers to all whole requests among them.

        Raises
        ------
        HangUp
            if the bytes are no Modbus.
        """
        self._rest += data
        answers = b""
        while len(self._rest) >= 7:
            transaction, protocol, length, unit = struct.unpack_from(">HHHB", self._rest)
            if protocol or not 2 <= length <= _LARGEST_LENGTH:
                raise HangUp
            if len(self._rest) < 6 + length:
                break
            asked, self._rest = self._rest[7 : 6 + length], self._rest[6 + length :]
            # Nobody else is on this line: another unit's request stays without an answer.
            if unit == self._unit:
                said = self._answer(asked)
                answers += struct.pack(">HHHB", transaction, 0, len(said) + 1, unit) + said
        return answers

    def _answer(self, asked: bytes) -> bytes:
        function = asked[0]
        if function not in (3, 4):
            return bytes([function | 0x80, _ILLEGAL_FUNCTION])
        if len(asked) != 5:
            return bytes([function | 0x80, _ILLEGAL_VALUE])
        address, count = struct.unpack(">HH", asked[1:])
        if not 1 <= count <= min(self._layout.most_words, _MOST_WORDS):
            return bytes([function | 0x80, _ILLEGAL_VALUE])
        if not self._readable(function, address, count):
            return bytes([function | 0x80, _ILLEGAL_ADDRESS])
        return bytes([function, 2 * count]) + self._words(function, address, count)

    def _readable(self, function: int, address: int, count: int) -> bool:
        if self._layout.even and (address % 2 or count % 2):
            return False
        return any(
            function == of and start <= address and address + count <= end
            for of, start, end in self._layout.areas
        )

    def _words(self, function: int, address: int, count: int) -> bytes:
        memory = bytearray(2 * count)
        for of, at, data in self._layout.words(self._meter, self._clock.seconds):
            if of != function:
                continue
            # A request may begin or end inside a value: it gets those words of it.
            for offset, byte in enumerate(data, 2 * (at - address)):
                if 0 <= offset < len(memory):
                    memory[offset] = byte
        return bytes(memory)


def _present(name: str, meter: Meter, moment: int) -> int:
    return meter.present(moment)[name]


def _imported(meter: Meter, moment: int) -> int:
    return meter.register_at(ACTIVE, moment)


def _nothing(_: Meter, __: int) -> int:
    return 0


_POWER: Final = partial(_present, "active_power_import")
_VOLTS: Final = partial(_present, "voltage_l1")
_AMPERES: Final = partial(_present, "current_l1")
_HERTZ: Final = partial(_present, "frequency")

# Where 32-bit floats stand: address -> amount, and how many of it make the vendor's unit.
Floats = Mapping[int, tuple[Amount, int]]

_EASTRON_THREE_PHASES: Final[Floats] = {
    0x0000: (_VOLTS, 10),
    0x0006: (_AMPERES, 1000),
    0x0034: (_POWER, 1),
    0x0046: (_HERTZ, 1000),
    0x0048: (_imported, 1000),
    0x004A: (_nothing, 1000),
}
_EASTRON_ONE_PHASE: Final[Floats] = {
    0x0000: (_VOLTS, 10),
    0x0006: (_AMPERES, 1000),
    0x000C: (_POWER, 1),
    0x0046: (_HERTZ, 1000),
    0x0048: (_imported, 1000),
    0x004A: (_nothing, 1000),
}
_SCHNEIDER: Final[Floats] = {
    0x0BB7: (_AMPERES, 1000),
    0x0BD3: (_VOLTS, 10),
    0x0BF3: (_POWER, 1000),
    0x0C25: (_HERTZ, 1000),
}


def _floats(
    function: int, places: Floats, meter: Meter, moment: int
) -> Iterator[tuple[int, int, bytes]]:
    for address, (amount, divisor) in places.items():
        yield function, address, struct.pack(">f", amount(meter, moment) / divisor)


def _eastron(places: Floats, meter: Meter, moment: int) -> Iterator[tuple[int, int, bytes]]:
    yield 3, 0xFC00, struct.pack(">I", meter.number)
    yield from _floats(4, places, meter, moment)


def _abb(meter: Meter, moment: int) -> Iterator[tuple[int, int, bytes]]:
    """Give the words of a B23: integers, energy in hundredths of a kWh in four words."""
    yield 3, 0x8900, struct.pack(">I", meter.number)
    yield 3, 0x5000, struct.pack(">QQ", _imported(meter, moment) // 10, 0)
    yield 3, 0x5B00, struct.pack(">I", _VOLTS(meter, moment))
    yield 3, 0x5B0C, struct.pack(">I", _AMPERES(meter, moment) // 10)
    yield 3, 0x5B14, struct.pack(">i", _POWER(meter, moment) * 100)
    yield 3, 0x5B2C, struct.pack(">H", _HERTZ(meter, moment) // 10)


def _schneider(meter: Meter, moment: int) -> Iterator[tuple[int, int, bytes]]:
    """Give the words of an iEM3000: 64-bit Wh, and floats with power in kW."""
    yield 3, 0x0081, struct.pack(">I", meter.number)
    yield 3, 0x0C83, struct.pack(">qqqqqq", _imported(meter, moment), 0, 0, 0, 0, 0)
    yield from _floats(3, _SCHNEIDER, meter, moment)


def _swapped(number: int) -> bytes:
    """Write 32 bits with the less significant word first."""
    high, low = struct.unpack(">HH", struct.pack(">i", number))
    return struct.pack(">HH", low, high)


def _carlo_gavazzi(meter: Meter, moment: int) -> Iterator[tuple[int, int, bytes]]:
    """Give the words of an EM340: 32 bits, less significant word first; frequency 16 bits."""
    yield 3, 0x5000, f"CG{meter.number:08d}".encode().ljust(14, b"\0")
    yield 4, 0x0000, _swapped(_VOLTS(meter, moment))
    yield 4, 0x000C, _swapped(_AMPERES(meter, moment))
    yield 4, 0x0028, _swapped(_POWER(meter, moment) * 10)
    yield 4, 0x0033, struct.pack(">h", _HERTZ(meter, moment) // 100)
    yield 4, 0x0034, _swapped(_imported(meter, moment) // 100)
    yield 4, 0x004E, _swapped(0)


LAYOUTS: Final[Mapping[str, Layout]] = {
    "eastron-sdm630": Layout(
        areas=((4, 0x0000, 0x0182), (3, 0xFC00, 0xFC04)),
        most_words=80,
        even=True,
        words=partial(_eastron, _EASTRON_THREE_PHASES),
    ),
    "eastron-sdm120": Layout(
        areas=((4, 0x0000, 0x0182), (3, 0xFC00, 0xFC04)),
        most_words=80,
        even=True,
        words=partial(_eastron, _EASTRON_ONE_PHASE),
    ),
    "abb-b23": Layout(
        areas=((3, 0x5000, 0x5070), (3, 0x5B00, 0x5B60), (3, 0x8900, 0x8970)),
        most_words=125,
        even=False,
        words=_abb,
    ),
    "schneider-iem3000": Layout(
        areas=((3, 0x0080, 0x0090), (3, 0x0BB7, 0x0C27), (3, 0x0C83, 0x0CE0)),
        most_words=125,
        even=False,
        words=_schneider,
    ),
    "carlo-gavazzi-em340": Layout(
        areas=((4, 0x0000, 0x0060), (3, 0x5000, 0x5007)),
        most_words=50,
        even=False,
        words=_carlo_gavazzi,
    ),
}
"""Meter models that can be simulated, by profile."""
