"""Every way to be secured, against simulated meters with code of their own; and every attack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.dlms import axdr, general
from drivers.dlms.general import Envelope
from drivers.errors import (
    CounterOutOfSync,
    DriverError,
    MeterRefused,
    NotOffered,
    RemoteProtocolError,
    WrongKey,
)
from simulators import keys
from tests.drivers.dlms import secured
from tests.drivers.dlms.secured import AUTHENTICATED, CIPHERED, METERS, PROFILE, Line

BY_ENVELOPE = ("identified", "wrapped", "one-pass", "static")


def kinds() -> list[tuple[str, str]]:
    return [(name, kind) for name, meter in METERS.items() for kind in secured.wanted(meter).kinds]


@pytest.mark.parametrize("name", METERS)
def test_every_way_to_be_secured_reads_short_and_long_answers(name: str) -> None:
    line = Line(name)
    line.open()
    assert axdr.decode(line.read())[0] == METERS[name].mrid.encode()
    before = len(line.answers)
    rows = axdr.decode(line.read(PROFILE))[0]
    assert len(rows) == 2 * 96
    assert len(line.answers) - before > 1, "in blocks"


@pytest.mark.parametrize("name", CIPHERED)
def test_nothing_that_is_ciphered_shows_what_is_said(name: str) -> None:
    line = Line(name)
    line.open()
    line.read()
    told = b"".join((*line.requests, *line.answers))
    is_encrypted = METERS[name].address.get("protection") != "authenticated"
    assert (METERS[name].mrid.encode() in told) is not is_encrypted
    secret = {**secured.secrets(METERS[name])}
    if METERS[name].security == "lls":
        assert secret.pop("password") in told, "low-level security says its password"
    assert not any(key in told for key in secret.values())


@pytest.mark.parametrize(("name", "kind"), kinds())
def test_a_wrong_key_of_every_kind_is_said_to_be_one(name: str, kind: str) -> None:
    line = Line(name, told={kind: secured.wrong(METERS[name], kind)})
    with pytest.raises(WrongKey) as refusal:
        opened_and_read(line)
    shown = str(refusal.value).lower()
    assert line.security.password.hex() not in shown or not line.security.password
    assert secured.wrong(METERS[name], kind).hex() not in shown


@pytest.mark.parametrize("name", CIPHERED)
def test_an_answer_that_was_heard_before_is_refused(name: str) -> None:
    line = Line(name)
    line.open()
    line.read()
    old = line.answers[-1]
    line.change_answer = lambda _: old
    with pytest.raises(RemoteProtocolError, match=r"sent again|another transaction"):
        line.read()


@pytest.mark.parametrize("name", CIPHERED)
def test_a_request_that_was_heard_before_is_refused_by_the_meter(name: str) -> None:
    line = Line(name)
    line.open()
    line.read()
    old = line.requests[-1]
    line.change_request = lambda _: old
    with pytest.raises(CounterOutOfSync, match="invocation counter"):
        line.read()


@pytest.mark.parametrize("name", [one for one in CIPHERED if METERS[one].security != "lls"])
def test_the_answers_of_another_session_are_refused(name: str) -> None:
    """A challenge makes each session's answers new; a password alone does not."""
    line = Line(name)
    line.open()
    line.read()
    first = list(line.answers)
    line.connect()
    old = iter(first)
    line.change_answer = lambda _: next(old)
    with pytest.raises((WrongKey, RemoteProtocolError)):
        opened_and_read(line)


@pytest.mark.parametrize("name", CIPHERED)
@pytest.mark.parametrize("policy", ["authenticated", "encrypted"])
def test_answers_protected_less_than_agreed_are_refused(name: str, policy: str) -> None:
    agreed = METERS[name].address.get("protection", "both")
    line = Line(name, address={"protection": "both"}, meter_address={"protection": policy})
    if agreed == "encrypted":
        policy = "encrypted"
    with pytest.raises(RemoteProtocolError, match="protected too weakly"):
        line.open()


@pytest.mark.parametrize("policy", ["authenticated", "encrypted"])
def test_a_meter_refuses_requests_that_its_policy_forbids(policy: str) -> None:
    with pytest.raises(MeterRefused, match="no reason given"):
        Line("gmac-suite-0", address={"protection": policy}).open()


@pytest.mark.parametrize("name", CIPHERED)
def test_a_plain_answer_in_a_secured_association_is_refused(name: str) -> None:
    line = Line(name)
    line.open()
    line.change_answer = lambda _: bytes.fromhex("c401c200 1107")
    with pytest.raises(RemoteProtocolError, match="unprotected"):
        line.read()


