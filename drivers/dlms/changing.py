"""xDLMS APDUs of the services SET and ACTION: requests as bytes, answers as values.

References
----------
IEC 62056-5-3:2017, clause 8 (COSEMpdu), 9.3.4 and 9.3.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import Attribute, Selection
from drivers.dlms.refusals import Refusal
from drivers.errors import RemoteProtocolError

_SET, _SET_ANSWER = apdu.SET_REQUEST, apdu.SET_RESPONSE
_ACTION, _ACTION_ANSWER = apdu.ACTION_REQUEST, apdu.ACTION_RESPONSE
_NORMAL: Final = 1
_SET_LIST, _ACTION_LIST = 4, 3
_NEXT_PBLOCK: Final = 2
_TAKEN_LAST, _TAKEN_LAST_LIST, _DONE_LIST = 3, 4, 5
_PBLOCK: Final = 2


@dataclass(frozen=True, slots=True)
class Upload:
    """How a long request goes out in blocks.

    Attributes
    ----------
    request, answer : tags
    first, following : types of the request with the first block and with another one
    taken : type of the answer that asks for the next block
    """

    request: int
    answer: int
    first: int
    following: int
    taken: int

    def block(self, invoke: int, number: int, target: bytes, part: bytes, *, last: bool) -> bytes:
        """Write one block; the first also names its target."""
        head = apdu.head(self.request, self.first if number == 1 else self.following, invoke)
        block = bytes((last,)) + number.to_bytes(4) + axdr.encode_octets(part)
        return head + (target if number == 1 else b"") + block

    def wants_more(self, reply: bytes, invoke: int, number: int) -> bool:
        """Tell whether an answer takes a block and asks for the next; else it is the result.

        Raises
        ------
        RemoteProtocolError
            if it is no answer to this request, or takes another block.
        """
        if apdu.checked(reply, self.answer, invoke) != self.taken:
            return False
        if len(reply) < 7 or int.from_bytes(reply[3:7]) != number:
            raise RemoteProtocolError(
                f"the meter takes block 0x{reply[3:7].hex()} where block {number} was sent"
            )
        return True


SET: Final = Upload(_SET, _SET_ANSWER, 2, 3, 2)
SET_LIST: Final = Upload(_SET, _SET_ANSWER, 5, 3, 2)
ACTION: Final = Upload(_ACTION, _ACTION_ANSWER, 4, 6, 4)
ACTION_LIST: Final = Upload(_ACTION, _ACTION_ANSWER, 5, 6, 4)

# A block's APDU without target and content: tag, type, invoke id, last, number, length.
BLOCK_OVERHEAD: Final = 11


def target(attribute: Attribute, selection: Selection | None = None) -> bytes:
    """Write what a SET is for."""
    return bytes(attribute) + (b"\x00" if selection is None else b"\x01" + bytes(selection))


def listed(items: Sequence[bytes]) -> bytes:
    """Write a list of items that are written already."""
    return axdr.encode_length(len(items)) + b"".join(items)


def put(invoke: int, attribute: bytes, value: bytes) -> bytes:
    """Write a request to set one target to a value, written already."""
    return apdu.head(_SET, _NORMAL, invoke) + attribute + value


def put_list(invoke: int, targets: bytes, values: bytes) -> bytes:
    """Write a request to set several targets, each to its value."""
    return apdu.head(_SET, _SET_LIST, invoke) + targets + values


def action(invoke: int, method: Attribute, parameters: bytes | None) -> bytes:
    """Write a request to run a method, with parameters that are written already or without."""
    given = b"\x00" if parameters is None else b"\x01" + parameters
    return apdu.head(_ACTION, _NORMAL, invoke) + bytes(method) + given


def action_list(invoke: int, methods: bytes, parameters: bytes) -> bytes:
    """Write a request to run several methods, each with its parameters."""
    return apdu.head(_ACTION, _ACTION_LIST, invoke) + methods + parameters


def next_pblock(invoke: int, number: int) -> bytes:
    """Write a request for the block of a method's long answer after one that came."""
    return apdu.head(_ACTION, _NEXT_PBLOCK, invoke) + number.to_bytes(4)


