"""Decoders of DLMS associations and of what is protected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from drivers import errors
from drivers.dlms import (
    association,
    axdr,
)
from drivers.dlms.association import Mechanism
from drivers.dlms.ciphering import Keys
from drivers.dlms.elliptic import PrivateKey, PublicKey
from drivers.dlms.general import Envelope, KeyInfo, KeyKind
from drivers.dlms.message_keys import MessageKeys
from drivers.dlms.proof import Proof
from drivers.dlms.protection import Protection
from drivers.dlms.security import Ciphering, Pairs, Security
from tests.fuzz.target import Target, allowing, only

KEYS: Final = Keys(bytes(range(16)), bytes(range(16, 32)))


TITLE: Final = b"FUZ\x00\x00\x00\x00\x01"


_PAIR: Final = PrivateKey(1, bytes(range(32)))


_PUBLIC: Final = PublicKey(1, _PAIR.public)


_SENDER: Final = Security(
    keys=Keys(bytes(range(16)), bytes(range(16, 32)), suite=1),
    suite=1,
    master=bytes(range(16)),
    pairs=Pairs(_PAIR, _PAIR, _PUBLIC, _PUBLIC),
)


REFUSED: Final = (errors.RemoteProtocolError, errors.MeterRefused)


def _general(data: bytes) -> None:
    envelope = Envelope.parse(b"\xdd" + data)
    assert Envelope.parse(bytes(envelope)) == envelope
    MessageKeys(_SENDER).incoming(envelope)


def _answers(data: bytes) -> None:
    """A meter with the right keys, or none, answers anything, in any form."""
    for ciphering in Ciphering:
        protection = Protection(replace(_SENDER, ciphering=ciphering))
        protection.title = TITLE
        if data[:1] == b"\x01":
            protection.established()
        allowing(lambda p=protection: p.unprotect(data[1:]), *REFUSED)  # type: ignore[misc]
        for tag in (0xCC, 0xD4, 0x2C):
            sealed = bytes((tag,)) + axdr.encode_octets(KEYS.protect(data[1:], TITLE, 1))
            allowing(lambda p=protection, s=sealed: p.unprotect(s), *REFUSED)  # type: ignore[misc]


def _aare(data: bytes) -> None:
    answer = association.Answer.parse(data)
    for ciphering in (Ciphering.NONE, Ciphering.GLOBAL, Ciphering.GENERAL_DEDICATED):
        protection = Protection(replace(_SENDER, ciphering=ciphering))
        allowing(lambda p=protection: p.granted(answer), *REFUSED)  # type: ignore[misc]
    for mechanism in Mechanism:
        asking = replace(_SENDER, mechanism=mechanism, password=b"12345678")
        allowing(
            lambda a=asking: Proof.of(a, bytes(16), answer).check(data),  # type: ignore[misc]
            *REFUSED,
            errors.LocalProtocolError,
        )


def _association(data: bytes) -> None:
    for parse in (association.Answer.parse, association.Granted.parse):
        allowing(lambda parse=parse: parse(data), errors.ProtocolError)  # type: ignore[misc]


_INITIATE: Final = bytes.fromhex("0800065f1f040000181d04000007")


_AARE: Final = bytes.fromhex(
    "6129a109060760857405080101a203020100a305a103020100be10040e" + _INITIATE.hex()
)


_ENVELOPES: Final = tuple(
    bytes(Envelope(bytes(8), TITLE, b"MIQ\x00\x00\x00\x00\x01", key=key, content=bytes(30)))[1:]
    for key in (
        None,
        KeyInfo(KeyKind.IDENTIFIED, 0),
        KeyInfo(KeyKind.WRAPPED, 0, bytes(24)),
        KeyInfo(KeyKind.AGREED, 1, _PAIR.public + _PAIR.sign(_PAIR.public)),
        KeyInfo(KeyKind.AGREED, 2),
    )
)


_SECURED_AARE: Final = b"\x61" + axdr.encode_octets(
    bytes.fromhex("a109060760857405080103a203020100a305a10302010ea40a0408")
    + TITLE
    + bytes.fromhex("88020780890760857405080205aa0a8008")
    + bytes(8)
    + b"\xbe\x23\x04\x21\x28\x1f"
    + Keys(bytes(range(16)), bytes(range(16, 32)), suite=1).protect(_INITIATE, TITLE, 1)
)


TARGETS: Final[Mapping[str, Target]] = {
    "association": Target(_association, (_AARE, _INITIATE)),
    "general": Target(only(_general, *REFUSED), _ENVELOPES),
    "answers": Target(
        _answers, (b"\x01\xc4\x01\xc1\x00\x11\x05", *(b"\x01\xdd" + one for one in _ENVELOPES))
    ),
    "secured_association": Target(only(_aare, *REFUSED), (_SECURED_AARE, _AARE)),
}
