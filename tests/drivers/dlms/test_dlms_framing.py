"""Wrapper, HDLC and M-Bus frames: the same frames in whatever pieces they come, and garbage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gurux_dlms._GXFCS16 import _GXFCS16
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import hdlc, mbus, wrapper
from drivers.errors import LocalProtocolError, RemoteProtocolError

LLC = bytes.fromhex("e6e700")


def hdlc_frame(information: bytes, *, segmented: bool = False) -> bytes:
    """Write a frame; the check sequences are gurux-dlms'."""
    address = bytes.fromhex("410883") + b"\x13"
    length = 2 + len(address) + (2 + len(information) if information else 0) + 2
    head = (0xA000 | (0x0800 if segmented else 0) | length).to_bytes(2) + address
    body = head + (gurux_check(head) + information if information else b"")
    return b"\x7e" + body + gurux_check(body) + b"\x7e"


def gurux_check(data: bytes) -> bytes:
    return int(_GXFCS16.countFCS16(bytearray(data), 0, len(data))).to_bytes(2)


def mbus_frame(data: bytes, *, number: int = 0, last: bool = True) -> bytes:
    text = bytes((0x53, 0xFF, (0x10 if last else 0) | number, 1, 0x67)) + data
    head = bytes((0x68, len(text), len(text), 0x68))
    return head + text + bytes((sum(text) & 0xFF, 0x16))


def wrapper_frame(apdu: bytes) -> bytes:
    return wrapper.encode(wrapper.Frame(1, 16, apdu))


MAKERS: dict[str, tuple[Callable[[], Any], Callable[[bytes], bytes]]] = {
    "wrapper": (wrapper.Frames, wrapper_frame),
    "hdlc": (hdlc.Frames, hdlc_frame),
    "mbus": (mbus.Frames, mbus_frame),
}
CONTENT = st.binary(min_size=1, max_size=200)


def content(frame: Any) -> bytes:
    names = ("apdu", "information", "data")
    return next(getattr(frame, name) for name in names if hasattr(frame, name))


def cut(frames: Any, pieces: list[bytes]) -> list[bytes]:
    found = []
    for piece in pieces:
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            found.append(content(frame))
    return found


@pytest.mark.parametrize("transport", sorted(MAKERS))
@given(st.lists(CONTENT, min_size=1, max_size=4), st.data())
def test_frames_are_the_same_in_whatever_pieces_they_come(
    transport: str, contents: list[bytes], data: st.DataObject
) -> None:
    cutter, write = MAKERS[transport]
    stream = b"".join(write(one) for one in contents)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [
        stream[first:end] for first, end in zip([0, *places], [*places, len(stream)], strict=True)
    ]
    assert cut(cutter(), pieces) == contents
    assert cut(cutter(), [bytes((octet,)) for octet in stream]) == contents


@pytest.mark.parametrize("transport", sorted(MAKERS))
@given(CONTENT, st.data())
def test_a_frame_cut_anywhere_is_a_wait(transport: str, text: bytes, data: st.DataObject) -> None:
    cutter, write = MAKERS[transport]
    whole = write(text)
    frames = cutter()
    frames.feed(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert frames.next() is None


@pytest.mark.parametrize("transport", sorted(MAKERS))
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_is_a_frame_a_wait_or_a_protocol_error(transport: str, pieces: list[bytes]) -> None:
    frames = MAKERS[transport][0]()
    try:
        cut(frames, pieces)
    except RemoteProtocolError:
        return
    assert frames.waiting <= sum(len(piece) for piece in pieces)


@pytest.mark.parametrize("transport", ["hdlc", "mbus"])
@given(CONTENT, st.data())
def test_a_changed_octet_is_never_taken_for_the_frame(
    transport: str, text: bytes, data: st.DataObject
) -> None:
    cutter, write = MAKERS[transport]
    whole = bytearray(write(text))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = cut(cutter(), [bytes(whole)])
    except RemoteProtocolError:
        return
    # A longer length makes the rest of it wait for octets that never come.
    assert found == []


@given(st.binary(max_size=300))
def test_the_check_sequence_is_what_gurux_counts(data: bytes) -> None:
    assert hdlc.check_sequence(data) == gurux_check(data)


@given(st.lists(CONTENT, min_size=1, max_size=5))
def test_segments_are_joined(pieces: list[bytes]) -> None:
    frames, apdus = hdlc.Frames(), hdlc.Apdus()
    for place, piece in enumerate(pieces):
        information = piece if place else LLC + piece
        frames.feed(hdlc_frame(information, segmented=place < len(pieces) - 1))
    whole = []
    while (frame := frames.next()) is not None:
        whole.append(apdus.join(frame))
    assert whole == [None] * (len(pieces) - 1) + [b"".join(pieces)]


def test_mbus_segments_out_of_order_are_no_apdu() -> None:
    apdus = mbus.Apdus()
    assert apdus.join(mbus.Frame(0, last=False, data=b"a")) is None
    with pytest.raises(RemoteProtocolError, match="segment 2"):
        apdus.join(mbus.Frame(2, last=True, data=b"c"))


def test_segments_without_end_are_refused() -> None:
    segments, pieces = hdlc.Apdus(), mbus.Apdus()
    segment = hdlc.Frame(b"\x03", b"\x03", 0x13, segmented=True, information=bytes(2000))
    for _ in range(32):
        assert segments.join(segment) is None
    with pytest.raises(RemoteProtocolError, match="no APDU"):
        segments.join(segment)
    for number in range(273):
        assert pieces.join(mbus.Frame(number & 0x0F, last=False, data=bytes(240))) is None
    with pytest.raises(RemoteProtocolError, match="no APDU"):
        pieces.join(mbus.Frame(273 & 0x0F, last=True, data=bytes(240)))


def test_what_speaks_another_protocol_is_told_at_once() -> None:
    frames = wrapper.Frames()
    frames.feed(b"H")
    with pytest.raises(RemoteProtocolError, match="check that the port"):
        frames.next()


def test_a_datagram_is_one_frame() -> None:
    whole = wrapper_frame(b"abc")
    assert wrapper.decode(whole).apdu == b"abc"
    for wrong in (whole[:-1], whole + b"\x00", b""):
        with pytest.raises(RemoteProtocolError):
            wrapper.decode(wrong)


def test_an_apdu_that_does_not_fit_is_our_own_error() -> None:
    with pytest.raises(LocalProtocolError):
        wrapper.encode(wrapper.Frame(1, 1, bytes(65_536)))
