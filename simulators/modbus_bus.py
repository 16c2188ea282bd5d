"""Simulated Modbus meters that speak RTU frames: on a serial bus, or one behind a plain gateway.

Modbus over Serial Line V1.02, §2.5.1 (frame) and §6.2.2 (CRC).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from simulators.clock import Clock
from simulators.meter import Meter
from simulators.modbus_memory import Memory

# Reading requests only: unit, function, address, count, CRC.
_REQUEST: Final = 8


class Bus:
    """What meters on one line say to requests; each hears all of them and answers its own."""

    def __init__(self, meters: Sequence[Meter], clock: Clock) -> None:
        self.clock = clock
        self._units = {int(one.address.get("unit", 1)): Memory(one, clock) for one in meters}
        self._rest = b""
        self.requests = 0

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come, give the answers to all whole requests among them.

        Bytes that are no request are passed over one by one, as by a meter that waits for silence.
        """
        self._rest += data
        answers = b""
        while len(self._rest) >= _REQUEST:
            asked = self._rest[:_REQUEST]
            if asked[-2:] != _crc(asked[:-2]):
                self._rest = self._rest[1:]
                continue
            self._rest = self._rest[_REQUEST:]
            self.requests += 1
            if asked[0] in self._units:
                said = asked[:1] + self._units[asked[0]].answer(asked[1:-2])
                answers += said + _crc(said)
        return answers


def _crc(data: bytes) -> bytes:
    rest = 0xFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = (rest >> 1) ^ 0xA001 if rest & 1 else rest >> 1
    return bytes((rest & 0xFF, rest >> 8))
