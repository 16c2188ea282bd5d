"""What the bytes that came back are where RTU frames travel over TCP: ours, incomplete, or wrong.

Gateways that do not translate send the frame of the serial line as it is: unit, function, data,
CRC. There is no transaction number and no length in front, so whatever does not add up ends the
connection. Modbus over Serial Line V1.02, §2.5.1 (RTU frame) and §2.5.1.2 (CRC).
"""

from __future__ import annotations

import struct
from typing import Final

from pymodbus.framer import FramerRTU

from drivers import errors
from drivers.modbus import answer
from drivers.modbus.answer import Fault, Request
from drivers.modbus.register_map import Span

_CRC_BYTES: Final = 2
_EXCEPTION_BYTES: Final = 5


def request_of(frame: bytes) -> Request:
    """Read a request back from the frame that carries it; its transaction is 0, there is none."""
    unit, function, address, count = struct.unpack_from(">BBHH", frame)
    return Request(0, unit, Span(function, address, count))


def fault(stream: bytes, request: Request) -> Fault | None:
    """Say what is wrong with the bytes that came since a request was sent.

    Parameters
    ----------
    stream : all of them, from the start of a frame
    request : the one that waits for its answer

    Returns
    -------
    None while the answer may still become right, or is
    """
    function = request.span.function
    if len(stream) < 3:
        return None
    if stream[1] not in (function, function | 0x80):
        return _garbled(f"no RTU answer to function {function} begins", stream)
    wanted = _length(stream)
    if len(stream) < wanted:
        # What is too long for the answer would be waited for until the time is up.
        return None if wanted <= _expected(request) else _wrong_count(stream, request)
    if len(stream) > wanted:
        # Nothing but its length ends a frame: bytes behind it may be another answer's.
        return _garbled(f"{len(stream) - wanted} bytes more than the frame has:", stream)
    return _wrong(stream, request)


def progress(stream: bytes) -> str:
    """Say how far an answer came before it stopped, for the message of a timeout."""
    if not stream:
        return "no answer"
    if len(stream) < 3:
        return f"half an answer: {len(stream)} bytes, not even a whole header"
    return f"half an answer: {len(stream)} of {_length(stream)} bytes"


def crc(frame: bytes) -> bytes:
    """Compute the two bytes that end a frame, in the order in which they are sent."""
    return FramerRTU.compute_CRC(frame).to_bytes(_CRC_BYTES, "big")


def _length(stream: bytes) -> int:
    return _EXCEPTION_BYTES if stream[1] & 0x80 else 3 + stream[2] + _CRC_BYTES


def _expected(request: Request) -> int:
    return 3 + 2 * request.span.count + _CRC_BYTES


def _wrong(frame: bytes, request: Request) -> Fault | None:
    told, right = frame[-_CRC_BYTES:], crc(frame[:-_CRC_BYTES])
    if told != right:
        return _garbled(f"CRC {told.hex(' ')}, not {right.hex(' ')}, ends", frame)
    if frame[0] != request.unit:
        said = f"unit {frame[0]} answered what unit {request.unit} was asked"
        return Fault(errors.WrongMeter(said))
    if frame[1] & 0x80:
        return Fault(answer.refusal(frame[2], request.span), in_step=True)
    return None if len(frame) == _expected(request) else _wrong_count(frame, request)


def _wrong_count(stream: bytes, request: Request) -> Fault:
    said = f"{answer.named(request.span)}: {stream[2]} bytes, not {2 * request.span.count}"
    return Fault(errors.RemoteProtocolError(said))


def _garbled(what: str, stream: bytes) -> Fault:
    return Fault(errors.RemoteProtocolError(f"{what} {stream[:16].hex(' ')}"))
