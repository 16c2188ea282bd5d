"""Decoders of what DLMS meters send unasked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from drivers import errors
from drivers.dlms import (
    axdr,
    companion,
    push,
    push_content,
    push_layouts,
    push_stream,
    wrapper,
)
from tests.fuzz.dlms_data import TIME
from tests.fuzz.dlms_security import KEYS, TITLE
from tests.fuzz.target import NOW, Target, only, pieces


def _push(data: bytes) -> None:
    first, rest = data[:1], data[1:]
    if first == b"\x01":
        # A meter whose keys are right may still say anything.
        sealed = KEYS.protect(rest, TITLE, 1)
        rest = bytes((push.GENERAL_GLO_CIPHERING,)) + axdr.encode_octets(TITLE)
        rest += axdr.encode_octets(sealed)
    push.system_title(rest)
    notification = push.decode(rest, KEYS if first != b"\x02" else None, TITLE)
    for one in push.values(notification):
        assert one.amount is None or one.scale is not None
    for reading in push.registers(notification, NOW, deviation=-60):
        assert abs(reading.value) < 2**63


def _push_content(data: bytes) -> None:
    """Read a push by the general decoder and by layouts: the same, or an error of both."""
    terms = push_content.Terms(companion.named("generic"), 900, -60)
    moments = np.full(4, round(NOW.timestamp() * 1e6))
    found, left = push_layouts.Layouts().read([data] * 4, [terms] * 4, moments)
    content = push_content.read(push.decode(data), terms, NOW)
    assert len(left) in {0, 4}
    for one in found:
        assert [one.names[0]] == [content.names]
        assert one.values.shape[1] == len(content.registers) + len(content.blocks)


def _push_stream(data: bytes) -> None:
    stream = push_stream.PushStream()
    for piece in pieces(data):
        stream.feed(piece)
        while (sent := stream.next()) is not None:
            assert len(sent.apdu) <= 0xFFFF
        assert stream.waiting <= 65_543 + len(piece)
    for sent in push_stream.datagram(data):
        push.system_title(sent.apdu)


_PUSHED: Final = (
    b"\x00\x0f\x00\x00\x00\x01\x0c"
    + TIME
    + b"\x02\x03\x0a\x05Meter\x09\x06\x01\x00\x01\x08\x00\xff"
    b"\x02\x03\x06\x00\x00\x10\x00\x0f\x00\x16\x1e"
)


_EVENT: Final = b"\x00\xc2\x00\x00\x03\x01\x00\x01\x08\x00\xff\x02\x06\x00\x00\x10\x00"


_LISTED: Final = bytes.fromhex(
    "0f00000001000203 02020906 0000600100ff 090431323334"
    "02020906 0000010000ff 090c07ea0701030000 000000 4c00"
    "02030906 0100010800ff 0600000005 02020f00161e"
)


TARGETS: Final[Mapping[str, Target]] = {
    "push": Target(
        only(_push, errors.ProtocolError, errors.MeterRefused),
        (_PUSHED, b"\x01" + _PUSHED[1:], _EVENT, b"\x01" + _EVENT[1:]),
    ),
    "push_content": Target(
        only(_push_content, errors.ProtocolError, errors.MeterRefused), (_PUSHED, _LISTED, _EVENT)
    ),
    "push_stream": Target(
        only(_push_stream, errors.ProtocolError),
        (wrapper.encode(wrapper.Frame(1, 1, _PUSHED)), b"\x7e\xa0\x07\x03\x21\x93\x0f\x01\x7e"),
    ),
}
