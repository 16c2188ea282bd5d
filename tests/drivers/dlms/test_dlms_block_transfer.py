"""General block transfer: parts in any order, lost, repeated and contradictory, both ways."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Conformance
from drivers.dlms.block_transfer import TAG, WIDEST, Joiner, Part, Reassembly, Transfer
from drivers.dlms.engine import PROPOSED
from drivers.dlms.security import Security
from drivers.dlms.steps import Burst, Step
from drivers.errors import DriverError, MeterRefused, RemoteProtocolError, TimedOut
from schemas.obis import Obis
from tests.drivers.dlms import secured
from tests.drivers.dlms.meter_script import Meter, run
from tests.drivers.dlms.simulated import ECHO, NOTE, SECURITY, Talk

PROFILE = Attribute(7, Obis(1, 0, 99, 1, 0), 2)
LONG = axdr.encode_octet_string(bytes(range(256)) * 12)


def parts(apdu: bytes, size: int) -> list[Part]:
    pieces = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    return [
        Part(number == len(pieces), number < len(pieces), 4, number, 0, piece)
        for number, piece in enumerate(pieces, 1)
    ]


@given(
    st.builds(
        Part,
        st.booleans(),
        st.booleans(),
        st.integers(0, 63),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
        st.binary(max_size=200),
    )
)
def test_a_part_is_read_as_it_was_written(part: Part) -> None:
    assert Part.parse(bytes(part)) == part
    assert Part.parse(bytes(part) + bytes(part)) == part
    for end in range(len(bytes(part))):
        with pytest.raises(RemoteProtocolError):
            Part.parse(bytes(part)[:end])


@given(st.binary(min_size=1, max_size=300), st.integers(5, 40), st.randoms(use_true_random=False))
def test_parts_in_any_order_and_again_give_the_apdu_once(
    apdu: bytes, size: int, random: Random
) -> None:
    several = parts(apdu, size) * 2
    random.shuffle(several)
    joiner, held = Joiner(), Reassembly()
    given = [joiner.feed(bytes(part)) for part in several]
    assert [one for one in given if one is not None] == [apdu]
    for part in several:
        held.take(part)
    assert held.whole == apdu


def test_every_push_in_parts_is_given_once_and_a_lost_part_gives_none() -> None:
    joiner = Joiner()
    first, second, third = (bytes((0x0F, 0, 0, 0, n)) + bytes(30) for n in (1, 2, 3))
    sent = [*parts(first, 10), *parts(first, 10), *parts(second, 10)[:2], *parts(third, 10)]
    given = [joiner.feed(bytes(part)) for part in sent]
    assert [one for one in given if one is not None] == [first, third]
    assert joiner.feed(b"\x0f whole") == b"\x0f whole"


@pytest.mark.parametrize(
    "wrong",
    [
        Part(False, True, 1, 2, 0, b"other"),
        Part(True, False, 1, 2, 0, b"22"),
        Part(False, True, 1, 3 + WIDEST, 0, b"far"),
        Part(True, False, 1, 1, 0, b"11"),
    ],
)
def test_parts_that_contradict_each_other_give_nothing(wrong: Part) -> None:
    held = Reassembly()
    held.take(Part(False, True, 1, 1, 0, b"11"))
    held.take(Part(False, True, 1, 2, 0, b"22"))
    with pytest.raises(RemoteProtocolError, match="part"):
        held.take(wrong)
    assert held.whole is None


def test_a_part_after_the_last_one_is_an_error() -> None:
    held = Reassembly()
    held.take(Part(True, False, 1, 2, 0, b"22"))
    with pytest.raises(RemoteProtocolError, match="part 3"):
        held.take(Part(False, True, 1, 3, 0, b"33"))


def test_an_apdu_without_end_is_refused_before_it_fills_the_memory() -> None:
    held = Reassembly()
    endless = (Part(False, True, 1, number, 0, bytes(50_000)) for number in range(1, 100))
    with pytest.raises(RemoteProtocolError, match="more than"):
        deque(map(held.take, endless), maxlen=0)


@pytest.mark.parametrize("security", SECURITY)
@pytest.mark.parametrize("window", [1, 2, 5, 63])
def test_long_messages_go_in_parts_both_ways(security: str, window: int) -> None:
    talk = Talk(security, options={"pdu_size": 128, "gbt_window": 7}, window=window)
    assert talk.association.offers(Conformance.GENERAL_BLOCK_TRANSFER)
    before = talk.exchanges
    assert talk.run(talk.association.action(ECHO, LONG)) == LONG
    talk.run(talk.association.set(NOTE, LONG))
    assert talk.run(talk.association.get(NOTE)) == LONG
    sent = talk.sent[before:]
    assert all(len(apdu) <= 128 for apdu in sent)
    assert any(Part.parse(apdu).streaming for apdu in sent if apdu[0] == TAG)
    # What comes needs one acknowledgement a window, not one a part.
    came = -(-len(LONG) // 118)
    asked = sum(apdu[0] == TAG and not Part.parse(apdu).data for apdu in sent)
    assert asked <= 2 * (came // window + 2)


class Spoiled(Talk):
    """A talk over a line that loses, repeats and reorders what it carries."""

    def __init__(self, random: Random, loss: float, **settings: object) -> None:
        self._random, self._loss = random, 0.0
        super().__init__(**settings)
        self._loss = loss

    def _spoil(self, apdus: list[bytes]) -> list[bytes]:
        carried: list[bytes] = []
        for apdu in apdus:
            fate = self._random.random()
            if apdu[:1] != bytes((TAG,)) or fate > 2 * self._loss:
                carried.append(apdu)
            elif fate > self._loss:
                carried += [apdu, apdu]
        if self._loss and all(apdu[0] == TAG for apdu in carried):
            at = self._random.randrange(len(carried) + 1)
            carried = carried[at:] + carried[:at]
        return carried

    def run(self, step: Step[Any], most: int = 20_000) -> Any:
        # What was heard already the link passes over.
        self.coming.clear()
        return super().run(step, most)

    def up(self, apdus: list[bytes]) -> list[bytes]:
        return self._spoil(apdus)

    def down(self, apdus: list[bytes]) -> list[bytes]:
        return self._spoil(apdus)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_lost_is_sent_again_and_nothing_comes_twice_or_wrong(seed: int) -> None:
    random = Random(seed)
    talk = Spoiled(random, 0.15, options={"pdu_size": 128}, window=random.choice([2, 5, 9]))
    right = 0
    for place in range(12):
        value = axdr.encode_octet_string(bytes((seed, place)) * 400)
        try:
            returned = talk.run(talk.association.action(ECHO, value))
        except (TimedOut, RemoteProtocolError):
            # Given up rather than wrong; what was still on its way is gone with the connection.
            talk.coming.clear()
            continue
        assert returned == value
        right += 1
    assert right >= 9


def test_a_lost_part_costs_its_window_and_not_the_whole() -> None:
    talk = Talk(options={"pdu_size": 128}, window=10)
    talk.run(talk.association.set(NOTE, LONG))
    lost: list[bytes] = []

    def losing(apdus: list[bytes]) -> list[bytes]:
        found = [one for one in apdus if one[0] == TAG and Part.parse(one).number == 15]
        if found and not lost:
            lost.extend(found)
            return [one for one in apdus if one not in found]
        return apdus

    talk.down = losing  # type: ignore[method-assign]
    before = talk.exchanges
    assert talk.run(talk.association.get(NOTE)) == LONG
    assert lost
    acknowledged = [Part.parse(apdu).acknowledged for apdu in talk.sent[before:] if apdu[0] == TAG]
    assert acknowledged[:4] == [1, 11, 14, 24]


def test_the_last_part_of_a_window_is_asked_for_after_a_wait_in_vain() -> None:
    talk = Talk(options={"pdu_size": 128}, window=4)
    talk.run(talk.association.set(NOTE, LONG))
    lost: list[bytes] = []

    def losing(apdus: list[bytes]) -> list[bytes]:
        if len(apdus) == 4 and not lost:
            lost.append(apdus[-1])
            return apdus[:-1]
        return apdus

    talk.down = losing  # type: ignore[method-assign]
    assert talk.run(talk.association.get(NOTE)) == LONG
    assert lost


@pytest.mark.parametrize("name", secured.CIPHERED)
def test_every_ciphering_goes_in_parts(name: str) -> None:
    line = secured.Line(name)
    talk = Talk((line.model.meter, line.security), options={"pdu_size": 512}, window=3)
    talk.run(talk.association.set(NOTE, LONG))
    before = talk.exchanges
    assert talk.run(talk.association.get(NOTE)) == LONG
    assert sum(apdu[0] == TAG for apdu in talk.sent[before:]) >= 2


@pytest.mark.parametrize("name", ["general", "general-dedicated", "identified", "static"])
def test_parts_may_be_protected_one_by_one(name: str) -> None:
    line = secured.Line(name)
    options = {"pdu_size": 512, "protection_of_parts": "each"}
    talk = Talk((line.model.meter, line.security), options=options, window=3)
    before = talk.exchanges
    rows = axdr.decode(talk.run(talk.association.get(PROFILE)))[0]
    assert len(rows) == 192
    sent = talk.sent[before:]
    assert len(sent) > 3
    assert all(apdu[0] in (0xDB, 0xDC, 0xDD) for apdu in sent)


def test_a_part_that_was_changed_on_the_way_gives_no_reading() -> None:
    talk = Talk("hls-gmac", options={"pdu_size": 128}, window=3)

    def changed(apdus: list[bytes]) -> list[bytes]:
        return [one[:-1] + bytes((one[-1] ^ 1,)) if one[0] == TAG else one for one in apdus]

    talk.down = changed  # type: ignore[method-assign]
    with pytest.raises(DriverError):
        talk.run(talk.association.get(PROFILE))


def transferred(answer: Callable[[bytes], bytes], window: int = 2) -> Step[bytes]:
    """Ask for something of a meter whose answers all are ``answer``'s."""
    meter = Meter(ciphered=False, answer=answer, conformance=PROPOSED)
    return talked(Transfer(window).ask(bytes(100), 30), meter)


