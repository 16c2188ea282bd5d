"""Protection of the messages of one association: ours put on, the meter's checked and taken off.

References
----------
IEC 62056-5-3:2017, 9.2.7.2 (protection of APDUs) and clause 8 (tags of ciphered APDUs).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Final

from drivers.dlms import association, axdr, general
from drivers.dlms.association import Answer, Conformance, Granted
from drivers.dlms.ciphering import AUTHENTICATED, KEY_SIZES, TITLE_SIZE, Header, Keys
from drivers.dlms.general import Envelope, KeyKind
from drivers.dlms.message_keys import MessageKeys
from drivers.dlms.security import Ciphering, Security
from drivers.errors import LocalProtocolError, NotOffered, RemoteProtocolError, WrongKey

# A service's APDU under the global key has its own tag with this much added; twice as much under
# a dedicated one. Services by short names, below 0xC0, are counted otherwise.
_GLOBAL_SHORT, _GLOBAL_LOGICAL = 0x20, 0x08
_FIRST_LOGICAL: Final = 0xC0
# Read, write, confirmed service error, get, set, action.
_ANSWERS: Final = (0x0C, 0x0D, 0x0E, 0xC4, 0xC5, 0xC7)
# Those that general ciphering alone can carry: access response, exception, part of an answer.
_MORE_ANSWERS: Final = frozenset({*_ANSWERS, 0xDA, 0xD8, 0xE0})
_IDENTIFIED: Final = (KeyKind.IDENTIFIED, 0)
# Kind and number of the key that a message of general ciphering names.
_NAMED: Final = {
    Ciphering.IDENTIFIED: _IDENTIFIED,
    Ciphering.WRAPPED: (KeyKind.WRAPPED, 0),
    Ciphering.ONE_PASS: (KeyKind.AGREED, 1),
    Ciphering.STATIC: (KeyKind.AGREED, 2),
}


def ciphered_tag(plain: int, *, dedicated: bool = False) -> int:
    """Give the tag of a service's APDU when it is under the global or a dedicated key."""
    step = _GLOBAL_LOGICAL if plain >= _FIRST_LOGICAL else _GLOBAL_SHORT
    return plain + (2 * step if dedicated else step)


_UNDER_GLOBAL: Final = {ciphered_tag(tag): tag for tag in _ANSWERS}
_UNDER_DEDICATED: Final = {ciphered_tag(tag, dedicated=True): tag for tag in _ANSWERS}


class _Line:
    """One key's messages: counters of ours to be taken, and the highest that was heard."""

    __slots__ = ("heard", "keys", "take")

    def __init__(self, keys: Keys, take: Callable[[], int]) -> None:
        self.keys = keys
        self.take = take
        self.heard = -1

    def hear(self, header: Header) -> None:
        """Take the counter of a message that is authentic."""
        if header.counter <= self.heard:
            raise RemoteProtocolError(
                f"the meter's invocation counter went from {self.heard} to {header.counter}: "
                "an old message was sent again"
            )
        self.heard = header.counter


