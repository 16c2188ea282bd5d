"""What the two ends of an HDLC connection agree on: the longest frames and the windows.

References
----------
IEC 62056-46:2002+A1:2006, 6.4.4.4.3.2 (negotiation in SNRM and UA).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drivers.errors import RemoteProtocolError

_HEAD: Final = bytes.fromhex("8180")
_OUT, _IN, _WINDOW_OUT, _WINDOW_IN = 5, 6, 7, 8
LONGEST_INFORMATION: Final = 2030
LARGEST_WINDOW: Final = 7


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sizes as the client sees them: octets of information in a frame, frames without an answer.

    The values here are those of an end that says nothing.
    """

    information_out: int = 128
    information_in: int = 128
    window_out: int = 1
    window_in: int = 1


def encode(parameters: Parameters) -> bytes:
    """Write the information of SNRM; nothing where they are what they would be anyway."""
    if parameters == Parameters():
        return b""
    body = b""
    for name, value in (
        (_OUT, parameters.information_out),
        (_IN, parameters.information_in),
    ):
        octets = value.to_bytes(1 if value <= 0xFF else 2)
        body += bytes((name, len(octets))) + octets
    for name, value in (
        (_WINDOW_OUT, parameters.window_out),
        (_WINDOW_IN, parameters.window_in),
    ):
        body += bytes((name, 4)) + value.to_bytes(4)
    return _HEAD + bytes((len(body),)) + body


def agreed(proposed: Parameters, information: bytes) -> Parameters:
    """Give what holds after the meter's UA; never more than was proposed.

    Parameters
    ----------
    information : of the UA, in which the meter's sending is our receiving

    Raises
    ------
    RemoteProtocolError
        if it cannot be read, or names a size of zero.
    """
    said = dict(_fields(information))
    usual = Parameters()
    return Parameters(
        information_out=min(proposed.information_out, said.get(_IN, usual.information_out)),
        information_in=min(proposed.information_in, said.get(_OUT, usual.information_in)),
        window_out=min(proposed.window_out, said.get(_WINDOW_IN, usual.window_out)),
        window_in=min(proposed.window_in, said.get(_WINDOW_OUT, usual.window_in)),
    )


def _fields(information: bytes) -> Iterator[tuple[int, int]]:
    if not information:
        return
    if information[:2] != _HEAD:
        raise RemoteProtocolError(f"0x{information[:2].hex()} begins no HDLC parameters in the UA")
    # The group's length is wrong in some meters' answers; the frame's own end is not.
    at = 3
    while at < len(information):
        size = information[at + 1] if at + 1 < len(information) else 0
        value = information[at + 2 : at + 2 + size]
        if not 1 <= size <= 4 or len(value) != size or not any(value):
            raise RemoteProtocolError(
                f"0x{information[at:].hex()} is no HDLC parameter that can be agreed on"
            )
        yield information[at], int.from_bytes(value)
        at += 2 + size
