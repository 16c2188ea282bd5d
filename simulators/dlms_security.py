"""Ciphering of the simulated meters: AES-GCM of suites 0 to 2 (Green Book, clause 9.2.3)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

AUTHENTICATED_ENCRYPTED: Final = 0x30
AUTHENTICATED: Final = 0x10
ENCRYPTED: Final = 0x20

KEY_BYTES: Final = {0: 16, 1: 16, 2: 32}
"""How long keys are, by suite."""

_TAG: Final = 12
_HEADER: Final = 5


class Undecipherable(ValueError):
    """An APDU whose tag does not fit: another key, another title, or changed on the way."""


@dataclass(frozen=True)
class Suite:
    """One meter's keys of one set.

    Attributes
    ----------
    title : the meter's system title, 8 bytes
    encryption, authentication : GUEK (or a key for one association or message) and GAK
    number : of the suite
    """

    title: bytes
    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)
    number: int = 0

    @cached_property
    def _gcm(self) -> AESGCM:
        return AESGCM(self.encryption)

    def with_key(self, encryption: bytes) -> Suite:
        """Give the same with another encryption key."""
        return Suite(self.title, encryption, self.authentication, self.number)

    def sealed(
        self,
        plain: bytes,
        counter: int,
        protection: int = AUTHENTICATED_ENCRYPTED,
        header: bytes = b"",
    ) -> bytes:
        """Protect: security byte, counter, text, tag of 12 bytes if it is authenticated.

        Parameters
        ----------
        header : of general ciphering, authenticated too
        """
        return self._sealed(self.title, plain, counter, protection, header)

    def _sealed(
        self, title: bytes, plain: bytes, counter: int, protection: int, header: bytes
    ) -> bytes:
        start = bytes((protection | self.number,)) + counter.to_bytes(4, "big")
        nonce, aad = title + start[1:], start[:1] + self.authentication + header
        if protection == AUTHENTICATED:
            return start + plain + self._gcm.encrypt(nonce, b"", aad + plain)[:_TAG]
        sealed = self._gcm.encrypt(nonce, plain, aad)
        return start + sealed[: len(plain) + (_TAG if protection & AUTHENTICATED else 0)]

    def opened(self, data: bytes, title: bytes, header: bytes = b"") -> tuple[bytes, int, int]:
        """Check and decrypt what a client with a system title protected.

        Returns
        -------
        plaintext, invocation counter, and how it was protected

        Raises
        ------
        Undecipherable
            if it is not from someone who has the keys, or of another suite.
        """
        protection = data[0] & AUTHENTICATED_ENCRYPTED if data else 0
        tag = _TAG if protection & AUTHENTICATED else 0
        if len(data) < _HEADER + tag or len(title) != 8 or data[0] != protection | self.number:
            raise Undecipherable(f"not protected by suite {self.number}")
        if not protection:
            raise Undecipherable("not protected at all")
        body, counter = data[_HEADER : len(data) - tag], int.from_bytes(data[1:_HEADER], "big")
        # AESGCM insists on tags of 16 bytes. Counter mode is its own inverse: encrypting the
        # ciphertext gives the plaintext, and encrypting that gives the tag to compare with.
        plain = body
        if protection & ENCRYPTED:
            plain = self._gcm.encrypt(title + data[1:_HEADER], body, None)[: len(body)]
        if not hmac.compare_digest(self._sealed(title, plain, counter, protection, header), data):
            raise Undecipherable("the tag does not fit")
        return plain, counter, protection

    def proof(self, challenge: bytes, counter: int) -> bytes:
        """Answer a challenge: security byte, counter, GMAC of 12 bytes (HLS mechanism 5)."""
        header = bytes((AUTHENTICATED | self.number,)) + counter.to_bytes(4, "big")
        return header + self._gmac(challenge, self.title + header[1:])

    def proves(self, answer: bytes, challenge: bytes, title: bytes) -> bool:
        """Tell whether a client's answer to our challenge is right."""
        kind = AUTHENTICATED | self.number
        if len(answer) != _HEADER + _TAG or answer[0] != kind or len(title) != 8:
            return False
        expected = self._gmac(challenge, title + answer[1:_HEADER])
        return hmac.compare_digest(expected, answer[_HEADER:])

    def _gmac(self, challenge: bytes, nonce: bytes) -> bytes:
        aad = bytes((AUTHENTICATED | self.number,)) + self.authentication + challenge
        return self._gcm.encrypt(nonce, b"", aad)[:_TAG]