class Protection:
    """What protects the messages of one association, as the client sees it.

    ``title`` is the meter's system title, once it has said it.
    """

    def __init__(self, security: Security) -> None:
        self.title = b""
        self._security = security
        # Asked for with each message.
        self._ciphered = security.ciphered
        self._general = security.ciphering.general
        self._named = _NAMED.get(security.ciphering)
        self._own_title, self._policy = security.title, security.policy
        self._established = False
        self._transaction = b""
        self._message_keys = MessageKeys(security)
        self._global: _Line | None = None
        self._dedicated: _Line | None = None
        self._dedicated_key = b""
        if security.keys is not None:
            self._global = _Line(security.keys, security.take_counter)
            if security.ciphered and security.ciphering.dedicated:
                self._dedicated_key = secrets.token_bytes(KEY_SIZES[security.suite])
                keys = security.keys.under(self._dedicated_key)
                self._dedicated = _Line(keys, count(1).__next__)

    def initiate(self, conformance: Conformance, pdu_size: int) -> bytes:
        """Give an initiate request as the AARQ carries it.

        Parameters
        ----------
        conformance : services that the client would use
        pdu_size : longest APDU that the client takes [bytes]
        """
        if not self._ciphered:
            return association.initiate_request(conformance, pdu_size)
        if self._general:
            conformance |= Conformance.GENERAL_PROTECTION
        request = association.initiate_request(conformance, pdu_size, self._dedicated_key)
        line = self._line
        text = self._text(line.keys, request, line.take())
        return bytes((association.GLO_INITIATE_REQUEST,)) + axdr.encode_octets(text)

    def granted(self, answer: Answer) -> Granted:
        """Read what an AARE grants, and keep the meter's title.

        Raises
        ------
        WrongKey, RemoteProtocolError
            if it is not protected as agreed.
        NotOffered
            if the meter does not grant the ciphering that was asked for.
        """
        self.title = answer.title
        if not self._ciphered:
            return Granted.parse(answer.initiate)
        if not answer.ciphered or len(answer.title) != TITLE_SIZE:
            raise RemoteProtocolError("the meter enters a secured association without security")
        granted = self._granted(self._initiate_response(answer.initiate))
        general_granted = Conformance.GENERAL_PROTECTION in granted.conformance
        if self._general and not general_granted:
            raise NotOffered(
                f"the meter does not grant general protection, which ciphering "
                f"{self._security.ciphering} takes; register another ciphering"
            )
        return granted

    def established(self) -> None:
        """Take it that the association stands: until then, all is under the global key."""
        self._established = True

    def protect(self, request: bytes) -> bytes:
        """Give a plain request as it is sent."""
        if not self._ciphered:
            return request
        if self._established and self._named:
            return self._enveloped(request)
        dedicated = self._dedicated if self._established else None
        line = dedicated or self._line
        text = self._text(line.keys, request, line.take())
        if self._established and self._general:
            tag = general.GENERAL_DED if dedicated else general.GENERAL_GLO
            return general.titled(tag, self._own_title, text)
        tag = ciphered_tag(request[0], dedicated=dedicated is not None)
        return bytes((tag,)) + axdr.encode_octets(text)

    def unprotect(self, reply: bytes) -> bytes:
        """Give the plain APDU of an answer.

        Raises
        ------
        WrongKey
            if it was not made with our keys.
        RemoteProtocolError
            if it is unprotected, protected too weakly or otherwise than agreed, or an old one.
        """
        if not self._ciphered:
            return reply
        tag, dedicated = reply[0] if reply else -1, self._dedicated
        plain_tag = _UNDER_GLOBAL.get(tag)
        if plain_tag is not None:
            if dedicated is not None and self._established:
                raise RemoteProtocolError("an answer is under the global key, not the dedicated")
            return self._answer(self._line, axdr.octets(reply, 1)[0], plain_tag)
        if tag in _UNDER_DEDICATED and dedicated is not None:
            return self._answer(dedicated, axdr.octets(reply, 1)[0], _UNDER_DEDICATED[tag])
        if tag in (general.GENERAL_GLO, general.GENERAL_DED) and self._general:
            line, text = self._titled(reply)
            return self._answer(line, text, None)
        if tag == general.GENERAL_CIPHERING and self._named:
            return self._unenveloped(reply)
        raise RemoteProtocolError(
            f"an answer that begins 0x{reply[:1].hex()} in a secured association is unprotected, "
            "or protected otherwise than agreed"
        )

    def _initiate_response(self, message: bytes) -> bytes:
        if message[:1] == bytes((general.GENERAL_GLO,)):
            return self._opened(*self._titled(message))
        if message[:1] != bytes((association.GLO_INITIATE_RESPONSE,)):
            raise RemoteProtocolError(
                f"0x{message[:1].hex()} begins no message protected as agreed"
            )
        return self._opened(self._line, axdr.octets(message, 1)[0])

    def _granted(self, plain: bytes) -> Granted:
        try:
            return Granted.parse(plain)
        except RemoteProtocolError as error:
            raise self._blame(error) from None

    def _titled(self, reply: bytes) -> tuple[_Line, bytes]:
        """Give key and text of a general-glo or general-ded message of the meter."""
        title, text = general.split(reply)
        if title not in (b"", self.title):
            raise RemoteProtocolError("a message names another sender than the meter")
        line = self._dedicated if self._established and self._dedicated else self._line
        if (reply[0] == general.GENERAL_DED) is not (line is self._dedicated):
            raise RemoteProtocolError("an answer is under another key than agreed")
        return line, text

    def _enveloped(self, request: bytes) -> bytes:
        counter = self._security.take_counter()
        self._transaction = counter.to_bytes(8)
        info, keys = self._message_keys.outgoing(self._transaction, self.title)
        envelope = Envelope(self._transaction, self._own_title, self.title, key=info)
        text = self._text(keys, request, counter, envelope.header)
        return bytes(replace(envelope, content=text))

    def _unenveloped(self, reply: bytes) -> bytes:
        envelope = Envelope.parse(reply)
        if (envelope.sender, envelope.receiver) != (self.title, self._own_title):
            raise RemoteProtocolError("a message is from another sender or for another receiver")
        if envelope.transaction != self._transaction:
            raise RemoteProtocolError("a message belongs to another transaction: an old one?")
        key, named = envelope.key, self._named
        if named != ((key.kind, key.number) if key else _IDENTIFIED):
            raise RemoteProtocolError("an answer is under a key of another kind than agreed")
        keys = self._message_keys.incoming(envelope)
        plain, header = keys.unprotect(envelope.content, self.title, envelope.header)
        self._check(header)
        if named == _IDENTIFIED:
            self._line.hear(header)
        return self._checked(plain, None)

    def _answer(self, line: _Line, text: bytes, expected: int | None) -> bytes:
        return self._checked(self._opened(line, text), expected)

    def _opened(self, line: _Line, text: bytes) -> bytes:
        """Open a message that must be protected as ours are, and newer than the last."""
        plain, header = line.keys.unprotect(text, self.title)
        self._check(header)
        line.hear(header)
        return plain

    def _check(self, header: Header) -> None:
        policy = self._policy
        if header.control & policy != policy:
            raise RemoteProtocolError(
                f"a message under security control 0x{header.control:02x} is protected too weakly; "
                f"0x{policy | self._security.suite:02x} was agreed"
            )

    def _checked(self, plain: bytes, expected: int | None) -> bytes:
        """Check that what came out is an answer, of one service where the tag named it."""
        tag = plain[0] if plain else -1
        if tag == expected or (expected is None and tag in _MORE_ANSWERS):
            return plain
        error = f"a protected message holds 0x{plain[:1].hex()}, which is no answer"
        raise self._blame(RemoteProtocolError(error))

    def _blame(self, error: RemoteProtocolError) -> RemoteProtocolError | WrongKey:
        """Give the likelier error: where nothing is authenticated, nonsense means a wrong key."""
        if self._policy & AUTHENTICATED:
            return error
        return WrongKey(f"what a message decrypts to is none ({error}); check the encryption key")

    def _text(self, keys: Keys, plain: bytes, counter: int, more: bytes = b"") -> bytes:
        return keys.protect(plain, self._own_title, counter, self._policy, more)

    @property
    def _line(self) -> _Line:
        if self._global is None:
            raise LocalProtocolError("there are no keys to protect a message with")
        return self._global
