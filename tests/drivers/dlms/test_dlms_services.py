"""SET and ACTION: what goes out, what comes back, and what a meter refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Conformance
from drivers.errors import AccessDenied, DriverError, MeterRefused, NotOffered, RemoteProtocolError
from schemas.obis import Obis
from tests.drivers.dlms.meter_script import Meter, opened, run
from tests.drivers.dlms.simulated import ECHO, NOTE, SECURITY, Talk

CLOCK = Attribute(8, Obis(0, 0, 1, 0, 0), 2)
SERIAL = Attribute(1, Obis(0, 0, 96, 1, 0), 2)


def octets(text: bytes) -> bytes:
    return axdr.encode_octet_string(text)


@pytest.mark.parametrize("security", SECURITY)
def test_what_was_written_is_read_back(security: str) -> None:
    talk = Talk(security)
    talk.run(talk.association.set(NOTE, octets(b"asset 4711")))
    assert talk.run(talk.association.get(NOTE)) == octets(b"asset 4711")


@pytest.mark.parametrize("security", SECURITY)
def test_a_method_gives_back_what_it_returns(security: str) -> None:
    talk = Talk(security)
    for parameters in (octets(b"said"), b"\x02\x01\x11\x07", None):
        assert talk.run(talk.association.action(ECHO, parameters)) == parameters


@pytest.mark.parametrize(
    ("attribute", "value", "kind", "why"),
    [
        (SERIAL, octets(b"other"), AccessDenied, r"writing 1/0\.0\.96\.1\.0\.255/2.*denied"),
        (Attribute(1, Obis(9, 9, 9, 9, 9), 2), b"\x00", NotOffered, "undefined"),
        (NOTE, b"\x11\x07", MeterRefused, "type unmatched"),
        (NOTE, octets(b"cut")[:-1], MeterRefused, "type unmatched"),
    ],
)
def test_a_refused_write_says_why(
    attribute: Attribute, value: bytes, kind: type[DriverError], why: str
) -> None:
    talk = Talk()
    with pytest.raises(kind, match=why):
        talk.run(talk.association.set(attribute, value))
    assert talk.run(talk.association.get(NOTE)) == octets(b"")


def test_a_refused_method_says_why() -> None:
    talk = Talk()
    with pytest.raises(AccessDenied, match=r"method 8/0\.0\.1\.0\.0\.255/2.*denied"):
        talk.run(talk.association.action(CLOCK, b"\x0f\x00"))
    with pytest.raises(MeterRefused, match="type unmatched"):
        talk.run(talk.association.action(ECHO, b"\x11"))


def test_the_public_client_changes_nothing() -> None:
    talk = Talk("hls-gmac", client=16)
    with pytest.raises(AccessDenied):
        talk.run(talk.association.set(NOTE, octets(b"x")))
    with pytest.raises(AccessDenied):
        talk.run(talk.association.action(ECHO))


def test_a_meter_that_does_not_grant_set_is_not_asked() -> None:
    meter = Meter(ciphered=False, conformance=Conformance.GET)
    held = opened(meter)
    with pytest.raises(NotOffered, match="SET"):
        run(held.set(NOTE, octets(b"x")), meter)
    assert not meter.asked


@pytest.mark.parametrize(
    "answer",
    [
        b"\xc4\x01\xc1\x00\x11\x05",
        b"\xc5\x01\xc7\x00",
        b"\xc5\x02\xc1\x00",
        b"\xc5\x01\xc1",
        b"\xc7\x01\xc1\x00\x00",
    ],
)
def test_another_answer_than_that_to_a_write_is_an_error(answer: bytes) -> None:
    meter = Meter(ciphered=False, answer=lambda _: answer)
    held = opened(meter)
    with pytest.raises(RemoteProtocolError):
        run(held.set(NOTE, octets(b"x")), meter)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xc5\x01\xc1", b"\xc7\x01\xc1", b"\xd8"]))
def test_garbage_for_an_answer_is_a_result_or_an_error_of_ours(garbage: bytes, head: bytes) -> None:
    for step in ("set", "action"):
        meter = Meter(ciphered=False, answer=lambda _: head + garbage)
        held = opened(meter)
        try:
            run(getattr(held, step)(NOTE, octets(b"x")), meter)
        except (RemoteProtocolError, MeterRefused):
            continue
