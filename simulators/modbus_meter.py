"""Simulated Modbus TCP meters: one conversation with a meter, MBAP frames in and out."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from simulators.clock import Clock
from simulators.line import HangUp, Lines
from simulators.meter import Meter
from simulators.modbus_layouts import LAYOUTS

_ILLEGAL_FUNCTION: Final = 1
_ILLEGAL_ADDRESS: Final = 2
_ILLEGAL_VALUE: Final = 3
_MOST_WORDS: Final = 125
_LARGEST_LENGTH: Final = 254


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
        if self._layout.uncut and self._cuts(function, {address, address + count}):
            return False
        return any(
            function == of and start <= address and address + count <= end
            for of, start, end in self._layout.areas
        )

    def _cuts(self, function: int, edges: set[int]) -> bool:
        """Tell whether a request with these edges begins or ends inside a value."""
        return any(
            of == function and at < edge < at + len(data) // 2
            for of, at, data in self._layout.words(self._meter, self._clock.seconds)
            for edge in edges
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
