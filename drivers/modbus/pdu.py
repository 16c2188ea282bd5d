"""What is asked and answered inside a frame, whatever the frame; pymodbus writes and reads it."""

from __future__ import annotations

from typing import Final

from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.errors import LocalProtocolError, RemoteProtocolError
from drivers.modbus.register_map import Span

_ANSWERS: Final = DecodePDU(is_server=False)
_REQUESTS: Final = {3: ReadHoldingRegistersRequest, 4: ReadInputRegistersRequest}


def question(span: Span) -> bytes:
    """Write the request for some words: function code, address and count.

    Raises
    ------
    LocalProtocolError
        if the function is none that reads registers.
    """
    request = _REQUESTS.get(span.function)
    if request is None:
        raise LocalProtocolError(f"function {span.function} reads no registers: 3 and 4 do")
    return bytes((span.function,)) + request(address=span.address, count=span.count).encode()


def words(answer: bytes) -> tuple[int, ...]:
    """Read the words, 0 … 65535, of an answer that has been checked.

    Parameters
    ----------
    answer : from the function code to the last word

    Raises
    ------
    RemoteProtocolError
        if it is none that reads registers.
    """
    found = _ANSWERS.decode(answer)
    if found is None or found.isError():
        raise RemoteProtocolError(f"no answer with registers: {answer[:16].hex(' ')}")
    return tuple(found.registers)
