"""General block transfer at the simulated meter's end (Green Book, 9.4.6.13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators import dlms_codec
from simulators.dlms_codec import Malformed, Reader

TAG: Final = 0xE0
_OVERHEAD: Final = 10
_LAST, _STREAMING, _WINDOW = 0x80, 0x40, 0x3F
_LONGEST_UPLOAD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Part:
    last: bool
    window: int
    number: int
    acknowledged: int
    data: bytes


class Parts:
    """One association's block transfer: what comes, and what goes.

    Parameters
    ----------
    window : parts that the meter takes in a row
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self.clear()

    def clear(self) -> None:
        """Forget the exchange; the next one begins with part 1."""
        self._came: dict[int, bytes] = {}
        self._got = 0
        self._said = 0
        self._end = 0
        self._complete = False
        self._pieces: list[bytes] = []
        self._base = 0
        self._number = 0

    def take(self, apdu: bytes) -> tuple[bytes | None, list[bytes]]:
        """Take a part.

        Returns
        -------
        the whole request if this completes it, and parts to send at once
        """
        part = _parsed(apdu)
        if part.number == 0:
            self.clear()
            return None, []
        if part.number == 1 and part.data and self._came.get(1) != part.data:
            # Another exchange begins.
            self.clear()
        if part.data and not self._complete:
            return self._request(part, streaming=bool(apdu[1] & _STREAMING))
        if self._pieces:
            return None, self._go_on(part)
        return None, []

    def send(self, answer: bytes, size: int) -> list[bytes]:
        """Begin to send a long answer: one part, until the client says how many it takes."""
        room = size - _OVERHEAD
        self._pieces = [answer[at : at + room] for at in range(0, len(answer), room)]
        # Parts are numbered on from the acknowledgements that went before.
        self._base = self._number
        return self._written(0, 1)

    def _request(self, part: _Part, *, streaming: bool) -> tuple[bytes | None, list[bytes]]:
        self._came.setdefault(part.number, part.data)
        if sum(map(len, self._came.values())) > _LONGEST_UPLOAD:
            raise Malformed("a request that is longer than any")
        while self._got + 1 in self._came:
            self._got += 1
        if part.last:
            self._end = part.number
        if self._got and self._got == self._end:
            self._complete = True
            return b"".join(self._came[n] for n in range(1, self._got + 1)), []
        return None, [] if streaming else [self._acknowledgement()]

    def _go_on(self, part: _Part) -> list[bytes]:
        """Send what the client has not acknowledged, as much as it takes."""
        if part.number == self._got + 1:
            # An acknowledgement is a part too, without content.
            self._got += 1
        return self._written(max(part.acknowledged - self._base, 0), max(part.window, 1))

    def _written(self, done: int, window: int) -> list[bytes]:
        upto = min(done + window, len(self._pieces))
        self._number = self._base + upto
        written = []
        for place in range(done, upto):
            last, more = place + 1 == len(self._pieces), place + 1 < upto
            control = _LAST * last | _STREAMING * more | self._window
            written.append(self._part(control, self._base + place + 1, self._pieces[place]))
        return written

    def _acknowledgement(self) -> bytes:
        """Say up to where all parts came; the same again has the same number again."""
        if self._got != self._said:
            self._number, self._said = self._number + 1, self._got
        return self._part(self._window, self._number, b"")

    def _part(self, control: int, number: int, data: bytes) -> bytes:
        numbers = number.to_bytes(2, "big") + self._got.to_bytes(2, "big")
        return bytes((TAG, control)) + numbers + dlms_codec.length(len(data)) + data


def _parsed(apdu: bytes) -> _Part:
    reader = Reader(apdu[1:])
    control, number, acknowledged = reader.number(1), reader.number(2), reader.number(2)
    data = reader.take(reader.length())
    return _Part(bool(control & _LAST), control & _WINDOW, number, acknowledged, data)
