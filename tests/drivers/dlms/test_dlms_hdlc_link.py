"""The HDLC link: against a simulated meter over lines that lose, damage and double frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import hdlc, hdlc_link
from drivers.dlms.hdlc import Frame
from drivers.dlms.hdlc_link import Link, Talk
from drivers.dlms.hdlc_parameters import Parameters
from drivers.errors import Broken, DriverError, Refused, RemoteProtocolError, TimedOut
from simulators import dlms_hdlc, fleet
from simulators.clock import Clock
from simulators.dlms_desk import Desk
from simulators.meter import Meter

T = TypeVar("T")

CLIENT, SERVER = hdlc.client_address(1), hdlc.server_address(1, 17)
METER = fleet.load("lines").meter("M00001")
CLOCK = Clock(fleet.load("lines").now)
RR, FINAL = 0x01, 0x10


class Echo(Desk):
    """Says what it heard, backwards and several times over."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.heard: list[bytes] = []

    def answers(self, client: int, server: int, apdu: bytes) -> list[bytes]:
        assert (client, server) == (1, 1)
        self.heard.append(apdu)
        return [apdu[::-1] * self.times]

    def hang_up(self) -> None:
        self.heard.clear()


def drive(talk: Talk[T], line: Callable[[bytes], bytes], link: Link, most: int = 4000) -> T:
    """Run a step over a line; what does not come at once does not come."""
    try:
        output = next(talk)
        for _ in range(most):
            link.frames.feed(line(output or b""))
            output = talk.send(link.frames.next())
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the step does not end")


def meter_line(
    desk: Desk, meter: Meter = METER, spoil: Callable[[bytes], bytes] = bytes
) -> Callable[[bytes], bytes]:
    station = dlms_hdlc.Station(meter, desk)
    return dlms_hdlc.Line({SERVER: station}, spoil).receive


def linked(parameters: Parameters, retries: int = 2) -> Link:
    return Link(CLIENT, SERVER, parameters, retries)


PARAMETERS = st.builds(
    Parameters, st.integers(16, 2030), st.integers(16, 2030), st.integers(1, 7), st.integers(1, 7)
)


@given(PARAMETERS, st.lists(st.binary(min_size=1, max_size=700), min_size=1, max_size=9))
def test_requests_and_answers_of_any_length_pass(
    parameters: Parameters, requests: list[bytes]
) -> None:
    link, desk = linked(parameters), Echo(3)
    line = meter_line(desk)
    drive(link.connect(), line, link)
    assert link.agreed.information_in <= min(parameters.information_in, 248)
    assert link.agreed.window_out <= min(parameters.window_out, 3)
    for request in requests:
        assert drive(link.exchange(request), line, link) == request[::-1] * 3
    assert desk.heard == requests
    drive(link.disconnect(), line, link)


SPOILING = st.lists(
    st.sampled_from(["pass", "pass", "pass", "damage", "lose", "double"]), max_size=60
)


@given(PARAMETERS, st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4), SPOILING)
def test_a_bad_line_gives_the_right_answer_or_none(
    parameters: Parameters, requests: list[bytes], fates: list[str]
) -> None:
    left = iter(fates)

    def spoil(frame: bytes) -> bytes:
        fate = next(left, "pass")
        middle = len(frame) // 2
        damaged = frame[:middle] + bytes((frame[middle] ^ 0x40,)) + frame[middle + 1 :]
        return {"pass": frame, "damage": damaged, "lose": b"", "double": frame * 2}[fate]

    link, desk = linked(parameters, retries=6), Echo(2)
    line = meter_line(desk, spoil=spoil)
    try:
        drive(link.connect(), line, link)
        for request in requests:
            assert drive(link.exchange(request), line, link) == request[::-1] * 2
    except (TimedOut, RemoteProtocolError):
        return
    # Whatever was sent again, the meter has done each request once.
    assert desk.heard == requests


def test_after_a_damaged_frame_nobody_waits_long() -> None:
    link = linked(Parameters())
    drive(link.connect(), answering(UA), link)
    talk = link.exchange(b"\xc0")
    asked = next(talk)
    assert talk.send(hdlc.DAMAGED) is None
    assert talk.send(None) == asked
    # The meter's own word, if it comes after all, is taken as ever.
    link.frames.feed(frame(0x20 | FINAL, b"\xe6\xe7\x00ok"))
    with pytest.raises(StopIteration):
        talk.send(link.frames.next())


