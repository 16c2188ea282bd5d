"""What the bytes that came back on a Modbus TCP connection are: ours, incomplete, or wrong.

The client library skips what it does not expect and then waits in vain; here the same bytes give a
diagnosis. Modbus Messaging on TCP/IP Implementation Guide V1.0b, §3.1.3 (MBAP header);
Modbus Application Protocol V1.1b3, §6.3, §6.4 (reading) and §7 (exception codes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from drivers import errors
from drivers.modbus.register_map import Span

_HEADER: Final = struct.Struct(">HHHB")
_LARGEST_LENGTH: Final = 254

_EXCEPTIONS: Final[dict[int, tuple[type[errors.DriverError], str]]] = {
    1: (errors.NotOffered, "illegal function: the meter does not serve this function code"),
    2: (errors.NotOffered, "illegal data address: the meter has no such registers"),
    3: (errors.MeterRefused, "illegal data value: the meter does not take this start or count"),
    4: (errors.MeterRefused, "server device failure: the meter has a fault"),
    5: (errors.LinkError, "acknowledge: the meter is still at work"),
    6: (errors.LinkError, "server device busy"),
    8: (errors.MeterRefused, "memory parity error: the meter has a fault"),
    10: (errors.Unreachable, "gateway path unavailable: the gateway knows no way to this unit"),
    11: (errors.TimedOut, "gateway target failed to respond: nobody answers as this unit"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, as far as an answer must agree with it; RTU has no transaction numbers."""

    transaction: int
    unit: int
    span: Span


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there will be no answer; ``in_step`` if the connection can carry the next request."""

    error: errors.DriverError
    in_step: bool = False


def request_of(frame: bytes) -> Request:
    """Read a request back from the frame that carries it."""
    transaction, _, _, unit = _HEADER.unpack_from(frame)
    function, address, count = struct.unpack_from(">BHH", frame, _HEADER.size)
    return Request(transaction, unit, Span(function, address, count))


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
    while len(stream) >= _HEADER.size:
        transaction, protocol, length, unit = _HEADER.unpack_from(stream)
        if protocol != 0 or not 2 <= length <= _LARGEST_LENGTH:
            shown = stream[:16].hex(" ")
            return Fault(errors.RemoteProtocolError(f"no Modbus TCP frame begins with {shown}"))
        frame, stream = stream[: 6 + length], stream[6 + length :]
        if transaction == request.transaction:
            return _wrong(frame, unit, request)
    return None


def progress(stream: bytes) -> str:
    """Say how far an answer came before it stopped, for the message of a timeout."""
    if not stream:
        return "no answer"
    if len(stream) < _HEADER.size:
        return f"half an answer: {len(stream)} bytes, not even a whole header"
    wanted = 6 + int.from_bytes(stream[4:6], "big")
    if len(stream) < wanted:
        return f"half an answer: {len(stream)} of {wanted} bytes"
    return "an answer to another request only"


def refusal(code: int, span: Span) -> errors.DriverError:
    """Turn a Modbus exception code into the error that says what the caller should do."""
    kind, meaning = _EXCEPTIONS.get(code, (errors.MeterRefused, "an exception of the vendor's own"))
    return kind(f"exception {code} to {named(span)}: {meaning}")


def named(span: Span) -> str:
    """Name what was asked, for messages."""
    return f"function {span.function}, {span.count} words at {span.address:#06x}"


def _wrong(frame: bytes, unit: int, request: Request) -> Fault | None:
    if unit != request.unit:
        said = f"unit {unit} answered what unit {request.unit} was asked"
        return Fault(errors.WrongMeter(said))
    if len(frame) < _HEADER.size + 1:
        return None
    function = frame[7]
    if function == request.span.function | 0x80:
        return Fault(refusal(frame[8], request.span), in_step=True) if len(frame) > 8 else None
    if function != request.span.function:
        said = f"function {function} in the answer to {named(request.span)}"
        return Fault(errors.RemoteProtocolError(said))
    return _wrong_size(frame, request.span)


def _wrong_size(frame: bytes, span: Span) -> Fault | None:
    """Compare the length in the header and the byte count with what was asked."""
    inside = int.from_bytes(frame[4:6], "big") - 3
    counted = frame[8] if len(frame) > 8 else inside
    if inside == counted == 2 * span.count:
        return None
    said = f"{named(span)}: {counted} bytes in a frame for {inside}, not {2 * span.count}"
    return Fault(errors.RemoteProtocolError(said))
