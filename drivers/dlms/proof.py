"""High-level security: both sides show that they know the secret, by answering a challenge.

References
----------
IEC 62056-5-3:2017, 5.3.3 (authentication) and 9.2.7.4 (HLS authentication mechanisms 3 to 7).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from drivers.dlms import axdr
from drivers.dlms.association import Answer, Mechanism
from drivers.dlms.ciphering import AUTHENTICATED, TITLE_SIZE
from drivers.dlms.security import Security
from drivers.errors import LocalProtocolError, RemoteProtocolError, WrongKey

# Many meters take challenges of 16 octets only; those of mechanism ECDSA have 32 at least.
_CHALLENGE_SIZE: Final = 16
_SIGNED_CHALLENGE_SIZE: Final = 32
_SHORTEST_CHALLENGE, _LONGEST_CHALLENGE = 8, 64
_GMAC_SIZE: Final = 17

_CHECK: Final = {
    Mechanism.HIGH_MD5: "the password (HLS secret)",
    Mechanism.HIGH_SHA1: "the password (HLS secret)",
    Mechanism.HIGH_GMAC: "the encryption and the authentication key",
    Mechanism.HIGH_SHA256: "the password (HLS secret)",
    Mechanism.HIGH_ECDSA: "the keys client_signing and meter_signing",
}
"""What is wrong where a proof is not accepted."""


def secret(security: Security) -> bytes:
    """Give what the AARQ carries: the password, or a new challenge to the meter."""
    if not security.mechanism.high:
        return security.password
    signed = security.mechanism is Mechanism.HIGH_ECDSA
    return secrets.token_bytes(_SIGNED_CHALLENGE_SIZE if signed else _CHALLENGE_SIZE)


def refused(security: Security, result: int) -> WrongKey:
    """Give the error of a meter that does not accept our proof."""
    return WrongKey(
        f"the meter does not accept our answer to its challenge (result {result}); "
        f"check {_CHECK[security.mechanism]}"
    )


@dataclass(frozen=True, slots=True)
class Proof:
    """One exchange of proofs: ``ours`` and ``theirs`` are the challenges, ``title`` the meter's."""

    security: Security
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
        LocalProtocolError
            if we do not have what the mechanism needs.
        """
        _check_ours(security)
        if answer.mechanism != security.mechanism:
            raise RemoteProtocolError(
                f"the meter names authentication mechanism {answer.mechanism} where "
                f"{int(security.mechanism)} was asked for"
            )
        theirs = answer.challenge
        if not _SHORTEST_CHALLENGE <= len(theirs) <= _LONGEST_CHALLENGE:
            raise RemoteProtocolError(f"the meter's challenge has {len(theirs)} octets, not 8 … 64")
        if theirs == ours:
            raise RemoteProtocolError(
                "the meter's challenge is our own: somebody sends back what we say"
            )
        if security.mechanism.titled and len(answer.title) != TITLE_SIZE:
            raise RemoteProtocolError("the meter gives no system title, which its proof needs")
        return cls(security, ours, theirs, answer.title)

    def shown(self) -> bytes:
        """Answer the meter's challenge."""
        security = self.security
        if security.mechanism is Mechanism.HIGH_GMAC:
            return self._gmac(self.theirs, security.title, security.take_counter())
        said = self._said(self.theirs, self.ours, security.title, self.title)
        if security.mechanism is not Mechanism.HIGH_ECDSA:
            return said
        if security.pairs.signing is None:
            raise LocalProtocolError("mechanism ECDSA needs our signing key")
        return security.pairs.signing.sign(said)

    def check(self, shown: axdr.Value) -> None:
        """Check the meter's answer to our challenge.

        Raises
        ------
        WrongKey
            if the meter does not know the secret.
        RemoteProtocolError
            if it is no such answer at all.
        """
        if not isinstance(shown, bytes):
            raise RemoteProtocolError("the meter's answer to our challenge is no octet-string")
        if not self._is_right(shown):
            raise WrongKey(
                "the meter could not show that it knows the secret; "
                f"check {_CHECK[self.security.mechanism]}"
            )

    def _is_right(self, shown: bytes) -> bool:
        mechanism, pairs = self.security.mechanism, self.security.pairs
        if mechanism is Mechanism.HIGH_GMAC:
            if len(shown) != _GMAC_SIZE:
                raise RemoteProtocolError(
                    "the meter's answer to our challenge is not built as GMAC's"
                )
            expected = self._gmac(self.ours, self.title, int.from_bytes(shown[1:5]))
            return secrets.compare_digest(expected, shown)
        said = self._said(self.ours, self.theirs, self.title, self.security.title)
        if mechanism is Mechanism.HIGH_ECDSA:
            return pairs.meter_signing is not None and pairs.meter_signing.verifies(shown, said)
        return secrets.compare_digest(said, shown)

    def _said(self, challenge: bytes, other: bytes, own: bytes, peer: bytes) -> bytes:
        """Give a digest that proves the secret, or for ECDSA what is to be signed."""
        password = self.security.password
        match self.security.mechanism:
            # The standard's own digests: what protects here is the secret, not MD5.
            case Mechanism.HIGH_MD5:
                return hashlib.md5(challenge + password, usedforsecurity=False).digest()
            case Mechanism.HIGH_SHA1:
                return hashlib.sha1(challenge + password, usedforsecurity=False).digest()
            case Mechanism.HIGH_SHA256:
                return hashlib.sha256(password + own + peer + challenge + other).digest()
            case _:
                return own + peer + challenge + other

    def _gmac(self, challenge: bytes, title: bytes, counter: int) -> bytes:
        keys = self.security.keys
        if keys is None:
            raise LocalProtocolError("mechanism high with GMAC needs the meter's keys")
        control = bytes((AUTHENTICATED | keys.suite,))
        return control + counter.to_bytes(4) + keys.authenticate(challenge, title, counter)


def _check_ours(security: Security) -> None:
    """Refuse to begin what we could not finish."""
    mechanism, pairs = security.mechanism, security.pairs
    if mechanism not in _CHECK:
        raise LocalProtocolError(f"authentication mechanism {int(mechanism)} is none we have")
    has = {
        Mechanism.HIGH_GMAC: security.keys is not None,
        Mechanism.HIGH_ECDSA: pairs.signing is not None and pairs.meter_signing is not None,
    }.get(mechanism, bool(security.password))
    if not has:
        raise LocalProtocolError(
            f"mechanism {mechanism.name.removeprefix('HIGH_')} needs {_CHECK[mechanism]}"
        )
