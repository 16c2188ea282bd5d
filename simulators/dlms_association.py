"""One client's talk with one simulated DLMS meter: association, ciphering, requests, blocks.

No I/O: bytes of the TCP wrapper in, bytes of the TCP wrapper out.
"""

from __future__ import annotations

import secrets
from typing import Final

from simulators import dlms_apdu, dlms_codec, dlms_objects, dlms_proof, keys
from simulators.clock import Clock
from simulators.dlms_apdu import Aarq, Access, Action, Diagnostic, Get, GetNext, ServiceError, Set
from simulators.dlms_codec import Malformed
from simulators.dlms_model import DlmsModel
from simulators.dlms_proof import Exchange
from simulators.dlms_protection import Answered, Protection
from simulators.line import HangUp

PUBLIC_CLIENT: Final = 16

_HEADER: Final = 8
_WRAPPER: Final = b"\x00\x01"
_LONGEST: Final = 0xFFFF - _HEADER
_SMALLEST_PDU: Final = 64

_NONE, _LOW = 0, 1
_FIRST_HIGH: Final = 2
_FIRST_TITLED: Final = 5
_TITLE: Final = 8
_CIPHERED: Final = {*dlms_apdu.GLO_RESPONSE, *dlms_apdu.DED_RESPONSE, *dlms_apdu.GENERAL}

_CONFORMANCE: Final = sum(
    1 << (23 - bit)
    for bit in (
        11,  # block transfer with get
        14,  # multiple references
        19,  # get
        20,  # set
        21,  # selective access
        23,  # action
    )
)


