"""Reading without a wire: values, refusals, lists and blocks, right and out of order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Conformance
from drivers.dlms.refusals import Refusal
from drivers.errors import (
    AccessDenied,
    DriverError,
    MeterRefused,
    NotOffered,
    RemoteProtocolError,
)
from schemas.obis import Obis
from tests.drivers.dlms.meter_script import Meter, opened, run

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
    ("result", "kind"),
    [(1, MeterRefused), (3, AccessDenied), (4, NotOffered), (11, NotOffered), (13, AccessDenied),
     (250, MeterRefused), (77, MeterRefused)],
)  # fmt: skip
def test_a_refused_read_says_why(result: int, kind: type[DriverError]) -> None:
    def answer(plain: bytes) -> bytes:
        return bytes((0xC4, 1, plain[2], 1, result))

    meter = plain_meter(answer=answer)
    held = opened(meter)
    with pytest.raises(kind, match=r"1/0\.0\.96\.1\.0\.255/2"):
        run(held.get(SERIAL), meter)


def blocks_of(data: bytes, size: int) -> Meter:
    """Make a meter that gives a value in blocks."""

    def answer(plain: bytes) -> bytes:
        number = 1 if plain[1] != 2 else int.from_bytes(plain[3:7]) + 1
        part = data[(number - 1) * size : number * size]
        return block(plain, number, part, last=number * size >= len(data))

    return plain_meter(answer=answer)


@given(st.binary(min_size=1, max_size=500), st.integers(1, 200))
def test_blocks_are_joined(data: bytes, size: int) -> None:
    meter = blocks_of(data, size)
    assert run(opened(meter).get(BUFFER), meter) == data
    assert len(meter.asked) == -(-len(data) // size)


@pytest.mark.parametrize("numbers", [[1, 1], [1, 3], [2], [0], [1, 2, 2]])
def test_repeated_and_reordered_blocks_give_no_reading(numbers: list[int]) -> None:
    told = iter(numbers)
    meter = plain_meter(answer=lambda plain: block(plain, next(told), b"ab", last=False))
    held = opened(meter)
    with pytest.raises(RemoteProtocolError, match="block"):
        run(held.get(BUFFER), meter)


def test_blocks_without_end_are_refused() -> None:
    def answer(plain: bytes) -> bytes:
        number = 1 if plain[1] != 2 else int.from_bytes(plain[3:7]) + 1
        return block(plain, number, bytes(60_000), last=False)

    meter = plain_meter(answer=answer)
    held = opened(meter)
    with pytest.raises(RemoteProtocolError, match="more than"):
        run(held.get(BUFFER), meter)
    assert len(meter.asked) < 100


def test_empty_blocks_without_end_are_refused() -> None:
    meter = plain_meter(answer=lambda plain: block(plain, 1, b"", last=False))
    held = opened(meter)
    with pytest.raises(RemoteProtocolError, match="empty"):
        run(held.get(BUFFER), meter)


def test_a_block_transfer_that_the_meter_breaks_off_is_a_refusal() -> None:
    def answer(plain: bytes) -> bytes:
        if plain[1] == 2:
            return bytes((0xC4, 2, plain[2], 1)) + (2).to_bytes(4) + b"\x01\x0f"
        return block(plain, 1, b"ab", last=False)

    meter = plain_meter(answer=answer)
    held = opened(meter)
    with pytest.raises(MeterRefused, match="long get aborted"):
        run(held.get(BUFFER), meter)


def test_an_answer_to_an_earlier_request_is_told_from_ours() -> None:
    meter = plain_meter(answer=lambda _: bytes((0xC4, 1, 0xC9, 0, 0x11, 7)))
    held = opened(meter)
    with pytest.raises(RemoteProtocolError, match="twice or late"):
        run(held.get(SERIAL), meter)


def test_octets_after_the_value_are_passed_over() -> None:
    meter = plain_meter(answer=lambda plain: got(plain, b"\x11\x07\x11\x07\x11\x07"))
    assert run(opened(meter).get_all([SERIAL]), meter) == [7]


def listing(plain: bytes) -> bytes:
    """Answer GETs of one and of several: attribute 3 of anything is refused."""
    if plain[1] == 1:
        return got(plain, b"\x11" + plain[12:13])
    count = plain[3]
    items = [plain[4 + 10 * place : 14 + 10 * place] for place in range(count)]
    results = b"".join(b"\x01\x04" if item[8] == 3 else b"\x00\x11" + item[8:9] for item in items)
    return bytes((0xC4, 3, plain[2], count)) + results


def attributes(count: int) -> list[Attribute]:
    return [Attribute(1, Obis(0, 0, 96, 1, place), place % 3 + 2) for place in range(count)]


@pytest.mark.parametrize("ciphered", [True, False])
def test_several_attributes_are_read_in_one_request(ciphered: bool) -> None:
    meter = Meter(ciphered=ciphered, answer=listing)
    held = opened(meter)
    before = len(meter.asked)
    values = run(held.get_all(attributes(6)), meter)
    assert values == [2, Refusal(4), 4, 2, Refusal(4), 4]
    assert len(meter.asked) - before == 1


def test_a_request_never_exceeds_what_the_meter_takes() -> None:
    meter = Meter(answer=listing, pdu_size=128)
    held = opened(meter)
    before = len(meter.asked)
    assert len(run(held.get_all(attributes(25)), meter)) == 25
    requests = meter.asked[before:]
    assert len(requests) == 3
    assert all(len(request) + 22 <= 128 for request in requests)


def test_a_meter_without_lists_is_asked_one_by_one() -> None:
    meter = plain_meter(answer=listing, conformance=Conformance.GET)
    run(opened(meter).get_all([SERIAL, SERIAL]), meter)
    assert [request[1] for request in meter.asked] == [1, 1]


def test_a_list_may_come_in_blocks() -> None:
    whole = b"\x02\x00\x09\x04abcd\x01\x04"

    def answer(plain: bytes) -> bytes:
        number = 1 if plain[1] != 2 else 2
        part = whole[:5] if number == 1 else whole[5:]
        return block(plain, number, part, last=number == 2)

    meter = plain_meter(answer=answer)
    assert run(opened(meter).get_all([SERIAL, BUFFER]), meter) == [b"abcd", Refusal(4)]


def test_a_list_of_another_length_is_a_protocol_error() -> None:
    meter = plain_meter(answer=lambda plain: bytes((0xC4, 3, plain[2], 1, 0, 0)))
    held = opened(meter)
    with pytest.raises(RemoteProtocolError, match="2 attributes"):
        run(held.get_all([SERIAL, BUFFER]), meter)


def test_a_client_without_get_is_not_offered_anything() -> None:
    meter = plain_meter(conformance=Conformance.ACTION)
    held = opened(meter)
    with pytest.raises(NotOffered):
        run(held.get(SERIAL), meter)


@given(st.binary(max_size=100), st.sampled_from([b"", b"\xc4", b"\xc4\x01\xc1", b"\xc4\x02\xc1"]))
def test_garbage_for_an_answer_is_a_value_or_an_error_of_ours(garbage: bytes, head: bytes) -> None:
    for several in (False, True):
        meter = plain_meter(answer=lambda _: head + garbage)
        held = opened(meter)
        wanted = [SERIAL, BUFFER] if several else [SERIAL]
        try:
            run(held.get_all(wanted), meter)
        except (RemoteProtocolError, MeterRefused):
            continue
