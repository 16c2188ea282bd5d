"""HDLC frames of type 3: written, checked, and their segments joined.

References
----------
IEC 62056-46:2002+A1:2006, 6.4 (MAC sublayer frame format); ISO/IEC 13239:2002, annex H.4.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Final

from drivers.dlms.cutter import Cutter
from drivers.errors import LocalProtocolError, RemoteProtocolError

_FLAG: Final = 0x7E
_TYPE_3: Final = 0xA
_SEGMENTED: Final = 0x0800
_LENGTH: Final = 0x07FF
_CHECK: Final = 2
_SHORTEST: Final = 7
LLC_COMMAND: Final = bytes.fromhex("e6e600")
LLC_RESPONSE: Final = bytes.fromhex("e6e700")
_LLC: Final = (LLC_COMMAND, LLC_RESPONSE)
LONGEST_APDU: Final = 0xFFFF
_NOWHERE: Final = 0
_ADDRESS_SIZES: Final = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose checks fit: addresses as their octets, control octet, and what it carries."""

    destination: bytes
    source: bytes
    control: int
    segmented: bool
    information: bytes


DAMAGED: Final = Frame(b"", b"", 0, segmented=False, information=b"")
"""Stands for a frame that came and whose checks do not fit."""


class Frames(Cutter[Frame]):
    """Cuts a stream of bytes into frames; holds one unfinished frame of 2 KiB at most."""

    __slots__ = ()

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
        if len(self._pieces) > LONGEST_APDU:
            raise RemoteProtocolError(f"segments of more than {LONGEST_APDU} bytes are no APDU")
        if frame.segmented:
            return None
        whole, self._pieces = bytes(self._pieces), bytearray()
        if whole[:3] not in _LLC:
            raise RemoteProtocolError(f"0x{whole[:3].hex()} is no LLC header of COSEM")
        return whole[3:]


class ResilientFrames(Cutter[Frame]):
    """Cuts the frames out of whatever a line brings; damaged ones are ``DAMAGED``.

    Attributes
    ----------
    noise : bytes that were in no frame
    damaged : frames whose checks do not fit
    """

    __slots__ = ("damaged", "noise")

    def __init__(self) -> None:
        super().__init__()
        self.noise = self.damaged = 0

    def next(self) -> Frame | None:
        """Give the next frame, None while none has come whole."""
        buffer = self._buffer
        while True:
            self._skip_to_flag()
            if len(buffer) < 3:
                return None
            end = _end(buffer)
            if end is None:
                self._drop(1)
                continue
            if end == _NOWHERE:
                return self._damaged(1)
            if len(buffer) <= end:
                return None
            frame = _frame(buffer, end)
            if frame is None:
                # What follows begins at a flag; so may a frame within what looked like one.
                return self._damaged(end if buffer[end] == _FLAG else 1)
            del buffer[:end]
            return frame

    def _damaged(self, octets: int) -> Frame:
        self.damaged += 1
        self._drop(octets)
        return DAMAGED

    def _skip_to_flag(self) -> None:
        buffer = self._buffer
        at = buffer.find(_FLAG)
        self._drop(len(buffer) if at < 0 else at)
        while len(buffer) > 1 and buffer[1] == _FLAG:
            del buffer[0]

    def _drop(self, count: int) -> None:
        self.noise += count
        del self._buffer[:count]


def encode(frame: Frame) -> bytes:
    """Write a frame, flags included.

    Raises
    ------
    LocalProtocolError
        if it is longer than 2,047 bytes.
    """
    head = frame.destination + frame.source + bytes((frame.control,))
    information = len(frame.information) + _CHECK if frame.information else 0
    length = 2 + len(head) + information + _CHECK
    if length > _LENGTH:
        raise LocalProtocolError(f"a frame of {length} bytes is too long for HDLC")
    form = _TYPE_3 << 12 | length | (_SEGMENTED if frame.segmented else 0)
    body = form.to_bytes(2) + head
    if frame.information:
        body += check_sequence(body) + frame.information
    flag = bytes((_FLAG,))
    return flag + body + check_sequence(body) + flag


def client_address(number: int) -> bytes:
    """Write a client's address, which has one octet.

    Raises
    ------
    LocalProtocolError
        if the number has more than seven bits.
    """
    return _written(number, 1)


def server_address(logical: int, physical: int | None, size: int | None = None) -> bytes:
    """Write a server's address: its logical device above, its physical one below.

    Parameters
    ----------
    physical : None where there is none: one octet
    size : 1, 2 or 4 octets; None for the fewest that do

    Raises
    ------
    LocalProtocolError
        if the numbers do not fit.
    """
    if physical is None and size in (None, 1):
        return _written(logical, 1)
    lower = physical or 0
    if size is None:
        size = 2 if max(logical, lower) < 1 << 7 else 4
    if size == 1:
        raise LocalProtocolError("an HDLC address of 1 octet has no place for a physical device")
    upper = _written(logical, size // 2)
    return upper[:-1] + bytes((upper[-1] & 0xFE,)) + _written(lower, size // 2)


def check_sequence(text: bytes) -> bytes:
    """Give the check sequence (HCS, FCS) of octets, as it is sent."""
    # The C library's CRC takes the highest bit first, HDLC's the lowest.
    remainder = binascii.crc_hqx(text.translate(_MIRRORED), 0xFFFF) ^ 0xFFFF
    return remainder.to_bytes(2).translate(_MIRRORED)


def _end(buffer: bytearray) -> int | None:
    """Find where a frame that begins at the first octet ends.

    None if none begins there, ``_NOWHERE`` if one does and its header is not as it was sent.

    The check sequence of the header tells so before the rest has come: a length that a line
    damaged would be waited for. It is the frame's only one where nothing else follows.
    """
    form = int.from_bytes(buffer[1:3])
    length = form & _LENGTH
    if form >> 12 != _TYPE_3 or length < _SHORTEST:
        return None
    at = 3
    for _ in range(2):
        octets = buffer[at : at + _ADDRESS_SIZES[-1]]
        size = next((one for one, octet in enumerate(octets, 1) if octet & 1), 0)
        if not size and len(octets) < _ADDRESS_SIZES[-1]:
            return 1 + length
        if size not in _ADDRESS_SIZES:
            return None
        at += size
    at += 1
    told = buffer[at : at + _CHECK]
    if len(told) == _CHECK and check_sequence(bytes(buffer[1:at])) != told:
        return _NOWHERE
    return 1 + length


def _frame(buffer: bytearray, end: int) -> Frame | None:
    if buffer[end] != _FLAG:
        return None
    segmented = bool(int.from_bytes(buffer[1:3]) & _SEGMENTED)
    try:
        return _parse(bytes(buffer[1:end]), segmented=segmented)
    except RemoteProtocolError:
        return None


def _written(number: int, octets: int) -> bytes:
    if not 0 <= number < 1 << 7 * octets:
        raise LocalProtocolError(f"{number} does not fit {octets} octets of an HDLC address")
    shown = [number >> 7 * (octets - 1 - at) & 0x7F for at in range(octets)]
    return bytes(one << 1 | (at == octets - 1) for at, one in enumerate(shown))


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
    for size in _ADDRESS_SIZES:
        octets = body[at : at + size]
        if len(octets) == size and octets[-1] & 1 and not any(one & 1 for one in octets[:-1]):
            return octets, at + size
    raise RemoteProtocolError(f"0x{body[at : at + 4].hex()} begins no HDLC address")


_MIRRORED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
