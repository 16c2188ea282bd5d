"""What the client says, octet by octet, against what gurux-dlms says with the same keys."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from gurux_dlms.ConnectionState import ConnectionState
from gurux_dlms.enums import Authentication, Command, Conformance, InterfaceType, Security
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.GXSecure import GXSecure
from gurux_dlms.objects.enums import SecuritySuite
from gurux_dlms.secure import GXDLMSSecureClient

from drivers.dlms import association, axdr, security_settings
from drivers.dlms.association import Answer, Request
from drivers.dlms.association import Conformance as Offer
from drivers.dlms.proof import Proof
from drivers.dlms.protection import Protection, ciphered_tag
from drivers.dlms.security_settings import Wanted

TITLE, METER = b"MIQ\x00\x00\x00\x00\x01", b"MQS\x00\x00\x00\x00\x09"
OURS, THEIRS = b"our challenge...", b"the meter's own."
GET = bytes.fromhex("c001c100010000600100ff0200")
AUTHENTICATION = {
    "none": Authentication.NONE,
    "lls": Authentication.LOW,
    "hls-md5": Authentication.HIGH_MD5,
    "hls-sha1": Authentication.HIGH_SHA1,
    "hls-gmac": Authentication.HIGH_GMAC,
    "hls-sha256": Authentication.HIGH_SHA256,
}
PROTECTION = {
    "authenticated": Security.AUTHENTICATION,
    "encrypted": Security.ENCRYPTION,
    "both": Security.AUTHENTICATION_ENCRYPTION,
}
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("none", {}),
    ("lls", {}),
    ("lls", {"ciphering": "global", "protection": "encrypted"}),
    ("hls-md5", {}),
    ("hls-sha1", {"ciphering": "global", "protection": "authenticated"}),
    ("hls-sha256", {}),
    ("hls-sha256", {"ciphering": "global", "suite": 2}),
    *(("hls-gmac", {"suite": suite}) for suite in (0, 1, 2)),
    ("hls-gmac", {"ciphering": "none"}),
    ("hls-gmac", {"ciphering": "dedicated"}),
    ("hls-gmac", {"ciphering": "general", "suite": 1}),
    ("hls-gmac", {"ciphering": "general-dedicated", "suite": 2}),
]


def secrets(suite: int) -> dict[str, bytes]:
    size = 32 if suite == 2 else 16
    return {
        "password": b"12345678",
        "encryption": bytes(range(size)),
        "authentication": bytes(range(100, 100 + size)),
    }


def both(name: str, address: dict[str, Any]) -> tuple[Any, Protection, GXDLMSSecureClient]:
    """Make our side and gurux-dlms' with the same keys, and the counter at 1000."""
    wanted = Wanted.of(name, address)
    known = secrets(wanted.suite)
    ours = security_settings.security(wanted, known, count(1000).__next__)
    protection = Protection(ours)
    protection.title = METER
    theirs = GXDLMSSecureClient(True, 1, 1, AUTHENTICATION[name], None, InterfaceType.WRAPPER)
    theirs.password = known["password"]
    theirs.ctoSChallenge = OURS
    theirs.settings.useCustomChallenge = True
    ciphering = theirs.ciphering
    ciphering.systemTitle = TITLE
    ciphering.securitySuite = SecuritySuite(wanted.suite)
    ciphering.blockCipherKey = known["encryption"]
    ciphering.authenticationKey = known["authentication"]
    ciphering.invocationCounter = 1000
    if wanted.ciphered:
        ciphering.security = PROTECTION[address.get("protection", "both")]
    if wanted.ciphering.dedicated:
        ciphering.dedicatedKey = protection._dedicated_key
    if wanted.ciphering.general:
        theirs.proposedConformance |= Conformance.GENERAL_PROTECTION
    return ours, protection, theirs


@pytest.mark.parametrize(("name", "address"), WAYS)
def test_the_request_for_an_association_is_the_one_that_gurux_writes(
    name: str, address: dict[str, Any]
) -> None:
    ours, protection, theirs = both(name, address)
    written = bytes(theirs.aarqRequest()[0])[8:]
    # What gurux-dlms proposes stands in its own settings, bit 0 on the left.
    proposed = Offer(int(f"{int(theirs.proposedConformance):024b}"[::-1], 2))
    challenge = OURS if ours.mechanism.high else ours.password
    request = Request(
        initiate=protection.initiate(proposed, theirs.maxReceivePDUSize),
        ciphered=ours.ciphered,
        mechanism=ours.mechanism,
        secret=challenge,
        title=ours.title if ours.titled else b"",
    )
    assert bytes(request) == written


