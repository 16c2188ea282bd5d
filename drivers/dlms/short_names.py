"""Services by short names: the same as by logical names, over the association's object list.

An attribute's short name is its object's base name and eight for each attribute before it; where
an object's methods begin, its class says.

References
----------
IEC 62056-6-2:2021, 4.1.3 (referencing), 4.4.3 (Association SN) and each class's short names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from drivers.dlms import axdr, blocks, short_view, variables
from drivers.dlms.apdu import Attribute, Block, Selection
from drivers.dlms.association import Conformance
from drivers.dlms.channel import Channel
from drivers.dlms.refusals import Refusal
from drivers.dlms.steps import Step
from drivers.dlms.variables import Result, Taken
from drivers.errors import LocalProtocolError, NotOffered, RemoteProtocolError
from schemas.obis import Obis

ASSOCIATION: Final = 0xFA00
"""Base name of every server's own association."""

_STEP: Final = 8
_OBJECT_LIST: Final = ASSOCIATION + 1 * _STEP
_RIGHTS: Final = ASSOCIATION + 2 * _STEP
_REPLY_TO_HLS: Final = ASSOCIATION + 0x58
_VIEW: Final = Attribute(short_view.CLASS, Obis.from_bytes(short_view.NAME), short_view.OBJECT_LIST)
_MOST_OBJECTS: Final = 4096
# Data-Access-Result.
_UNDEFINED: Final = 4
_NAME_SIZE, _READ_HEAD, _MOST_IN_LIST = 3, 3, 100
# A method's parameter has no selection: the standard leaves the selector open there.
_METHOD: Final = 1

# Class and highest version of which it is known: distance of the first method from the base name.
METHODS: Final[dict[int, tuple[int, int]]] = {
    3: (0, 0x28), 4: (0, 0x38), 5: (0, 0x48), 6: (0, 0x30), 7: (1, 0x58), 8: (0, 0x60),
    9: (0, 0x20), 10: (0, 0x20), 11: (0, 0x10), 12: (4, 0x20), 17: (0, 0x20), 18: (0, 0x40),
    20: (0, 0x50), 40: (0, 0x38), 42: (0, 0x60), 61: (0, 0x28), 64: (1, 0x30), 70: (0, 0x20),
    72: (0, 0x60),
}  # fmt: skip


