"""The client's end of an HDLC connection, without I/O: what to send, and what the answers mean.

Each step is a generator: it yields bytes to send (none of them: only wait on; None: only wait for
what is on its way) and is sent the next frame, or None when none came in time. Whoever drives it
does the waiting. The two ends take turns:
our last frame of a turn has the poll bit, the meter's last one the final bit.

References
----------
IEC 62056-46:2002+A1:2006, 6.4 (MAC sublayer, normal response mode); ISO/IEC 13239:2002.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Final, TypeVar

from drivers.dlms import hdlc, hdlc_parameters
from drivers.dlms.hdlc import Frame, ResilientFrames
from drivers.dlms.hdlc_parameters import Parameters
from drivers.errors import Broken, DriverError, Refused, RemoteProtocolError, TimedOut

T = TypeVar("T")
Talk = Generator[bytes | None, Frame | None, T]

POLL: Final = 0x10
SNRM, DISC, UA, DM, FRMR = 0x83, 0x43, 0x63, 0x0F, 0x87
_RR, _RNR = 0, 1
_SEQUENCE: Final = 7
# An APDU of 64 KiB in frames of 16 octets; a meter that sends smaller ones sends for ever.
_MOST_FRAMES: Final = 4096
_MOST_OTHERS: Final = 64
# Turns in a row whose answers were damaged: asking again costs little then, for nobody waits long.
_MOST_SPOILT: Final = 8


class Link:
    """One HDLC connection, as the client sees it.

    Attributes
    ----------
    frames : the cutter that gets the line's bytes
    agreed : what was negotiated

    Parameters
    ----------
    client, server : addresses as their octets
    proposed : what the client would like
    retries : how often what was not answered is asked again
    """

    def __init__(self, client: bytes, server: bytes, proposed: Parameters, retries: int) -> None:
        self.frames = ResilientFrames()
        self.agreed = Parameters()
        self._client, self._server = client, server
        self._proposed = proposed
        self._retries = retries
        self._stranger = b""
        self._forget()

    def _forget(self) -> None:
        """Begin as every connection does."""
        self._segments: list[tuple[bytes, bool]] = []
        self._first = self._received = 0
        self._acknowledged = self._said = self._taken = self._others = 0
        self._busy = False
        self._apdus = hdlc.Apdus()
        self._answers: deque[bytes] = deque()

    def connect(self) -> Talk[None]:
        """Set the connection up and agree on sizes of frames and windows.

        Raises
        ------
        TimedOut
            if no UA comes.
        Refused
            if the meter does not let us in (DM).
        RemoteProtocolError
            if it rejects the frame (FRMR), or there is only garbage on the line.
        """
        request = self._frame(SNRM | POLL, hdlc_parameters.encode(self._proposed))
        for _ in range(self._retries + 1):
            answer = yield from self._unnumbered(request)
            if answer is not None:
                self._forget()
                self.agreed = hdlc_parameters.agreed(self._proposed, answer.information)
                return
        raise self._silence(
            "no UA answers our SNRM; check the addresses client, server and physical, and on a "
            "serial line the baud rate"
        )

    def exchange(self, *apdus: bytes) -> Talk[bytes]:
        """Send APDUs, in as many frames as they take, and give the first that answers them.

        Raises
        ------
        TimedOut
            if the meter does not answer, however often it is asked.
        Broken
            if it has left the connection.
        RemoteProtocolError
            if it rejects a frame, or sends a longer one than agreed.
        """
        self._first = (self._first + len(self._segments)) & _SEQUENCE
        self._segments = [one for apdu in apdus for one in self._cut(hdlc.LLC_COMMAND + apdu)]
        self._acknowledged = self._said = self._taken = self._others = 0
        self._answers.clear()
        return (yield from self._answered())

    def more(self) -> Talk[bytes]:
        """Give another APDU of the meter's, without asking for a new one."""
        self._taken = self._others = 0
        return (yield from self._answered())

    def disconnect(self) -> Talk[None]:
        """Leave the connection, whether the meter hears it or not."""
        request = self.goodbye
        frame = yield request
        for _ in range(_MOST_OTHERS):
            if frame is None or (self._is_ours(frame) and frame.control & ~POLL in (UA, DM)):
                return
            frame = yield b""

    @property
    def goodbye(self) -> bytes:
        """The frame that leaves the connection."""
        return self._frame(DISC | POLL)

    def _unnumbered(self, request: bytes) -> Talk[Frame | None]:
        """Wait for UA; None if it does not come."""
        frame = yield request
        while frame is not None:
            if self._is_ours(frame):
                kind = frame.control & ~POLL
                if kind == UA:
                    return frame
                if kind == DM:
                    raise Refused(
                        "the meter answers SNRM with DM: it takes no connection now; check whether "
                        "another reader has it, and the client's address"
                    )
                _check_rejection(frame)
            frame = yield self._patience(frame)
        return None

    def _answered(self) -> Talk[bytes]:
        failures, spoilt, heard = 0, 0, False
        while not self._answers or self._acknowledged < len(self._segments):
            before, damaged = self._acknowledged + self._taken, self.frames.damaged
            heard = yield from self._turn(rest=heard and (failures > 0 or self._busy))
            if self._acknowledged + self._taken > before:
                failures = spoilt = 0
            elif self.frames.damaged > damaged:
                spoilt += 1
            else:
                failures += 1
            if failures > self._retries or spoilt > _MOST_SPOILT:
                raise self._silence("the meter does not answer, though it was asked again")
            if self._taken > _MOST_FRAMES:
                raise RemoteProtocolError(f"an answer of more than {_MOST_FRAMES} HDLC frames")
        return self._answers.popleft()

    def _turn(self, *, rest: bool) -> Talk[bool]:
        """Say what there is to say, and hear the meter; True if it gives the word back.

        Parameters
        ----------
        rest : let it have time first, since it was at work the last time it was asked
        """
        idle = self._acknowledged == len(self._segments) or self._busy
        frame = (yield b"") if rest and idle else None
        if frame is None:
            frame = yield self._speech()
        while frame is not None:
            if self._is_ours(frame) and self._take(frame):
                return True
            frame = yield self._patience(frame)
        return False

    def _cut(self, message: bytes) -> Iterator[tuple[bytes, bool]]:
        """Cut an APDU into the information of frames; with each, whether another follows."""
        size = self.agreed.information_out
        for at in range(0, len(message), size):
            yield message[at : at + size], at + size < len(message)

    def _speech(self) -> bytes:
        """Write the frames of our turn."""
        end = min(self._acknowledged + self.agreed.window_out, len(self._segments))
        numbers = range(self._acknowledged, end)
        if self._busy or not numbers:
            self._busy = False
            return self._frame(self._received << 5 | POLL | 1)
        self._said = end
        return b"".join(self._information(at, poll=at == end - 1) for at in numbers)

    def _information(self, at: int, *, poll: bool) -> bytes:
        number = (self._first + at) & _SEQUENCE
        control = self._received << 5 | (POLL if poll else 0) | number << 1
        information, segmented = self._segments[at]
        return self._frame(control, information, segmented=segmented)

    def _take(self, frame: Frame) -> bool:
        """Take a frame; True if the word is ours after it."""
        if not frame.control & 1:
            return self._take_information(frame)
        if frame.control & 3 == 1:
            self._acknowledge(frame.control >> 5)
            self._busy = frame.control >> 2 & 3 == _RNR
            return bool(frame.control & POLL)
        if frame.control & ~POLL == DM:
            raise Broken("the meter has left the HDLC connection (DM)")
        _check_rejection(frame)
        return False

    def _take_information(self, frame: Frame) -> bool:
        final, number = bool(frame.control & POLL), frame.control >> 1 & _SEQUENCE
        if (number - self._received) & _SEQUENCE >= self.agreed.window_in:
            # A frame from before, repeated: who answers each repetition has two of everything on
            # the line for ever.
            return False
        self._acknowledge(frame.control >> 5)
        if number != self._received:
            return final  # one before it was lost, and is asked for by what we expect
        if len(frame.information) > self.agreed.information_in:
            raise RemoteProtocolError(
                f"the meter sends a frame of {len(frame.information)} octets where "
                f"{self.agreed.information_in} were agreed; set frame= in its address"
            )
        self._received = (number + 1) & _SEQUENCE
        self._taken += 1
        apdu = self._apdus.join(frame)
        if apdu is not None:
            self._answers.append(apdu)
        return final

    def _acknowledge(self, expected: int) -> None:
        """Note which of our frames the meter has; a number that fits none is an old frame's."""
        count = (expected - self._first - self._acknowledged) & _SEQUENCE
        if count <= self._said - self._acknowledged:
            self._acknowledged += count

    def _is_ours(self, frame: Frame) -> bool:
        """Tell whether the meter sent a frame to us; lines may have other meters and clients."""
        if frame.source == self._server and frame.destination == self._client:
            return True
        if frame is hdlc.DAMAGED:
            return False
        # Some adapters of two-wire lines let us hear ourselves.
        if frame.source != self._client:
            self._stranger = frame.source
        return False

    def _patience(self, frame: Frame) -> bytes | None:
        """Tell how long to wait for another frame; bounds what comes between.

        After a damaged one only for what is on its way already: it may have been the last.
        """
        self._others += 1
        if self._others > _MOST_OTHERS + self._taken:
            endless = "HDLC frames come without end and none of them is an answer"
            raise self._silence(endless) if self.frames.damaged else RemoteProtocolError(endless)
        return None if frame is hdlc.DAMAGED else b""

    def _frame(self, control: int, information: bytes = b"", *, segmented: bool = False) -> bytes:
        return hdlc.encode(Frame(self._server, self._client, control, segmented, information))

    def _silence(self, what: str) -> DriverError:
        """Say why there was no answer, as far as the line shows it."""
        if self._stranger:
            return RemoteProtocolError(
                f"{what}; server address 0x{self._stranger.hex()} answered, not "
                f"0x{self._server.hex()}: check server and physical"
            )
        if self.frames.damaged:
            return TimedOut(f"{what}; {self.frames.damaged} frames came damaged: check the line")
        if self.frames.noise + self.frames.waiting > 1:
            return RemoteProtocolError(
                f"{what}; {self.frames.noise + self.frames.waiting} bytes of garbage came: check "
                "the baud rate, and that the line leads to an HDLC meter"
            )
        return TimedOut(what)


_REASONS: Final = (
    "an unknown control octet",
    "a frame that must not carry information",
    "a frame that is too long: set frame= in the meter's address",
    "a sequence number that it did not expect",
)


def _check_rejection(frame: Frame) -> None:
    """Raise what a frame reject (FRMR) says.

    Its information is the rejected control octet, the meter's two sequence numbers, and the bits
    w, x, y, z of the reason (ISO/IEC 13239, 5.5.3.4).
    """
    if frame.control & ~POLL != FRMR:
        return
    bits = frame.information[2] if len(frame.information) > 2 else 0
    said = [reason for at, reason in enumerate(_REASONS) if bits >> at & 1]
    raise RemoteProtocolError(
        f"the meter rejects our HDLC frame (FRMR): {', '.join(said) or 'it does not say why'}"
    )
