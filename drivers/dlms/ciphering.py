"""Security suite 0: AES-GCM-128 over APDUs and challenges, by OpenSSL.

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
_SUITE: Final = 0x0F
_COMPRESSED: Final = 0x80
_BROADCAST: Final = 0x40
_TAG: Final = 12
_HEADER: Final = 5
KEY_SIZE: Final = 16
TITLE_SIZE: Final = 8
HIGHEST_COUNTER: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Header:
    """Security header of a protected APDU: its security control octet and invocation counter."""

    control: int
    counter: int


class Keys:
    """A meter's global keys, ready for use.

    Parameters
    ----------
    encryption : global unicast encryption key (GUEK), 16 octets
    authentication : global authentication key (GAK), 16 octets; None if messages are encrypted only

    Raises
    ------
    LocalProtocolError
        if a key has another size.
    """

    __slots__ = ("_authentication", "_gcm")

    def __init__(self, encryption: bytes, authentication: bytes | None = None) -> None:
        for name, key in (("encryption", encryption), ("authentication", authentication)):
            if key is not None and len(key) != KEY_SIZE:
                raise LocalProtocolError(
                    f"the {name} key has {len(key)} bytes; security suite 0 takes {KEY_SIZE}: "
                    "import the right one"
                )
        self._gcm = AESGCM(encryption)
        self._authentication = authentication or b""

    def __repr__(self) -> str:
        return "Keys(…)"

    def protect(self, apdu: bytes, title: bytes, counter: int, control: int = 0x30) -> bytes:
        """Give the security header and the protected APDU, without tag and length.

        Parameters
        ----------
        apdu : plain APDU
        title : system title of the sender, 8 octets
        counter : invocation counter, used never before with this key and title
        control : security control octet: authenticated, encrypted or both
        """
        header = bytes((control,)) + counter.to_bytes(4)
        nonce = title + header[1:]
        if control == AUTHENTICATED:
            return header + apdu + self.authenticate(apdu, title, counter)
        associated = header[:1] + self._authentication if control & AUTHENTICATED else None
        sealed = self._gcm.encrypt(nonce, apdu, associated)
        return header + sealed[: len(apdu) + (_TAG if control & AUTHENTICATED else 0)]

    def unprotect(self, text: bytes, title: bytes) -> tuple[bytes, Header]:
        """Give the plain APDU and its security header.

        Parameters
        ----------
        text : from the security control octet to the end
        title : system title of the sender, 8 octets

        Raises
        ------
        WrongKey
            if the authentication tag does not fit.
        RemoteProtocolError
            if the text is too short, or protected in a way that suite 0 does not have.
        """
        header = _header(text)
        if len(title) != TITLE_SIZE:
            raise RemoteProtocolError(f"a system title has {TITLE_SIZE} octets, not {len(title)}")
        if not header.control & AUTHENTICATED:
            return self._gcm.encrypt(title + text[1:_HEADER], text[_HEADER:], None)[:-16], header
        body, tag = text[_HEADER:-_TAG], text[-_TAG:]
        if not header.control & ENCRYPTED:
            if not bytes_eq(tag, self.authenticate(body, title, header.counter)):
                raise WrongKey(_WRONG_TAG)
            return body, header
        return self._open(text[:1], title + text[1:_HEADER], body, tag), header

    def _open(self, control: bytes, nonce: bytes, body: bytes, tag: bytes) -> bytes:
        """Decrypt and check the tag.

        DLMS cuts GCM's tag to 12 octets, which OpenSSL's one-shot decryption does not take, and a
        decryption context takes 22 µs to set up. GCM encrypts by a key stream, so encrypting the
        text gives the plain APDU, and encrypting that gives the tag to compare with: 7 µs.
        """
        plain = self._gcm.encrypt(nonce, body, None)[: len(body)]
        sealed = self._gcm.encrypt(nonce, plain, control + self._authentication)
        if not bytes_eq(sealed[len(body) : len(body) + _TAG], tag):
            raise WrongKey(_WRONG_TAG)
        return plain

    def authenticate(self, challenge: bytes, title: bytes, counter: int) -> bytes:
        """Give the GMAC of a challenge or plain APDU, 12 octets."""
        associated = bytes((AUTHENTICATED,)) + self._authentication + challenge
        return self._gcm.encrypt(title + counter.to_bytes(4), b"", associated)[:_TAG]


_WRONG_TAG: Final = (
    "the authentication tag of the meter's message does not fit our keys; "
    "check the encryption and the authentication key"
)


def _header(text: bytes) -> Header:
    if len(text) < _HEADER:
        raise RemoteProtocolError(f"{len(text)} protected bytes have no security header")
    control = text[0]
    if control & _SUITE:
        raise RemoteProtocolError(f"security suite {control & _SUITE} is used; this is suite 0")
    if control & (_COMPRESSED | _BROADCAST) or not control & (AUTHENTICATED | ENCRYPTED):
        raise RemoteProtocolError(f"security control 0x{control:02x} is none that is read here")
    if control & AUTHENTICATED and len(text) < _HEADER + _TAG:
        raise RemoteProtocolError("an authenticated message is too short for its tag")
    return Header(control, int.from_bytes(text[1:_HEADER]))