class ShortNames:
    """The services of one association, opened, by short names."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._objects: dict[tuple[int, bytes], tuple[int, int]] = {}

    def get(self, attribute: Attribute, selection: Selection | None) -> Step[bytes | Refusal]:
        """Read one attribute as its bytes, or why not.

        The object list of an Association LN, which no such meter has, is made of its own lists.
        """
        yield from self._learn()
        if attribute == _VIEW and selection is None:
            (rights,) = yield from self._read([variables.name(_RIGHTS)])
            told = None if isinstance(rights, Refusal) else axdr.decode(rights)[0]
            return short_view.object_list(self._objects, told)
        short = self._attribute(attribute)
        if isinstance(short, Refusal):
            return short
        return (yield from self._read([_selected(short, selection)]))[0]

    def get_all(self, attributes: Sequence[Attribute]) -> Step[list[axdr.Value | Refusal]]:
        """Read several attributes, in the fewest requests that the meter takes."""
        yield from self._learn()
        shorts = [self._attribute(attribute) for attribute in attributes]
        wanted = [variables.name(short) for short in shorts if isinstance(short, int)]
        results: list[Result] = []
        most = self._most_in_list()
        for first in range(0, len(wanted), most):
            results += yield from self._read(wanted[first : first + most])
        came = iter(results)
        return [short if isinstance(short, Refusal) else _value(next(came)) for short in shorts]

    def put(
        self, attribute: Attribute, value: bytes, selection: Selection | None
    ) -> Step[Refusal | None]:
        """Write one attribute; None if it is done, else why not."""
        yield from self._learn()
        short = self._attribute(attribute)
        if isinstance(short, Refusal):
            return short
        return (yield from self._write([_selected(short, selection)], [value]))[0]

    def put_all(self, changes: Sequence[tuple[Attribute, bytes]]) -> Step[list[Refusal | None]]:
        """Write several attributes, in one request if the meter takes that."""
        if Conformance.MULTIPLE_REFERENCES not in self._channel.granted:
            results = []
            for attribute, value in changes:
                results.append((yield from self.put(attribute, value, None)))
            return results
        yield from self._learn()
        shorts = [self._attribute(attribute) for attribute, _ in changes]
        known = [
            (variables.name(short), value)
            for short, (_, value) in zip(shorts, changes, strict=True)
            if isinstance(short, int)
        ]
        done: list[Refusal | None] = []
        if known:
            done = yield from self._write([one for one, _ in known], [value for _, value in known])
        came = iter(done)
        return [short if isinstance(short, Refusal) else next(came) for short in shorts]

    def act(self, method: Attribute, parameters: bytes | None) -> Step[bytes | Refusal | None]:
        """Run a method; give what it returns, A-XDR or nothing, or why it does not run.

        A method that may return something is read with its parameter; where the meter does not
        take parameters there, it is written, and nothing comes back.
        """
        yield from self._learn()
        short = self._method(method)
        if isinstance(short, Refusal):
            return short
        return (yield from self._run(short, parameters))

    def act_all(
        self, calls: Sequence[tuple[Attribute, bytes]]
    ) -> Step[list[bytes | Refusal | None]]:
        """Run several methods, one by one."""
        results = []
        for method, parameters in calls:
            results.append((yield from self.act(method, parameters)))
        return results

    def reply_to_hls(self, answer: bytes) -> Step[bytes | Refusal | None]:
        """Give our answer to the meter's challenge, and hear the meter's to ours; both A-XDR."""
        return (yield from self._run(_REPLY_TO_HLS, answer))

    def _run(self, short: int, parameters: bytes | None) -> Step[bytes | Refusal | None]:
        given = b"\x00" if parameters is None else parameters
        if Conformance.PARAMETERISED_ACCESS not in self._channel.granted:
            return (yield from self._write([variables.name(short)], [given]))[0]
        (result,) = yield from self._read([variables.parameterised(short, _METHOD, given)])
        return None if result in (b"", b"\x00") else result

    def _learn(self) -> Step[None]:
        """Read the association's object list, once a session."""
        if self._objects:
            return
        (result,) = yield from self._read([variables.name(_OBJECT_LIST)])
        if isinstance(result, Refusal):
            raise result.error("reading the association's object list")
        self._objects = dict(_objects(axdr.decode(result)[0]))

    def _attribute(self, attribute: Attribute) -> int | Refusal:
        """Find an attribute's short name."""
        found = self._objects.get((attribute.class_id, bytes(attribute.name)))
        if found is None:
            return Refusal(_UNDEFINED)
        return found[0] + (attribute.index - 1) * _STEP

    def _method(self, method: Attribute) -> int | Refusal:
        """Find a method's short name."""
        found = self._objects.get((method.class_id, bytes(method.name)))
        if found is None:
            return Refusal(_UNDEFINED, acting=True)
        base, version = found
        newest, distance = METHODS.get(method.class_id, (-1, 0))
        if version > newest:
            raise NotOffered(
                f"method {method}: where methods of class {method.class_id}, version {version}, "
                "stand among short names is not known"
            )
        return base + distance + (method.index - 1) * _STEP

    def _read(self, specifications: Sequence[bytes]) -> Step[list[Result]]:
        self._channel.need(Conformance.READ)
        count = len(specifications)
        request = variables.read(specifications)
        if self._channel.takes(request):
            reply = yield from self._channel.ask(request)
        else:
            self._channel.need_blocks(Conformance.BLOCK_GET, len(request))
            reply = yield from self._upload_read(variables.read_content(specifications), count)
        answer = variables.parse_read(reply, count)
        if isinstance(answer, Taken):
            raise RemoteProtocolError("the meter asks for more than there is to ask")
        if not isinstance(answer, Block):
            return answer
        whole = yield from blocks.joined(answer, self._following)
        if isinstance(whole, Refusal):
            return [whole] * count
        return variables.joined(whole, count)

    def _following(self, number: int) -> Step[Block | Refusal]:
        reply = yield from self._channel.ask(variables.read_next(number))
        answer = variables.parse_read(reply, 1)
        if isinstance(answer, Block):
            return answer
        if isinstance(answer, list) and isinstance(answer[0], Refusal):
            return answer[0]
        raise RemoteProtocolError(f"after block {number} the meter answers without a block")

    def _write(
        self, specifications: Sequence[bytes], values: Sequence[bytes]
    ) -> Step[list[Refusal | None]]:
        self._channel.need(Conformance.WRITE)
        count = len(specifications)
        request = variables.write(specifications, values, confirmed=True)
        if self._channel.takes(request):
            reply = yield from self._channel.ask(request)
        else:
            self._channel.need_blocks(Conformance.BLOCK_SET, len(request))
            content = variables.write_content(specifications, values)
            reply = yield from self._upload_write(content)
        # A request that was refused in the middle is answered for as a whole.
        done = variables.parse_write(reply, 1 if reply[1:3] == b"\x01\x01" else count)
        if isinstance(done, Taken):
            raise RemoteProtocolError("the meter asks for more than there is to write")
        return done if len(done) == count else done * count

    def _upload_read(self, content: bytes, count: int) -> Step[bytes]:
        for number, part, last in self._cut(content):
            reply = yield from self._channel.ask(variables.read_block(number, part, last=last))
            if last:
                break
            answer = variables.parse_read(reply, 1)
            if not isinstance(answer, Taken):
                return _refused(reply, answer, count)
            _check_taken(answer, number)
        return reply

    def _upload_write(self, content: bytes) -> Step[bytes]:
        for number, part, last in self._cut(content):
            reply = yield from self._channel.ask(variables.write_block(number, part, last=last))
            if last:
                break
            answer = variables.parse_write(reply, 1)
            if not isinstance(answer, Taken):
                return _refused(reply, answer, 1)
            _check_taken(answer, number)
        return reply

    def _cut(self, content: bytes) -> Iterator[tuple[int, bytes, bool]]:
        size = self._channel.room - variables.BLOCK_OVERHEAD
        if size < 1 or len(content) > 0xFFFF * size:
            raise LocalProtocolError(f"{len(content)} bytes do not go in blocks of {size}")
        for number, at in enumerate(range(0, len(content), size), 1):
            yield number, content[at : at + size], at + size >= len(content)

    def _most_in_list(self) -> int:
        """Count the variables that one request to this meter may name."""
        if Conformance.MULTIPLE_REFERENCES not in self._channel.granted:
            return 1
        return max(1, min((self._channel.room - _READ_HEAD) // _NAME_SIZE, _MOST_IN_LIST))


def _selected(short: int, selection: Selection | None) -> bytes:
    if selection is None:
        return variables.name(short)
    written = bytes(selection)
    return variables.parameterised(short, written[0], written[1:])


def _value(result: Result) -> axdr.Value | Refusal:
    return result if isinstance(result, Refusal) else axdr.decode(result)[0]


def _refused(reply: bytes, answer: object, count: int) -> bytes:
    """Make sure that an answer before the last block is a refusal."""
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], Refusal):
        # As if each variable had been refused for itself.
        return reply[:1] + axdr.encode_length(count) + reply[2:4] * count
    raise RemoteProtocolError("the meter is done before all was sent")


def _check_taken(answer: Taken, number: int) -> None:
    if answer.number != number:
        raise RemoteProtocolError(
            f"the meter takes block {answer.number} where block {number} was sent"
        )


def _objects(value: axdr.Value) -> Iterator[tuple[tuple[int, bytes], tuple[int, int]]]:
    """Read an object list: base name and version by class and logical name."""
    if not isinstance(value, list) or len(value) > _MOST_OBJECTS:
        raise RemoteProtocolError("an association's object list is none")
    for entry in value:
        match entry:
            case (int(base), int(class_id), int(version), bytes(name)) if len(name) == 6:
                yield (class_id, name), (base & 0xFFFF, version)
            case _:
                raise RemoteProtocolError(f"{entry!r} describes no object by its short name")