@pytest.mark.parametrize("name", [one for one in AUTHENTICATION if one.startswith("hls")])
def test_the_proofs_are_those_that_gurux_computes(name: str) -> None:
    ours, _, theirs = both(name, {})
    answer = Answer(
        ciphered=True,
        short_names=False,
        result=0,
        diagnostic=14,
        title=METER,
        mechanism=int(ours.mechanism),
        challenge=THEIRS,
        initiate=b"",
    )
    proof = Proof.of(ours, OURS, answer)
    assert proof.shown() == computed(theirs, THEIRS, TITLE, METER, OURS)
    proof.check(computed(theirs, OURS, METER, TITLE, THEIRS))


def computed(
    client: GXDLMSSecureClient, challenge: bytes, own: bytes, peer: bytes, other: bytes
) -> bytes:
    """Have gurux-dlms answer a challenge."""
    secret = client.password
    if client.authentication == Authentication.HIGH_GMAC:
        secret = own
    if client.authentication == Authentication.HIGH_SHA256:
        secret = bytes(client.password) + own + peer + challenge + other
    made = GXSecure.secure(client.settings, client.ciphering, 1000, challenge, secret)
    return bytes(made)


@pytest.mark.parametrize(("name", "address"), [one for one in WAYS if one[0] == "hls-gmac"])
def test_a_request_is_protected_as_gurux_protects_it(name: str, address: dict[str, Any]) -> None:
    ours, protection, theirs = both(name, address)
    if not ours.ciphered:
        assert protection.protect(GET) == GET
        return
    protection.established()
    theirs.settings.connected |= ConnectionState.DLMS
    general = Conformance.GENERAL_PROTECTION if ours.ciphering.general else Conformance.NONE
    theirs.settings.negotiatedConformance = general
    # A dedicated key's first message has counter 1, the global key's the next of the store.
    theirs.ciphering.invocationCounter = 1 if ours.ciphering.dedicated else 1000

    class Parameters:
        settings = theirs.settings
        command = 0xC0

    assert protection.protect(GET) == bytes(GXDLMS.cipher0(Parameters, GET))


def test_tags_of_ciphered_services_are_those_of_gurux() -> None:
    for plain, under_global, under_dedicated in (
        (Command.READ_REQUEST, Command.GLO_READ_REQUEST, Command.DED_READ_REQUEST),
        (Command.READ_RESPONSE, Command.GLO_READ_RESPONSE, Command.DED_READ_RESPONSE),
        (Command.WRITE_REQUEST, Command.GLO_WRITE_REQUEST, Command.DED_WRITE_REQUEST),
        (Command.WRITE_RESPONSE, Command.GLO_WRITE_RESPONSE, Command.DED_WRITE_RESPONSE),
        (Command.GET_REQUEST, Command.GLO_GET_REQUEST, Command.DED_GET_REQUEST),
        (Command.GET_RESPONSE, Command.GLO_GET_RESPONSE, Command.DED_GET_RESPONSE),
        (Command.SET_REQUEST, Command.GLO_SET_REQUEST, Command.DED_SET_REQUEST),
        (Command.METHOD_RESPONSE, Command.GLO_METHOD_RESPONSE, Command.DED_METHOD_RESPONSE),
    ):
        assert ciphered_tag(plain) == under_global
        assert ciphered_tag(plain, dedicated=True) == under_dedicated


def test_a_dedicated_key_is_in_the_ciphered_request_only() -> None:
    _, protection, _ = both("hls-gmac", {"ciphering": "dedicated"})
    key = protection._dedicated_key
    assert len(key) == 16
    assert key not in protection.initiate(Offer.GET, 0xFFFF)
    plain = association.initiate_request(Offer.GET, 0xFFFF, key)
    assert plain[:2] + plain[2:19] == b"\x01\x01" + axdr.encode_octets(key)
