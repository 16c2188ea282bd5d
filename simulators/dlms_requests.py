"""Requests by logical names as the simulated meters read them, and answers as they write them.

GET, SET and ACTION: alone, as lists, in blocks (Green Book, 9.4.6.3 … 9.4.6.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators import dlms_codec
from simulators.dlms_apdu import Access, Attribute, Selection
from simulators.dlms_codec import Malformed, Reader

GET, SET, ACTION = 0xC0, 0xC1, 0xC3

Item = tuple[Attribute, Selection | None]


@dataclass(frozen=True, slots=True)
class Get:
    """GET of one attribute, or of several as a list."""

    invoke: int
    items: tuple[Item, ...]
    listed: bool


@dataclass(frozen=True, slots=True)
class Next:
    """Wish for the block of an answer after the one received, of GET or of ACTION."""

    service: int
    invoke: int
    block: int


@dataclass(frozen=True, slots=True)
class Set:
    """SET of attributes, each to its value, A-XDR."""

    invoke: int
    items: tuple[Item, ...]
    values: tuple[bytes, ...]
    listed: bool


@dataclass(frozen=True, slots=True)
class Action:
    """Call of methods, each with its parameters, A-XDR or None."""

    invoke: int
    items: tuple[Item, ...]
    values: tuple[bytes | None, ...]
    listed: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """One block of a long SET or ACTION; the first names the items, and whether as a list."""

    service: int
    invoke: int
    items: tuple[Item, ...] | None
    listed: bool
    last: bool
    number: int
    data: bytes


Request = Get | Next | Set | Action | Piece

_NORMAL, _NEXT = 1, 2
_GET_LIST, _SET_LIST, _ACTION_LIST = 3, 4, 3

# Requests that begin or go on with blocks, by service and type: first, as a list.
_PIECES: Final = {
    (SET, 2): (True, False), (SET, 3): (False, False), (SET, 5): (True, True),
    (ACTION, 4): (True, False), (ACTION, 5): (True, True), (ACTION, 6): (False, False),
}  # fmt: skip


def request(apdu: bytes) -> Request:
    """Read a plain request.

    Raises
    ------
    Malformed
        if it is none that meters understand.
    """
    reader = Reader(apdu)
    service, kind, invoke = reader.number(1), reader.number(1), reader.number(1)
    if (service, kind) in _PIECES:
        return _piece(reader, service, kind, invoke)
    if service in (GET, ACTION) and kind == _NEXT:
        return Next(service, invoke, reader.number(4))
    if (service, kind) in ((GET, _NORMAL), (GET, _GET_LIST)):
        listed = kind == _GET_LIST
        items = _items(reader, GET) if listed else (_selected(reader),)
        return Get(invoke, items, listed)
    if (service, kind) in ((SET, _NORMAL), (SET, _SET_LIST)):
        return _set(reader, invoke, listed=kind == _SET_LIST)
    if (service, kind) in ((ACTION, _NORMAL), (ACTION, _ACTION_LIST)):
        return _action(reader, invoke, listed=kind == _ACTION_LIST)
    raise Malformed(f"request {apdu[:2].hex()} is not understood")


def _set(reader: Reader, invoke: int, *, listed: bool) -> Set:
    if listed:
        return Set(invoke, _items(reader, SET), values(reader), listed)
    return Set(invoke, (_selected(reader),), (reader.rest(),), listed)


def _action(reader: Reader, invoke: int, *, listed: bool) -> Action:
    if listed:
        return Action(invoke, _items(reader, ACTION), values(reader), listed)
    item = _method(reader)
    return Action(invoke, (item,), (reader.rest() if reader.number(1) else None,), listed)


def _piece(reader: Reader, service: int, kind: int, invoke: int) -> Piece:
    first, listed = _PIECES[service, kind]
    items: tuple[Item, ...] | None = None
    if first and listed:
        items = _items(reader, service)
    elif first:
        items = (_method(reader) if service == ACTION else _selected(reader),)
    last, number = bool(reader.number(1)), reader.number(4)
    return Piece(service, invoke, items, listed, last, number, reader.take(reader.length()))


def whole(first: Piece, data: bytes) -> Set | Action:
    """Make the request that came in blocks."""
    items = first.items or ()
    given = values(Reader(data)) if first.listed else (data,)
    made = Action if first.service == ACTION else Set
    return made(first.invoke, items, given, first.listed)


def values(reader: Reader) -> tuple[bytes, ...]:
    """Take a list of values, each as its bytes."""
    taken = []
    for _ in range(reader.length()):
        start = reader.at
        reader.value()
        taken.append(reader.data[start : reader.at])
    return tuple(taken)


def _items(reader: Reader, service: int) -> tuple[Item, ...]:
    take = _method if service == ACTION else _selected
    return tuple(take(reader) for _ in range(reader.length()))


def _attribute(reader: Reader) -> Attribute:
    return Attribute(reader.number(2), reader.take(6), reader.number(1))


def _method(reader: Reader) -> Item:
    return _attribute(reader), None


def _selected(reader: Reader) -> Item:
    attribute = _attribute(reader)
    if not reader.number(1):
        return attribute, None
    return attribute, selection(reader)


def selection(reader: Reader) -> Selection:
    """Take a selection: its selector and parameters."""
    selector, start = reader.number(1), reader.at
    return Selection(selector, reader.value(), reader.data[start : reader.at])


def result(outcome: bytes | Access) -> bytes:
    """Write one Get-Data-Result: data, or why there is none."""
    return b"\x01" + bytes((outcome,)) if isinstance(outcome, Access) else b"\x00" + outcome


def got(invoke: int, outcome: bytes | Access) -> bytes:
    """Write a normal answer to a GET."""
    return bytes((0xC4, 1, invoke)) + result(outcome)


def got_list(invoke: int, results: bytes) -> bytes:
    """Write an answer to a GET of a list; results with their count."""
    return bytes((0xC4, 3, invoke)) + results


def got_block(invoke: int, number: int, data: bytes | Access, *, last: bool) -> bytes:
    """Write one block of a long answer."""
    head = bytes((0xC4, 2, invoke, last)) + number.to_bytes(4, "big")
    if isinstance(data, Access):
        return head + b"\x01" + bytes((data,))
    return head + b"\x00" + dlms_codec.length(len(data)) + data


BLOCK_OVERHEAD: Final = 12
"""Bytes of a block that are not data, at most."""


def stored(invoke: int, refusals: list[Access | None], *, listed: bool) -> bytes:
    """Write an answer to a SET: done, or why not."""
    codes = bytes(refusal or 0 for refusal in refusals)
    if listed:
        return bytes((0xC5, 5, invoke)) + dlms_codec.length(len(codes)) + codes
    return bytes((0xC5, 1, invoke)) + codes


def stored_last(invoke: int, number: int, refusals: list[Access | None], *, listed: bool) -> bytes:
    """Write an answer to the last block of a SET."""
    codes = bytes(refusal or 0 for refusal in refusals)
    if listed:
        head = bytes((0xC5, 4, invoke)) + dlms_codec.length(len(codes))
        return head + codes + number.to_bytes(4, "big")
    return bytes((0xC5, 3, invoke)) + codes + number.to_bytes(4, "big")


def taken(service: int, invoke: int, number: int) -> bytes:
    """Ask for the block after the one that was taken."""
    kind = bytes((0xC7, 4)) if service == ACTION else bytes((0xC5, 2))
    return kind + bytes((invoke,)) + number.to_bytes(4, "big")


def acted_result(outcome: bytes | Access | None) -> bytes:
    """Write one result of a method: success with data or without, or why not."""
    if isinstance(outcome, Access):
        return bytes((outcome, 0))
    return b"\x00\x00" if outcome is None else b"\x00\x01\x00" + outcome


def acted(invoke: int, outcome: bytes | Access | None) -> bytes:
    """Write an answer to an action."""
    return bytes((0xC7, 1, invoke)) + acted_result(outcome)


def acted_list(invoke: int, results: bytes) -> bytes:
    """Write an answer to an action of several methods; results with their count."""
    return bytes((0xC7, 3, invoke)) + results


def acted_block(invoke: int, number: int, data: bytes, *, last: bool) -> bytes:
    """Write one block of what a method gives back."""
    head = bytes((0xC7, 2, invoke, last)) + number.to_bytes(4, "big")
    return head + dlms_codec.length(len(data)) + data