def parse_put(reply: bytes, invoke: int) -> Refusal | None:
    """Read an answer to a SET: None if it is done, else why not.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    if apdu.checked(reply, _SET_ANSWER, invoke) not in (_NORMAL, _TAKEN_LAST):
        raise RemoteProtocolError(f"the meter answers with a SET response of type {reply[1]}")
    return Refusal(reply[3]) if reply[3] else None


def parse_put_list(reply: bytes, invoke: int, count: int) -> list[Refusal | None]:
    """Read an answer to a SET of several targets.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    kind = apdu.checked(reply, _SET_ANSWER, invoke)
    if kind in (_NORMAL, _TAKEN_LAST) and reply[3]:
        return [Refusal(reply[3])] * count
    if kind not in (_DONE_LIST, _TAKEN_LAST_LIST):
        raise RemoteProtocolError(f"the meter answers with a SET response of type {kind}")
    results, at = axdr.length(reply, 3)
    codes = reply[at : at + results]
    if results != count or len(codes) != count:
        raise RemoteProtocolError(f"{count} attributes were written and {len(codes)} answered for")
    return [Refusal(code) if code else None for code in codes]


def is_pblock(reply: bytes, invoke: int) -> bool:
    """Tell whether an answer to an ACTION is one block of a long one.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    return apdu.checked(reply, _ACTION_ANSWER, invoke) == _PBLOCK


def parse_action(reply: bytes, invoke: int) -> bytes | Refusal | None:
    """Read an answer to an ACTION: what the method gives back, None if nothing.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    kind = apdu.checked(reply, _ACTION_ANSWER, invoke)
    if kind != _NORMAL or len(reply) < 5:
        raise RemoteProtocolError("the meter's ACTION response is cut off or of another type")
    if reply[3]:
        return Refusal(reply[3], acting=True)
    return None if reply[4] == 0 else apdu.result(reply, 5)


def parse_action_list(reply: bytes, invoke: int, count: int) -> list[bytes | Refusal | None]:
    """Read an answer to an ACTION of several methods.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    kind = apdu.checked(reply, _ACTION_ANSWER, invoke)
    if kind == _NORMAL and reply[3]:
        return [Refusal(reply[3], acting=True)] * count
    if kind != _ACTION_LIST:
        raise RemoteProtocolError(f"the meter answers with an ACTION response of type {kind}")
    return split_results(reply[3:], count)


def split_results(data: bytes, count: int) -> list[bytes | Refusal | None]:
    """Read the results of several methods.

    Raises
    ------
    RemoteProtocolError
        if they are not as many as were run.
    """
    results, at = axdr.length(data, 0)
    if results != count:
        raise RemoteProtocolError(f"{count} methods were run and {results} answered for")
    return list(_results(data, at, count))


def joined_result(data: bytes) -> bytes | Refusal | None:
    """Read the result of one method that came in blocks.

    The standard leaves open whether the blocks hold the value alone or the result before it: a
    value that begins as a result does is null-data, which needs no blocks.
    """
    if data[:1] != b"\x00":
        return data
    return next(_results(data, 0, 1))


def _results(data: bytes, at: int, count: int) -> Iterator[bytes | Refusal | None]:
    for _ in range(count):
        code, given = data[at : at + 1], data[at + 1 : at + 2]
        if not given:
            raise RemoteProtocolError("a method's result is cut off")
        at += 2
        value: bytes | Refusal | None = None
        if given != b"\x00" and data[at : at + 1] == b"\x00":
            _, end = axdr.decode(data, at + 1)
            value, at = data[at + 1 : end], end
        elif given != b"\x00":
            value, at = apdu.result(data, at), at + 2
        yield Refusal(code[0], acting=True) if code[0] else value
