"""xDLMS APDUs of the services GET, SET and ACTION: requests as bytes, answers as values.

References
----------
IEC 62056-5-3:2017, clause 8 (COSEMpdu) and 9.3.3, 9.3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drivers.dlms import axdr, clock_time
from drivers.dlms.refusals import Refusal
from drivers.errors import RemoteProtocolError
from schemas.obis import Obis

GET_REQUEST: Final = 0xC0
SET_REQUEST: Final = 0xC1
ACTION_REQUEST: Final = 0xC3
GET_RESPONSE: Final = 0xC4
SET_RESPONSE: Final = 0xC5
ACTION_RESPONSE: Final = 0xC7
EXCEPTION_RESPONSE: Final = 0xD8

_NORMAL, _BLOCK, _LIST = 1, 2, 3
# Confirmed service, high priority.
_INVOKE: Final = 0xC0


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of one COSEM object, or one of its methods."""

    class_id: int
    name: Obis
    index: int

    def __bytes__(self) -> bytes:
        return self.class_id.to_bytes(2) + bytes(self.name) + bytes((self.index,))

    def __str__(self) -> str:
        return f"{self.class_id}/{self.name}/{self.index}"


@dataclass(frozen=True, slots=True)
class Range:
    """Rows of a profile whose clock column lies between two moments, both included.

    ``deviation`` is the one that the moments are written with, from local time to UTC [min].
    """

    clock: Attribute
    first: datetime
    last: datetime
    deviation: int = 0

    def __bytes__(self) -> bytes:
        """Write the selective access descriptor, access selector 1."""
        clock = self.clock
        restricting = axdr.encode_sequence(
            axdr.STRUCTURE,
            axdr.encode_number(18, clock.class_id),
            axdr.encode_octet_string(bytes(clock.name)),
            axdr.encode_number(15, clock.index),
            axdr.encode_number(18, 0),
        )
        first, last = (
            axdr.encode_octet_string(clock_time.encode(moment, self.deviation))
            for moment in (self.first, self.last)
        )
        every_column = axdr.encode_sequence(axdr.ARRAY)
        return b"\x01" + axdr.encode_sequence(
            axdr.STRUCTURE, restricting, first, last, every_column
        )


def get(invoke: int, attribute: Attribute, selection: Range | None = None) -> bytes:
    """Write a request for one attribute, or for the selected rows of one."""
    selected = b"\x00" if selection is None else b"\x01" + bytes(selection)
    return bytes((GET_REQUEST, _NORMAL, _INVOKE | invoke)) + bytes(attribute) + selected


def get_next(invoke: int, block: int) -> bytes:
    """Write a request for the block after one that came."""
    return bytes((GET_REQUEST, _BLOCK, _INVOKE | invoke)) + block.to_bytes(4)


def get_list(invoke: int, attributes: Sequence[Attribute]) -> bytes:
    """Write a request for several attributes at once."""
    items = b"".join(bytes(attribute) + b"\x00" for attribute in attributes)
    head = bytes((GET_REQUEST, _LIST, _INVOKE | invoke))
    return head + axdr.encode_length(len(attributes)) + items


def put(invoke: int, attribute: Attribute, value: bytes, selection: Range | None = None) -> bytes:
    """Write a request to set one attribute to a value, written already."""
    selected = b"\x00" if selection is None else b"\x01" + bytes(selection)
    return bytes((SET_REQUEST, _NORMAL, _INVOKE | invoke)) + bytes(attribute) + selected + value


def action(invoke: int, method: Attribute, parameters: bytes | None) -> bytes:
    """Write a request to run a method, with parameters that are written already or without."""
    given = b"\x00" if parameters is None else b"\x01" + parameters
    return bytes((ACTION_REQUEST, _NORMAL, _INVOKE | invoke)) + bytes(method) + given


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a long answer; ``data`` is a piece of the whole answer's bytes."""

    last: bool
    number: int
    data: bytes


