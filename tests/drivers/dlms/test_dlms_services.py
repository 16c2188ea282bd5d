"""SET and ACTION: what goes out, what comes back, and what a meter refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr, clock_time
from drivers.dlms.apdu import Attribute, Entries, Range
from drivers.dlms.association import Conformance
from drivers.dlms.engine import Association
from drivers.dlms.refusals import Refusal
from drivers.dlms.steps import Step
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


PROFILE = Attribute(7, Obis(1, 0, 99, 1, 0), 2)
LONG = octets(bytes(range(256)) * 8)


@pytest.mark.parametrize("security", SECURITY)
@pytest.mark.parametrize("pdu_size", [128, 1024])
def test_what_does_not_fit_goes_in_blocks_both_ways(security: str, pdu_size: int) -> None:
    talk = Talk(security, options={"pdu_size": pdu_size})
    before = talk.exchanges
    talk.run(talk.association.set(NOTE, LONG))
    assert talk.exchanges - before >= len(LONG) // pdu_size
    assert talk.run(talk.association.get(NOTE)) == LONG
    assert talk.run(talk.association.action(ECHO, LONG)) == LONG
    assert all(len(apdu) <= pdu_size for apdu in talk.sent[before:])


@given(st.integers(0, 700), st.integers(64, 300))
def test_any_length_goes_through_any_size_of_message(length: int, pdu_size: int) -> None:
    talk = Talk(options={"pdu_size": pdu_size})
    value = octets(bytes(place % 251 for place in range(length)))
    talk.run(talk.association.set(NOTE, value))
    assert talk.run(talk.association.get(NOTE)) == value
    assert talk.run(talk.association.action(ECHO, value)) == value


@pytest.mark.parametrize("pdu_size", [100, 1024])
def test_several_attributes_are_written_in_one_request(pdu_size: int) -> None:
    talk = Talk(options={"pdu_size": pdu_size})
    before = talk.exchanges
    changes = [(NOTE, octets(b"x" * 90)), (SERIAL, octets(b"y")), (NOTE, octets(b"z"))]
    refusals = talk.run(talk.association.set_all(changes))
    assert [refusal and refusal.result for refusal in refusals] == [None, 3, None]
    assert talk.run(talk.association.get(NOTE)) == octets(b"z")
    assert talk.exchanges - before - 1 == (1 if pdu_size == 1024 else 2)


@pytest.mark.parametrize("pdu_size", [100, 1024])
def test_several_methods_run_in_one_request(pdu_size: int) -> None:
    talk = Talk(options={"pdu_size": pdu_size})
    given = [octets(b"x" * 90), b"\x11\x07", octets(b"z")]
    calls = [(ECHO, given[0]), (CLOCK, b"\x0f\x00"), (ECHO, given[2])]
    first, second, third = talk.run(talk.association.action_all(calls))
    assert (first, third) == (given[0], given[2])
    assert isinstance(second, Refusal)
    assert second.result == 3


def test_a_meter_without_lists_is_written_one_by_one() -> None:
    def done(plain: bytes) -> bytes:
        return bytes((plain[0] + 4, 1, plain[2], 0, *([0] if plain[0] == 0xC3 else [])))

    granted = Conformance.GET | Conformance.SET | Conformance.ACTION
    meter = Meter(ciphered=False, conformance=granted, answer=done)
    held = opened(meter)
    assert run(held.set_all([(NOTE, b"\x00"), (SERIAL, b"\x00")]), meter) == [None, None]
    assert run(held.action_all([(ECHO, b"\x00"), (ECHO, b"\x00")]), meter) == [None, None]
    assert [request[:2] for request in meter.asked] == [b"\xc1\x01"] * 2 + [b"\xc3\x01"] * 2


def test_a_long_list_of_answers_comes_in_blocks() -> None:
    talk = Talk(options={"pdu_size": 256})
    talk.run(talk.association.set(NOTE, LONG))
    before = talk.exchanges
    note, serial, nothing = talk.run(
        talk.association.get_all([NOTE, SERIAL, Attribute(1, Obis(9, 9, 9, 9, 9), 2)])
    )
    assert (note, serial, nothing) == (LONG[4:], b"M00001", Refusal(4))
    assert talk.exchanges - before >= 8


def test_rows_and_columns_of_a_profile_by_their_numbers() -> None:
    talk = Talk()
    whole = axdr.decode(talk.run(talk.association.get(PROFILE)))[0]
    rows = axdr.decode(talk.run(talk.association.get(PROFILE, Entries(3, 5))))[0]
    assert rows == whole[2:5]
    rows = axdr.decode(talk.run(talk.association.get(PROFILE, Entries(380, 0, 3, 4))))[0]
    assert rows == [row[2:4] for row in whole[379:]]


def test_rows_of_a_profile_by_time_with_some_columns_alone() -> None:
    talk = Talk()
    whole = axdr.decode(talk.run(talk.association.get(PROFILE)))[0]
    first, last = (
        moment
        for moment in (clock_time.decode(whole[row][0]).utc() for row in (4, 8))
        if moment is not None
    )
    clock, energy = Attribute(8, Obis(0, 0, 1, 0, 0), 2), Attribute(3, Obis(1, 0, 1, 29, 0), 2)
    wanted = Range(clock, first, last, columns=(clock, energy))
    rows = axdr.decode(talk.run(talk.association.get(PROFILE, wanted)))[0]
    assert rows == [(row[0], row[2]) for row in whole[4:9]]


def answering(*answers: bytes) -> Meter:
    """Make a meter that says what it is told, whatever it is asked; of 64 octets a message."""
    told = iter(answers)
    return Meter(ciphered=False, pdu_size=64, answer=lambda _: next(told))


TAKEN = b"\xc5\x02\xc1\x00\x00\x00"
TAKEN_PBLOCK = b"\xc7\x04\xc1\x00\x00\x00"
WHOLE = octets(bytes(100))


@pytest.mark.parametrize(
    ("answers", "kind", "why"),
    [
        ([TAKEN + b"\x02"], RemoteProtocolError, "takes block"),
        ([TAKEN + b"\x01", TAKEN + b"\x01"], RemoteProtocolError, "takes block"),
        ([TAKEN], RemoteProtocolError, "takes block"),
        ([b"\xc5\x01\xc1\x00"], RemoteProtocolError, "done before all"),
        ([b"\xc5\x03\xc1\x0c\x00\x00\x00\x01"], MeterRefused, "type unmatched"),
        ([TAKEN + b"\x01", b"\xc5\x03\xc1\x11\x00\x00\x00\x02"], MeterRefused, "long set aborted"),
        (
            [TAKEN + b"\x01", TAKEN + b"\x02", TAKEN + b"\x03"],
            RemoteProtocolError,
            "more than there is",
        ),
        ([TAKEN + b"\x01", b"\xc5\x02\xc2\x00\x00\x00\x02"], RemoteProtocolError, "twice or late"),
        ([b"\xd8\x01\x02"], NotOffered, "exception"),
        ([b"\x0e\x06\x02\x00"], MeterRefused, "confirmed service error"),
    ],
)
def test_a_long_write_that_goes_wrong_says_how(
    answers: list[bytes], kind: type[DriverError], why: str
) -> None:
    meter = answering(*answers)
    held = opened(meter)
    with pytest.raises(kind, match=why):
        run(held.set(NOTE, WHOLE), meter)
    assert len(meter.asked) == len(answers)


def pblock(number: int, data: bytes, *, last: bool) -> bytes:
    return bytes((0xC7, 2, 0xC1, last)) + number.to_bytes(4) + axdr.encode_octets(data)


@pytest.mark.parametrize(
    ("answers", "kind", "why"),
    [
        ([pblock(2, b"a", last=False)], RemoteProtocolError, "block 2 came"),
        ([pblock(1, b"a", last=False)] * 2, RemoteProtocolError, "block 1 came"),
        ([pblock(1, b"", last=False)], RemoteProtocolError, "empty"),
        ([pblock(1, b"a", last=False)[:8]], RemoteProtocolError, "cut off"),
        ([pblock(1, b"a", last=False), b"\xc7\x01\xc1\x0f\x00"], MeterRefused, "action aborted"),
        ([pblock(1, b"a", last=False), b"\xc7\x01\xc1\x00\x00"], RemoteProtocolError, "without"),
        ([TAKEN_PBLOCK + b"\x01"], RemoteProtocolError, "another type"),
    ],
)
def test_a_long_answer_of_a_method_that_goes_wrong_says_how(
    answers: list[bytes], kind: type[DriverError], why: str
) -> None:
    meter = answering(*answers)
    held = opened(meter)
    with pytest.raises(kind, match=why):
        run(held.action(ECHO, b"\x00"), meter)


@pytest.mark.parametrize("head", [b"", b"\x00\x01\x00"])
def test_a_long_answer_of_a_method_has_its_result_before_it_or_not(head: bytes) -> None:
    data = head + LONG
    meter = answering(pblock(1, data[:1000], last=False), pblock(2, data[1000:], last=True))
    assert run(opened(meter).action(ECHO, b"\x00"), meter) == LONG


def test_a_method_that_never_stops_answering_is_stopped() -> None:
    def answer(plain: bytes) -> bytes:
        number = 1 if plain[1] != 2 else int.from_bytes(plain[3:7]) + 1
        return pblock(number, bytes(60_000), last=False)

    meter = Meter(ciphered=False, answer=answer)
    held = opened(meter)
    with pytest.raises(RemoteProtocolError, match="more than"):
        run(held.action(ECHO, b"\x00"), meter)
    assert len(meter.asked) < 100


def test_a_long_write_to_a_meter_without_blocks_is_not_tried() -> None:
    granted = Conformance.SET | Conformance.ACTION
    meter = Meter(ciphered=False, pdu_size=64, conformance=granted)
    held = opened(meter)
    with pytest.raises(NotOffered, match="do not fit"):
        run(held.set(NOTE, WHOLE), meter)
    with pytest.raises(NotOffered, match="do not fit"):
        run(held.action(ECHO, WHOLE), meter)
    assert not meter.asked


ANSWERS = {
    "set": b"\xc5\x01\xc1\x00",
    "set_all": b"\xc5\x05\xc1\x02\x00\x03",
    "action": b"\xc7\x01\xc1\x00\x01\x00\x09\x02ab",
    "action_all": b"\xc7\x03\xc1\x02\x00\x01\x00\x09\x02ab\x00\x01\x01\x03",
}


def steps(held: Association, name: str) -> Step[object]:
    if name == "set":
        return held.set(NOTE, b"\x00")
    if name == "action":
        return held.action(ECHO, b"\x00")
    several = [(NOTE, b"\x00"), (NOTE, b"\x00")]
    return held.set_all(several) if name == "set_all" else held.action_all(several)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_cut_at_any_byte_is_an_error_and_never_half_a_result(name: str) -> None:
    whole = ANSWERS[name]
    meter = Meter(ciphered=False, answer=lambda _: whole)
    expected = run(steps(opened(meter), name), meter)
    for end in range(1, len(whole)):
        cut = Meter(ciphered=False, answer=lambda _, end=end: whole[:end])
        held = opened(cut)
        # A value's own bytes are read by whoever asked for it.
        if name == "action" and end > 6:
            assert whole.endswith(expected)
            continue
        with pytest.raises((RemoteProtocolError, MeterRefused)):
            run(steps(held, name), cut)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_comes_twice_is_told_at_the_next_question(name: str) -> None:
    meter = Meter(ciphered=False, answer=lambda _: ANSWERS[name])
    held = opened(meter)
    run(steps(held, name), meter)
    with pytest.raises(RemoteProtocolError, match="twice or late"):
        run(steps(held, name), meter)


@pytest.mark.parametrize("name", ["set", "set_all", "action_all"])
def test_bytes_after_an_answer_are_passed_over(name: str) -> None:
    plain, more = (
        Meter(ciphered=False, answer=lambda _, tail=tail: ANSWERS[name] + tail)
        for tail in (b"", ANSWERS[name])
    )
    assert run(steps(opened(plain), name), plain) == run(steps(opened(more), name), more)