def talked(step: Step[bytes], meter: Meter) -> bytes:
    request = next(step)
    try:
        for _ in range(5000):
            apdus = request.apdus if isinstance(request, Burst) else (request,)
            answers = [meter.reply(apdu) for apdu in apdus] or [meter.answer(b"")]
            request = step.send(answers[-1])
    except StopIteration as done:
        return bytes(done.value)
    raise AssertionError("without end")


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (Part(False, False, 1, 0, 0, b""), RemoteProtocolError, "breaks"),
        (Part(False, False, 1, 1, 9, b""), RemoteProtocolError, "counts on"),
        (Part(False, False, 1, 1, 0, b""), RemoteProtocolError, "again and again"),
        (Part(False, False, 1, 1, 4, b"x"), RemoteProtocolError, "again and again"),
        (Part(False, True, 1, 1, 4, b"x"), RemoteProtocolError, "again and again"),
    ],
)
def test_a_meter_that_does_not_get_on_is_left(
    answer: Part, kind: type[DriverError], why: str
) -> None:
    with pytest.raises(kind, match=why):
        transferred(lambda _: bytes(answer))


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (b"\xd8\x01\x02", MeterRefused, "exception"),
        (b"", RemoteProtocolError, "nothing"),
        (b"\xe0\x00\x00", RemoteProtocolError, "part"),
    ],
)
def test_another_answer_in_the_middle_ends_the_transfer(
    answer: bytes, kind: type[DriverError], why: str
) -> None:
    with pytest.raises(kind, match=why):
        transferred(lambda _: answer)


