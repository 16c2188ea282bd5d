"""What a simulated meter does with requests by logical names, once the association is open."""

from __future__ import annotations

from collections.abc import Callable

from simulators import dlms_codec, dlms_objects, dlms_requests
from simulators.clock import Clock
from simulators.dlms_apdu import Access, Attribute, Selection
from simulators.dlms_model import DlmsModel
from simulators.dlms_requests import ACTION, Action, Get, Next, Piece, Set

_LONGEST_UPLOAD = 1 << 20


class Objects:
    """A meter's objects as one client sees them.

    Parameters
    ----------
    public : whether it is the public client, who may see little and change nothing
    """

    def __init__(self, model: DlmsModel, clock: Clock, *, public: bool) -> None:
        self.model = model
        self._clock = clock
        self._public = public

    def read(self, attribute: Attribute, selection: Selection | None) -> bytes | Access:
        """Give an attribute, A-XDR, or why not."""
        return dlms_objects.answer(
            self.model, attribute, selection, self._clock.seconds, public=self._public
        )

    def write(
        self, attribute: Attribute, selection: Selection | None, value: bytes
    ) -> Access | None:
        """Take a new value; no attribute here takes a part of itself."""
        if selection is not None:
            return Access.DENIED
        return dlms_objects.store(
            self.model, attribute, value, self._clock.seconds, public=self._public
        )

    def act(self, method: Attribute, parameters: bytes | None) -> bytes | Access | None:
        """Run a method."""
        return dlms_objects.act(
            self.model, method, parameters, self._clock.seconds, public=self._public
        )


class LogicalServices:
    """The services of one association.

    Parameters
    ----------
    room : gives the bytes that a plain answer may have
    """

    def __init__(self, objects: Objects, room: Callable[[], int]) -> None:
        self._objects = objects
        self._room = room
        self._rest = b""
        self._service = 0
        self._block = 0
        self._upload: Piece | None = None
        self._came = b""
        self._expected = 0

    def answer(self, plain: bytes) -> bytes:
        """Answer a plain request.

        Raises
        ------
        Malformed
            if it is none.
        """
        request = dlms_requests.request(plain)
        if isinstance(request, Next):
            return self._next(request)
        self._rest = b""
        if isinstance(request, Piece):
            return self._piece(request)
        self._upload = None
        if isinstance(request, Get):
            return self._get(request)
        if isinstance(request, Set):
            return dlms_requests.stored(request.invoke, self._set(request), listed=request.listed)
        return self._act(request)

    def _get(self, request: Get) -> bytes:
        """Answer a GET, in blocks if it is longer than the client takes."""
        outcomes = [self._objects.read(*item) for item in request.items]
        if request.listed:
            body = _counted([dlms_requests.result(outcome) for outcome in outcomes])
            whole = dlms_requests.got_list(request.invoke, body)
        else:
            body = outcomes[0] if isinstance(outcomes[0], bytes) else b""
            whole = dlms_requests.got(request.invoke, outcomes[0])
        return self._short_or_blocks(dlms_requests.GET, request.invoke, whole, body)

    def _set(self, request: Set) -> list[Access | None]:
        """Write one item after another."""
        if len(request.values) != len(request.items):
            return [Access.TYPE_UNMATCHED] * len(request.items)
        return [
            self._objects.write(attribute, selection, value)
            for (attribute, selection), value in zip(request.items, request.values, strict=True)
        ]

    def _act(self, request: Action) -> bytes:
        """Run one method after another; give what they return, in blocks if it is long."""
        outcomes: list[bytes | Access | None] = [Access.TYPE_UNMATCHED] * len(request.items)
        if len(request.values) == len(request.items):
            outcomes = [
                self._objects.act(method, value)
                for (method, _), value in zip(request.items, request.values, strict=True)
            ]
        if request.listed:
            body = _counted([dlms_requests.acted_result(outcome) for outcome in outcomes])
            whole = dlms_requests.acted_list(request.invoke, body)
        else:
            # The blocks of a single answer hold the value alone.
            body = outcomes[0] if isinstance(outcomes[0], bytes) else b""
            whole = dlms_requests.acted(request.invoke, outcomes[0])
        return self._short_or_blocks(ACTION, request.invoke, whole, body)

    def _short_or_blocks(self, service: int, invoke: int, whole: bytes, body: bytes) -> bytes:
        if len(whole) <= self._room():
            return whole
        self._rest, self._block, self._service = body, 0, service
        return self._next_block(invoke)

    def _next(self, request: Next) -> bytes:
        if not self._rest or request.service != self._service:
            reason = Access.NO_BLOCK_TRANSFER
        elif request.block != self._block:
            reason = Access.BLOCK_NUMBER_INVALID
        else:
            return self._next_block(request.invoke)
        self._rest = b""
        if request.service == ACTION:
            return dlms_requests.acted(request.invoke, reason)
        return dlms_requests.got_block(request.invoke, request.block, reason, last=True)

    def _next_block(self, invoke: int) -> bytes:
        size = self._room() - dlms_requests.BLOCK_OVERHEAD
        part, self._rest = self._rest[:size], self._rest[size:]
        self._block += 1
        write = dlms_requests.acted_block if self._service == ACTION else dlms_requests.got_block
        return write(invoke, self._block, part, last=not self._rest)

    def _piece(self, piece: Piece) -> bytes:
        """Take a block of a long request; with the last one, do what it asks for."""
        if piece.items is not None:
            self._upload, self._came, self._expected = piece, b"", 1
        first = self._upload
        if first is None or first.service != piece.service:
            return self._broken(piece, Access.NO_LONG_SET)
        if piece.number != self._expected:
            return self._broken(piece, Access.BLOCK_NUMBER_INVALID)
        self._came += piece.data
        self._expected += 1
        if len(self._came) > _LONGEST_UPLOAD:
            return self._broken(piece, Access.LONG_SET_ABORTED)
        if not piece.last:
            return dlms_requests.taken(piece.service, piece.invoke, piece.number)
        self._upload = None
        request = dlms_requests.whole(first, self._came)
        if isinstance(request, Action):
            return self._act(request)
        return dlms_requests.stored_last(
            piece.invoke, piece.number, self._set(request), listed=request.listed
        )

    def _broken(self, piece: Piece, reason: Access) -> bytes:
        self._upload = None
        if piece.service == ACTION:
            return dlms_requests.acted(piece.invoke, reason)
        return dlms_requests.stored_last(piece.invoke, piece.number, [reason], listed=False)


def _counted(results: list[bytes]) -> bytes:
    return dlms_codec.length(len(results)) + b"".join(results)
