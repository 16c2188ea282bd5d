"""APDUs of DLMS as the simulated meters read requests and write answers (Green Book, clause 9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from simulators import dlms_codec
from simulators.dlms_codec import Data, Malformed, Reader

AARQ: Final = 0x60
RELEASE: Final = 0x62
GLO_INITIATE: Final = 0x21

GLO_RESPONSE: Final = {0xC8: 0xCC, 0xC9: 0xCD, 0xCB: 0xCF, 0x25: 0x2C, 0x26: 0x2D}
"""Tags of globally ciphered requests, and of their answers."""

DED_RESPONSE: Final = {0xD0: 0xD4, 0xD1: 0xD5, 0xD3: 0xD7, 0x45: 0x4C, 0x46: 0x4D}
"""Tags of requests under a key for the association, and of their answers."""

GENERAL: Final = frozenset({0xDB, 0xDC, 0xDD})
"""Tags of general-glo, general-ded and general ciphering."""

LN, SN, LN_CIPHERED, SN_CIPHERED = 1, 2, 3, 4
"""Application contexts: logical and short names, without and with ciphering."""

_CONTEXT: Final = bytes.fromhex("60857405080100")[:-1]
_MECHANISM: Final = bytes.fromhex("60857405080200")[:-1]


class Access(IntEnum):
    """Results of data access (Green Book, Data-Access-Result)."""

    TEMPORARY_FAILURE = 2
    DENIED = 3
    UNDEFINED = 4
    TYPE_UNMATCHED = 12
    SCOPE_VIOLATED = 13
    BLOCK_ABORTED = 15
    NO_BLOCK_TRANSFER = 16
    LONG_SET_ABORTED = 17
    NO_LONG_SET = 18
    BLOCK_NUMBER_INVALID = 19
    OTHER = 250


class Diagnostic(IntEnum):
    """Why an association is refused (Acse-service-user diagnostics)."""

    NONE = 0
    NO_REASON = 1
    CONTEXT_NOT_SUPPORTED = 2
    TITLE_NOT_RECOGNISED = 3
    MECHANISM_NOT_RECOGNISED = 11
    AUTHENTICATION_FAILED = 13
    AUTHENTICATION_REQUIRED = 14


class ServiceError(IntEnum):
    """Service errors of an exception response."""

    NOT_POSSIBLE = 1
    NOT_SUPPORTED = 2
    DECIPHERING = 5
    COUNTER = 6


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a COSEM object; ``index`` is a method's in an action."""

    class_id: int
    name: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Selective access: 1 by range, 2 by entry, with its parameters, and those as A-XDR."""

    selector: int
    parameters: Data
    written: bytes = b""


@dataclass(frozen=True, slots=True)
class Aarq:
    """Request for an association."""

    context: int
    mechanism: int
    title: bytes
    authentication: bytes
    initiate: bytes


@dataclass(frozen=True, slots=True)
class Initiate:
    """What a client proposes: DLMS version, conformance bits, its longest APDU."""

    version: int
    conformance: int
    pdu_size: int
    dedicated_key: bytes = b""


def aarq(apdu: bytes) -> Aarq:
    """Read a request for an association; fields that meters do not need are passed over."""
    reader = Reader(apdu[1:])
    reader = Reader(reader.take(reader.length()))
    fields: dict[int, bytes] = {}
    while reader.left:
        tag = reader.number(1)
        fields[tag] = reader.take(reader.length())
    context, mechanism = fields.get(0xA1, b"")[2:], fields.get(0x8B, b"")
    return Aarq(
        context=context[-1] if context[:-1] == _CONTEXT else 0,
        mechanism=mechanism[-1] if mechanism[:-1] == _MECHANISM else 0,
        title=fields.get(0xA6, b"")[2:],
        authentication=fields.get(0xAC, b"")[2:],
        initiate=_inner(fields.get(0xBE, b"")),
    )


def _inner(field: bytes) -> bytes:
    """Take the octet-string that wraps the user information."""
    reader = Reader(field)
    reader.number(1)
    return reader.take(reader.length())


def initiate(data: bytes) -> Initiate:
    """Read an InitiateRequest."""
    reader = Reader(data)
    if reader.number(1) != 1:
        raise Malformed("not an InitiateRequest")
    dedicated_key = reader.take(reader.length()) if reader.number(1) else b""
    for _ in ("response-allowed", "quality-of-service"):
        if reader.number(1):
            reader.number(1)
    version = reader.number(1)
    if reader.take(3) != b"\x5f\x1f\x04":
        raise Malformed("no conformance block")
    conformance = reader.number(4) & 0xFFFFFF
    return Initiate(version, conformance, reader.number(2), dedicated_key)


def initiate_response(conformance: int, pdu_size: int, *, short_names: bool) -> bytes:
    """Write an InitiateResponse: DLMS version 6."""
    return b"\x08\x00\x06\x5f\x1f\x04\x00%b%b%b" % (
        conformance.to_bytes(3, "big"),
        pdu_size.to_bytes(2, "big"),
        b"\xfa\x00" if short_names else b"\x00\x07",
    )


def initiate_error(reason: int) -> bytes:
    """Write a confirmed service error: 1 version too low, 2 incompatible, 3 PDU too short."""
    return bytes((0x0E, 0x01, 0x06, reason))


def aare(
    context: int,
    diagnostic: Diagnostic,
    *,
    title: bytes = b"",
    mechanism: int = 0,
    challenge: bytes = b"",
    user_information: bytes = b"",
) -> bytes:
    """Write the answer to a request for an association.

    ``AUTHENTICATION_REQUIRED`` still accepts it; every other diagnostic but ``NONE`` refuses.
    """
    accepted = diagnostic in (Diagnostic.NONE, Diagnostic.AUTHENTICATION_REQUIRED)
    body = _ber(0xA1, _ber(0x06, _CONTEXT + bytes((context,))))
    body += _ber(0xA2, _ber(0x02, bytes((0 if accepted else 1,))))
    body += _ber(0xA3, _ber(0xA1, _ber(0x02, bytes((diagnostic,)))))
    if title:
        body += _ber(0xA4, _ber(0x04, title))
    if mechanism:
        body += _ber(0x88, b"\x07\x80") + _ber(0x89, _MECHANISM + bytes((mechanism,)))
    if challenge:
        body += _ber(0xAA, _ber(0x80, challenge))
    if user_information:
        body += _ber(0xBE, _ber(0x04, user_information))
    return _ber(0x61, body)


def _ber(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + dlms_codec.length(len(content)) + content


def released() -> bytes:
    """Write the answer to a release: normal."""
    return b"\x63\x03\x80\x01\x00"


def exception(error: ServiceError, counter: int = 0) -> bytes:
    """Write an exception response; a counter error names the counter that is expected."""
    state = 2 if error is ServiceError.NOT_SUPPORTED else 1
    expected = counter.to_bytes(4, "big") if error is ServiceError.COUNTER else b""
    return bytes((0xD8, state, error)) + expected
