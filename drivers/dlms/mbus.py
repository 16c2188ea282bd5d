"""Long frames of wired M-Bus that carry COSEM APDUs, in one frame or several.

References
----------
IEC 62056-7-3:2017 (M-Bus communication profile); EN 13757-2:2018, 5.3 (FT 1.2 frame).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.dlms.cutter import Cutter
from drivers.errors import RemoteProtocolError

_START, _STOP = 0x68, 0x16
_HEAD: Final = 4
_TAIL: Final = 2
# Control, address, control information, and the two transport addresses STSAP and DTSAP.
_FIELDS: Final = 5
_LAST: Final = 0x10
_SEQUENCE: Final = 0x0F
_LONGEST_APDU: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One long frame: its number in a row of segments, whether it ends the row, what it carries."""

    number: int
    last: bool
    data: bytes


class Frames(Cutter[Frame]):
    """Cuts a stream of bytes into frames; holds one unfinished frame of 261 bytes at most."""

    __slots__ = ()

    def next(self) -> Frame | None:
        """Give the next whole frame, None while it has not come whole.

        Raises
        ------
        RemoteProtocolError
            if the bytes are no long frame, or its checksum does not fit.
        """
        buffer = self._buffer
        if buffer and buffer[0] != _START:
            raise RemoteProtocolError(f"0x{buffer[0]:02x} begins no long frame of M-Bus")
        if len(buffer) < _HEAD:
            return None
        size = buffer[1]
        if buffer[2] != size or buffer[3] != _START or size < _FIELDS:
            raise RemoteProtocolError(f"0x{bytes(buffer[:4]).hex()} is no head of an M-Bus frame")
        end = _HEAD + size + _TAIL
        if len(buffer) < end:
            return None
        text, check, stop = bytes(buffer[_HEAD : _HEAD + size]), buffer[end - 2], buffer[end - 1]
        del buffer[:end]
        if sum(text) & 0xFF != check or stop != _STOP:
            raise RemoteProtocolError("an M-Bus frame's checksum does not fit its bytes")
        if text[2] & ~(_LAST | _SEQUENCE):
            raise RemoteProtocolError(f"control information 0x{text[2]:02x} carries no COSEM APDU")
        return Frame(text[2] & _SEQUENCE, bool(text[2] & _LAST), text[_FIELDS:])


class Apdus:
    """Joins the segments of frames to APDUs."""

    def __init__(self) -> None:
        self._pieces = bytearray()
        self._expected = 0

    def join(self, frame: Frame) -> bytes | None:
        """Add a frame; give the APDU if it ends one.

        Raises
        ------
        RemoteProtocolError
            if a segment is missing or comes twice, or the APDU becomes longer than any is.
        """
        if frame.number != self._expected:
            raise RemoteProtocolError(
                f"segment {frame.number} came where segment {self._expected} was to come"
            )
        self._pieces += frame.data
        if len(self._pieces) > _LONGEST_APDU:
            raise RemoteProtocolError(f"segments of more than {_LONGEST_APDU} bytes are no APDU")
        if not frame.last:
            self._expected = (self._expected + 1) & _SEQUENCE
            return None
        whole, self._pieces, self._expected = bytes(self._pieces), bytearray(), 0
        return whole
