"""What the bytes that came back on a Modbus TCP connection are: ours, incomplete, or wrong.

Modbus Messaging on TCP/IP Implementation Guide V1.0b, §3.1.3 (MBAP header); Modbus Application
Protocol V1.1b3, §6.3, §6.4 (reading) and §7 (exception codes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from drivers import errors
from drivers.modbus import pdu
from drivers.modbus.register_map import Span

_HEADER: Final = struct.Struct(">HHHB")
_LARGEST_LENGTH: Final = 254

_EXCEPTIONS: Final[dict[int, tuple[type[errors.DriverError], str]]] = {
    1: (errors.NotOffered, "illegal function: the meter does not serve this function code"),
    2: (errors.NotOffered, "illegal data address: the meter has no such registers"),
    3: (errors.MeterRefused, "illegal data value: the meter does not take this start or count"),
    4: (errors.Faulty, "server device failure: the meter has a fault"),
    5: (errors.Busy, "acknowledge: the meter is still at work"),
    6: (errors.Busy, "server device busy: the meter is still at work"),
    8: (errors.Faulty, "memory parity error: the meter has a fault"),
    10: (errors.Unreachable, "gateway path unavailable: the gateway knows no way to this unit"),
    11: (errors.NoUnit, "gateway target failed to respond: nobody answers as this unit"),
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


Said = tuple[int, ...] | errors.DriverError
"""An answer: words, 0 … 65535, or the refusal that the meter gave in their place."""


class Answers:
    """Makes requests and finds their answers, one at a time; the framer of a connection.

    Parameters
    ----------
    after : transaction number of the last request on the connection before: a gateway whose meter
        answers late gives that answer to whoever is connected then
    """

    def __init__(self, after: int = 0) -> None:
        self.transaction = after
        self._stream = bytearray()
        self._request: Request | None = None
        self._strange = 0

    @property
    def waiting(self) -> int:
        """Bytes that came and were not given out."""
        return len(self._stream)

    def ask(self, unit: int, span: Span) -> bytes:
        """Give the frame of a request; from here on its answer is looked for, and no other."""
        self.transaction = self.transaction % 0xFFFF + 1
        self._request, self._strange = Request(self.transaction, unit, span), 0
        return frame(self._request)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._stream += data

    def next(self) -> Said | None:
        """Give the answer to the request, None while it has not come whole.

        Answers to other transactions are passed over: they come late, or twice.

        Raises
        ------
        DriverError
            if nothing that follows on this connection can be trusted.
        """
        while self._request is not None and len(self._stream) >= _HEADER.size:
            request, stream = self._request, bytes(self._stream[: 6 + _LARGEST_LENGTH])
            found = fault(stream, request)
            if found is not None and not found.in_step:
                raise found.error
            transaction, _, length, _ = _HEADER.unpack_from(stream)
            if len(stream) < 6 + length:
                return None
            del self._stream[: 6 + length]
            if transaction == request.transaction:
                self._request = None
                return found.error if found else pdu.words(stream[7 : 6 + length])
            self._strange += 1
        return None

    def silence(self, seconds: float) -> errors.TimedOut | errors.OutOfStep:
        """Say how far the answer came before the time was up."""
        if self._strange and not self._stream:
            said = f"{self._strange} answers to other requests, and none to ours"
            return errors.OutOfStep(f"{said} in {seconds:g} s")
        return silence(self.progress(), bool(self._stream), seconds)

    def progress(self) -> str:
        """Say how far an answer came before it stopped."""
        return progress(bytes(self._stream))


def frame(request: Request) -> bytes:
    """Write a request with the header of Modbus TCP."""
    asked = pdu.question(request.span)
    return _HEADER.pack(request.transaction, 0, len(asked) + 1, request.unit) + asked


def fault(stream: bytes, request: Request) -> Fault | None:
    """Say what is wrong with the frame that a stream begins with.

    Parameters
    ----------
    stream : what came, from the start of a frame
    request : the one that waits for its answer

    Returns
    -------
    None while the answer may still become right, or is, or is another transaction's
    """
    if len(stream) < _HEADER.size:
        return None
    transaction, protocol, length, unit = _HEADER.unpack_from(stream)
    if protocol != 0 or not 2 <= length <= _LARGEST_LENGTH:
        shown = stream[:16].hex(" ")
        return Fault(errors.RemoteProtocolError(f"no Modbus TCP frame begins with {shown}"))
    if transaction != request.transaction:
        return None
    return _wrong(stream[: 6 + length], unit, request)


def progress(stream: bytes) -> str:
    """Say how far an answer came before it stopped."""
    if not stream:
        return "no answer"
    if len(stream) < _HEADER.size:
        return f"half an answer: {len(stream)} bytes, not even a whole header"
    wanted = 6 + int.from_bytes(stream[4:6], "big")
    return f"half an answer: {len(stream)} of {wanted} bytes"


def silence(said: str, began: bool, seconds: float) -> errors.TimedOut:  # of progress
    """Give the error of an answer that did not come whole in time."""
    kind = errors.HalfAnswer if began else errors.TimedOut
    return kind(f"{said} in {seconds:g} s")


def refusal(code: int, span: Span) -> errors.DriverError:
    """Turn a Modbus exception code into the error that says what the caller should do."""
    kind, meaning = _EXCEPTIONS.get(code, (errors.MeterRefused, "an exception of the vendor's own"))
    return kind(f"exception {code} to {named(span)}: {meaning}")


def named(span: Span) -> str:
    """Name what was asked, for messages."""
    return f"function {span.function}, {span.count} words at {span.address:#06x}"


def nothing(span: Span) -> errors.RemoteProtocolError:
    """Name a success without a register, with which jsmodbus answers past its last one."""
    return errors.RemoteProtocolError(
        f"{named(span)}: success with 0 bytes, not {2 * span.count}: the meter says yes and gives"
        " nothing; it may have no such registers: check the profile"
    )


def _wrong(said: bytes, unit: int, request: Request) -> Fault | None:
    if unit != request.unit:
        told = f"unit {unit} answered what unit {request.unit} was asked"
        return Fault(errors.WrongUnit(told))
    if len(said) < _HEADER.size + 1:
        return None
    function = said[7]
    if function == request.span.function | 0x80:
        return Fault(refusal(said[8], request.span), in_step=True) if len(said) > 8 else None
    if function != request.span.function:
        told = f"function {function} in the answer to {named(request.span)}"
        return Fault(errors.RemoteProtocolError(told))
    return _wrong_size(said, request.span)


def _wrong_size(said: bytes, span: Span) -> Fault | None:
    """Compare the length in the header and the byte count with what was asked."""
    inside = int.from_bytes(said[4:6], "big") - 3
    counted = said[8] if len(said) > 8 else inside
    if inside == counted == 2 * span.count:
        return None
    if inside == counted == 0:
        return Fault(nothing(span))
    told = f"{named(span)}: {counted} bytes in a frame for {inside}, not {2 * span.count}"
    return Fault(errors.RemoteProtocolError(told))
