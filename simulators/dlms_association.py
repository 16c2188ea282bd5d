"""One client's talk with one simulated DLMS meter: association, ciphering, requests, blocks.

No I/O: APDUs in, APDUs out; what carries them is ``dlms_wrapper``'s or ``dlms_hdlc``'s.
"""

from __future__ import annotations

import secrets
from typing import Final

from simulators import (
    dlms_apdu,
    dlms_codec,
    dlms_objects,
    dlms_parts,
    dlms_proof,
    dlms_requests,
    keys,
)
from simulators.clock import Clock
from simulators.dlms_apdu import Aarq, Access, Diagnostic, ServiceError
from simulators.dlms_codec import Malformed
from simulators.dlms_model import DlmsModel
from simulators.dlms_parts import Parts
from simulators.dlms_proof import Exchange
from simulators.dlms_protection import Answered, Protection
from simulators.dlms_requests import Action
from simulators.dlms_services import LogicalServices, Objects
from simulators.dlms_short import ShortServices

PUBLIC_CLIENT: Final = 16

_LONGEST: Final = 0xFFFF - 8
_SMALLEST_PDU: Final = 64

_PLAIN_CONTEXTS: Final = (dlms_apdu.LN, dlms_apdu.SN)
_CIPHERED_CONTEXTS: Final = (dlms_apdu.LN_CIPHERED, dlms_apdu.SN_CIPHERED)
_NONE, _LOW = 0, 1
_FIRST_HIGH: Final = 2
_FIRST_TITLED: Final = 5
_TITLE: Final = 8
_CIPHERED: Final = {*dlms_apdu.GLO_RESPONSE, *dlms_apdu.DED_RESPONSE, *dlms_apdu.GENERAL}

_SHARED: Final = (
    2,  # general block transfer
    11,  # block transfer with get or read
    12,  # block transfer with set or write
    14,  # multiple references
)
_LOGICAL: Final = (
    13,  # block transfer with action
    19,  # get
    20,  # set
    21,  # selective access
    23,  # action
)
_SHORT: Final = (
    3,  # read
    4,  # write
    5,  # unconfirmed write
    18,  # parameterised access
)
_GENERAL_BLOCK_TRANSFER: Final = 1 << 21
# Parts that a meter takes in a row, unless its options say another number.
_WINDOW: Final = 4


def _conformance(*bits: int) -> int:
    return sum(1 << (23 - bit) for bit in bits)


