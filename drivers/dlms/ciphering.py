"""AES-GCM over APDUs and challenges in the security suites 0, 1 and 2, by OpenSSL.

References
----------
IEC 62056-5-3:2017, 5.3.4 (cryptographic algorithms) and 9.2.7.2 (protection of APDUs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq

from drivers.errors import LocalProtocolError, RemoteProtocolError, WrongKey

AUTHENTICATED: Final = 0x10
ENCRYPTED: Final = 0x20
BOTH: Final = AUTHENTICATED | ENCRYPTED
_SUITE: Final = 0x0F
_COMPRESSED: Final = 0x80
_BROADCAST: Final = 0x40
_TAG: Final = 12
_HEADER: Final = 5
KEY_SIZES: Final = {0: 16, 1: 16, 2: 32}
"""Octets of a symmetric key, by security suite."""
TITLE_SIZE: Final = 8
HIGHEST_COUNTER: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Header:
    """Security header of a protected APDU: its security control octet and invocation counter."""

    control: int
    counter: int


class Keys:
    """A meter's keys of one set, ready for use.

    Parameters
    ----------
    encryption : global unicast, dedicated or agreed encryption key
    authentication : global authentication key (GAK); None if messages are encrypted only
    suite : security suite; its number says how long the keys are
    broadcast : global broadcast encryption key, for messages that say they are under it

    Raises
    ------
    LocalProtocolError
        if there is no such suite or a key has another size.
    """

    __slots__ = ("_authentication", "_broadcast", "_gcm", "suite")

    def __init__(
        self,
        encryption: bytes,
        authentication: bytes | None = None,
        *,
        suite: int = 0,
        broadcast: bytes | None = None,
    ) -> None:
        if suite not in KEY_SIZES:
            raise LocalProtocolError(f"there is no security suite {suite}: there are 0, 1 and 2")
        named = (
            ("encryption", encryption),
            ("authentication", authentication),
            ("broadcast", broadcast),
        )
        for name, key in named:
            if key is not None and len(key) != KEY_SIZES[suite]:
                raise LocalProtocolError(
                    f"the {name} key has {len(key)} bytes; security suite {suite} takes "
                    f"{KEY_SIZES[suite]}: import the right one"
                )
        self.suite = suite
        self._gcm = AESGCM(encryption)
        self._broadcast = AESGCM(broadcast) if broadcast else None
        self._authentication = authentication or b""

    def __repr__(self) -> str:
        return "Keys(…)"

    def under(self, encryption: bytes) -> Keys:
        """Give keys with another encryption key and the same authentication key."""
        return Keys(encryption, self._authentication or None, suite=self.suite)

    def protect(
        self, apdu: bytes, title: bytes, counter: int, control: int = BOTH, more: bytes = b""
    ) -> bytes:
        """Give the security header and the protected APDU, without tag and length.

        Parameters
        ----------
        apdu : plain APDU
        title : system title of the sender, 8 octets
        counter : invocation counter, used never before with this key and title
        control : what is wanted: authenticated, encrypted or both
        more : what is authenticated beside the APDU, as the header of general ciphering
        """
        header = bytes((control | self.suite,)) + counter.to_bytes(4)
        nonce = title + header[1:]
        if control == AUTHENTICATED:
            return header + apdu + self._gmac(self._gcm, header[:1], nonce, more + apdu)
        associated = header[:1] + self._authentication + more if control & AUTHENTICATED else None
        sealed = self._gcm.encrypt(nonce, apdu, associated)
        return header + sealed[: len(apdu) + (_TAG if control & AUTHENTICATED else 0)]

    def unprotect(self, text: bytes, title: bytes, more: bytes = b"") -> tuple[bytes, Header]:
        """Give the plain APDU and its security header.

        Parameters
        ----------
        text : from the security control octet to the end
        title : system title of the sender, 8 octets
        more : as in ``protect``

        Raises
        ------
        WrongKey
            if the authentication tag does not fit, or there is no key of the kind that it names.
        RemoteProtocolError
            if the text is too short, or protected in a way that the suite does not have.
        """
        header = _header(text, self.suite)
        if len(title) != TITLE_SIZE:
            raise RemoteProtocolError(f"a system title has {TITLE_SIZE} octets, not {len(title)}")
        gcm = self._gcm if not header.control & _BROADCAST else self._for_broadcast()
        nonce = title + text[1:_HEADER]
        if not header.control & AUTHENTICATED:
            return gcm.encrypt(nonce, text[_HEADER:], None)[:-16], header
        body, tag = text[_HEADER:-_TAG], text[-_TAG:]
        if not header.control & ENCRYPTED:
            if not bytes_eq(tag, self._gmac(gcm, text[:1], nonce, more + body)):
                raise WrongKey(_WRONG_TAG)
            return body, header
        return self._open(gcm, text[:1] + self._authentication + more, nonce, body, tag), header

    def _open(self, gcm: AESGCM, associated: bytes, nonce: bytes, body: bytes, tag: bytes) -> bytes:
        """Decrypt and check the tag.

        DLMS cuts GCM's tag to 12 octets, which OpenSSL's one-shot decryption does not take, and a
        decryption context takes 22 µs to set up. GCM encrypts by a key stream, so encrypting the
        text gives the plain APDU, and encrypting that gives the tag to compare with: 7 µs.
        """
        plain = gcm.encrypt(nonce, body, None)[: len(body)]
        sealed = gcm.encrypt(nonce, plain, associated)
        if not bytes_eq(sealed[len(body) : len(body) + _TAG], tag):
            raise WrongKey(_WRONG_TAG)
        return plain

    def authenticate(self, challenge: bytes, title: bytes, counter: int) -> bytes:
        """Give the GMAC of a challenge, 12 octets."""
        control = bytes((AUTHENTICATED | self.suite,))
        return self._gmac(self._gcm, control, title + counter.to_bytes(4), challenge)

    def _gmac(self, gcm: AESGCM, control: bytes, nonce: bytes, text: bytes) -> bytes:
        return gcm.encrypt(nonce, b"", control + self._authentication + text)[:_TAG]

    def _for_broadcast(self) -> AESGCM:
        if self._broadcast is None:
            raise WrongKey(
                "a message is under the broadcast key, and the store has none of that kind; "
                "import the key of kind broadcast"
            )
        return self._broadcast


_WRONG_TAG: Final = (
    "the authentication tag of the meter's message does not fit our keys; "
    "check the encryption and the authentication key"
)


def _header(text: bytes, suite: int) -> Header:
    if len(text) < _HEADER:
        raise RemoteProtocolError(f"{len(text)} protected bytes have no security header")
    control = text[0]
    if control & _SUITE != suite:
        raise RemoteProtocolError(
            f"security suite {control & _SUITE} is used; this is suite {suite}: "
            f"correct the registry (address suite={control & _SUITE}) if the meter has that one"
        )
    if control & _COMPRESSED:
        raise RemoteProtocolError(
            "the message is compressed (V.44), which is not supported; "
            "switch the meter's compression off"
        )
    if not control & BOTH:
        raise RemoteProtocolError(f"security control 0x{control:02x} protects nothing")
    if control & AUTHENTICATED and len(text) < _HEADER + _TAG:
        raise RemoteProtocolError("an authenticated message is too short for its tag")
    return Header(control, int.from_bytes(text[1:_HEADER]))