@pytest.mark.parametrize("name", ["dedicated", "general-dedicated"])
def test_an_answer_under_the_global_key_is_none_under_the_dedicated_one(name: str) -> None:
    """The global key is shared by all sessions: an answer under it may be from another."""
    line = Line(name)
    line.open()
    line.read()
    under_global = Line("general")
    under_global.open()
    under_global.read()
    for other in (under_global.answers[-1], b"\xcc" + under_global.answers[-1][1:]):
        line.change_answer = lambda _, other=other: other  # type: ignore[misc]
        with pytest.raises(RemoteProtocolError, match=r"another sender|than agreed|global key"):
            line.read()


@pytest.mark.parametrize("name", [one for one in BY_ENVELOPE if one != "static"])
def test_an_answer_under_a_key_of_another_kind_is_refused(name: str) -> None:
    """Somebody who knows one key only must not be able to choose that it is used."""
    line = Line(name)
    line.open()
    line.read()
    answer = bytearray(line.answers[-1])
    # Tag, transaction, two titles, two empty fields, "there is a key": then its kind.
    place = 1 + 9 + 9 + 9 + 2 + 1
    assert answer[place] == {"identified": 0, "wrapped": 1, "one-pass": 2}[name]
    answer[place : place + 2] = b"\x02\x01\x02\x00" if name == "identified" else b"\x00\x00"
    # Its transaction must be that of the request.
    line.change_answer = lambda now: now[:10] + bytes(answer[10:])
    with pytest.raises(RemoteProtocolError, match=r"another kind|announced|general ciphering"):
        line.read()


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_a_cut_tag_opens_nothing(name: str) -> None:
    for octets in (1, 4, 11, 12):
        line = Line(name)
        line.open()
        line.change_answer = lambda answer, octets=octets: shortened(  # type: ignore[misc]
            answer, octets
        )
        with pytest.raises((WrongKey, RemoteProtocolError)):
            line.read()


@pytest.mark.parametrize("name", AUTHENTICATED)
@pytest.mark.parametrize("place", [-1, -12, -13, -20])
def test_a_changed_answer_opens_nothing(name: str, place: int) -> None:
    line = Line(name)
    line.open()

    def changed(answer: bytes) -> bytes:
        octets = bytearray(answer)
        octets[place] ^= 1
        return bytes(octets)

    line.change_answer = changed
    with pytest.raises((WrongKey, RemoteProtocolError)):
        line.read()


def test_a_meter_whose_counter_jumps_back_is_believed_in_a_new_session_only() -> None:
    """It was started anew, or somebody else answers: within a session nobody can tell."""
    line = Line("gmac-suite-0")
    line.open()
    line.read()
    line.model.own_counter = 0
    with pytest.raises(RemoteProtocolError, match="sent again"):
        line.read()
    line.model.own_counter = 0
    line.connect()
    line.open()
    assert axdr.decode(line.read())[0] == METERS["gmac-suite-0"].mrid.encode()


@pytest.mark.parametrize("name", CIPHERED)
def test_a_counter_that_the_meter_has_seen_is_out_of_sync(name: str) -> None:
    line = Line(name)
    line.model.accepted_counter = 1000
    with pytest.raises(CounterOutOfSync, match="at least 1001"):
        line.open()


@pytest.mark.parametrize("name", ["dedicated", "general-dedicated"])
def test_a_dedicated_key_is_new_each_time_and_has_counters_of_its_own(name: str) -> None:
    line = Line(name)
    line.open()
    taken = line.model.accepted_counter
    line.read()
    line.read()
    assert line.model.accepted_counter == taken, "none of the global key's counters is spent"
    first = line.requests[-1]
    line.connect()
    line.open()
    line.read()
    line.read()
    second = line.requests[-1]
    at = first.index((2).to_bytes(4))
    assert second[: at + 4] == first[: at + 4], "each session counts anew"
    assert second[at + 4 :] != first[at + 4 :], "under another key"


@pytest.mark.parametrize("name", CIPHERED)
def test_after_a_crash_a_session_goes_on_with_new_counters(name: str) -> None:
    """The next run begins above all that was taken; those of the broken session are lost."""
    line = Line(name)
    line.open()
    line.read()
    line.connect()
    line.counters = secured.count(next(line.counters) + 100)
    line.association = secured.Association(line.security)
    line.open()
    assert axdr.decode(line.read())[0] == METERS[name].mrid.encode()


@pytest.mark.parametrize(
    "name", [name for name, meter in METERS.items() if keys.MECHANISMS[meter.security] > 1]
)
def test_a_challenge_that_is_sent_back_is_refused(name: str) -> None:
    line = Line(name)

    def reflect(answer: bytes) -> bytes:
        ours, theirs = challenge(line.requests[0], 0xAC), challenge(answer, 0xAA)
        return answer.replace(theirs, ours)

    line.change_answer = reflect
    with pytest.raises(RemoteProtocolError, match="is our own"):
        line.open()


