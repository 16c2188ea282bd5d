"""APDUs that open and release an association: AARQ, AARE, RLRQ, and the initiate services in them.

References
----------
IEC 62056-5-3:2017, 9.4.2 (ACSE), 9.4.3 and clause 8 (InitiateRequest, InitiateResponse).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from drivers.dlms import axdr
from drivers.errors import RemoteProtocolError

AARE: Final = 0x61
GLO_INITIATE_REQUEST: Final = 0x21
GLO_INITIATE_RESPONSE: Final = 0x28
CONFIRMED_SERVICE_ERROR: Final = 0x0E
ACCEPTED: Final = 0
AUTHENTICATION_REQUIRED: Final = 14
RELEASE: Final = bytes.fromhex("6203800100")

_INITIATE_REQUEST: Final = 0x01
_INITIATE_RESPONSE: Final = 0x08
_DLMS_VERSION: Final = 6
_OBJECT_ID: Final = bytes.fromhex("60857405 08")
# Application contexts: by logical names, by short names; two more with ciphering.
_CONTEXT_LN, _CONTEXT_SN, _WITH_CIPHERING = 1, 2, 2
# The green book's tags 5F 1F: [APPLICATION 31], a bit string of three octets, no bit unused.
_CONFORMANCE: Final = bytes.fromhex("5f1f0400")


class Mechanism(IntEnum):
    """How the client shows who it is; 2 is each manufacturer's own."""

    NONE = 0
    LOW = 1
    HIGH = 2
    HIGH_MD5 = 3
    HIGH_SHA1 = 4
    HIGH_GMAC = 5
    HIGH_SHA256 = 6
    HIGH_ECDSA = 7

    @property
    def high(self) -> bool:
        """Whether both sides answer a challenge."""
        return self >= Mechanism.HIGH

    @property
    def titled(self) -> bool:
        """Whether the proof contains system titles."""
        return self >= Mechanism.HIGH_GMAC


class Conformance(IntFlag):
    """What a client asks for and a meter grants, by the green book's names."""

    GENERAL_PROTECTION = 1 << 22
    GENERAL_BLOCK_TRANSFER = 1 << 21
    READ = 1 << 20
    WRITE = 1 << 19
    UNCONFIRMED_WRITE = 1 << 18
    PRIORITY = 1 << 14
    BLOCK_GET = 1 << 12
    BLOCK_SET = 1 << 11
    BLOCK_ACTION = 1 << 10
    MULTIPLE_REFERENCES = 1 << 9
    INFORMATION_REPORT = 1 << 8
    DATA_NOTIFICATION = 1 << 7
    ACCESS = 1 << 6
    PARAMETERISED_ACCESS = 1 << 5
    GET = 1 << 4
    SET = 1 << 3
    SELECTIVE_ACCESS = 1 << 2
    EVENT_NOTIFICATION = 1 << 1
    ACTION = 1 << 0


@dataclass(frozen=True, slots=True)
class Request:
    """An AARQ: what a client says of itself.

    Attributes
    ----------
    initiate : the initiate request, protected already where messages are to be
    ciphered : whether the application context is the one with ciphering
    mechanism : how the client shows who it is
    secret : password, or the client's challenge to the meter
    title : the client's system title, empty without ciphering
    short_names : whether objects are asked for by their short names
    """

    initiate: bytes
    ciphered: bool = False
    mechanism: Mechanism = Mechanism.NONE
    secret: bytes = field(default=b"", repr=False)
    title: bytes = b""
    short_names: bool = False

    def __bytes__(self) -> bytes:
        context = _CONTEXT_SN if self.short_names else _CONTEXT_LN
        context += _WITH_CIPHERING * self.ciphered
        fields = [_tlv(0xA1, _tlv(0x06, _OBJECT_ID + bytes((1, context))))]
        if self.title:
            fields.append(_tlv(0xA6, _tlv(0x04, self.title)))
        if self.mechanism is not Mechanism.NONE:
            fields.append(bytes.fromhex("8a020780"))
            fields.append(_tlv(0x8B, _OBJECT_ID + bytes((2, self.mechanism))))
            fields.append(_tlv(0xAC, _tlv(0x80, self.secret)))
        fields.append(_tlv(0xBE, _tlv(0x04, self.initiate)))
        return _tlv(0x60, b"".join(fields))


