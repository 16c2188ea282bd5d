"""Pushes protected in every suite and form, made by the simulated meters' own cryptography."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import keywrap

from drivers.dlms import axdr, push, security_settings
from drivers.dlms.security import Security
from drivers.dlms.security_settings import Wanted
from drivers.errors import RemoteProtocolError, WrongKey
from simulators import dlms_curve
from simulators.dlms_curve import Pair
from simulators.dlms_security import Suite

METER, US = b"MQS\x00\x00\x00\x00\x09", b"MIQ\x00\x00\x00\x00\x01"
PLAIN = b"\x0f\x00\x00\x00\x2a\x00\x11\x07"
TRANSACTION = bytes(range(8))


def size(suite: int) -> int:
    return 32 if suite == 2 else 16


def meter(suite: int) -> Suite:
    return Suite(METER, bytes(range(size(suite))), bytes(range(100, 100 + size(suite))), suite)


def pair(suite: int, number: int) -> Pair:
    return Pair(suite, number)


def sender(suite: int, ciphering: str = "global", **changes: Any) -> Security:
    """Give what a head-end knows of the meter."""
    own = meter(suite)
    secrets = {
        "encryption": own.encryption,
        "authentication": own.authentication,
        "master": bytes(range(50, 50 + size(suite))),
        "broadcast": bytes(range(80, 80 + size(suite))),
    }
    if suite:
        secrets |= {
            "client_signing": pair(suite, 1001).private,
            "client_agreement": pair(suite, 1002).private,
            "meter_signing": pair(suite, 1003).public,
            "meter_agreement": pair(suite, 1004).public,
        }
    wanted = Wanted.of("hls-gmac", {"suite": suite, "ciphering": ciphering, **changes})
    return security_settings.security(wanted, secrets, lambda: 0)


def envelope(suite: int, ciphering: str, protection: int = 0x30) -> bytes:
    """Write a push in general ciphering."""
    fields = (TRANSACTION, METER, US, b"", b"")
    header = b"".join(axdr.encode_octets(one) for one in fields)
    info, key = named(suite, ciphering)
    sealed = meter(suite).with_key(key).sealed(PLAIN, 5, protection, header)
    return b"\xdd" + header + info + axdr.encode_octets(sealed)


def named(suite: int, ciphering: str) -> tuple[bytes, bytes]:
    """Give what names a key, and the key."""
    if ciphering == "identified":
        return b"\x01\x00\x00", meter(suite).encryption
    if ciphering == "wrapped":
        key = bytes(range(200, 200 + size(suite)))
        wrapped = keywrap.aes_key_wrap(bytes(range(50, 50 + size(suite))), key)
        return b"\x01\x01\x00" + axdr.encode_octets(wrapped), key
    ours = pair(suite, 1002).public
    if ciphering == "static":
        secret = pair(suite, 1004).secret(ours)
        party_u = METER + b"\x08" + TRANSACTION
        return b"\x01\x02\x01\x02\x00", dlms_curve.key(suite, secret, party_u, US)
    ephemeral = pair(suite, 1005)
    data = ephemeral.public + pair(suite, 1003).signed(ephemeral.public)
    key = dlms_curve.key(suite, ephemeral.secret(ours), METER, US)
    return b"\x01\x02\x01\x01" + axdr.encode_octets(data), key


FORMS = [
    (suite, ciphering)
    for suite in (0, 1, 2)
    for ciphering in ("identified", "wrapped", "one-pass", "static")
    if suite or ciphering in ("identified", "wrapped")
]


@pytest.mark.parametrize("suite", [0, 1, 2])
def test_a_push_under_the_global_key_is_read_in_every_suite(suite: int) -> None:
    text = meter(suite).sealed(PLAIN, 5)
    apdu = b"\xdb\x08" + METER + axdr.encode_octets(text)
    notification = push.decode(apdu, sender(suite))
    assert (notification.body, notification.title) == (7, METER)
    with pytest.raises(RemoteProtocolError, match="security suite"):
        push.decode(apdu, sender((suite + 1) % 3))


@pytest.mark.parametrize("suite", [0, 1, 2])
def test_a_push_under_the_broadcast_key_takes_that_one(suite: int) -> None:
    own = meter(suite)
    key = bytes(range(80, 80 + size(suite)))
    # The suite's number and bit 6, "broadcast", stand in the same octet.
    sealed = Suite(METER, key, own.authentication, suite | 0x40).sealed(PLAIN, 5)
    apdu = b"\xdb\x08" + METER + axdr.encode_octets(sealed)
    assert push.decode(apdu, sender(suite)).body == 7


@pytest.mark.parametrize(("suite", "ciphering"), FORMS)
def test_a_push_may_name_its_own_key(suite: int, ciphering: str) -> None:
    apdu = envelope(suite, ciphering)
    assert push.system_title(apdu) == METER
    notification = push.decode(apdu, sender(suite, ciphering))
    assert (notification.body, notification.title) == (7, METER)
    assert notification.security is not None
    assert notification.security.counter == 5


@pytest.mark.parametrize(("suite", "ciphering"), FORMS)
@pytest.mark.parametrize("place", [2, 12, -1, -14])
def test_a_changed_push_is_never_read(suite: int, ciphering: str, place: int) -> None:
    apdu = bytearray(envelope(suite, ciphering))
    apdu[place] ^= 1
    with pytest.raises((WrongKey, RemoteProtocolError)):
        push.decode(bytes(apdu), sender(suite, ciphering))


@pytest.mark.parametrize("ciphering", ["wrapped", "one-pass", "static"])
def test_a_key_that_the_store_lacks_is_named(ciphering: str) -> None:
    with pytest.raises(WrongKey, match=r"master|meter_signing|meter_agreement"):
        push.decode(envelope(1, ciphering), sender(1, "global"))


@pytest.mark.parametrize("protection", [0x10, 0x20])
def test_a_push_protected_less_than_agreed_is_refused(protection: int) -> None:
    text = meter(0).sealed(PLAIN, 5, protection)
    apdu = b"\xdb\x08" + METER + axdr.encode_octets(text)
    with pytest.raises(RemoteProtocolError, match="too weakly"):
        push.decode(apdu, sender(0))
    with pytest.raises(RemoteProtocolError, match="too weakly"):
        push.decode(envelope(0, "identified", protection), sender(0))
    assert push.decode(apdu, sender(0).keys).body == 7, "whoever has no agreement says so"


def test_a_plain_push_of_a_meter_that_protects_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="unprotected"):
        push.decode(PLAIN, sender(0))
    assert push.decode(PLAIN, sender(0, ciphering="none")).body == 7
