"""xDLMS APDUs of the service GET: requests as bytes, answers as values; and what names attributes.

References
----------
IEC 62056-5-3:2017, clause 8 (COSEMpdu) and 9.3.3; IEC 62056-6-2:2021, 4.3.6 (selective access).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drivers.dlms import axdr, clock_time
from drivers.dlms.refusals import Refusal
from drivers.errors import OutOfStep, RemoteProtocolError
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

# AARE, RLRE and the answers to GET, SET and ACTION: right in their place, and late in another's.
_ANSWERS: Final = (b"\x61", b"\x63", b"\xc4", b"\xc5", b"\xc7")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of one COSEM object, or one of its methods."""

    class_id: int
    name: Obis
    index: int

    def beside(self, index: int) -> Attribute:
        """Give another attribute of the same object."""
        return Attribute(self.class_id, self.name, index)

    def __bytes__(self) -> bytes:
        return self.class_id.to_bytes(2) + bytes(self.name) + bytes((self.index,))

    def __str__(self) -> str:
        return f"{self.class_id}/{self.name}/{self.index}"


@dataclass(frozen=True, slots=True)
class Range:
    """Rows of a profile whose clock column lies between two moments, both included.

    ``deviation`` is the one that the moments are written with, from local time to UTC [min].
    ``columns`` are those that are wanted, none named for all.
    """

    clock: Attribute
    first: datetime
    last: datetime
    deviation: int = 0
    columns: tuple[Attribute, ...] = ()

    def __bytes__(self) -> bytes:
        """Write the selective access descriptor, access selector 1."""
        first, last = (
            axdr.encode_octet_string(clock_time.encode(moment, self.deviation))
            for moment in (self.first, self.last)
        )
        columns = axdr.encode_sequence(axdr.ARRAY, *(_captured(one) for one in self.columns))
        return b"\x01" + axdr.encode_sequence(
            axdr.STRUCTURE, _captured(self.clock), first, last, columns
        )


@dataclass(frozen=True, slots=True)
class Entries:
    """Rows of a profile by their number, from 1, and a stretch of its columns.

    ``last`` and ``last_column`` are included; 0 means to the end.
    """

    first: int
    last: int = 0
    first_column: int = 1
    last_column: int = 0

    def __bytes__(self) -> bytes:
        """Write the selective access descriptor, access selector 2."""
        rows = (axdr.encode_number(6, number) for number in (self.first, self.last))
        columns = (axdr.encode_number(18, one) for one in (self.first_column, self.last_column))
        return b"\x02" + axdr.encode_sequence(axdr.STRUCTURE, *rows, *columns)


Selection = Range | Entries


def _captured(one: Attribute) -> bytes:
    """Write a capture object definition."""
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_number(18, one.class_id),
        axdr.encode_octet_string(bytes(one.name)),
        axdr.encode_number(15, one.index),
        axdr.encode_number(18, 0),
    )


def head(tag: int, kind: int, invoke: int) -> bytes:
    """Write the head of a request: its service, its type, and which of ours it is."""
    return bytes((tag, kind, _INVOKE | invoke))


def get(invoke: int, attribute: Attribute, selection: Selection | None = None) -> bytes:
    """Write a request for one attribute, or for the selected rows of one."""
    selected = b"\x00" if selection is None else b"\x01" + bytes(selection)
    return head(GET_REQUEST, _NORMAL, invoke) + bytes(attribute) + selected


def get_next(invoke: int, block: int) -> bytes:
    """Write a request for the block after one that came."""
    return head(GET_REQUEST, _BLOCK, invoke) + block.to_bytes(4)


def get_list(invoke: int, attributes: Sequence[Attribute]) -> bytes:
    """Write a request for several attributes at once."""
    items = b"".join(bytes(attribute) + b"\x00" for attribute in attributes)
    return head(GET_REQUEST, _LIST, invoke) + axdr.encode_length(len(attributes)) + items


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
    kind = checked(apdu, GET_RESPONSE, invoke)
    if kind == _BLOCK:
        return _parse_block(apdu)
    if kind != (_LIST if listed else _NORMAL):
        raise RemoteProtocolError(f"the meter answers with a GET response of type {kind}")
    if listed:
        return apdu[3:]
    return result(apdu, 3)


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


def checked(apdu: bytes, tag: int, invoke: int) -> int:
    """Give a response's type after a look at its tag and invocation id.

    Raises
    ------
    RemoteProtocolError
        if it is none of this service.
    OutOfStep
        if it answers another request.
    """
    if len(apdu) < 4 or apdu[0] != tag:
        kind = OutOfStep if apdu[:1] in _ANSWERS else RemoteProtocolError
        raise kind(f"the meter's answer begins 0x{apdu[:1].hex()} where 0x{tag:02x} was expected")
    if apdu[2] & 0x0F != invoke:
        raise OutOfStep(
            f"the meter answers request {apdu[2] & 0x0F} where {invoke} was asked: "
            "it answered twice or late"
        )
    return apdu[1]


def parse_pblock(apdu: bytes) -> Block:
    """Read a block of a service in which blocks have no result of their own (DataBlock-SA).

    Raises
    ------
    RemoteProtocolError
        if it is cut off.
    """
    if len(apdu) < 9:
        raise RemoteProtocolError("a block's header is cut off")
    data, _ = axdr.octets(apdu, 8)
    return Block(bool(apdu[3]), int.from_bytes(apdu[4:8]), data)


def _parse_block(apdu: bytes) -> Block | Refusal:
    if len(apdu) < 10:
        raise RemoteProtocolError("a block's header is cut off")
    if apdu[8]:
        return _refusal(apdu, 8)
    data, _ = axdr.octets(apdu, 9)
    return Block(bool(apdu[3]), int.from_bytes(apdu[4:8]), data)


def result(apdu: bytes, at: int) -> bytes | Refusal:
    """Read one result that ends an APDU: the value's bytes, or why there is none."""
    if apdu[at : at + 1] != b"\x00":
        return _refusal(apdu, at)
    if at + 1 == len(apdu):
        raise RemoteProtocolError("a result is a value, and the value is cut off")
    return apdu[at + 1 :]


def _refusal(data: bytes, at: int) -> Refusal:
    if data[at : at + 1] != b"\x01" or at + 2 > len(data):
        raise RemoteProtocolError("a result is neither a value nor a reason, or is cut off")
    return Refusal(data[at + 1])
