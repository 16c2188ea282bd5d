"""What a simulated meter does with requests by short names: Read, Write, unconfirmed Write.

(Green Book, 9.4.6.7 … 9.4.6.11; Blue Book, 4.1.3 and Association SN.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from simulators import dlms_codec, dlms_objects, dlms_requests
from simulators.dlms_apdu import Access, Attribute, Selection
from simulators.dlms_codec import Malformed, Reader
from simulators.dlms_services import Objects

READ, WRITE, UNCONFIRMED = 0x05, 0x06, 0x16
RESPONSE: Final = {READ: 0x0C, WRITE: 0x0D}

_ASSOCIATION: Final = 0xFA00
_OBJECT_LIST, _RIGHTS, _HLS = _ASSOCIATION + 8, _ASSOCIATION + 0x10, _ASSOCIATION + 0x58
_CLASS: Final = 12
_FIRST_BASE, _APART = 0x1000, 0x0100
# Bytes of an answer with a block that are not the block.
_BLOCK_OVERHEAD: Final = 9
_LONGEST_UPLOAD: Final = 1 << 20

# Where a class' methods begin behind the base name, by the Blue Book's lists of short names.
_METHODS: Final = {
    3: 0x28, 7: 0x58, 8: 0x60, 9: 0x20, 10: 0x20, 11: 0x10, 18: 0x40, 20: 0x50, 40: 0x38,
    64: 0x30, 70: 0x20,
}  # fmt: skip

Proof = Callable[[bytes], bytes | Access]
"""Checks a client's answer to the meter's challenge, A-XDR, and gives the meter's own."""


class ShortServices:
    """The services of one association.

    Parameters
    ----------
    room : gives the bytes that a plain answer may have
    prove : called by the method that shows who the client is
    """

    def __init__(self, objects: Objects, room: Callable[[], int], prove: Proof) -> None:
        self._objects = objects
        self._room = room
        self._prove = prove
        self._rest = b""
        self._block = 0
        self._came = b""
        self._expected = 1

    def answer(self, plain: bytes) -> bytes:
        """Answer a plain request; an unconfirmed one is answered with nothing.

        Raises
        ------
        Malformed
            if it is none.
        """
        reader = Reader(plain)
        service, count = reader.number(1), reader.length()
        if service not in (READ, WRITE, UNCONFIRMED):
            raise Malformed(f"request {plain[:1].hex()} is not understood")
        kind = reader.data[reader.at] if reader.left else 0
        if service == READ and kind == 5:
            reader.take(1)
            return self._next(reader.number(2))
        self._rest = b""
        if kind in (6, 7):
            return self._piece(reader, service)
        self._came, self._expected = b"", 1
        return self._whole(service, reader, count)

    def proves(self, plain: bytes) -> bool:
        """Tell whether a request is the one that shows who the client is."""
        return plain[:5] == bytes((READ, 1, 4)) + _HLS.to_bytes(2, "big")

    def _whole(self, service: int, reader: Reader, count: int) -> bytes:
        targets = [_target(reader) for _ in range(count)]
        if service == READ:
            return self._read(targets)
        values = dlms_requests.values(reader)
        if len(values) != len(targets):
            raise Malformed(f"{len(values)} values for {len(targets)} variables")
        outcomes = [
            self._write(name, selection, value)
            for (name, selection), value in zip(targets, values, strict=True)
        ]
        if service == UNCONFIRMED:
            return b""
        results = [b"\x00" if one is None else bytes((1, one)) for one in outcomes]
        return bytes((RESPONSE[WRITE],)) + dlms_codec.length(count) + b"".join(results)

    def _read(self, targets: list[tuple[int, Selection | None]]) -> bytes:
        outcomes = [self._value(name, selection) for name, selection in targets]
        results = b"".join(dlms_requests.result(outcome) for outcome in outcomes)
        body = dlms_codec.length(len(outcomes)) + results
        if len(body) + 1 <= self._room():
            return bytes((RESPONSE[READ],)) + body
        bare = self._objects.model.meter.options.get("short_name_blocks") == "bare"
        alone = outcomes[0] if len(outcomes) == 1 else None
        self._rest = alone if bare and isinstance(alone, bytes) else body
        self._block = 0
        return self._next_block()

    def _next(self, number: int) -> bytes:
        if not self._rest:
            reason = Access.NO_BLOCK_TRANSFER
        elif number != self._block:
            reason = Access.BLOCK_NUMBER_INVALID
        else:
            return self._next_block()
        self._rest = b""
        return bytes((RESPONSE[READ], 1, 1, reason))

    def _next_block(self) -> bytes:
        size = self._room() - _BLOCK_OVERHEAD
        part, self._rest = self._rest[:size], self._rest[size:]
        self._block += 1
        head = bytes((RESPONSE[READ], 1, 2, not self._rest)) + self._block.to_bytes(2, "big")
        return head + dlms_codec.length(len(part)) + part

    def _piece(self, reader: Reader, service: int) -> bytes:
        """Take a block of a long request; with the last one, do what it asks for."""
        reader.take(1)
        last, number = bool(reader.number(1)), reader.number(2)
        if service == READ:
            data = reader.take(reader.length())
        else:
            values = dlms_requests.values(reader)
            value = dlms_codec.whole(values[0]) if values else None
            data = value if isinstance(value, bytes) else b""
        if number != self._expected or len(self._came) + len(data) > _LONGEST_UPLOAD:
            self._came, self._expected = b"", 1
            return bytes((RESPONSE[service], 1, 1, Access.BLOCK_NUMBER_INVALID))
        self._came += data
        self._expected += 1
        if not last:
            taken = 3 if service == READ else 2
            return bytes((RESPONSE[service], 1, taken)) + number.to_bytes(2, "big")
        whole, self._came, self._expected = Reader(self._came), b"", 1
        return self._whole(service, whole, whole.length())

    def _value(self, name: int, selection: Selection | None) -> bytes | Access:
        """Give a variable, or run a method that is read with its parameter."""
        if name == _HLS and selection is not None:
            return self._prove(selection.written)
        found = _found(name)
        if isinstance(found, Access):
            return found
        if name in _LISTS:
            return _LISTS[name]()
        attribute, is_method = found
        if not is_method:
            return self._objects.read(attribute, selection)
        outcome = self._objects.act(attribute, selection.written if selection else None)
        return dlms_codec.NULL if outcome is None else outcome

    def _write(self, name: int, selection: Selection | None, value: bytes) -> Access | None:
        found = _found(name)
        if isinstance(found, Access):
            return found
        attribute, is_method = found
        if not is_method:
            return self._objects.write(attribute, selection, value)
        outcome = self._objects.act(attribute, value)
        return outcome if isinstance(outcome, Access) else None


