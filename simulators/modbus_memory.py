"""What a simulated Modbus meter answers to a request to read, whatever frames carry it."""

from __future__ import annotations

import struct
from typing import Final

from simulators.clock import Clock
from simulators.meter import Meter
from simulators.modbus_layouts import LAYOUTS

_ILLEGAL_FUNCTION: Final = 1
_ILLEGAL_ADDRESS: Final = 2
_ILLEGAL_VALUE: Final = 3
_MOST_WORDS: Final = 125


class Memory:
    """One meter's registers."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter, self._clock = meter, clock
        self._layout = LAYOUTS[meter.profile]

    def answer(self, asked: bytes) -> bytes:
        """Answer a request, from its function code on."""
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
