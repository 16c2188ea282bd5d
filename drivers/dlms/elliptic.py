"""Elliptic-curve keys of the security suites 1 and 2: signatures, and keys that two sides agree on.

References
----------
IEC 62056-5-3:2017, 5.3.4.5 (ECDSA), 5.3.4.6 (key agreement), 5.3.4.6.5 (key derivation); NIST SP
800-56A, 5.8.1 (single-step key derivation); FIPS 186-4 (curves P-256 and P-384).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from drivers.dlms.ciphering import KEY_SIZES
from drivers.errors import LocalProtocolError, RemoteProtocolError

_UNCOMPRESSED: Final = b"\x04"


@dataclass(frozen=True, slots=True)
class Curve:
    """What a suite computes with.

    Attributes
    ----------
    size : octets of a coordinate, of a private key, and of half a signature
    algorithm : object identifier of the cipher that an agreed key is for, as the derivation has it
    """

    curve: ec.EllipticCurve
    hash: hashes.HashAlgorithm
    size: int
    algorithm: bytes


CURVES: Final = {
    1: Curve(ec.SECP256R1(), hashes.SHA256(), 32, bytes.fromhex("60857405080300")),
    2: Curve(ec.SECP384R1(), hashes.SHA384(), 48, bytes.fromhex("60857405080301")),
}
"""By security suite; suite 0 has none."""


class PublicKey:
    """A peer's public key.

    Parameters
    ----------
    point : both coordinates, 64 octets in suite 1 and 96 in suite 2

    Raises
    ------
    LocalProtocolError
        if the suite has no such keys, or the octets are no point of its curve.
    """

    __slots__ = ("_curve", "_key")

    def __init__(self, suite: int, point: bytes) -> None:
        self._curve = _curve(suite)
        # Of another size it would be the point's compressed form, or that of another curve.
        encoded = _UNCOMPRESSED + point if len(point) == 2 * self._curve.size else b""
        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(self._curve.curve, encoded)
        except ValueError:
            raise LocalProtocolError(
                f"{len(point)} bytes are no public key of security suite {suite}, "
                f"which is a point of {2 * self._curve.size} bytes on {self._curve.curve.name}"
            ) from None

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Tell whether a signature, r and s in a row, is this key's on a text."""
        size = self._curve.size
        if len(signature) != 2 * size:
            return False
        halves = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        try:
            self._key.verify(encode_dss_signature(*halves), text, ec.ECDSA(self._curve.hash))
        except InvalidSignature:
            return False
        return True

    def agree(self, own: ec.EllipticCurvePrivateKey) -> bytes:
        """Give the secret that this key and a private one have in common."""
        return own.exchange(ec.ECDH(), self._key)


class PrivateKey:
    """A private key of ours.

    Parameters
    ----------
    scalar : 32 octets in suite 1, 48 in suite 2; a new key when None

    Raises
    ------
    LocalProtocolError
        if the suite has no such keys, or the octets are none.
    """

    __slots__ = ("_curve", "_key")

    def __init__(self, suite: int, scalar: bytes | None = None) -> None:
        self._curve = _curve(suite)
        if scalar is None:
            self._key = ec.generate_private_key(self._curve.curve)
            return
        number = int.from_bytes(scalar) if len(scalar) == self._curve.size else 0
        try:
            self._key = ec.derive_private_key(number, self._curve.curve)
        except ValueError:
            raise LocalProtocolError(
                f"{len(scalar)} bytes are no private key of security suite {suite}, "
                f"which is a number of {self._curve.size} bytes for {self._curve.curve.name}"
            ) from None

    def __repr__(self) -> str:
        return "PrivateKey(…)"

    @property
    def public(self) -> bytes:
        """The public key's coordinates in a row."""
        numbers = self._key.public_key().public_numbers()
        return numbers.x.to_bytes(self._curve.size) + numbers.y.to_bytes(self._curve.size)

    def sign(self, text: bytes) -> bytes:
        """Give the signature on a text: r and s in a row."""
        r, s = decode_dss_signature(self._key.sign(text, ec.ECDSA(self._curve.hash)))
        return r.to_bytes(self._curve.size) + s.to_bytes(self._curve.size)

    def agree(self, other: PublicKey) -> bytes:
        """Give the secret that this key and a public one have in common."""
        return other.agree(self._key)


def derive(suite: int, secret: bytes, sender: bytes, receiver: bytes) -> bytes:
    """Derive an encryption key from an agreed secret.

    Parameters
    ----------
    sender : system title of the sender, followed by its nonce where the scheme has one
    receiver : system title of the receiver
    """
    curve = _curve(suite)
    digest = hashes.Hash(curve.hash)
    digest.update(b"\x00\x00\x00\x01" + secret + curve.algorithm + sender + receiver)
    return digest.finalize()[: KEY_SIZES[suite]]


def signature_size(suite: int) -> int:
    """Give the octets of a signature, and of a public key."""
    return 2 * _curve(suite).size


def received_key(suite: int, point: bytes) -> PublicKey:
    """Read a public key that a peer sent.

    Raises
    ------
    RemoteProtocolError
        if it is none.
    """
    try:
        return PublicKey(suite, point)
    except LocalProtocolError as error:
        raise RemoteProtocolError(f"the meter sent a wrong key: {error}") from None


def _curve(suite: int) -> Curve:
    if suite not in CURVES:
        raise LocalProtocolError(
            f"security suite {suite} has no elliptic curve; that takes suite 1 or 2"
        )
    return CURVES[suite]
