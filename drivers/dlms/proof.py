"""High-level security: both sides show that they know the secret, by answering a challenge.

References
----------
IEC 62056-5-3:2017, 5.3.3 (authentication) and 9.2.7.4 (HLS authentication mechanisms).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from drivers.dlms import axdr
from drivers.dlms.association import Answer, Mechanism
from drivers.dlms.ciphering import AUTHENTICATED, Keys
from drivers.dlms.security import CLIENT_TITLE, Security
from drivers.errors import LocalProtocolError, RemoteProtocolError, WrongKey

_CHALLENGE_SIZE: Final = 16
_SHORTEST_CHALLENGE, _LONGEST_CHALLENGE = 8, 64


def secret(security: Security) -> bytes:
    """Give what the AARQ carries: the password, or a new challenge to the meter."""
    if security.mechanism is Mechanism.HIGH_GMAC:
        return secrets.token_bytes(_CHALLENGE_SIZE)
    return security.password


@dataclass(frozen=True, slots=True)
class Proof:
    """One exchange of proofs: ``ours`` and ``theirs`` are the challenges."""

    take_counter: Callable[[], int] = field(repr=False)
    keys: Keys
    ours: bytes = field(repr=False)
    theirs: bytes = field(repr=False)
    title: bytes

    @classmethod
    def of(cls, security: Security, ours: bytes, answer: Answer) -> Proof:
        """Take the meter's challenge out of its answer to the AARQ.

        Raises
        ------
        RemoteProtocolError
            if it is no challenge of the mechanism that was asked for, or our own sent back.
        """
        if security.keys is None:
            raise LocalProtocolError("mechanism high with GMAC needs the meter's keys")
        if answer.mechanism != Mechanism.HIGH_GMAC:
            raise RemoteProtocolError(
                f"the meter names authentication mechanism {answer.mechanism}"
            )
        theirs = answer.challenge
        if not _SHORTEST_CHALLENGE <= len(theirs) <= _LONGEST_CHALLENGE or theirs == ours:
            raise RemoteProtocolError("the meter's challenge has a wrong size or is our own")
        return cls(security.take_counter, security.keys, ours, theirs, answer.title)

    def shown(self) -> bytes:
        """Answer the meter's challenge."""
        return _gmac(self.keys, self.theirs, CLIENT_TITLE, self.take_counter())

    def check(self, shown: axdr.Value) -> None:
        """Check the meter's answer to our challenge.

        Raises
        ------
        WrongKey
            if the meter does not know the key.
        RemoteProtocolError
            if it is no such answer at all.
        """
        if not isinstance(shown, bytes) or len(shown) != 17:
            raise RemoteProtocolError("the meter's answer to our challenge is not built as GMAC's")
        expected = _gmac(self.keys, self.ours, self.title, int.from_bytes(shown[1:5]))
        if not secrets.compare_digest(expected, shown):
            raise WrongKey("the meter could not show that it knows the authentication key")


def _gmac(keys: Keys, challenge: bytes, title: bytes, counter: int) -> bytes:
    tag = keys.authenticate(challenge, title, counter)
    return bytes((AUTHENTICATED,)) + counter.to_bytes(4) + tag
