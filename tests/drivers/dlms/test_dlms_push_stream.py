"""Framing of pushes: any cut of the stream gives the same, and garbage gives protocol errors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr, hdlc, push, push_stream, wrapper
from drivers.dlms.block_transfer import TAG, Part
from drivers.dlms.ciphering import Keys
from drivers.dlms.push_receiver import Address
from drivers.dlms.push_stream import PushStream, Sent
from drivers.errors import RemoteProtocolError


def in_hdlc(apdu: bytes) -> bytes:
    """Frame an APDU as gateways hand it on (IEC 62056-46, 6.4)."""
    head = (0xA000 | len(apdu) + 12).to_bytes(2) + b"\x03\x21\x13"
    head += hdlc.check_sequence(head)
    body = head + b"\xe6\xe7\x00" + apdu
    return b"\x7e" + body + hdlc.check_sequence(body) + b"\x7e"


def in_mbus(apdu: bytes) -> bytes:
    """Frame an APDU in one long frame of M-Bus (IEC 62056-7-3)."""
    text = b"\x53\xff\x10\x01\x67" + apdu
    size = bytes((len(text),))
    return b"\x68" + size * 2 + b"\x68" + text + bytes((sum(text) & 0xFF, 0x16))


def in_wrapper(apdu: bytes) -> bytes:
    return wrapper.encode(wrapper.Frame(3, 5, apdu))


FRAMINGS = {"wrapper": in_wrapper, "hdlc": in_hdlc, "mbus": in_mbus}


def is_whole(apdu: bytes) -> bool:
    return apdu[0] != TAG


def fed(pieces: Sequence[bytes]) -> tuple[list[Sent], str]:
    """Feed pieces; give what came whole, and the error that ended it."""
    stream, whole = PushStream(), []
    try:
        for piece in pieces:
            stream.feed(piece)
            whole.extend(iter(stream.next, None))
    except RemoteProtocolError as error:
        return whole, str(error)
    return whole, ""


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(
    st.sampled_from(sorted(FRAMINGS)),
    # Parts of others are another matter.
    st.lists(st.binary(min_size=1, max_size=200).filter(is_whole), min_size=1, max_size=4),
    st.lists(st.integers(0, 2000), max_size=20),
)
def test_apdus_come_out_however_the_stream_is_cut(
    framing: str, apdus: list[bytes], places: list[int]
) -> None:
    data = b"".join(map(FRAMINGS[framing], apdus))
    whole, error = fed(cut(data, places))
    assert ([one.apdu for one in whole], error) == (apdus, "")
    assert {one.answerable for one in whole} == {framing == "wrapper"}


@given(st.binary(max_size=300), st.lists(st.integers(0, 2000), max_size=20))
def test_garbage_is_refused_the_same_however_it_is_cut(data: bytes, places: list[int]) -> None:
    assert fed(cut(data, places)) == fed([data])


@given(
    st.sampled_from(sorted(FRAMINGS)),
    st.binary(min_size=1, max_size=60).filter(is_whole),
    st.binary(max_size=40),
)
def test_what_is_whole_before_the_damage_comes_out(
    framing: str, apdu: bytes, damage: bytes
) -> None:
    whole, _ = fed([FRAMINGS[framing](apdu) + damage])
    assert whole[0].apdu == apdu


def test_a_stream_holds_one_frame_at_most() -> None:
    stream = PushStream()
    for _ in range(100):
        stream.feed(b"\0\1\0\1\0\1\xff\xff" + bytes(0xFFFF))
        assert stream.next() is not None
        assert stream.next() is None
        assert stream.waiting == 0


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_datagram_is_whole_frames_and_nothing_else(framing: str) -> None:
    frame = FRAMINGS[framing](b"\x0f\0\0\0\1\0\0")
    assert [one.apdu for one in push_stream.datagram(frame)] == [b"\x0f\0\0\0\1\0\0"]
    for wrong in (b"", frame[:-2], frame + b"\0\0\0"):
        with pytest.raises(RemoteProtocolError):
            push_stream.datagram(wrong)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://0.0.0.0", Address("tcp", "0.0.0.0", 4059)),
        ("udp://[::1]:77", Address("udp", "::1", 77)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["mqtt://a:1", "tcp://", "4059", "tcp://a:b", "udp://a:1/x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|[Pp]ort"):
        Address.parse(text)


def in_parts(apdu: bytes, size: int) -> list[bytes]:
    pieces = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    last = len(pieces)
    return [bytes(Part(n == last, n < last, 0, n, 0, one)) for n, one in enumerate(pieces, 1)]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_push_in_parts_is_joined_in_every_framing(framing: str) -> None:
    apdus = [b"\x0f\0\0\0" + bytes((number,)) + b"\0\x09\x20" + bytes(32) for number in (1, 2)]
    frames = [FRAMINGS[framing](part) for apdu in apdus for part in in_parts(apdu, 15)]
    repeated = [frame for frame in frames for _ in range(2)]
    whole, _ = fed([b"".join(repeated)])
    assert [one.apdu for one in whole] == apdus


def test_parts_come_in_datagrams_of_their_own_and_in_any_order() -> None:
    joiners = push_stream.Joiners()
    apdus = {peer: b"\x0f\0\0\0\1\0\x09\x20" + peer.encode() * 32 for peer in "ab"}
    sent = [(peer, part) for peer, apdu in apdus.items() for part in in_parts(apdu, 11)]
    found: list[tuple[str, bytes]] = []
    for peer, part in sent[::-1]:
        datagram = wrapper.encode(wrapper.Frame(1, 1, part))
        whole = push_stream.datagram(datagram, joiners.of(peer))
        found += [(peer, one.apdu) for one in whole]
    assert sorted(found) == sorted(apdus.items())


def test_of_many_peers_the_last_are_remembered() -> None:
    joiners = push_stream.Joiners()
    first = joiners.of(0)
    assert joiners.of(0) is first
    for peer in range(1000):
        joiners.of(peer)
    assert joiners.of(0) is not first


def test_an_information_report_is_a_notification_with_short_names() -> None:
    plain = bytes.fromhex("18 00 02 02fa08 021000 02 1107 0902abcd")
    keys = Keys(bytes(16), bytes(16))
    title = b"MQS\0\0\0\0\1"
    sealed = b"\x38" + axdr.encode_octets(keys.protect(plain, title, 1))
    for notification in (push.decode(plain), push.decode(sealed, keys, title)):
        assert notification.short_names == (0xFA08, 0x1000)
        assert notification.body == (7, b"\xab\xcd")
