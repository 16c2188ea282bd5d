"""Protection of the messages of one association: ours put on, the meter's checked and taken off."""

from __future__ import annotations

from typing import Final

from drivers.dlms import association, axdr
from drivers.dlms.association import Answer
from drivers.dlms.ciphering import AUTHENTICATED, ENCRYPTED, TITLE_SIZE
from drivers.dlms.security import CLIENT_TITLE, Security
from drivers.errors import LocalProtocolError, RemoteProtocolError

_PROTECTED: Final = AUTHENTICATED | ENCRYPTED
# Read, write, get, set and action, under the global key.
_RESPONSES: Final = frozenset({0x2C, 0x2D, 0xCC, 0xCD, 0xCF})
# A service's APDU under the global key has its own tag with this much added.
_GLOBAL_SHORT, _GLOBAL_LOGICAL = 0x20, 0x08
_FIRST_LOGICAL: Final = 0xC0


class Protection:
    """What protects the messages of one association, as the client sees it.

    ``title`` is the meter's system title, once it has said it.
    """

    def __init__(self, security: Security) -> None:
        self.title = b""
        self._keys = security.keys
        self._take_counter = security.take_counter
        self._heard = -1

    @property
    def ciphered(self) -> bool:
        """Whether messages are protected at all."""
        return self._keys is not None

    def protect_initiate(self, request: bytes) -> bytes:
        """Give an initiate request as the AARQ carries it."""
        if self._keys is None:
            return request
        return self._protect(association.GLO_INITIATE_REQUEST, request)

    def unprotect_initiate(self, answer: Answer) -> bytes:
        """Give the plain initiate response of an AARE, and keep the meter's title.

        Raises
        ------
        WrongKey, RemoteProtocolError
            if it is not protected as agreed.
        """
        self.title = answer.title
        if self._keys is None:
            return answer.initiate
        if not answer.ciphered or len(answer.title) != TITLE_SIZE:
            raise RemoteProtocolError("the meter enters a secured association without security")
        return self._unprotect(association.GLO_INITIATE_RESPONSE, answer.initiate)

    def protect(self, request: bytes) -> bytes:
        """Give a plain request as it is sent."""
        if self._keys is None:
            return request
        logical = request[0] >= _FIRST_LOGICAL
        return self._protect(request[0] + (_GLOBAL_LOGICAL if logical else _GLOBAL_SHORT), request)

    def unprotect(self, reply: bytes) -> bytes:
        """Give the plain APDU of an answer.

        Raises
        ------
        WrongKey
            if it was not made with our keys.
        RemoteProtocolError
            if it is unprotected, protected too weakly, or an old one.
        """
        if self._keys is None:
            return reply
        if not reply or reply[0] not in _RESPONSES:
            raise RemoteProtocolError(
                f"an answer that begins 0x{reply[:1].hex()} in a secured association is unprotected"
            )
        return self._unprotect(reply[0], reply)

    def _protect(self, tag: int, plain: bytes) -> bytes:
        if self._keys is None:
            raise LocalProtocolError("there are no keys to protect a message with")
        text = self._keys.protect(plain, CLIENT_TITLE, self._take_counter())
        return bytes((tag,)) + axdr.encode_octets(text)

    def _unprotect(self, tag: int, message: bytes) -> bytes:
        """Give the plain APDU of a message protected as ours are, and newer than the last."""
        if self._keys is None or message[:1] != bytes((tag,)):
            raise RemoteProtocolError(
                f"0x{message[:1].hex()} begins no message protected as agreed"
            )
        text, _ = axdr.octets(message, 1)
        plain, header = self._keys.unprotect(text, self.title)
        if header.control & _PROTECTED != _PROTECTED:
            raise RemoteProtocolError(
                f"a message under security control 0x{header.control:02x} is protected too weakly"
            )
        if header.counter <= self._heard:
            raise RemoteProtocolError(
                f"the meter's invocation counter went from {self._heard} to {header.counter}: "
                "an old message was sent again"
            )
        self._heard = header.counter
        return plain