@given(st.integers(0, 5))
def test_each_single_loss_is_made_good(lost: int) -> None:
    passed = iter(range(1000))
    link, desk = linked(Parameters(64, 64, 3, 3), retries=2), Echo(4)
    line = meter_line(desk, spoil=lambda frame: b"" if next(passed) == lost else frame)
    drive(link.connect(), line, link)
    assert drive(link.exchange(bytes(range(200))), line, link) == bytes(range(200))[::-1] * 4
    assert len(desk.heard) == 1


def frame(control: int, information: bytes = b"", *, source: bytes = SERVER) -> bytes:
    return hdlc.encode(Frame(CLIENT, source, control, segmented=False, information=information))


def answering(*answers: bytes) -> Callable[[bytes], bytes]:
    """A line that says one thing after another, whatever it is asked, and then is silent."""
    left = iter(answers)
    return lambda asked: next(left, b"") if asked else b""


UA = frame(hdlc_link.UA | FINAL)


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ([], TimedOut, "no UA"),
        ([frame(hdlc_link.DM | FINAL)], Refused, "DM"),
        ([frame(hdlc_link.FRMR | FINAL, b"\x93\x00\x01")], RemoteProtocolError, "unknown control"),
        ([b"login: "] * 3, RemoteProtocolError, "garbage"),
        ([frame(hdlc_link.UA | FINAL, source=b"\x05")] * 3, RemoteProtocolError, "answered, not"),
        ([UA[:-3] + b"\x00" + UA[-2:]] * 3, TimedOut, "no UA"),
        ([frame(hdlc_link.UA | FINAL, b"\x81\x80\x03\x05\x01\x00")], RemoteProtocolError, "agreed"),
    ],
)
def test_what_is_wrong_at_the_start_is_named(
    answers: list[bytes], error: type[DriverError], said: str
) -> None:
    link = linked(Parameters())
    with pytest.raises(error, match=said):
        drive(link.connect(), answering(*answers), link)


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ([], TimedOut, "asked again"),
        ([frame(hdlc_link.DM | FINAL)], Broken, "left"),
        ([frame(hdlc_link.FRMR | FINAL, b"\x10\x00\x04")], RemoteProtocolError, "too long"),
        ([frame(FINAL, bytes(129))], RemoteProtocolError, "129 octets where 128"),
        ([frame(0x20 | FINAL, b"\xe6\xe7")], RemoteProtocolError, "LLC"),
        ([frame(RR | FINAL)] * 3, TimedOut, "asked again"),
        ([frame(0x20 | RR | FINAL | 4)] * 12, TimedOut, "asked again"),
        ([frame(0x03)] * 200, RemoteProtocolError, "without end"),
        ([frame(0x20 | FINAL, source=b"\x05")] * 3, RemoteProtocolError, "0x05 answered"),
        ([b"\x00" * 50] * 3, RemoteProtocolError, "garbage"),
    ],
)
def test_what_is_wrong_later_is_named(
    answers: list[bytes], error: type[DriverError], said: str
) -> None:
    link = linked(Parameters())
    drive(link.connect(), answering(UA), link)
    said_at_once = answering(b"".join(answers)) if len(answers) > 100 else answering(*answers)
    with pytest.raises(error, match=said):
        drive(link.exchange(b"\xc0\x01"), said_at_once, link)


def test_our_own_echo_is_not_the_meter() -> None:
    link = linked(Parameters())
    line = meter_line(Echo(1))
    drive(link.connect(), lambda sent: sent + line(sent), link)
    assert drive(link.exchange(b"ab"), lambda sent: sent + line(sent), link) == b"ba"


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    link, desk = linked(Parameters()), Echo(1)
    line, waiting = meter_line(desk), [b""]
    drive(link.connect(), line, link)

    def slow(sent: bytes) -> bytes:
        """Answer each question when the next one comes."""
        if sent:
            waiting.append(line(sent))
            return waiting.pop(0)
        return b""

    assert drive(link.exchange(b"ab"), slow, link) == b"ba"
    assert drive(link.exchange(b"cd"), slow, link) == b"dc"
    assert drive(link.exchange(b"ef"), slow, link) == b"fe"
    assert desk.heard == [b"ab", b"cd", b"ef"]


