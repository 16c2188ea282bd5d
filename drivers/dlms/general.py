"""General ciphering: the envelope that says who sends, to whom, and under which key.

References
----------
IEC 62056-5-3:2017, clause 8 (General-Ciphering, Key-Info) and 9.2.7.2.4 (general protection).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from drivers.dlms import axdr
from drivers.errors import RemoteProtocolError

GENERAL_GLO: Final = 0xDB
GENERAL_DED: Final = 0xDC
GENERAL_CIPHERING: Final = 0xDD
_LONGEST_FIELD: Final = 255


class KeyKind(IntEnum):
    """How an envelope names its key."""

    IDENTIFIED = 0
    WRAPPED = 1
    AGREED = 2


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The key that a message is under.

    Attributes
    ----------
    number : identified: 0 unicast, 1 broadcast; wrapped: of the wrapping key, 0 the master key;
        agreed: scheme, 1 one-pass, 2 static
    data : wrapped key, or the sender's ephemeral public key and its signature
    """

    kind: KeyKind
    number: int
    data: bytes = field(default=b"", repr=False)

    def __bytes__(self) -> bytes:
        if self.kind is KeyKind.IDENTIFIED:
            return bytes((self.kind, self.number))
        number = bytes((self.number,))
        if self.kind is KeyKind.AGREED:
            number = axdr.encode_octets(number)
        return bytes((self.kind,)) + number + axdr.encode_octets(self.data)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A general-ciphering APDU.

    Attributes
    ----------
    transaction : names request and answer; the nonce of the static scheme
    sender, receiver : system titles
    time, information : empty as a rule
    key : None where both sides know it
    content : from the security control octet to the end
    """

    transaction: bytes
    sender: bytes
    receiver: bytes
    time: bytes = b""
    information: bytes = b""
    key: KeyInfo | None = None
    content: bytes = b""

    @property
    def header(self) -> bytes:
        """What of it is authenticated beside the content, lengths included."""
        fields = (self.transaction, self.sender, self.receiver, self.time, self.information)
        return b"".join(axdr.encode_octets(one) for one in fields)

    def __bytes__(self) -> bytes:
        key = b"\x00" if self.key is None else b"\x01" + bytes(self.key)
        return bytes((GENERAL_CIPHERING,)) + self.header + key + axdr.encode_octets(self.content)

    @classmethod
    def parse(cls, apdu: bytes) -> Envelope:
        """Read a general-ciphering APDU.

        Raises
        ------
        RemoteProtocolError
            if it is none, cut off, or has a field of more than 255 octets.
        """
        if apdu[:1] != bytes((GENERAL_CIPHERING,)):
            raise RemoteProtocolError(f"0x{apdu[:1].hex()} begins no general ciphering")
        transaction, at = _field(apdu, 1)
        sender, at = _field(apdu, at)
        receiver, at = _field(apdu, at)
        time, at = _field(apdu, at)
        information, at = _field(apdu, at)
        key, at = _key_info(apdu, at)
        content, _ = axdr.octets(apdu, at)
        return cls(transaction, sender, receiver, time, information, key, content)


def titled(tag: int, title: bytes, content: bytes) -> bytes:
    """Write a general-glo or general-ded ciphering APDU."""
    return bytes((tag,)) + axdr.encode_octets(title) + axdr.encode_octets(content)


def split(apdu: bytes) -> tuple[bytes, bytes]:
    """Give system title and content of a general-glo or general-ded ciphering APDU.

    Raises
    ------
    RemoteProtocolError
        if it is cut off.
    """
    title, at = axdr.octets(apdu, 1)
    return title, axdr.octets(apdu, at)[0]


def _field(apdu: bytes, at: int) -> tuple[bytes, int]:
    field, at = axdr.octets(apdu, at)
    if len(field) > _LONGEST_FIELD:
        raise RemoteProtocolError(f"a field of {len(field)} octets is none we read")
    return field, at


def _key_info(apdu: bytes, at: int) -> tuple[KeyInfo | None, int]:
    if apdu[at : at + 1] == b"\x00":
        return None, at + 1
    kinds = [int(kind) for kind in KeyKind]
    if apdu[at : at + 1] != b"\x01" or at + 3 > len(apdu) or apdu[at + 1] not in kinds:
        raise RemoteProtocolError("the key of a general ciphering is none of the standard's kinds")
    kind, at = KeyKind(apdu[at + 1]), at + 2
    if kind is KeyKind.IDENTIFIED:
        return KeyInfo(kind, apdu[at]), at + 1
    if kind is KeyKind.WRAPPED:
        number, at = apdu[at], at + 1
    else:
        parameters, at = axdr.octets(apdu, at)
        if len(parameters) != 1:
            raise RemoteProtocolError("an agreed key's scheme has one octet")
        number = parameters[0]
    data, at = axdr.octets(apdu, at)
    return KeyInfo(kind, number, data), at