def initiate_request(conformance: Conformance, pdu_size: int, dedicated_key: bytes = b"") -> bytes:
    """Write an initiate request.

    Parameters
    ----------
    conformance : services that the client would use
    pdu_size : longest APDU that the client takes [bytes]
    dedicated_key : encryption key for this association alone; empty for none
    """
    dedicated = b"\x01" + axdr.encode_octets(dedicated_key) if dedicated_key else b"\x00"
    return (
        bytes((_INITIATE_REQUEST,))
        + dedicated
        + bytes((0, 0, _DLMS_VERSION))
        + _CONFORMANCE
        + int(conformance).to_bytes(3)
        + pdu_size.to_bytes(2)
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """An AARE: whether the meter enters the association, and what it says of itself.

    Attributes
    ----------
    ciphered, short_names : what its application context says
    result : 0 accepted, 1 rejected for good, 2 rejected for now
    diagnostic : why, of ``refusals.ASSOCIATION``
    title : the meter's system title, empty if it gives none
    mechanism : the authentication mechanism that it named, 0 if it named none
    challenge : its challenge to the client, empty if there is none
    initiate : initiate response, plain or protected, or a confirmed service error
    """

    ciphered: bool
    short_names: bool
    result: int
    diagnostic: int
    title: bytes
    mechanism: int
    challenge: bytes
    initiate: bytes

    @classmethod
    def parse(cls, apdu: bytes) -> Answer:
        """Read an AARE; a field of the protocol version is passed over.

        Raises
        ------
        RemoteProtocolError
            if it is cut off or a field is not built as it must be.
        """
        if not apdu or apdu[0] != AARE:
            raise RemoteProtocolError(f"the answer to the association begins 0x{apdu[:1].hex()}")
        body, _ = axdr.octets(apdu, 1)
        fields = dict(_fields(body))
        context = _last(fields.get(0xA1), 9, "application context")
        return cls(
            ciphered=context > _WITH_CIPHERING,
            short_names=context in (_CONTEXT_SN, _CONTEXT_SN + _WITH_CIPHERING),
            result=_last(fields.get(0xA2), 3, "result"),
            diagnostic=_last(fields.get(0xA3), 5, "diagnostic"),
            title=_inner(fields.get(0xA4)),
            mechanism=_last(fields[0x89], 7, "mechanism") if 0x89 in fields else 0,
            challenge=_inner(fields.get(0xAA)),
            initiate=_inner(fields.get(0xBE)),
        )


@dataclass(frozen=True, slots=True)
class Granted:
    """An initiate response: what the meter will do, and the longest APDU that it takes [bytes]."""

    conformance: Conformance
    pdu_size: int

    @classmethod
    def parse(cls, apdu: bytes) -> Granted:
        """Read a plain initiate response.

        Raises
        ------
        RemoteProtocolError
            if it is anything else, or of another version of DLMS.
        """
        if apdu[:1] != bytes((_INITIATE_RESPONSE,)):
            raise RemoteProtocolError(f"0x{apdu[:1].hex()} begins no initiate response")
        # An optional quality of service stands between the tag and the version.
        at = 2 if apdu[1:2] == b"\x00" else 3
        version, form = apdu[at : at + 1], apdu[at + 1 : at + 5]
        # Some meters write the tag 5F 1F in the one-octet form 5F.
        end = at + 5 if form == _CONFORMANCE else at + 4
        if len(apdu) < end + 5 or version != bytes((_DLMS_VERSION,)):
            raise RemoteProtocolError("an initiate response is cut off, or not of DLMS version 6")
        bits = int.from_bytes(apdu[end : end + 3])
        return cls(Conformance(bits), int.from_bytes(apdu[end + 3 : end + 5]))


def _tlv(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + axdr.encode_octets(content)


def _fields(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        content, after = axdr.octets(body, at + 1)
        yield body[at], content
        at = after


def _last(content: bytes | None, size: int, name: str) -> int:
    """Give the number that ends a field of fixed build."""
    if content is None or len(content) != size:
        raise RemoteProtocolError(f"the AARE has no {name} as the standard writes it")
    return content[-1]


def _inner(content: bytes | None) -> bytes:
    """Give what a field wraps once more in a tag and a length."""
    return axdr.octets(content, 1)[0] if content else b""