def test_an_abort_in_the_middle_of_an_answer_is_a_refusal() -> None:
    told = iter([Part(False, False, 1, 1, 0, b"x"), Part(True, False, 0, 0, 0, b"")])
    step = Transfer(1).receive(bytes(next(told)))
    next(step)
    with pytest.raises(MeterRefused, match="breaks the block transfer off"):
        step.send(bytes(next(told)))


def test_a_meter_that_falls_silent_is_asked_three_times() -> None:
    step = Transfer(2).receive(bytes(Part(False, True, 2, 1, 0, b"x")))
    requests = [next(step), *(step.throw(TimedOut("nothing")) for _ in range(2))]
    with pytest.raises(TimedOut):
        step.throw(TimedOut("nothing"))
    assert [len(request.apdus) for request in requests if isinstance(request, Burst)] == [0, 1, 1]


def test_parts_come_from_a_meter_that_was_not_asked_for_them() -> None:
    whole = b"\xc4\x01\xc1\x00" + LONG
    several = parts(whole, 500)

    def answer(plain: bytes) -> bytes:
        number = Part.parse(plain).acknowledged if plain[0] == TAG else 0
        one = several[number]
        return bytes(Part(one.last, False, 0, one.number, 0, one.data))

    meter = Meter(ciphered=False, answer=answer)
    talk_association = secured.Association(Security())
    run(talk_association.open(), meter)
    step = talk_association.get(NOTE)
    assert talked(step, meter) == LONG


@given(st.lists(st.binary(max_size=20), max_size=30))
def test_garbage_is_joined_to_nothing_or_is_an_error(several: list[bytes]) -> None:
    joiner = Joiner()
    for data in several:
        try:
            whole = joiner.feed(b"\xe0" + data)
        except RemoteProtocolError:
            continue
        assert whole is None or len(whole) <= sum(map(len, several))
