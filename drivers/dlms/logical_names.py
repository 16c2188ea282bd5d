"""Services by logical names: GET, SET and ACTION, alone, in lists and in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.dlms import apdu, axdr, blocks, changing
from drivers.dlms.apdu import Attribute, Block, Selection
from drivers.dlms.association import Conformance
from drivers.dlms.changing import Upload
from drivers.dlms.channel import Channel
from drivers.dlms.refusals import Refusal
from drivers.dlms.steps import Step
from drivers.errors import LocalProtocolError, RemoteProtocolError

_LIST_HEAD, _ATTRIBUTE_HEAD = 4, 10
_MOST_IN_LIST: Final = 100


class LogicalNames:
    """The services of one association, opened, by logical names."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._invoke = 0

    def get(self, attribute: Attribute, selection: Selection | None) -> Step[bytes | Refusal]:
        """Read one attribute as its bytes, or why not."""
        self._channel.need(Conformance.GET)
        invoke = self._next_invoke()
        return (yield from self._get(apdu.get(invoke, attribute, selection), invoke, listed=False))

    def get_all(self, attributes: Sequence[Attribute]) -> Step[list[axdr.Value | Refusal]]:
        """Read several attributes, in the fewest requests that the meter takes."""
        values: list[axdr.Value | Refusal] = []
        most = self._most_in_list()
        for first in range(0, len(attributes), most):
            wanted = attributes[first : first + most]
            if len(wanted) == 1:
                result = yield from self.get(wanted[0], None)
                values.append(result if isinstance(result, Refusal) else axdr.decode(result)[0])
            else:
                values += yield from self._get_list(wanted)
        return values

    def put(
        self, attribute: Attribute, value: bytes, selection: Selection | None
    ) -> Step[Refusal | None]:
        """Write one attribute; None if it is done, else why not."""
        self._channel.need(Conformance.SET)
        invoke = self._next_invoke()
        target = changing.target(attribute, selection)
        request = changing.put(invoke, target, value)
        if self._channel.takes(request):
            reply = yield from self._channel.ask(request)
        else:
            self._channel.need_blocks(Conformance.BLOCK_SET, len(request))
            reply = yield from self._upload(changing.SET, invoke, target, value)
        return changing.parse_put(reply, invoke)

    def put_all(self, changes: Sequence[tuple[Attribute, bytes]]) -> Step[list[Refusal | None]]:
        """Write several attributes in one request if the meter takes that, else one by one."""
        invoke = self._next_invoke()
        targets = changing.listed([changing.target(attribute) for attribute, _ in changes])
        values = changing.listed([value for _, value in changes])
        request = changing.put_list(invoke, targets, values)
        if not self._goes_as_list(len(changes), targets, request, Conformance.BLOCK_SET):
            results = []
            for attribute, value in changes:
                results.append((yield from self.put(attribute, value, None)))
            return results
        self._channel.need(Conformance.SET)
        if self._channel.takes(request):
            reply = yield from self._channel.ask(request)
        else:
            reply = yield from self._upload(changing.SET_LIST, invoke, targets, values)
        return changing.parse_put_list(reply, invoke, len(changes))

    def act(self, method: Attribute, parameters: bytes | None) -> Step[bytes | Refusal | None]:
        """Run a method; give what it returns, A-XDR or nothing, or why it does not run."""
        # Not asked for in what was granted: the proof of mechanism high goes by it, and some
        # meters that take actions do not grant the service.
        invoke = self._next_invoke()
        request = changing.action(invoke, method, parameters)
        if parameters is None or self._channel.takes(request):
            reply = yield from self._channel.ask(request)
        else:
            self._channel.need_blocks(Conformance.BLOCK_ACTION, len(request))
            reply = yield from self._upload(changing.ACTION, invoke, bytes(method), parameters)
        if not changing.is_pblock(reply, invoke):
            return changing.parse_action(reply, invoke)
        whole = yield from self._pblocks(reply, invoke)
        return whole if isinstance(whole, Refusal) else changing.joined_result(whole)

    def act_all(
        self, calls: Sequence[tuple[Attribute, bytes]]
    ) -> Step[list[bytes | Refusal | None]]:
        """Run several methods in one request if the meter takes that, else one by one."""
        invoke = self._next_invoke()
        methods = changing.listed([bytes(method) for method, _ in calls])
        parameters = changing.listed([given for _, given in calls])
        request = changing.action_list(invoke, methods, parameters)
        if not self._goes_as_list(len(calls), methods, request, Conformance.BLOCK_ACTION):
            results = []
            for method, given in calls:
                results.append((yield from self.act(method, given)))
            return results
        if self._channel.takes(request):
            reply = yield from self._channel.ask(request)
        else:
            reply = yield from self._upload(changing.ACTION_LIST, invoke, methods, parameters)
        if not changing.is_pblock(reply, invoke):
            return changing.parse_action_list(reply, invoke, len(calls))
        whole = yield from self._pblocks(reply, invoke)
        if isinstance(whole, Refusal):
            return [whole] * len(calls)
        return changing.split_results(whole, len(calls))

    def _get(self, request: bytes, invoke: int, *, listed: bool) -> Step[bytes | Refusal]:
        reply = yield from self._channel.ask(request)
        result = apdu.parse_get(reply, invoke, listed=listed)
        if not isinstance(result, Block):
            return result

        def following(number: int) -> Step[Block | Refusal]:
            reply = yield from self._channel.ask(apdu.get_next(invoke, number))
            block = apdu.parse_get(reply, invoke, listed=listed)
            if isinstance(block, bytes):
                raise RemoteProtocolError(f"after block {number} the meter answers without a block")
            return block

        return (yield from blocks.joined(result, following))

    def _get_list(self, attributes: Sequence[Attribute]) -> Step[list[axdr.Value | Refusal]]:
        self._channel.need(Conformance.GET)
        invoke = self._next_invoke()
        result = yield from self._get(apdu.get_list(invoke, attributes), invoke, listed=True)
        if isinstance(result, Refusal):
            return [result] * len(attributes)
        return apdu.split_list(result, len(attributes))

    def _pblocks(self, reply: bytes, invoke: int) -> Step[bytes | Refusal]:
        def following(number: int) -> Step[Block | Refusal]:
            reply = yield from self._channel.ask(changing.next_pblock(invoke, number))
            if changing.is_pblock(reply, invoke):
                return apdu.parse_pblock(reply)
            result = changing.parse_action(reply, invoke)
            if not isinstance(result, Refusal):
                raise RemoteProtocolError(f"after block {number} the meter answers without a block")
            return result

        return (yield from blocks.joined(apdu.parse_pblock(reply), following))

    def _upload(self, form: Upload, invoke: int, target: bytes, data: bytes) -> Step[bytes]:
        """Send a long request in blocks; give the answer that says how it went."""
        room = self._channel.room - changing.BLOCK_OVERHEAD
        if room <= len(target):
            raise LocalProtocolError(
                f"a message of {self._channel.room} bytes has no room for data"
            )
        at, number = 0, 1
        while True:
            part = data[at : at + room - (len(target) if number == 1 else 0)]
            at += len(part)
            last = at >= len(data)
            request = form.block(invoke, number, target, part, last=last)
            reply = yield from self._channel.ask(request)
            more = form.wants_more(reply, invoke, number)
            if more and last:
                raise RemoteProtocolError("the meter asks for more than there is to write")
            if not more:
                return self._complete(reply, last=last)
            number += 1

    @staticmethod
    def _complete(reply: bytes, *, last: bool) -> bytes:
        """Make sure that an answer before the last block is a refusal."""
        if not last and not reply[3]:
            raise RemoteProtocolError("the meter is done before all was sent")
        return reply

    def _goes_as_list(self, count: int, targets: bytes, request: bytes, long: Conformance) -> bool:
        """Tell whether several references go in one request, in blocks or not."""
        channel = self._channel
        if count < 2 or Conformance.MULTIPLE_REFERENCES not in channel.granted:
            return False
        fits = len(targets) + changing.BLOCK_OVERHEAD < channel.room
        return channel.takes(request) or (long in channel.granted and fits)

    def _most_in_list(self) -> int:
        """Count the attributes that one request to this meter may name."""
        if Conformance.MULTIPLE_REFERENCES not in self._channel.granted:
            return 1
        room = self._channel.room - _LIST_HEAD
        return max(1, min(room // _ATTRIBUTE_HEAD, _MOST_IN_LIST))

    def _next_invoke(self) -> int:
        self._invoke = self._invoke % 15 + 1
        return self._invoke
