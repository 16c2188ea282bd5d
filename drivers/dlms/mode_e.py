"""The start of a conversation over an optical or serial port that first speaks text: mode E.

The sign-on goes out at 300 baud with seven bits and even parity; the meter names itself and its
highest baud rate; the acknowledgement chooses HDLC at that rate. The parity is in the eighth bit
here, because not every port can be set to seven.

References
----------
IEC 62056-21:2002, 5 (character transmission), 6.3 (messages) and annex E (mode E).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.dlms.cutter import Cutter
from drivers.errors import NotOffered, RemoteProtocolError

FIRST_BAUD: Final = 300
BAUDS: Final = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
LONGEST_LINE: Final = 64
_HDLC: Final = "\\2"
_SEVEN: Final = bytes(octet & 0x7F for octet in range(256))
_EVEN: Final = bytes(octet & 0x7F | ((octet & 0x7F).bit_count() & 1) << 7 for octet in range(256))


@dataclass(frozen=True, slots=True)
class Identification:
    """Who a meter says it is at the start: manufacturer, the sign of its baud rate, its name."""

    manufacturer: str
    sign: str
    name: str

    @property
    def baud(self) -> int:
        """The baud rate that it goes on with."""
        return BAUDS[self.sign]


class Lines(Cutter[str]):
    """Cuts a stream of characters into lines that are right in every parity bit."""

    __slots__ = ()

    def next(self) -> str | None:
        """Give the next line without its end; None while none has come whole."""
        buffer = self._buffer
        while (at := buffer.translate(_SEVEN).find(b"\n")) >= 0:
            line = bytes(buffer[: at + 1])
            del buffer[: at + 1]
            plain = line.translate(_SEVEN)
            # Converters that check the parity themselves leave the bit out.
            if line in (plain, plain.translate(_EVEN)):
                return plain.decode("ascii").rstrip("\r\n").lstrip("\x00\x7f")
        # What is longer than any line is noise.
        if len(buffer) > LONGEST_LINE:
            del buffer[:-LONGEST_LINE]
        return None


def sign_on(device: str = "") -> bytes:
    """Write the request that a meter answers with its identification.

    Parameters
    ----------
    device : its address on a line with several, empty for whoever is there
    """
    return _even(f"/?{device}!\r\n")


def choice(identification: Identification) -> bytes:
    """Write the acknowledgement that chooses HDLC at the meter's own baud rate."""
    return _even(f"\x062{identification.sign}2\r\n")


def identified(line: str) -> Identification:
    """Read a meter's identification.

    Raises
    ------
    RemoteProtocolError
        if it is none.
    NotOffered
        if the meter does not speak HDLC after it.
    """
    if len(line) < 5 or len(line) > LONGEST_LINE or line[0] != "/" or not line[1:4].isalpha():
        raise RemoteProtocolError(f"{line[:LONGEST_LINE]!r} is no identification of a meter")
    if line[4] not in BAUDS:
        raise RemoteProtocolError(f"the meter names a baud rate {line[4]!r} that mode E has not")
    if _HDLC not in line[5:]:
        raise NotOffered(
            f"the meter {line!r} does not offer HDLC at its port (mode E): only text can be read"
        )
    return Identification(line[1:4], line[4], line[5:].replace(_HDLC, "", 1))


def _even(text: str) -> bytes:
    return text.encode("ascii").translate(_EVEN)