def parse_get(apdu: bytes, invoke: int, *, listed: bool) -> bytes | Refusal | Block:
    """Read an answer to a GET.

    Parameters
    ----------
    apdu : the plain APDU
    invoke : invocation id of the request, 0…15
    listed : whether several attributes were asked for

    Returns
    -------
    the value's bytes (for a list: the count and each result), why there is none, or a block

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    kind = _checked(apdu, GET_RESPONSE, invoke)
    if kind == _BLOCK:
        return _parse_block(apdu)
    if kind != (_LIST if listed else _NORMAL):
        raise RemoteProtocolError(f"the meter answers with a GET response of type {kind}")
    if listed:
        return apdu[3:]
    return _result(apdu, 3)


def split_list(data: bytes, count: int) -> list[axdr.Value | Refusal]:
    """Read the results of a GET for several attributes.

    Raises
    ------
    RemoteProtocolError
        if they are not as many as were asked for.
    """
    results, at = axdr.length(data, 0)
    if results != count:
        raise RemoteProtocolError(f"{count} attributes were asked for and {results} came")
    values: list[axdr.Value | Refusal] = []
    for _ in range(count):
        if data[at : at + 1] == b"\x00":
            value, at = axdr.decode(data, at + 1)
            values.append(value)
        else:
            values.append(_refusal(data, at))
            at += 2
    return values


def parse_put(apdu: bytes, invoke: int) -> Refusal | None:
    """Read an answer to a SET: None if it is done, else why not.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    if _checked(apdu, SET_RESPONSE, invoke) != _NORMAL:
        raise RemoteProtocolError(f"the meter answers with a SET response of type {apdu[1]}")
    return Refusal(apdu[3]) if apdu[3] else None


def parse_action(apdu: bytes, invoke: int) -> axdr.Value | Refusal:
    """Read an answer to an ACTION: what the method returned, None if nothing.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    returned = returned_octets(apdu, invoke)
    return axdr.decode(returned)[0] if isinstance(returned, bytes) else returned


def returned_octets(apdu: bytes, invoke: int) -> bytes | Refusal | None:
    """Read an answer to an ACTION as the bytes of what the method returned, None if nothing.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    if _checked(apdu, ACTION_RESPONSE, invoke) != _NORMAL or len(apdu) < 5:
        raise RemoteProtocolError("the meter's ACTION response is cut off or of another type")
    if apdu[3]:
        return Refusal(apdu[3])
    return None if apdu[4] == 0 else _result(apdu, 5)


def _checked(apdu: bytes, tag: int, invoke: int) -> int:
    """Give the response's type after a look at its tag and invocation id."""
    if len(apdu) < 4 or apdu[0] != tag:
        raise RemoteProtocolError(
            f"the meter's answer begins 0x{apdu[:1].hex()} where 0x{tag:02x} was expected"
        )
    if apdu[2] & 0x0F != invoke:
        raise RemoteProtocolError(
            f"the meter answers request {apdu[2] & 0x0F} where {invoke} was asked: "
            "it answered twice or late"
        )
    return apdu[1]


def _parse_block(apdu: bytes) -> Block | Refusal:
    if len(apdu) < 10:
        raise RemoteProtocolError("a block's header is cut off")
    if apdu[8]:
        return _refusal(apdu, 8)
    data, _ = axdr.octets(apdu, 9)
    return Block(bool(apdu[3]), int.from_bytes(apdu[4:8]), data)


def _result(apdu: bytes, at: int) -> bytes | Refusal:
    return apdu[at + 1 :] if apdu[at : at + 1] == b"\x00" else _refusal(apdu, at)


def _refusal(data: bytes, at: int) -> Refusal:
    if data[at : at + 1] != b"\x01" or at + 2 > len(data):
        raise RemoteProtocolError("a result is neither a value nor a reason, or is cut off")
    return Refusal(data[at + 1])