def test_a_busy_meter_is_given_time() -> None:
    link = linked(Parameters())
    drive(link.connect(), answering(UA), link)
    rnr, answer = frame(0x20 | FINAL | 5), frame(0x20 | FINAL, b"\xe6\xe7\x00ok")
    asked: list[bytes] = []

    def line(sent: bytes) -> bytes:
        asked.append(sent)
        return {0: rnr, 2: rnr, 4: answer}.get(len(asked) - 1, b"")

    assert drive(link.exchange(b"\xc0"), line, link) == b"ok"
    # Between two questions it had time: a wait without a word.
    assert [bool(one) for one in asked] == [True, False, True, False, True]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_a_meter_that_talks_nonsense_ends_in_a_named_error(pieces: list[bytes]) -> None:
    link = linked(Parameters(64, 64, 3, 3))
    line = answering(UA, *pieces)
    drive(link.connect(), line, link)
    with pytest.raises(DriverError):
        drive(link.exchange(b"\xc0\x01"), line, link)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=40))
def test_any_frames_end_in_an_answer_or_a_named_error(said: Iterable[tuple[int, bytes]]) -> None:
    link = linked(Parameters(64, 64, 3, 3))
    line = answering(UA, *(frame(*one) for one in said))
    drive(link.connect(), line, link)
    try:
        drive(link.exchange(b"\xc0\x01"), line, link)
    except DriverError:
        return


# Frames that the DLMS User Association's "Examples for DLMS/COSEM information exchange" prints:
# client 16, logical device 1, physical device 17, four octets.
PRINTED_SNRM = bytes.fromhex("7EA00A00020023219318717E")
PRINTED_UA = bytes.fromhex(
    "7EA023210002002373F6C58180140502008006020080070400000001080400000001CE6A7E"
)
PRINTED_AARQ = bytes.fromhex(
    "7EA02E0002002321107ECBE6E600601DA109060760857405080101BE10040E01000000065F1F040000301DFFFF"
    "D4C57E"
)


def test_the_link_begins_as_the_dlms_user_association_prints_it() -> None:
    link = Link(hdlc.client_address(16), hdlc.server_address(1, 17, 4), Parameters(), 0)
    talk = link.connect()
    assert next(talk) == PRINTED_SNRM
    link.frames.feed(PRINTED_UA)
    with pytest.raises(StopIteration):
        talk.send(link.frames.next())
    assert link.agreed == Parameters()
    assert next(link.exchange(PRINTED_AARQ[14:-3])) == PRINTED_AARQ


def test_the_simulated_meter_takes_what_is_printed() -> None:
    meter = replace(METER, address={**METER.address, "address_size": 4}, options={})
    line = dlms_hdlc.Line({dlms_hdlc.address_of(meter): dlms_hdlc.Station(meter, Desk([], CLOCK))})
    frames = hdlc.ResilientFrames()
    frames.feed(line.receive(PRINTED_SNRM))
    told = frames.next()
    frames.feed(PRINTED_UA)
    assert told == frames.next()


def test_captured_frames_come_through_whatever_stands_before_them(shared: Path) -> None:
    captured = json.loads((shared / "data/dlms_frames.json").read_text("utf-8"))
    whole = [
        bytes.fromhex(one["hex"])
        for one in captured
        if one["transport"] == "hdlc" or one["name"].startswith("amshan/hdlc_frame")
    ]
    good = 0
    for captured_text in whole:
        text = b"\x7e" + captured_text.strip(b"\x7e") + b"\x7e"
        strict, came = hdlc.Frames(), []
        strict.feed(text)
        try:
            while (one := strict.next()) is not None:
                came.append(one)
        except RemoteProtocolError:
            continue
        resilient = hdlc.ResilientFrames()
        resilient.feed(b"\x00\xff\x7e\xa1noise" + text)
        found = iter(resilient.next, None)
        assert [one for one in found if one is not hdlc.DAMAGED] == came
        assert all(text.find(hdlc.encode(one)[1:-1]) >= 0 for one in came)
        good += len(came)
    assert good >= 4
