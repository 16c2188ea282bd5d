"""The start in text of simulated meters on serial ports: mode E of IEC 62056-21.

Characters have seven bits and even parity, which is the eighth bit here. The meter goes back to
text when its client has left, or signs on again.
"""

from __future__ import annotations

from typing import Final, Protocol

FIRST_BAUD: Final = 300
_BAUDS: Final = {300: "0", 600: "1", 1200: "2", 2400: "3", 4800: "4", 9600: "5", 19200: "6"}
_SIGN_ON: Final = b"\xaf\x3f"
_LONGEST: Final = 100


class Inner(Protocol):
    """What is spoken after the start."""

    @property
    def is_busy(self) -> bool:
        """Tell whether a client is connected."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes, give answers."""


class ModeE:
    """A meter that first speaks text.

    Attributes
    ----------
    baud : at which it listens and talks now
    """

    def __init__(self, inner: Inner, manufacturer: str, device: str, baud: int) -> None:
        self.baud = FIRST_BAUD
        self._inner = inner
        self._device = device
        self._highest = baud
        self._manufacturer = manufacturer
        self._waiting = b""
        self._binary = self._was_busy = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come, give answers."""
        if self._binary and not data.startswith(_SIGN_ON):
            return self._relayed(data)
        self._binary, self.baud = False, FIRST_BAUD
        self._waiting = (self._waiting + data)[-_LONGEST:]
        answers = b""
        while (end := self._waiting.find(b"\x0a")) >= 0:
            line, self._waiting = self._waiting[: end + 1], self._waiting[end + 1 :]
            answers += self._line(_stripped(line))
        return answers

    def _relayed(self, data: bytes) -> bytes:
        answers = self._inner.receive(data)
        if self._was_busy and not self._inner.is_busy:
            self._binary = False
        self._was_busy = self._inner.is_busy
        return answers

    def _line(self, line: str) -> bytes:
        sign = _BAUDS[self._highest]
        if line in ("/?!\r\n", f"/?{self._device}!\r\n"):
            return _even(f"/{self._manufacturer}{sign}\\2{self._device}\r\n")
        if line == f"\x062{sign}2\r\n":
            self._binary, self._was_busy, self._waiting = True, False, b""
            self.baud = self._highest
            return _even(line)
        return b""


def _even(text: str) -> bytes:
    return bytes(code + 128 * (code.bit_count() % 2) for code in text.encode("ascii"))


def _stripped(line: bytes) -> str:
    plain = "".join(chr(code % 128) for code in line)
    return plain if _even(plain) == line else ""
