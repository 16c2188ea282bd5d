"""Entering an association, and protected messages in it: what a meter can say wrong."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from gurux_dlms.enums import Authentication, Security
from gurux_dlms.objects import GXDLMSClock, GXDLMSData, GXDLMSRegister
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import apdu, association, axdr, engine
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Answer, Conformance, Granted, Mechanism, Request
from drivers.dlms.ciphering import Keys
from drivers.dlms.engine import Association
from drivers.dlms.security import CLIENT_TITLE
from drivers.dlms.security import Security as Ours
from drivers.errors import (
    AccessDenied,
    CounterOutOfSync,
    DriverError,
    LocalProtocolError,
    MeterRefused,
    NotOffered,
    RemoteProtocolError,
    WrongKey,
)
from schemas.obis import Obis
from tests.drivers.dlms import by_gurux, meter_script
from tests.drivers.dlms.meter_script import KEYS, Meter, opened, run, tlv

SERIAL = Attribute(1, Obis(0, 0, 96, 1, 0), 2)
BUFFER = Attribute(7, Obis(1, 0, 99, 1, 0), 2)


def plain_meter(**changes: Any) -> Meter:
    return Meter(ciphered=False, **changes)


def got(request: bytes, data: bytes) -> bytes:
    """Write a GET response with a value."""
    return bytes((0xC4, 1, request[2], 0)) + data


def block(request: bytes, number: int, data: bytes, *, last: bool) -> bytes:
    head = bytes((0xC4, 2, request[2], last)) + number.to_bytes(4) + b"\x00"
    return head + axdr.encode_octets(data)


@pytest.mark.parametrize(
    ("authentication", "mechanism"),
    [(Authentication.NONE, Mechanism.NONE), (Authentication.LOW, Mechanism.LOW)],
)
def test_an_aarq_is_the_one_that_gurux_writes(
    authentication: Authentication, mechanism: Mechanism
) -> None:
    theirs = bytes(by_gurux.client(authentication).aarqRequest()[0])[8:]
    conformance = Conformance(int.from_bytes(theirs[-5:-2]))
    secret = b"12345678" if mechanism else b""
    ours = Request(
        association.initiate_request(conformance, 0xFFFF), mechanism=mechanism, secret=secret
    )
    assert bytes(ours) == theirs


def test_a_secured_aarq_is_the_one_that_gurux_writes() -> None:
    client = by_gurux.client(Authentication.HIGH_GMAC)
    client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    client.ciphering.systemTitle = CLIENT_TITLE
    client.ciphering.blockCipherKey = bytes(range(16))
    client.ciphering.authenticationKey = bytes(range(16, 32))
    client.ciphering.invocationCounter = 1000
    theirs = bytes(client.aarqRequest()[0])[8:]
    at = theirs.index(b"\x21\x1f\x30")
    plain, header = KEYS.unprotect(theirs[at + 2 :], CLIENT_TITLE)
    bits, size = int.from_bytes(plain[-5:-2]), int.from_bytes(plain[-2:])
    initiate = KEYS.protect(
        association.initiate_request(Conformance(bits), size), CLIENT_TITLE, header.counter
    )
    ours = Request(
        b"\x21" + axdr.encode_octets(initiate),
        ciphered=True,
        mechanism=Mechanism.HIGH_GMAC,
        secret=bytes(client.ctoSChallenge),
        title=CLIENT_TITLE,
    )
    assert bytes(ours) == theirs


@pytest.mark.parametrize(
    ("item", "attribute"),
    [
        (GXDLMSData("0.0.96.1.0.255"), SERIAL),
        (GXDLMSClock("0.0.1.0.0.255"), Attribute(8, Obis(0, 0, 1, 0, 0), 2)),
        (GXDLMSRegister("1.0.1.8.0.255"), Attribute(3, Obis(1, 0, 1, 8, 0), 2)),
    ],
)
def test_a_get_is_the_one_that_gurux_writes(item: Any, attribute: Attribute) -> None:
    assert apdu.get(1, attribute) == bytes(by_gurux.client().read(item, 2)[0])[8:]


def test_a_get_of_several_is_the_one_that_gurux_writes() -> None:
    client = by_gurux.client()
    client.negotiatedConformance = client.proposedConformance
    wanted = [(GXDLMSData("0.0.96.1.0.255"), 2), (GXDLMSRegister("1.0.1.8.0.255"), 3)]
    theirs = bytes(client.readList(wanted)[0][0])[8:]
    ours = apdu.get_list(1, [SERIAL, Attribute(3, Obis(1, 0, 1, 8, 0), 3)])
    assert ours == theirs


# --- entering the association ---


@pytest.mark.parametrize("ciphered", [True, False])
def test_an_association_grants_what_the_meter_grants(ciphered: bool) -> None:
    granted = Conformance.GET | Conformance.BLOCK_GET
    held = opened(Meter(ciphered=ciphered, conformance=granted, pdu_size=500)).granted
    assert held == Granted(granted, 500)


@pytest.mark.parametrize(
    ("result", "diagnostic", "kind"),
    [
        (1, 13, WrongKey),
        (1, 1, MeterRefused),
        (1, 2, NotOffered),
        (1, 3, AccessDenied),
        (1, 11, AccessDenied),
        (2, 99, MeterRefused),
        (0, 14, AccessDenied),
    ],
)
def test_a_refused_association_says_why(
    result: int, diagnostic: int, kind: type[DriverError]
) -> None:
    with pytest.raises(kind):
        opened(plain_meter(result=result, diagnostic=diagnostic))


def test_a_meter_that_does_not_ask_for_the_proof_is_not_believed() -> None:
    with pytest.raises(MeterRefused):
        opened(Meter(diagnostic=0))


def test_a_protocol_version_and_the_short_tag_are_accepted() -> None:
    plain = plain_meter().aare()
    version = tlv(0x80, b"\x02\x84")
    body = version + plain[2:]
    answer = Answer.parse(tlv(0x61, body))
    assert Granted.parse(answer.initiate) == Granted(engine.PROPOSED, 1024)
    short = answer.initiate.replace(bytes.fromhex("5f1f0400"), bytes.fromhex("5f0400"))
    assert Granted.parse(short) == Granted(engine.PROPOSED, 1024)


def test_other_keys_than_ours_are_a_wrong_key() -> None:
    for keys in (Keys(bytes(16), bytes(range(16, 32))), Keys(bytes(range(16)), bytes(16))):
        with pytest.raises(WrongKey):
            opened(Meter(keys=keys))


def test_a_meter_that_cannot_prove_its_key_is_a_wrong_key() -> None:
    meter = Meter()
    meter.proof = lambda plain, _: Meter.proof(meter, plain, b"another challenge")  # type: ignore[method-assign]
    with pytest.raises(WrongKey, match="could not show"):
        opened(meter)


def test_a_refused_proof_is_a_wrong_key() -> None:
    meter = Meter()
    meter.proof = lambda plain, _: bytes((0xC7, 1, plain[2], 3, 0))  # type: ignore[method-assign]
    with pytest.raises(WrongKey, match="does not accept"):
        opened(meter)


def test_our_own_challenge_sent_back_proves_nothing() -> None:
    meter = Meter()
    step = Association(meter_script.security()).open()
    request = next(step)
    at = request.find(b"\xac\x12\x80\x10")
    meter.challenge = request[at + 4 : at + 20]
    with pytest.raises(RemoteProtocolError, match="our own"):
        step.send(meter.aare())


@pytest.mark.parametrize("challenge", [b"short", b"x" * 65])
def test_a_challenge_of_a_wrong_size_is_refused(challenge: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="challenge"):
        opened(Meter(challenge=challenge))


def test_another_mechanism_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="mechanism"):
        opened(Meter(mechanism=Mechanism.HIGH))


@given(st.data())
def test_any_change_to_an_aare_is_an_error_of_ours(data: st.DataObject) -> None:
    step = Association(meter_script.security()).open()
    next(step)
    changed = bytearray(Meter().aare())
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        step.send(bytes(changed[: data.draw(st.integers(1, len(changed)))]))
    except DriverError:
        return
    # What the tag does not protect may differ: fields that the client passes over.


@given(st.binary(max_size=120))
def test_garbage_for_an_aare_is_an_error_of_ours(garbage: bytes) -> None:
    for head in (b"", b"\x61", b"\xd8", b"\x0e"):
        step = Association(Ours()).open()
        next(step)
        with pytest.raises(DriverError):
            step.send(head + garbage)


# --- secured messages ---


def read_serial(meter: Meter) -> bytes:
    return run(opened(meter).get(SERIAL), meter)


def test_a_secured_value_is_read() -> None:
    assert read_serial(Meter(answer=lambda plain: got(plain, b"\x11\x07"))) == b"\x11\x07"


def test_a_value_without_protection_is_refused() -> None:
    meter = Meter()
    held = opened(meter)
    step = held.get(SERIAL)
    next(step)
    with pytest.raises(RemoteProtocolError, match="unprotected"):
        step.send(got(b"\xc0\x01\xc2", b"\x11\x07"))


@pytest.mark.parametrize("control", [0x10, 0x20])
def test_a_value_with_less_protection_is_refused(control: int) -> None:
    meter = Meter(answer=lambda plain: got(plain, b"\x11\x07"))
    held = opened(meter)
    meter.control = control
    with pytest.raises(RemoteProtocolError, match="too weakly"):
        run(held.get(SERIAL), meter)


def test_an_old_message_sent_again_is_refused() -> None:
    meter = Meter(answer=lambda plain: got(plain, b"\x11\x07"))
    held = opened(meter)
    meter.counter = 0
    with pytest.raises(RemoteProtocolError, match="sent again"):
        run(held.get(SERIAL), meter)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ("d80105", WrongKey),
        ("d8010600000100", CounterOutOfSync),
        ("d80102", NotOffered),
        ("d80203", MeterRefused),
        ("d801", RemoteProtocolError),
        ("0e010600", MeterRefused),
        ("0e01", RemoteProtocolError),
        ("", RemoteProtocolError),
    ],
)
def test_an_exception_response_says_what_to_do(response: str, kind: type[DriverError]) -> None:
    with pytest.raises(kind):
        read_serial(Meter(answer=lambda _: bytes.fromhex(response)))


def test_the_counter_that_the_meter_expects_is_in_the_message() -> None:
    with pytest.raises(CounterOutOfSync, match="at least 256"):
        read_serial(Meter(answer=lambda _: bytes.fromhex("d8010600000100")))


def test_no_counter_is_used_twice() -> None:
    taken: list[int] = []
    counters = itertools.count(500)

    def take() -> int:
        taken.append(next(counters))
        return taken[-1]

    meter = Meter(answer=lambda plain: got(plain, b"\x11\x07"))
    held = Association(meter_script.security(take_counter=take))
    run(held.open(), meter)
    for _ in range(3):
        run(held.get(SERIAL), meter)
    # The AARQ, the proof and the message that carries it, and three requests.
    assert taken == [500, 501, 502, 503, 504, 505]


def test_high_security_without_keys_is_our_own_error() -> None:
    with pytest.raises(LocalProtocolError):
        run(Association(Ours(Mechanism.HIGH_GMAC)).open(), Meter(ciphered=False, diagnostic=14))