@pytest.mark.parametrize("name", ["hls-ecdsa-1", "hls-ecdsa-2", "hls-sha256", "hls-md5"])
def test_a_wrong_proof_of_the_meter_is_a_wrong_key(name: str) -> None:
    line = Line(name)

    def changed(answer: bytes) -> bytes:
        return answer[:-1] + bytes((answer[-1] ^ 1,)) if answer[0] == 0xC7 else answer

    line.change_answer = changed
    with pytest.raises(WrongKey, match="could not show"):
        line.open()


@pytest.mark.parametrize("name", ["one-pass", "one-pass-ecdsa"])
def test_an_ephemeral_key_that_the_meter_did_not_sign_is_refused(name: str) -> None:
    line = Line(name)
    line.open()
    size = 64 if name == "one-pass" else 96
    start = 1 + 9 + 9 + 9 + 2 + 2 + 2 + 2

    def changed(answer: bytes) -> bytes:
        octets = bytearray(answer)
        octets[start + size + 5] ^= 1
        return bytes(octets)

    line.change_answer = changed
    with pytest.raises(WrongKey, match="signature on the meter's ephemeral key"):
        line.read()


@pytest.mark.parametrize("name", ["gmac-suite-0", "hls-sha256", "one-pass"])
def test_the_answer_of_a_meter_with_another_title_does_not_fit(name: str) -> None:
    line = Line(name)
    title = line.model.title
    line.change_answer = lambda answer: answer.replace(title, title[:-1] + b"\xfe")
    with pytest.raises((WrongKey, RemoteProtocolError)):
        opened_and_read(line)


def test_a_general_message_of_another_sender_is_refused() -> None:
    line = Line("general")
    line.open()
    title = line.model.title
    line.change_answer = lambda answer: answer.replace(title, title[:-1] + b"\xfe")
    with pytest.raises(RemoteProtocolError, match="another sender"):
        line.read()


@pytest.mark.parametrize("name", CIPHERED)
def test_a_message_of_another_suite_is_refused(name: str) -> None:
    suite = keys.suite(METERS[name])
    other = (suite + 1) % 3
    line = Line(name)
    line.open()
    control = {"authenticated": 0x10, "encrypted": 0x20}.get(
        str(METERS[name].address.get("protection")), 0x30
    )

    def changed(answer: bytes) -> bytes:
        counter = line.model.own_counter.to_bytes(4)
        for known in (counter, (1).to_bytes(4)):
            answer = answer.replace(
                bytes((control | suite,)) + known, bytes((control | other,)) + known
            )
        return answer

    line.change_answer = changed
    with pytest.raises(RemoteProtocolError, match=f"security suite {other} is used"):
        line.read()


def test_a_compressed_message_is_refused_in_words() -> None:
    line = Line("gmac-suite-0")
    line.open()
    line.change_answer = lambda answer: answer.replace(b"\x30\0\0\0", b"\xb0\0\0\0", 1)
    with pytest.raises(RemoteProtocolError, match=r"compressed \(V\.44\)"):
        line.read()


def test_a_meter_without_general_protection_does_not_offer_it() -> None:
    line = Line("general", meter_options={"general_protection": 0})
    with pytest.raises(NotOffered, match="general protection"):
        line.open()


@pytest.mark.parametrize(
    ("meter", "security", "refusal", "advice"),
    [
        ("gmac-suite-0", {"ciphering": "none"}, NotOffered, "check ciphering"),
        ("gmac-open", {"ciphering": "global"}, NotOffered, "check ciphering"),
        ("gmac-suite-1", {"suite": 0}, WrongKey, "check its keys"),
    ],
)
def test_a_client_that_is_secured_otherwise_is_refused(
    meter: str, security: dict[str, object], refusal: type[DriverError], advice: str
) -> None:
    with pytest.raises(refusal, match=advice):
        Line(meter, address=security).open()


def test_no_key_is_shown() -> None:
    for name, meter in METERS.items():
        line = Line(name)
        shown = repr(line.security) + repr(line.association) + repr(secured.wanted(meter))
        for key in secured.secrets(meter).values():
            assert key.hex() not in shown
            assert repr(key)[2:-1] not in shown


def opened_and_read(line: Line) -> bytes:
    line.open()
    return line.read()


def challenge(apdu: bytes, tag: int) -> bytes:
    """Find the challenge in an AARQ or AARE."""
    body, _ = axdr.octets(apdu, 1)
    at = 0
    while at < len(body):
        content, after = axdr.octets(body, at + 1)
        if body[at] == tag:
            return axdr.octets(content, 1)[0]
        at = after
    raise AssertionError("no challenge")


def shortened(answer: bytes, octets: int) -> bytes:
    """Cut the end off a ciphered answer, lengths put right."""
    if answer[0] == general.GENERAL_CIPHERING:
        envelope = Envelope.parse(answer)
        return bytes(replace(envelope, content=envelope.content[:-octets]))
    at = 10 if answer[0] in (general.GENERAL_GLO, general.GENERAL_DED) else 1
    text, _ = axdr.octets(answer, at)
    return answer[:at] + axdr.encode_octets(text[:-octets])