class Association:
    """The meter's end of one connection."""

    def __init__(self, model: DlmsModel, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._client = 0
        self._forget()

    def _forget(self) -> None:
        """Go back to where a connection starts."""
        self._open = False
        self._proving = False
        self._protection: Protection | None = None
        self._limit = 0
        self._exchange = Exchange(b"", b"", b"", 0)
        self._parts: Parts | None = None
        objects = Objects(self._model, self._clock, public=self._public)
        self._logical = LogicalServices(objects, lambda: self._room)
        self._short: ShortServices | None = None

    def answers(self, client: int, apdu: bytes) -> list[bytes]:
        """Answer an APDU of a client; another client than the last one begins anew."""
        if client != self._client:
            self._client = client
            self._forget()
        try:
            return self._answers(apdu)
        except Malformed:
            return [dlms_apdu.exception(ServiceError.NOT_SUPPORTED)]
        except Answered as refusal:
            return [refusal.answer]

    def hang_up(self) -> None:
        """Leave the association, as a client does by leaving what carries it."""
        self._forget()

    def _answers(self, apdu: bytes) -> list[bytes]:
        """Answer an APDU: in parts if it is agreed and needed, not at all if none is wanted."""
        parts = self._parts
        each = self._model.meter.options.get("protection_of_parts") == "each"
        if each and parts is not None and self._protection is not None and apdu[0] in _CIPHERED:
            return self._sealed_parts(apdu, parts, self._protection)
        whole: bytes | None = apdu
        if parts is None:
            answer = self._answer(apdu)
            return [answer] if answer else []
        if apdu[:1] == bytes((dlms_parts.TAG,)):
            whole, sent = parts.take(apdu)
            if whole is None:
                return sent
        else:
            parts.clear()
        answer = self._answer(whole or b"")
        if len(answer) > self._limit or apdu is not whole:
            return parts.send(answer, self._limit)
        return [answer] if answer else []

    def _sealed_parts(self, apdu: bytes, parts: Parts, protection: Protection) -> list[bytes]:
        """Answer an APDU where parts are protected one by one, not what they are parts of."""
        plain = protection.opened(apdu)
        whole: bytes | None = plain
        if plain[:1] == bytes((dlms_parts.TAG,)):
            whole, sent = parts.take(plain)
            if whole is None:
                return [protection.sealed(one) for one in sent]
        else:
            parts.clear()
        answer, size = self._served(whole or b""), self._limit - protection.overhead
        if len(answer) <= size:
            return [protection.sealed(answer)]
        return [protection.sealed(one) for one in parts.send(answer, size)]

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
            return self._protection.sealed(answer) if answer else b""
        if self._protection is not None or not (self._open or self._proving):
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        return self._served(apdu)

    def _associate(self, asked: Aarq) -> bytes:
        """Answer a request for an association."""
        self._model.enter()
        self._check_mechanism(asked)
        data, protection = asked.initiate, None
        if asked.context in (dlms_apdu.LN_CIPHERED, dlms_apdu.SN_CIPHERED):
            protection = Protection(self._model, asked.title)
            data = protection.opened_initiate(data)
        proposed = dlms_apdu.initiate(data)
        if proposed.version < 6:
            raise Answered(dlms_apdu.initiate_error(1))
        if 0 < proposed.pdu_size < _SMALLEST_PDU:
            raise Answered(dlms_apdu.initiate_error(3))
        own = int(self._model.meter.options.get("pdu_size", 1024))
        self._limit = min(proposed.pdu_size or _LONGEST, own, _LONGEST)
        granted = self._granted(asked, proposed.conformance)
        if protection is not None:
            granted |= protection.agree(proposed)
        self._protection = protection
        if granted & _GENERAL_BLOCK_TRANSFER:
            self._parts = Parts(int(self._model.meter.options.get("gbt_window", _WINDOW)))
        short = self._short is not None
        return self._accepted(asked, dlms_apdu.initiate_response(granted, own, short_names=short))

    def _granted(self, asked: Aarq, proposed: int) -> int:
        """Agree on services, by the names that the client asks with."""
        if asked.context in (dlms_apdu.SN, dlms_apdu.SN_CIPHERED):
            objects = Objects(self._model, self._clock, public=self._public)
            self._short = ShortServices(objects, lambda: self._room, self._prove)
            return _conformance(*_SHARED, *_SHORT) & proposed
        return _conformance(*_SHARED, *_LOGICAL) & proposed

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
        contexts = _CIPHERED_CONTEXTS if ciphered else _PLAIN_CONTEXTS
        if asked.context not in contexts:
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
        """Answer a plain request; before the association is open, the proof is the only one."""
        if self._short is not None:
            if self._open or (self._proving and self._short.proves(plain)):
                return self._short.answer(plain)
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        request = dlms_requests.request(plain)
        if self._proving and isinstance(request, Action):
            return self._shown(request)
        if not self._open:
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        return self._logical.answer(plain)

    def _shown(self, request: Action) -> bytes:
        """Answer the action that shows who the client is."""
        method = request.items[0][0]
        target = (method.class_id, method.name, method.index)
        outcome: bytes | Access = Access.DENIED
        if target == (*dlms_objects.ASSOCIATION, 1):
            outcome = self._prove(request.values[0] or dlms_codec.NULL)
        return dlms_requests.acted(request.invoke, outcome)

    def _prove(self, written: bytes) -> bytes | Access:
        """Check the client's proof of its key, and give the meter's."""
        if not self._proving:
            return Access.DENIED
        given = dlms_codec.whole(written)
        answer = given if isinstance(given, bytes) else b""
        meter, suite = self._model.meter, self._model.suite
        if not dlms_proof.is_right(meter, suite, self._exchange, answer):
            return Access.SCOPE_VIOLATED
        if meter.security == "hls-gmac" and self._protection is None:
            self._take_counter(int.from_bytes(answer[1:5], "big"))
        self._proving, self._open = False, True
        proof = dlms_proof.given(meter, suite, self._exchange, self._model.next_counter())
        return dlms_codec.octets(proof)

    def _take_counter(self, counter: int) -> None:
        """Refuse a proof under a counter that was used already; ciphering has its own check."""
        last = self._model.accepted_counter
        if counter <= last:
            raise Answered(dlms_apdu.exception(ServiceError.COUNTER, last + 1))
        self._model.accepted_counter = counter

    @property
    def _public(self) -> bool:
        return self._client == PUBLIC_CLIENT

    @property
    def _room(self) -> int:
        """Bytes that a plain answer may have; in parts, as many as it needs."""
        if self._parts is not None:
            return _LONGEST
        return self._limit - (self._protection.overhead if self._protection else 0)