class Association:
    """The meter's end of one connection."""

    def __init__(self, model: DlmsModel, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._waiting = b""
        self._client = 0
        self._forget()

    def _forget(self) -> None:
        """Go back to where a connection starts."""
        self._open = False
        self._proving = False
        self._protection: Protection | None = None
        self._limit = 0
        self._exchange = Exchange(b"", b"", b"", 0)
        self._rest = b""
        self._block = 0

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come; give the answers to whole frames.

        Raises
        ------
        HangUp
            if they are not frames of the wrapper.
        """
        self._waiting += data
        answers = b""
        while len(self._waiting) >= _HEADER:
            if self._waiting[:2] != _WRAPPER:
                raise HangUp("not a wrapper frame")
            end = _HEADER + int.from_bytes(self._waiting[6:8], "big")
            if len(self._waiting) < end:
                break
            frame, self._waiting = self._waiting[:end], self._waiting[end:]
            answers += self._frame(frame)
        return answers

    def _frame(self, frame: bytes) -> bytes:
        """Answer one frame; one that is for another server is passed over."""
        client, server = frame[2:4], frame[4:6]
        if int.from_bytes(server, "big") != int(self._model.meter.address.get("server", 1)):
            return b""
        sender = int.from_bytes(client, "big")
        if sender != self._client:
            self._forget()
            self._client = sender
        try:
            apdu = self._answer(frame[_HEADER:])
        except Malformed:
            apdu = dlms_apdu.exception(ServiceError.NOT_SUPPORTED)
        except Answered as refusal:
            apdu = refusal.answer
        return _WRAPPER + server + client + len(apdu).to_bytes(2, "big") + apdu

    def _answer(self, apdu: bytes) -> bytes:
        tag = apdu[0] if apdu else 0
        if tag == dlms_apdu.AARQ:
            self._forget()
            return self._associate(dlms_apdu.aarq(apdu))
        if tag == dlms_apdu.RELEASE:
            self._forget()
            return dlms_apdu.released()
        if tag in _CIPHERED and self._protection is not None:
            answer = self._served(self._protection.opened(apdu))
            return self._protection.sealed(answer)
        if self._protection is not None or not (self._open or self._proving):
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        return self._served(apdu)

    def _associate(self, asked: Aarq) -> bytes:
        """Answer a request for an association."""
        self._model.enter()
        self._check_mechanism(asked)
        data, protection = asked.initiate, None
        if asked.context == dlms_apdu.LN_CIPHERED:
            protection = Protection(self._model, asked.title)
            data = protection.opened_initiate(data)
        proposed = dlms_apdu.initiate(data)
        if proposed.version < 6:
            raise Answered(dlms_apdu.initiate_error(1))
        if 0 < proposed.pdu_size < _SMALLEST_PDU:
            raise Answered(dlms_apdu.initiate_error(3))
        own = int(self._model.meter.options.get("pdu_size", 1024))
        self._limit = min(proposed.pdu_size or _LONGEST, own, _LONGEST)
        granted = _CONFORMANCE & proposed.conformance
        if protection is not None:
            granted |= protection.agree(proposed)
        self._protection = protection
        return self._accepted(asked, dlms_apdu.initiate_response(granted, own))

    def _accepted(self, asked: Aarq, information: bytes) -> bytes:
        high = asked.mechanism >= _FIRST_HIGH
        self._open, self._proving = not high, high
        challenge, first = b"", 0
        if self._protection is not None:
            information = self._protection.sealed(information)
            first = self._protection.first_counter
        if high:
            challenge = secrets.token_bytes(dlms_proof.challenge_size(asked.mechanism))
            self._exchange = Exchange(asked.title, asked.authentication, challenge, first)
        titled = asked.mechanism >= _FIRST_TITLED or self._protection is not None
        return dlms_apdu.aare(
            asked.context,
            Diagnostic.AUTHENTICATION_REQUIRED if high else Diagnostic.NONE,
            title=self._model.title if titled else b"",
            mechanism=asked.mechanism,
            challenge=challenge,
            user_information=information,
        )

    def _check_mechanism(self, asked: Aarq) -> None:
        """Refuse what this client may not do, in the order of the standard's diagnostics."""
        if not self._public and self._client != int(self._model.meter.address.get("client", 1)):
            raise self._refusal(asked, Diagnostic.NO_REASON)
        meter = self._model.meter
        needed = _NONE if self._public else keys.MECHANISMS[meter.security]
        ciphered = not self._public and keys.ciphering(meter) != "none"
        if asked.context != (dlms_apdu.LN_CIPHERED if ciphered else dlms_apdu.LN):
            raise self._refusal(asked, Diagnostic.CONTEXT_NOT_SUPPORTED)
        if asked.mechanism != needed:
            raise self._refusal(asked, Diagnostic.MECHANISM_NOT_RECOGNISED)
        titled = ciphered or needed >= _FIRST_TITLED
        if titled and len(asked.title) != _TITLE:
            raise self._refusal(asked, Diagnostic.TITLE_NOT_RECOGNISED)
        if needed >= _FIRST_HIGH and not 8 <= len(asked.authentication) <= 64:
            raise self._refusal(asked, Diagnostic.AUTHENTICATION_FAILED)
        if needed == _LOW and not secrets.compare_digest(
            asked.authentication, keys.of(self._model.meter, "password")
        ):
            raise self._refusal(asked, Diagnostic.AUTHENTICATION_FAILED)

    def _refusal(self, asked: Aarq, diagnostic: Diagnostic) -> Answered:
        return Answered(dlms_apdu.aare(asked.context or dlms_apdu.LN, diagnostic))

    def _served(self, plain: bytes) -> bytes:
        """Answer a plain request."""
        request = dlms_apdu.request(plain)
        if isinstance(request, Action):
            return self._act(request)
        if self._proving or not self._open:
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        if isinstance(request, Get):
            return self._get(request)
        if isinstance(request, GetNext):
            return self._next(request)
        return self._set(request)

    def _act(self, request: Action) -> bytes:
        """Answer an action; before the association is open, only the proof of the key is one."""
        target = (request.method.class_id, request.method.name, request.method.index)
        if self._proving and target == (*dlms_objects.ASSOCIATION, 1):
            return self._prove(request)
        if self._proving or not self._open:
            return dlms_apdu.acted(request.invoke, Access.DENIED)
        returned = dlms_objects.act(
            self._model,
            request.method,
            request.parameters,
            self._clock.seconds,
            public=self._public,
        )
        return dlms_apdu.acted(request.invoke, returned)

    def _prove(self, request: Action) -> bytes:
        """Check the client's proof of its key, and give the meter's."""
        given = dlms_codec.whole(request.parameters or dlms_codec.NULL)
        answer = given if isinstance(given, bytes) else b""
        meter, suite = self._model.meter, self._model.suite
        if not dlms_proof.is_right(meter, suite, self._exchange, answer):
            return dlms_apdu.acted(request.invoke, Access.SCOPE_VIOLATED)
        self._proving, self._open = False, True
        proof = dlms_proof.given(meter, suite, self._exchange, self._model.next_counter())
        return dlms_apdu.acted(request.invoke, dlms_codec.octets(proof))

    def _set(self, request: Set) -> bytes:
        """Answer a SET; no attribute here takes a part of itself."""
        refusal: Access | None = Access.DENIED
        if request.selection is None:
            refusal = dlms_objects.store(
                self._model,
                request.attribute,
                request.value,
                self._clock.seconds,
                public=self._public,
            )
        return dlms_apdu.stored(request.invoke, refusal)

    def _get(self, request: Get) -> bytes:
        """Answer a GET, in blocks if it is longer than the client takes."""
        outcomes = [
            dlms_objects.answer(
                self._model, attribute, selection, self._clock.seconds, public=self._public
            )
            for attribute, selection in request.items
        ]
        if request.listed:
            body = dlms_codec.length(len(outcomes))
            body += b"".join(dlms_apdu.result(outcome) for outcome in outcomes)
            whole = dlms_apdu.got_list(request.invoke, body)
        else:
            body = outcomes[0] if isinstance(outcomes[0], bytes) else b""
            whole = dlms_apdu.got(request.invoke, outcomes[0])
        if len(whole) <= self._room:
            return whole
        self._rest, self._block = body, 0
        return self._next_block(request.invoke)

    @property
    def _public(self) -> bool:
        return self._client == PUBLIC_CLIENT

    @property
    def _room(self) -> int:
        """Bytes that a plain APDU may have."""
        return self._limit - (self._protection.overhead if self._protection else 0)

    def _next(self, request: GetNext) -> bytes:
        if not self._rest:
            reason = Access.NO_BLOCK_TRANSFER
        elif request.block != self._block:
            reason = Access.BLOCK_NUMBER_INVALID
        else:
            return self._next_block(request.invoke)
        self._rest = b""
        return dlms_apdu.got_block(request.invoke, request.block, reason, last=True)

    def _next_block(self, invoke: int) -> bytes:
        size = self._room - dlms_apdu.BLOCK_OVERHEAD
        part, self._rest = self._rest[:size], self._rest[size:]
        self._block += 1
        return dlms_apdu.got_block(invoke, self._block, part, last=not self._rest)
