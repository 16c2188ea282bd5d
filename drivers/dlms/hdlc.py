"""HDLC frames of type 3, as meters push them over serial lines and TCP: checked, and joined.

References
----------
IEC 62056-46:2002+A1:2006, 6.4 (MAC sublayer frame format); ISO/IEC 13239:2002, annex H.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.errors import RemoteProtocolError

_FLAG: Final = 0x7E
_TYPE_3: Final = 0xA
_SEGMENTED: Final = 0x0800
_LENGTH: Final = 0x07FF
_CHECK: Final = 2
_SHORTEST: Final = 7
_LLC: Final = (bytes.fromhex("e6e600"), bytes.fromhex("e6e700"))
_LONGEST_APDU: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose checks fit: addresses as their octets, control octet, and what it carries."""

    destination: bytes
    source: bytes
    control: int
    segmented: bool
    information: bytes


class Frames:
    """Cuts a stream of bytes into frames; holds one unfinished frame of 2 KiB at most."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that came and are in no frame yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    def next(self) -> Frame | None:
        """Give the next whole frame, None while it has not come whole.

        Raises
        ------
        RemoteProtocolError
            if the bytes are no frame, or a check sequence does not fit.
        """
        buffer = self._buffer
        if buffer and buffer[0] != _FLAG:
            raise RemoteProtocolError(f"0x{buffer[0]:02x} stands where an HDLC flag 7E must be")
        # One flag may end a frame and begin the next, and several may fill the time between.
        while len(buffer) > 1 and buffer[1] == _FLAG:
            del buffer[0]
        if len(buffer) < 3:
            return None
        form = int.from_bytes(buffer[1:3])
        if form >> 12 != _TYPE_3 or form & _LENGTH < _SHORTEST:
            raise RemoteProtocolError(f"0x{form:04x} is no format of an HDLC frame of type 3")
        end = 1 + (form & _LENGTH)
        if len(buffer) <= end:
            return None
        if buffer[end] != _FLAG:
            raise RemoteProtocolError("an HDLC frame does not end with a flag")
        text = bytes(buffer[1:end])
        del buffer[:end]
        return _parse(text, segmented=bool(form & _SEGMENTED))


class Apdus:
    """Joins the segments of frames to APDUs."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def join(self, frame: Frame) -> bytes | None:
        """Add a frame; give the APDU if it ends one.

        Raises
        ------
        RemoteProtocolError
            if the APDU becomes longer than any is, or does not begin with the LLC header.
        """
        self._pieces += frame.information
        if len(self._pieces) > _LONGEST_APDU:
            raise RemoteProtocolError(f"segments of more than {_LONGEST_APDU} bytes are no APDU")
        if frame.segmented:
            return None
        whole, self._pieces = bytes(self._pieces), bytearray()
        if whole[:3] not in _LLC:
            raise RemoteProtocolError(f"0x{whole[:3].hex()} is no LLC header of COSEM")
        return whole[3:]


def check_sequence(text: bytes) -> bytes:
    """Give the check sequence (HCS, FCS) of octets, as it is sent."""
    remainder = 0xFFFF
    for octet in text:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ octet) & 0xFF]
    return (remainder ^ 0xFFFF).to_bytes(2, "little")


def _parse(text: bytes, *, segmented: bool) -> Frame:
    body = text[:-_CHECK]
    if check_sequence(body) != text[-_CHECK:]:
        raise RemoteProtocolError("an HDLC frame's check sequence (FCS) does not fit its bytes")
    destination, at = _address(body, 2)
    source, at = _address(body, at)
    if at >= len(body):
        raise RemoteProtocolError("an HDLC frame has no control octet")
    control, at = body[at], at + 1
    if at == len(body):
        return Frame(destination, source, control, segmented, b"")
    if check_sequence(body[:at]) != body[at : at + _CHECK]:
        raise RemoteProtocolError("an HDLC frame's header check sequence (HCS) does not fit")
    return Frame(destination, source, control, segmented, body[at + _CHECK :])


def _address(body: bytes, at: int) -> tuple[bytes, int]:
    """Read an address of 1, 2 or 4 octets; the last has its lowest bit set."""
    for size in (1, 2, 4):
        octets = body[at : at + size]
        if len(octets) == size and octets[-1] & 1 and not any(one & 1 for one in octets[:-1]):
            return octets, at + size
    raise RemoteProtocolError(f"0x{body[at : at + 4].hex()} begins no HDLC address")


def _remainder(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x8408 if octet & 1 else 0)
    return octet


_TABLE: Final = tuple(_remainder(octet) for octet in range(256))
