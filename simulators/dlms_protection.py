"""What protects the messages of one association with a simulated meter (Green Book, 9.2.7.2).

An answer goes out in the form in which its request came in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import keywrap

from simulators import dlms_apdu, dlms_codec, dlms_curve, keys
from simulators.dlms_apdu import Diagnostic, ServiceError
from simulators.dlms_codec import Reader
from simulators.dlms_curve import Pair
from simulators.dlms_model import DlmsModel
from simulators.dlms_security import (
    AUTHENTICATED,
    AUTHENTICATED_ENCRYPTED,
    ENCRYPTED,
    KEY_BYTES,
    Suite,
    Undecipherable,
)

GENERAL_PROTECTION: Final = 1 << 22
"""Conformance bit 1."""

_POLICY: Final = {
    "authenticated": AUTHENTICATED,
    "encrypted": ENCRYPTED,
    "both": AUTHENTICATED_ENCRYPTED,
}
_GENERAL_GLO, _GENERAL_DED, _GENERAL = 0xDB, 0xDC, 0xDD
_IDENTIFIED, _WRAPPED, _AGREED = 0, 1, 2
_ONE_PASS, _STATIC = 1, 2
_HEADER_FIELDS: Final = 5
_REQUESTS: Final = frozenset({0x05, 0x06, 0xC0, 0xC1, 0xC3, 0xD9})

Form = Callable[[bytes], bytes]


class Answered(Exception):
    """A request that is answered with an error; carries the answer."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class Protection:
    """The meter's side of one association's ciphering.

    Parameters
    ----------
    title : the client's system title
    """

    def __init__(self, model: DlmsModel, title: bytes) -> None:
        self.first_counter = 0
        self._model = model
        self._title = title
        self._policy = _POLICY[str(model.meter.address.get("protection", "both"))]
        self._general = False
        self._dedicated: Suite | None = None
        self._dedicated_taken = self._dedicated_used = 0
        self._ephemeral: Pair | None = None
        self._form: Form = self._glo(0x28)
        self.overhead = 21

    def opened_initiate(self, data: bytes) -> bytes:
        """Decipher the proposal; a key that does not fit refuses the association."""
        if data[:1] == bytes((_GENERAL_GLO,)):
            sealed, self._form = self._titled(data), self._with_title(_GENERAL_GLO)
        else:
            sealed = _content(data) if data[:1] == bytes((dlms_apdu.GLO_INITIATE,)) else b""
        try:
            plain, counter, protection = self._model.suite.opened(sealed, self._title)
        except Undecipherable:
            raise _refused(Diagnostic.AUTHENTICATION_FAILED) from None
        # Without authentication, a wrong key shows by nonsense alone.
        if plain[:1] != b"\x01":
            raise _refused(Diagnostic.AUTHENTICATION_FAILED)
        if protection & self._policy != self._policy:
            raise _refused(Diagnostic.NO_REASON)
        self._take_counter(counter)
        self.first_counter = counter
        return plain

    def agree(self, proposed: dlms_apdu.Initiate) -> int:
        """Take what the client proposes of ciphering; give the conformance bits granted for it."""
        key = proposed.dedicated_key
        if key:
            if len(key) != KEY_BYTES[self._model.suite.number]:
                raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
            self._dedicated = self._model.suite.with_key(key)
        offered = bool(self._model.meter.options.get("general_protection", 1))
        self._general = offered and bool(proposed.conformance & GENERAL_PROTECTION)
        return GENERAL_PROTECTION if self._general else 0

    def opened(self, data: bytes) -> bytes:
        """Decipher a request, check that it is protected as the policy says, take its counter."""
        try:
            plain, counter, protection, dedicated = self._opened(data)
        except (Undecipherable, keywrap.InvalidUnwrap, ValueError):
            raise Answered(dlms_apdu.exception(ServiceError.DECIPHERING)) from None
        if protection & self._policy != self._policy:
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        # Without authentication, a wrong key shows by nonsense alone.
        if not protection & AUTHENTICATED and plain[0] not in _REQUESTS:
            raise Answered(dlms_apdu.exception(ServiceError.DECIPHERING))
        self._take_counter(counter, dedicated=dedicated)
        return plain

    def sealed(self, plain: bytes) -> bytes:
        """Protect an answer as its request was."""
        return self._form(plain)

    def _opened(self, data: bytes) -> tuple[bytes, int, int, bool]:
        """Decipher by the message's form, and note the form for the answer."""
        tag, suite = data[0], self._model.suite
        if tag in dlms_apdu.GLO_RESPONSE:
            self._form, self.overhead = self._glo(dlms_apdu.GLO_RESPONSE[tag]), 21
            return *suite.opened(_content(data), self._title), False
        if tag in dlms_apdu.DED_RESPONSE and self._dedicated is not None:
            self._form, self.overhead = self._ded(dlms_apdu.DED_RESPONSE[tag]), 21
            return *self._dedicated.opened(_content(data), self._title), True
        if not self._general:
            raise Answered(dlms_apdu.exception(ServiceError.NOT_POSSIBLE))
        if tag == _GENERAL_GLO:
            self._form, self.overhead = self._with_title(tag), 30
            return *suite.opened(self._titled(data), self._title), False
        if tag == _GENERAL_DED and self._dedicated is not None:
            self._form, self.overhead = self._with_title(tag), 30
            return *self._dedicated.opened(self._titled(data), self._title), True
        if tag == _GENERAL:
            self.overhead = 300
            return *self._enveloped(data), False
        raise Answered(dlms_apdu.exception(ServiceError.NOT_SUPPORTED))

    def _titled(self, data: bytes) -> bytes:
        reader = Reader(data[1:])
        if reader.take(reader.length()) != self._title:
            raise Undecipherable("from somebody else")
        return reader.take(reader.length())

    def _enveloped(self, data: bytes) -> tuple[bytes, int, int]:
        """Decipher general ciphering; the key is named in the message."""
        reader = Reader(data[1:])
        fields = [reader.take(reader.length()) for _ in range(_HEADER_FIELDS)]
        header, transaction = reader.data[: reader.at], fields[0]
        if fields[1:3] != [self._title, self._model.title]:
            raise Undecipherable("not between this client and this meter")
        key, named = self._key(reader, transaction)
        sealed = reader.take(reader.length())
        self._form = lambda plain: self._answer_enveloped(plain, transaction, named)
        return self._model.suite.with_key(key).opened(sealed, self._title, header)

    def _key(self, reader: Reader, transaction: bytes) -> tuple[bytes, tuple[int, int]]:
        """Find the key that a message of general ciphering is under, and how it was named."""
        meter, suite = self._model.meter, self._model.suite
        if not reader.number(1):
            return suite.encryption, (_IDENTIFIED, 0)
        kind = reader.number(1)
        if kind == _IDENTIFIED:
            reader.take(1)
            return suite.encryption, (kind, 0)
        if kind == _WRAPPED:
            reader.take(1)
            wrapped = reader.take(reader.length())
            return keywrap.aes_key_unwrap(self._model.key("master"), wrapped), (kind, 0)
        scheme = reader.take(reader.length())
        data = reader.take(reader.length())
        own = keys.pair(meter, "meter_agreement")
        if scheme == bytes((_STATIC,)):
            secret = own.secret(keys.pair(meter, "client_agreement").public)
            nonce = dlms_codec.length(len(transaction)) + transaction
            party_u = self._title + nonce
            return dlms_curve.key(suite.number, secret, party_u, suite.title), (kind, _STATIC)
        half = len(data) // 2
        client = keys.pair(meter, "client_signing")
        if not dlms_curve.is_signed(suite.number, client.public, data[half:], data[:half]):
            raise Undecipherable("the ephemeral key is not signed by the client")
        secret = own.secret(data[:half])
        return dlms_curve.key(suite.number, secret, self._title, suite.title), (kind, _ONE_PASS)

    def _answer_enveloped(self, plain: bytes, transaction: bytes, named: tuple[int, int]) -> bytes:
        suite = self._model.suite
        fields = (transaction, suite.title, self._title, b"", b"")
        header = b"".join(dlms_codec.length(len(one)) + one for one in fields)
        info, key = self._answer_key(transaction, named)
        sealed = suite.with_key(key).sealed(plain, self._model.next_counter(), self._policy, header)
        return (
            bytes((_GENERAL,)) + header + b"\x01" + info + dlms_codec.length(len(sealed)) + sealed
        )

    def _answer_key(self, transaction: bytes, named: tuple[int, int]) -> tuple[bytes, bytes]:
        """Name the key of an answer as the request named its own, and give it."""
        meter, suite, number = self._model.meter, self._model.suite, self._model.suite.number
        if named[0] == _IDENTIFIED:
            return bytes((_IDENTIFIED, 0)), suite.encryption
        if named[0] == _WRAPPED:
            key = secrets.token_bytes(KEY_BYTES[number])
            wrapped = keywrap.aes_key_wrap(self._model.key("master"), key)
            return bytes((_WRAPPED, 0)) + dlms_codec.length(len(wrapped)) + wrapped, key
        client = keys.pair(meter, "client_agreement").public
        if named[1] == _STATIC:
            secret = keys.pair(meter, "meter_agreement").secret(client)
            party_u = suite.title + dlms_codec.length(len(transaction)) + transaction
            key = dlms_curve.key(number, secret, party_u, self._title)
            return bytes((_AGREED, 1, _STATIC, 0)), key
        self._ephemeral = self._ephemeral or Pair(number)
        public = self._ephemeral.public
        data = public + keys.pair(meter, "meter_signing").signed(public)
        key = dlms_curve.key(number, self._ephemeral.secret(client), suite.title, self._title)
        return bytes((_AGREED, 1, _ONE_PASS)) + dlms_codec.length(len(data)) + data, key

    def _glo(self, tag: int) -> Form:
        return lambda plain: _tagged(tag, self._under_global(plain))

    def _ded(self, tag: int) -> Form:
        return lambda plain: _tagged(tag, self._under_dedicated(plain))

    def _with_title(self, tag: int) -> Form:
        """Answer as general-glo or general-ded ciphering."""
        title = dlms_codec.length(len(self._model.title)) + self._model.title
        under = self._under_global if tag == _GENERAL_GLO else self._under_dedicated
        return lambda plain: bytes((tag,)) + title + _tagged(0, under(plain))[1:]

    def _under_global(self, plain: bytes) -> bytes:
        return self._model.suite.sealed(plain, self._model.next_counter(), self._policy)

    def _under_dedicated(self, plain: bytes) -> bytes:
        self._dedicated_used += 1
        suite = self._dedicated or self._model.suite
        return suite.sealed(plain, self._dedicated_used, self._policy)

    def _take_counter(self, counter: int, *, dedicated: bool = False) -> None:
        """Refuse a counter that was used already: somebody may be repeating old frames."""
        last = self._dedicated_taken if dedicated else self._model.accepted_counter
        if counter <= last:
            raise Answered(dlms_apdu.exception(ServiceError.COUNTER, last + 1))
        if dedicated:
            self._dedicated_taken = counter
        else:
            self._model.accepted_counter = counter


def _refused(diagnostic: Diagnostic) -> Answered:
    return Answered(dlms_apdu.aare(dlms_apdu.LN_CIPHERED, diagnostic))


def _tagged(tag: int, sealed: bytes) -> bytes:
    return bytes((tag,)) + dlms_codec.length(len(sealed)) + sealed


def _content(apdu: bytes) -> bytes:
    """Take a ciphered APDU's content behind its tag and length."""
    reader = Reader(apdu[1:])
    return reader.take(reader.length())
