"""General block transfer: any APDU in parts, streamed in windows; what is lost is sent again.

A side sends as many parts as the other's window takes, all but the last of them marked as
streaming, and the other acknowledges the last part up to which it has them all.

References
----------
IEC 62056-5-3:2017, clause 8 (General-Block-Transfer) and 9.4.6.13 (its protocol).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drivers.dlms import axdr, refusals
from drivers.dlms.steps import Burst, Step
from drivers.errors import LocalProtocolError, MeterRefused, RemoteProtocolError, TimedOut

TAG: Final = 0xE0
WIDEST: Final = 63
"""Widest window that a part can announce."""

# Tag, control, two numbers and a length of up to three octets.
OVERHEAD: Final = 9
# A year of quarter-hours with ten columns is 2 MB.
_LARGEST: Final = 4 << 20
# Nobody asked for it, and many may send at once.
_LARGEST_UNASKED: Final = 256 << 10
_MOST_PARTS: Final = 0xFFFF
_LAST, _STREAMING = 0x80, 0x40
# Waits and parts in succession that bring nothing new, before we give up.
_MOST_WAITS: Final = 3
_MOST_USELESS: Final = 4 * WIDEST


@dataclass(frozen=True, slots=True)
class Part:
    """One general-block-transfer APDU.

    Attributes
    ----------
    last : whether it is the sender's last part
    streaming : whether more parts follow without an acknowledgement
    window : parts that its sender takes in a row, 0 … 63
    number : of this part, from 1
    acknowledged : the last of the other side's parts up to which the sender has them all
    """

    last: bool
    streaming: bool
    window: int
    number: int
    acknowledged: int
    data: bytes

    def __bytes__(self) -> bytes:
        control = _LAST * self.last | _STREAMING * self.streaming | self.window
        numbers = self.number.to_bytes(2) + self.acknowledged.to_bytes(2)
        return bytes((TAG, control)) + numbers + axdr.encode_octets(self.data)

    @classmethod
    def parse(cls, apdu: bytes) -> Part:
        """Read a part.

        Raises
        ------
        RemoteProtocolError
            if it is none or is cut off.
        """
        if len(apdu) < 7 or apdu[0] != TAG:
            raise RemoteProtocolError(
                f"a part of a block transfer was expected, and 0x{apdu[:1].hex()} begins none"
            )
        data, _ = axdr.octets(apdu, 6)
        control = apdu[1]
        return cls(
            last=bool(control & _LAST),
            streaming=bool(control & _STREAMING),
            window=control & WIDEST,
            number=int.from_bytes(apdu[2:4]),
            acknowledged=int.from_bytes(apdu[4:6]),
            data=data,
        )


class Reassembly:
    """One APDU out of its parts, in whatever order and however often they come.

    Parameters
    ----------
    largest : longest APDU that is taken [bytes]
    """

    def __init__(self, largest: int = _LARGEST) -> None:
        self.acknowledged = 0
        self._largest = largest
        self._parts: dict[int, bytes] = {}
        self._last = _MOST_PARTS + 1
        self._size = 0

    @property
    def whole(self) -> bytes | None:
        """The APDU, None while parts of it are missing."""
        if self.acknowledged != self._last:
            return None
        return b"".join(self._parts[number] for number in range(1, self._last + 1))

    def take(self, part: Part) -> bool:
        """Take a part; tell whether it brings something new.

        Raises
        ------
        MeterRefused
            if it breaks the transfer off.
        RemoteProtocolError
            if it contradicts what came before, or is out of all bounds.
        """
        number = part.number
        if number == 0:
            raise MeterRefused("the other side breaks the block transfer off")
        known = self._parts.get(number)
        if known == part.data and part.last == (number == self._last):
            return False
        # A bare acknowledgement may share its number with the part that follows it.
        if known or self.acknowledged + WIDEST < number or number > self._last:
            raise RemoteProtocolError(f"part {number} of a block transfer contradicts another")
        if part.last and any(other > number for other in self._parts):
            raise RemoteProtocolError(f"part {number} of a block transfer is not its last")
        self._size += len(part.data)
        if self._size > self._largest:
            raise RemoteProtocolError(f"an APDU of more than {self._largest} bytes is none we read")
        self._parts[number] = part.data
        if part.last:
            self._last = number
        while self.acknowledged + 1 in self._parts:
            self.acknowledged += 1
        return True

    def note(self, part: Part) -> None:
        """Take an acknowledgement without content, which is a part of the numbering only."""
        if part.number == self.acknowledged + 1:
            self._parts[part.number] = b""
            self.acknowledged += 1


class Transfer:
    """Our side of one exchange in which an APDU comes, or goes, in parts.

    Parameters
    ----------
    window : parts that we take in a row
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._number = 0
        self._theirs = Reassembly()

    def ask(self, apdu: bytes, size: int) -> Step[bytes]:
        """Send an APDU in parts and give the answer, which may come in parts too.

        Parameters
        ----------
        size : most octets of content in a part

        Raises
        ------
        MeterRefused
            if the other side breaks off.
        RemoteProtocolError
            if it acknowledges what was not sent, or goes on without getting on.
        """
        pieces = [apdu[at : at + size] for at in range(0, len(apdu), size)]
        if size < 1 or len(pieces) > _MOST_PARTS:
            raise LocalProtocolError(f"{len(apdu)} bytes do not go in parts of {size}")
        taken, window = 0, 1
        for _ in range(len(pieces) + _MOST_USELESS):
            reply = yield from self._heard(Burst(tuple(self._parts(pieces, taken, window))))
            if reply[0] != TAG:
                return reply
            part = Part.parse(reply)
            if part.acknowledged > len(pieces) or part.number == 0:
                raise RemoteProtocolError("the meter breaks the block transfer off, or counts on")
            if part.acknowledged == len(pieces):
                return (yield from self.receive(reply))
            self._theirs.note(part)
            # An acknowledgement that was overtaken says less than we know.
            taken, window = max(taken, part.acknowledged), max(1, part.window)
        raise RemoteProtocolError("the meter asks for the same parts again and again")

    def receive(self, first: bytes) -> Step[bytes]:
        """Give the whole APDU that begins with a part.

        Raises
        ------
        TimedOut
            if parts are missing and asking for them does not help.
        MeterRefused
            if the other side breaks off.
        RemoteProtocolError
            if the parts contradict each other, are no parts, or never end.
        """
        theirs, reply, useless = self._theirs, first, 0
        while True:
            part = Part.parse(reply)
            useless = 0 if theirs.take(part) else useless + 1
            if (whole := theirs.whole) is not None:
                return whole
            if useless > _MOST_USELESS:
                raise RemoteProtocolError("the meter sends the same parts again and again")
            more = part.streaming and not part.last
            reply = yield from self._heard(Burst() if more else self._acknowledgement())

    def _heard(self, burst: Burst) -> Step[bytes]:
        """Send and hear the answer; in vain, say again what we have."""
        for left in reversed(range(_MOST_WAITS)):
            try:
                reply = yield burst
            except TimedOut:
                if not left:
                    raise
                burst = burst if burst.apdus else self._acknowledgement()
            else:
                refusals.check(reply)
                return reply
        raise LocalProtocolError("a block transfer waits no time at all")

    def _parts(self, pieces: list[bytes], taken: int, window: int) -> Iterator[bytes]:
        """Write the next window of our parts."""
        upto = min(taken + window, len(pieces))
        self._number = max(self._number, upto)
        for number in range(taken + 1, upto + 1):
            yield bytes(
                Part(
                    last=number == len(pieces),
                    streaming=number < upto,
                    window=self._window,
                    number=number,
                    acknowledged=self._theirs.acknowledged,
                    data=pieces[number - 1],
                )
            )

    def _acknowledgement(self) -> Burst:
        """Say up to where we have all parts; we have nothing more to say ourselves."""
        self._number += 1
        known = self._theirs.acknowledged
        return Burst((bytes(Part(True, False, self._window, self._number, known, b"")),))


class Joiner:
    """Puts together what one peer sends unasked in parts; whole APDUs go through as they are."""

    __slots__ = ("_given", "_parts")

    def __init__(self) -> None:
        self._parts: Reassembly | None = None
        self._given = False

    def feed(self, apdu: bytes) -> bytes | None:
        """Take an APDU; give a whole one, None while parts are missing or only came again.

        A part that contradicts the others begins another transfer.

        Raises
        ------
        RemoteProtocolError
            if the bytes are no part, or the sender breaks off.
        """
        if apdu[:1] != _TAG:
            return apdu
        part = Part.parse(apdu)
        try:
            return self._joined(part)
        except MeterRefused as error:
            self._parts, self._given = None, False
            raise RemoteProtocolError(str(error)) from None
        except RemoteProtocolError:
            self._parts, self._given = None, False
            return self._joined(part)

    def _joined(self, part: Part) -> bytes | None:
        if self._parts is None:
            self._parts = Reassembly(_LARGEST_UNASKED)
        self._parts.take(part)
        whole = self._parts.whole
        if whole is None or self._given:
            return None
        self._given = True
        return whole


_TAG: Final = bytes((TAG,))
