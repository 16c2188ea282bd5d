"""Ciphering of the simulated meters: security suite 0, AES-GCM-128 (Green Book, clause 9.2.3)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

AUTHENTICATED_ENCRYPTED: Final = 0x30
AUTHENTICATED: Final = 0x10

_TAG: Final = 12
_HEADER: Final = 5


class Undecipherable(ValueError):
    """An APDU whose tag does not fit: another key, another title, or changed on the way."""


@dataclass(frozen=True)
class Suite0:
    """One meter's global keys.

    Attributes
    ----------
    title : the meter's system title, 8 bytes
    encryption, authentication : GUEK and GAK, 16 bytes each
    """

    title: bytes
    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)

    @cached_property
    def _gcm(self) -> AESGCM:
        return AESGCM(self.encryption)

    def sealed(self, plain: bytes, counter: int) -> bytes:
        """Encrypt and authenticate: security byte, counter, ciphertext, tag of 12 bytes."""
        header = bytes((AUTHENTICATED_ENCRYPTED,)) + counter.to_bytes(4, "big")
        aad = header[:1] + self.authentication
        sealed = self._gcm.encrypt(self.title + header[1:], plain, aad)
        return header + sealed[: len(plain) + _TAG]

    def opened(self, data: bytes, title: bytes) -> tuple[bytes, int]:
        """Check and decrypt what a client with a system title sealed.

        Returns
        -------
        plaintext and invocation counter

        Raises
        ------
        Undecipherable
            if it is not from someone who has the keys.
        """
        if len(data) < _HEADER + _TAG or data[0] != AUTHENTICATED_ENCRYPTED or len(title) != 8:
            raise Undecipherable("not authenticated and encrypted by suite 0")
        nonce, body = title + data[1:_HEADER], data[_HEADER:]
        # AESGCM insists on tags of 16 bytes. Counter mode is its own inverse: encrypting the
        # ciphertext gives the plaintext, and encrypting that gives the tag to compare with.
        plain = self._gcm.encrypt(nonce, body[:-_TAG], None)[: len(body) - _TAG]
        expected = self._gcm.encrypt(nonce, plain, data[:1] + self.authentication)
        if not hmac.compare_digest(expected[: len(body)], body):
            raise Undecipherable("the tag does not fit")
        return plain, int.from_bytes(data[1:_HEADER], "big")

    def proof(self, challenge: bytes, counter: int) -> bytes:
        """Answer a challenge: security byte, counter, GMAC of 12 bytes (HLS mechanism 5)."""
        header = bytes((AUTHENTICATED,)) + counter.to_bytes(4, "big")
        return header + self._gmac(challenge, self.title + header[1:])

    def proves(self, answer: bytes, challenge: bytes, title: bytes) -> bool:
        """Tell whether a client's answer to our challenge is right."""
        if len(answer) != _HEADER + _TAG or answer[0] != AUTHENTICATED or len(title) != 8:
            return False
        expected = self._gmac(challenge, title + answer[1:_HEADER])
        return hmac.compare_digest(expected, answer[_HEADER:])

    def _gmac(self, challenge: bytes, nonce: bytes) -> bytes:
        aad = bytes((AUTHENTICATED,)) + self.authentication + challenge
        return self._gcm.encrypt(nonce, b"", aad)[:_TAG]
