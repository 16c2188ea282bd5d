"""The wrapper: APDUs over TCP and UDP behind eight octets of header.

References
----------
IEC 62056-4-7:2015, 5.3 (the wrapper of the COSEM transport layer).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from drivers.dlms.cutter import Cutter
from drivers.errors import LocalProtocolError, RemoteProtocolError

_HEADER: Final = struct.Struct(">HHHH")
_VERSION: Final = 1
_BEGINNING: Final = _VERSION.to_bytes(2)
_LONGEST: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One APDU with the wrapper ports of its sender and its receiver."""

    source: int
    destination: int
    apdu: bytes


def encode(frame: Frame) -> bytes:
    """Write a frame.

    Raises
    ------
    LocalProtocolError
        if the APDU is longer than 65,535 bytes.
    """
    if len(frame.apdu) > _LONGEST:
        raise LocalProtocolError(f"an APDU of {len(frame.apdu)} bytes does not fit the wrapper")
    header = _HEADER.pack(_VERSION, frame.source, frame.destination, len(frame.apdu))
    return header + frame.apdu


def decode(datagram: bytes) -> Frame:
    """Read the one frame of a UDP datagram.

    Raises
    ------
    RemoteProtocolError
        if the datagram is no whole frame, or more than one.
    """
    frames = Frames()
    frames.feed(datagram)
    frame = frames.next()
    if frame is None or frames.waiting:
        raise RemoteProtocolError(f"a datagram of {len(datagram)} bytes is not one wrapper frame")
    return frame


class Frames(Cutter[Frame]):
    """Cuts a stream of bytes into frames; holds one unfinished frame of 64 KiB at most."""

    __slots__ = ()

    def next(self) -> Frame | None:
        """Give the next whole frame, None while it has not come whole.

        Raises
        ------
        RemoteProtocolError
            if the bytes do not begin as a frame does.
        """
        buffer = self._buffer
        # The version shows what talks there before the header is whole.
        if not _BEGINNING.startswith(buffer[:2]):
            raise RemoteProtocolError(
                f"0x{bytes(buffer[:2]).hex()} is not the beginning of a DLMS wrapper frame: "
                "check that the port is the meter's"
            )
        if len(buffer) < _HEADER.size:
            return None
        _, source, destination, size = _HEADER.unpack_from(buffer)
        end = _HEADER.size + size
        if len(buffer) < end:
            return None
        apdu = bytes(buffer[_HEADER.size : end])
        del buffer[:end]
        return Frame(source, destination, apdu)
