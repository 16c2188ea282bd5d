"""Simulated Modbus meters over TCP: one conversation with a meter, MBAP or RTU frames."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from simulators.clock import Clock
from simulators.line import HangUp, Lines
from simulators.meter import Meter
from simulators.modbus_bus import Bus
from simulators.modbus_layouts import LAYOUTS
from simulators.modbus_memory import Memory

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
    lines = Lines(meters, clock, lambda meter: _opening(meter, clock))
    await lines.start(port)
    return lines


def _opening(meter: Meter, clock: Clock) -> Talk | Bus:
    """Choose a meter's frames: its own, or those of the serial line behind a plain gateway."""
    return Bus([meter], clock) if meter.address.get("framing") == "rtu" else Talk(meter, clock)


class Talk:
    """One client's conversation with one meter: MBAP frames in and out."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._memory = Memory(meter, clock)
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
                said = self._memory.answer(asked)
                answers += struct.pack(">HHHB", transaction, 0, len(said) + 1, unit) + said
        return answers
