"""Keys that general ciphering names in each message: known, wrapped, or agreed over a curve.

References
----------
IEC 62056-5-3:2017, 5.3.4.6 (key agreement), 5.3.4.7 (key wrapping) and annex I.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, TypeVar

from drivers.dlms import axdr, elliptic, key_wrap
from drivers.dlms.ciphering import KEY_SIZES, Keys
from drivers.dlms.elliptic import PrivateKey
from drivers.dlms.general import Envelope, KeyInfo, KeyKind
from drivers.dlms.security import Ciphering, Security
from drivers.errors import LocalProtocolError, RemoteProtocolError, WrongKey

T = TypeVar("T")

_UNICAST, _BROADCAST = 0, 1
_MASTER: Final = 0
_ONE_PASS, _STATIC = 1, 2
# A meter that makes a new key for each answer does not grow the table without end.
_MOST_KNOWN: Final = 64


class MessageKeys:
    """The keys of one association's messages, or of one meter's pushes.

    Our own key is made once for an association: a meter's processor needs seconds for a curve.
    """

    def __init__(self, security: Security) -> None:
        self._security = security
        self._ours: tuple[KeyInfo, Keys] | None = None
        self._known: dict[bytes, Keys] = {}
        self._static_secret: bytes | None = None

    def outgoing(self, transaction: bytes, receiver: bytes) -> tuple[KeyInfo, Keys]:
        """Give what names the key of a message of ours, and the key.

        Parameters
        ----------
        transaction : of the message; never used before in the static scheme
        receiver : system title of the meter

        Raises
        ------
        LocalProtocolError
            if a key that it takes is not there.
        """
        if self._security.ciphering is Ciphering.STATIC:
            sender = self._security.title + axdr.encode_octets(transaction)
            key = elliptic.derive(self._suite, self._static(), sender, receiver)
            return KeyInfo(KeyKind.AGREED, _STATIC), self._global.under(key)
        if self._ours is None:
            self._ours = self._made(receiver)
        return self._ours

    def incoming(self, envelope: Envelope) -> Keys:
        """Give the key that a message of the meter is under.

        Raises
        ------
        WrongKey
            if a key that it takes is not there or does not fit, or a signature is wrong.
        RemoteProtocolError
            if it names a key that the standard does not have.
        """
        info = envelope.key
        if info is None or info.kind is KeyKind.IDENTIFIED:
            if info is not None and info.number not in (_UNICAST, _BROADCAST):
                raise RemoteProtocolError(f"there is no key of number {info.number}")
            return self._global
        if info.kind is KeyKind.AGREED and info.number == _STATIC:
            sender = envelope.sender + axdr.encode_octets(envelope.transaction)
            secret = _from_store(self._static)
            return self._global.under(
                elliptic.derive(self._suite, secret, sender, envelope.receiver)
            )
        if info.data not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[info.data] = self._received(info, envelope)
        return self._known[info.data]

    def _made(self, receiver: bytes) -> tuple[KeyInfo, Keys]:
        security = self._security
        if security.ciphering is Ciphering.IDENTIFIED:
            return KeyInfo(KeyKind.IDENTIFIED, _UNICAST), self._global
        if security.ciphering is Ciphering.WRAPPED:
            key = secrets.token_bytes(KEY_SIZES[self._suite])
            info = KeyInfo(KeyKind.WRAPPED, _MASTER, key_wrap.wrap(security.master, key))
            return info, self._global.under(key)
        pairs = security.pairs
        if pairs.signing is None or pairs.meter_agreement is None:
            raise LocalProtocolError("one-pass agreement needs client_signing and meter_agreement")
        ephemeral = PrivateKey(self._suite)
        secret = ephemeral.agree(pairs.meter_agreement)
        key = elliptic.derive(self._suite, secret, security.title, receiver)
        public = ephemeral.public
        info = KeyInfo(KeyKind.AGREED, _ONE_PASS, public + pairs.signing.sign(public))
        return info, self._global.under(key)

    def _received(self, info: KeyInfo, envelope: Envelope) -> Keys:
        if info.kind is KeyKind.WRAPPED:
            return self._global.under(self._unwrapped(info))
        if info.number != _ONE_PASS:
            raise RemoteProtocolError(f"there is no scheme {info.number} of agreeing on a key")
        pairs, size = self._security.pairs, elliptic.signature_size(self._suite)
        if len(info.data) != 2 * size:
            raise RemoteProtocolError("an ephemeral key and its signature have another size")
        if pairs.agreement is None or pairs.meter_signing is None:
            raise WrongKey(
                "a message is under an agreed key, and the store has no keys client_agreement "
                "and meter_signing of this meter; import them"
            )
        point, signature = info.data[:size], info.data[size:]
        if not pairs.meter_signing.verifies(signature, point):
            raise WrongKey(
                "the signature on the meter's ephemeral key is wrong; check the key meter_signing"
            )
        secret = pairs.agreement.agree(elliptic.received_key(self._suite, point))
        key = elliptic.derive(self._suite, secret, envelope.sender, envelope.receiver)
        return self._global.under(key)

    def _unwrapped(self, info: KeyInfo) -> bytes:
        if info.number != _MASTER:
            raise RemoteProtocolError(f"there is no wrapping key of number {info.number}")
        if not self._security.master:
            raise WrongKey(
                "a message is under a wrapped key, and the store has no key master of this meter; "
                "import it"
            )
        key = key_wrap.unwrap(self._security.master, info.data)
        if len(key) != KEY_SIZES[self._suite]:
            raise RemoteProtocolError(f"the wrapped key has {len(key)} bytes")
        return key

    def _static(self) -> bytes:
        if self._static_secret is None:
            pairs = self._security.pairs
            if pairs.agreement is None or pairs.meter_agreement is None:
                raise LocalProtocolError(
                    "static agreement needs the keys client_agreement and meter_agreement"
                )
            self._static_secret = pairs.agreement.agree(pairs.meter_agreement)
        return self._static_secret

    @property
    def _global(self) -> Keys:
        if self._security.keys is None:
            raise LocalProtocolError("general ciphering needs the meter's global keys")
        return self._security.keys

    @property
    def _suite(self) -> int:
        return self._security.suite


def _from_store(get: Callable[[], T]) -> T:
    """Say of a key that a message takes and the store lacks what to do about it."""
    try:
        return get()
    except LocalProtocolError as error:
        raise WrongKey(f"{error}; import them") from None
