"""Elliptic curves of the simulated meters: signatures and agreed keys of suites 1 and 2.

Green Book, clause 9.2.3.4; the client and the meter each have a pair for signatures and one for
agreeing on keys.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

_CURVE: Final[dict[int, ec.EllipticCurve]] = {1: ec.SECP256R1(), 2: ec.SECP384R1()}
_SIZE: Final = {1: 32, 2: 48}
_HASH: Final[dict[int, hashes.HashAlgorithm]] = {1: hashes.SHA256(), 2: hashes.SHA384()}
_AES_GCM: Final = {1: bytes.fromhex("60857405080300"), 2: bytes.fromhex("60857405080301")}
_KEY: Final = {1: 16, 2: 32}


class Pair:
    """A private key and what goes with it."""

    def __init__(self, suite: int, number: int | None = None) -> None:
        """Take a private key, or make a new one."""
        self.suite = suite
        curve = _CURVE[suite]
        self._private = (
            ec.generate_private_key(curve)
            if number is None
            else ec.derive_private_key(number, curve)
        )

    @property
    def private(self) -> bytes:
        """The private key's bytes, big endian."""
        return self._private.private_numbers().private_value.to_bytes(_SIZE[self.suite], "big")

    @property
    def public(self) -> bytes:
        """The public key: x and y."""
        point = self._private.public_key().public_numbers()
        size = _SIZE[self.suite]
        return point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big")

    def signed(self, text: bytes) -> bytes:
        """Sign a text: r and s."""
        algorithm = ec.ECDSA(_HASH[self.suite])
        size = _SIZE[self.suite]
        r, s = utils.decode_dss_signature(self._private.sign(text, algorithm))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def secret(self, public: bytes) -> bytes:
        """Give the secret shared with whoever has the other public key's private one.

        Raises
        ------
        ValueError
            if it is no point of the curve.
        """
        return self._private.exchange(ec.ECDH(), _public(self.suite, public))


def is_signed(suite: int, public: bytes, signature: bytes, text: bytes) -> bool:
    """Tell whether a signature on a text was made with a public key's private one."""
    size = _SIZE[suite]
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    try:
        _public(suite, public).verify(
            utils.encode_dss_signature(r, s), text, ec.ECDSA(_HASH[suite])
        )
    except InvalidSignature:
        return False
    return True


def key(suite: int, secret: bytes, party_u: bytes, party_v: bytes) -> bytes:
    """Make an encryption key of a shared secret (NIST SP 800-56A, single step)."""
    digest = hashlib.sha256 if suite == 1 else hashlib.sha384
    info = _AES_GCM[suite] + party_u + party_v
    return digest((1).to_bytes(4, "big") + secret + info).digest()[: _KEY[suite]]


def _public(suite: int, point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE[suite], b"\x04" + point)