def _target(reader: Reader) -> tuple[int, Selection | None]:
    kind, name = reader.number(1), reader.number(2)
    if kind == 2:
        return name, None
    if kind != 4:
        raise Malformed(f"variable access {kind} is not understood here")
    return name, dlms_requests.selection(reader)


@cache
def _names() -> dict[int, tuple[Attribute, bool]]:
    """Give every attribute and method by its short name; methods are marked."""
    found: dict[int, tuple[Attribute, bool]] = {}
    for (class_id, name), base in _bases().items():
        one = dlms_objects.OBJECTS[class_id, name]
        for index in {1, *one.reads, *one.writes}:
            found[base + 8 * (index - 1)] = Attribute(class_id, name, index), False
        for index in one.methods:
            if class_id in _METHODS:
                place = base + _METHODS[class_id] + 8 * (index - 1)
                found[place] = Attribute(class_id, name, index), True
    return found


@cache
def _bases() -> dict[tuple[int, bytes], int]:
    others = [key for key in dlms_objects.OBJECTS if key != dlms_objects.ASSOCIATION]
    return {key: _FIRST_BASE + _APART * place for place, key in enumerate(others)}


def _found(name: int) -> tuple[Attribute, bool] | Access:
    if name in _LISTS:
        return Attribute(_CLASS, dlms_objects.ASSOCIATION[1], 1 + (name - _ASSOCIATION) // 8), False
    return _names().get(name, Access.UNDEFINED)


@cache
def object_list() -> bytes:
    """Write the list of objects with their base names."""
    objects = [
        (base, key[0], dlms_objects.OBJECTS[key].version, key[1]) for key, base in _bases().items()
    ]
    objects.append((_ASSOCIATION, _CLASS, 1, dlms_objects.ASSOCIATION[1]))
    return dlms_codec.array(
        [
            dlms_codec.structure(
                b"\x10" + base.to_bytes(2, "big"),
                dlms_codec.long_unsigned(class_id),
                dlms_codec.unsigned(version),
                dlms_codec.octets(name),
            )
            for base, class_id, version, name in objects
        ]
    )


@cache
def access_rights() -> bytes:
    """Write what a client may do with each object, by its base name."""
    return dlms_codec.array(
        [
            dlms_codec.structure(
                b"\x10" + base.to_bytes(2, "big"), *dlms_objects.rights(dlms_objects.OBJECTS[key])
            )
            for key, base in _bases().items()
        ]
    )


_LISTS: Final = {_OBJECT_LIST: object_list, _RIGHTS: access_rights}
