"""What the bytes that came back in RTU frames are, by serial line or TCP: ours, or wrong.

A frame is unit, function, data, CRC. There is no transaction number and no length in front, so
whatever does not add up ends the connection. Modbus over Serial Line V1.02, §2.5.1 (RTU frame) and
§6.2.2 (CRC).
"""

from __future__ import annotations

from typing import Final

from pymodbus.framer import FramerRTU

from drivers import errors
from drivers.modbus import answer, pdu
from drivers.modbus.answer import Fault, Request, Said
from drivers.modbus.register_map import Span

_CRC_BYTES: Final = 2
_EXCEPTION_BYTES: Final = 5
_LARGEST_FRAME: Final = 256


class Answers:
    """Makes requests and finds their answers, one at a time; the framer of a line."""

    def __init__(self) -> None:
        self._stream = bytearray()
        self._request: Request | None = None
        self._late: Request | None = None

    @property
    def waiting(self) -> int:
        """Bytes that came and were not given out."""
        return len(self._stream)

    def ask(self, unit: int, span: Span, late: Request | None = None) -> bytes:
        """Give the frame of a request; from here on its answer is looked for.

        Parameters
        ----------
        late : an earlier request that was given up: another unit's answer to it may still come

        Raises
        ------
        OutOfStep
            if a whole frame is there already: the last request was answered twice. Other bytes
            are noise of the line, and are dropped.
        """
        before, self._stream = bytes(self._stream), bytearray()
        if len(before) >= _EXCEPTION_BYTES and before[-_CRC_BYTES:] == crc(before[:-_CRC_BYTES]):
            raise errors.OutOfStep(
                f"an answer that nobody waited for: {before[:16].hex(' ')}; does the meter answer"
                " twice, or does somebody else ask on this line?"
            )
        self._request, self._late = Request(0, unit, span), late
        return frame(self._request)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; nobody needs to remember more than a frame that is too long."""
        self._stream += data[: 2 * _LARGEST_FRAME - len(self._stream)]

    def next(self) -> Said | None:
        """Give the answer to the request, None while it has not come whole.

        Raises
        ------
        DriverError
            if nothing that follows on this line can be trusted.
        """
        if self._request is None:
            return None
        if self._late is not None and not self._pass_over(self._late, self._request):
            return None
        stream = bytes(self._stream)
        found = fault(stream, self._request)
        if found is not None and not found.in_step:
            raise found.error
        if len(stream) < _EXCEPTION_BYTES or len(stream) < _length(stream):
            return None
        self._stream.clear()
        self._request = None
        return found.error if found else pdu.words(stream[1:-_CRC_BYTES])

    def silence(self, seconds: float) -> errors.TimedOut:
        """Say how far the answer came before the time was up."""
        return answer.silence(self.progress(), bool(self._stream), seconds)

    def progress(self) -> str:
        """Say how far an answer came before it stopped."""
        return progress(bytes(self._stream))

    def _pass_over(self, late: Request, request: Request) -> bool:
        """Drop another unit's late answer; False while it is still coming."""
        stream = self._stream
        if late.unit == request.unit or not stream or stream[0] != late.unit:
            return True
        if len(stream) < 3 or len(stream) < (wanted := _length(bytes(stream[:3]))):
            return len(stream) > _expected(late)
        said = bytes(stream[:wanted])
        if said[-_CRC_BYTES:] == crc(said[:-_CRC_BYTES]):
            del stream[:wanted]
            self._late = None
        return True


def frame(request: Request) -> bytes:
    """Write a request with its CRC."""
    said = bytes((request.unit,)) + pdu.question(request.span)
    return said + crc(said)


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
        return _too_much(stream, wanted)
    return _wrong(stream, request)


def progress(stream: bytes) -> str:
    """Say how far an answer came before it stopped, for the message of a timeout."""
    if not stream:
        return "no answer"
    if len(stream) < 3:
        return f"half an answer: {len(stream)} bytes, not even a whole header"
    return f"half an answer: {len(stream)} of {_length(stream)} bytes"


def crc(data: bytes) -> bytes:
    """Compute the two bytes that end a frame, in the order in which they are sent."""
    return FramerRTU.compute_CRC(data).to_bytes(_CRC_BYTES)


def _length(stream: bytes) -> int:
    return _EXCEPTION_BYTES if stream[1] & 0x80 else 3 + stream[2] + _CRC_BYTES


def _expected(request: Request) -> int:
    return 3 + 2 * request.span.count + _CRC_BYTES


def _too_much(stream: bytes, wanted: int) -> Fault:
    """Name bytes behind a frame: nothing but its length ends it, so they may be another's."""
    more = len(stream) - wanted
    if stream[wanted:] == stream[:wanted]:
        return Fault(errors.OutOfStep(f"the same answer twice: {stream[:16].hex(' ')}"))
    return _garbled(f"{more} bytes more than the frame has:", stream)


def _wrong(said: bytes, request: Request) -> Fault | None:
    told, right = said[-_CRC_BYTES:], crc(said[:-_CRC_BYTES])
    if told != right:
        why = f"CRC {told.hex(' ')}, not {right.hex(' ')}, ends"
        return Fault(errors.Garbled(f"{why} {said[:16].hex(' ')}"))
    if said[0] != request.unit:
        return Fault(
            errors.WrongUnit(f"unit {said[0]} answered what unit {request.unit} was asked")
        )
    if said[1] & 0x80:
        return Fault(answer.refusal(said[2], request.span), in_step=True)
    if said[2] == 0:
        return Fault(answer.nothing(request.span))
    return None if len(said) == _expected(request) else _wrong_count(said, request)


def _wrong_count(stream: bytes, request: Request) -> Fault:
    said = f"{answer.named(request.span)}: {stream[2]} bytes, not {2 * request.span.count}"
    return Fault(errors.RemoteProtocolError(said))


def _garbled(what: str, stream: bytes) -> Fault:
    return Fault(errors.RemoteProtocolError(f"{what} {stream[:16].hex(' ')}"))
