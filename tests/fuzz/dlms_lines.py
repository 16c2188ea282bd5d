"""Decoders of DLMS lines: frames, links, sign-on, gateways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from drivers import errors
from drivers.dlms import (
    gateway,
    hdlc,
    hdlc_link,
    mbus,
    mode_e,
    wrapper,
)
from drivers.dlms.hdlc_parameters import Parameters
from tests.fuzz.target import Target, allowing, only, pieces


def _hdlc(data: bytes) -> None:
    _framed(hdlc.Frames(), hdlc.Apdus(), pieces(data))
    text = data[:2000]
    size = len(text) + 4
    head = bytes((0xA0 | size >> 8, size & 0xFF))
    body = head + text
    whole = body + hdlc.check_sequence(body)
    _framed(hdlc.Frames(), hdlc.Apdus(), [b"\x7e" + whole + b"\x7e"])


_CLIENT, _SERVER = hdlc.client_address(1), hdlc.server_address(1, 17)


_MOST_TURNS: Final = 5000


def _hdlc_link(data: bytes) -> None:
    """Let a meter say anything: bytes as they are, and frames whose checks fit."""
    _linked(pieces(data[1:]), data[:1])
    said = [
        hdlc.encode(hdlc.Frame(_CLIENT, _SERVER, piece[0], bool(piece[1:2] > b"\x7f"), piece[2:]))
        for piece in pieces(data[1:])
    ]
    _linked(said, data[:1])


def _linked(said: list[bytes], first: bytes) -> None:
    size = first[0] % 7 + 1 if first else 1
    parameters = Parameters(size * 16, size * 16, size, size)
    link, left = hdlc_link.Link(_CLIENT, _SERVER, parameters, 2), iter(said)
    frames = link.frames
    for talk in (link.connect(), link.exchange(bytes(40), bytes(9)), link.more()):
        output = next(talk)
        for turn in range(_MOST_TURNS):
            frames.feed(next(left, b"") if output else b"")
            try:
                output = talk.send(frames.next())
            except StopIteration:
                break
            assert turn < _MOST_TURNS - 1, "the link does not come to an end"
        assert frames.waiting <= 2048 + 4096


def _mode_e(data: bytes) -> None:
    lines = mode_e.Lines()
    for piece in pieces(data):
        lines.feed(piece)
        while (line := lines.next()) is not None:
            allowing(
                lambda line=line: mode_e.choice(mode_e.identified(line)),  # type: ignore[misc]
                errors.ProtocolError,
                errors.NotOffered,
            )
        assert lines.waiting <= mode_e.LONGEST_LINE


def _gateway(data: bytes) -> None:
    route = gateway.Route(data[0], data[1:3]) if data else gateway.Route(1, b"\x01")
    for said in (bytes((gateway.RESPONSE,)) + route.out(data[3:])[1:], data[3:]):
        assert len(route.back(said)) <= len(said)


def _mbus(data: bytes) -> None:
    _framed(mbus.Frames(), mbus.Apdus(), pieces(data))
    text = data[:255]
    head = bytes((0x68, len(text), len(text), 0x68))
    _framed(mbus.Frames(), mbus.Apdus(), [head + text + bytes((sum(text) & 0xFF, 0x16))])


def _framed(
    frames: hdlc.Frames | mbus.Frames, apdus: hdlc.Apdus | mbus.Apdus, pieces: Iterable[bytes]
) -> None:
    for piece in pieces:
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            joined = apdus.join(frame)  # type: ignore[arg-type]  # the two are of one module
            assert joined is None or len(joined) <= 0xFFFF
        assert frames.waiting <= 2048 + len(piece)


def _wrapper(data: bytes) -> None:
    frames = wrapper.Frames()
    for piece in pieces(data):
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            assert wrapper.decode(wrapper.encode(frame)) == frame
        assert frames.waiting <= 0xFFFF + 8
    wrapper.decode(data)


_FRAME: Final = bytes.fromhex("7ea00a0002040023") + b"\x13\x00\x00\x7e"


TARGETS: Final[Mapping[str, Target]] = {
    "hdlc": Target(
        only(_hdlc, errors.ProtocolError), (_FRAME, b"\x03\x03\x13\x00\x00\xe6\xe7\x00")
    ),
    "hdlc_link": Target(
        only(_hdlc_link, errors.LinkError, errors.ProtocolError),
        (
            b"\x03"
            + hdlc.encode(hdlc.Frame(_CLIENT, _SERVER, 0x73, False, b"")).ljust(37, b"\x7e")
            + hdlc.encode(hdlc.Frame(_CLIENT, _SERVER, 0x30, False, b"\xe6\xe7\x00\xc4")),
            b"\x01\x73\x00".ljust(38, b"\x00") + b"\x30\x00\xe6\xe7\x00\xc4\x01",
        ),
    ),
    "mode_e": Target(only(_mode_e), (mode_e.sign_on("1"), b"/ISK5\\2MT372\r\n", b"/ABB4TYPE1\r\n")),
    "gateway": Target(
        only(_gateway, errors.ProtocolError), (b"\x01\x00\x01\xe7\x01\x02\x00\x01\xc4\x01\xc1",)
    ),
    "wrapper": Target(
        only(_wrapper, errors.ProtocolError), (wrapper.encode(wrapper.Frame(1, 1, b"\xc4")),)
    ),
    "mbus": Target(
        only(_mbus, errors.ProtocolError),
        (bytes.fromhex("6806066853ff100167 00ca16"), b"\x53\xff\x10\x01\x67\x0f"),
    ),
}
