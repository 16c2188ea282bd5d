"""Decoders of answers to DLMS services, as exchanges take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from drivers import errors
from drivers.dlms import (
    apdu,
    block_transfer,
    changing,
    variables,
)
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Conformance
from drivers.dlms.block_transfer import Part
from drivers.dlms.channel import Channel
from drivers.dlms.logical_names import LogicalNames
from drivers.dlms.short_names import ShortNames
from drivers.dlms.steps import Step
from schemas.obis import Obis
from tests.fuzz.target import Target, allowing

_TARGET: Final = Attribute(1, Obis(0, 0, 96, 1, 0), 2)


def _plainly(request: bytes) -> Step[bytes]:
    return (yield request)


_CHANNEL: Final = Channel(_plainly, Conformance(0xFFFFFF), room=64, divides=False)


def _apdu(data: bytes) -> None:
    for listed in (False, True):
        allowing(
            lambda listed=listed: apdu.parse_get(data, 1, listed=listed),  # type: ignore[misc]
            errors.ProtocolError,
        )
    allowing(lambda: apdu.split_list(data, data[0] if data else 1), errors.ProtocolError)


def _changing(data: bytes) -> None:
    """Answers to SET and ACTION, as a whole exchange of an association takes them."""
    several = [(_TARGET, b"\x00"), (_TARGET, b"\x00")]
    for step in (
        LogicalNames(_CHANNEL).put(_TARGET, bytes(200), None),
        LogicalNames(_CHANNEL).put_all(several),
        LogicalNames(_CHANNEL).act(_TARGET, bytes(200)),
        LogicalNames(_CHANNEL).act_all(several),
    ):
        _answered(step, data)
    allowing(lambda: changing.split_results(data, 2), errors.ProtocolError)
    allowing(lambda: changing.joined_result(data), errors.ProtocolError)


def _short_names(data: bytes) -> None:
    """Answers to Read and Write, with any object list, and reports that come unasked."""
    for step in (
        ShortNames(_CHANNEL).get(_TARGET, None),
        ShortNames(_CHANNEL).put(_TARGET, bytes(200), None),
        ShortNames(_CHANNEL).act(Attribute(70, _TARGET.name, 1), b"\x0f\x00"),
    ):
        _answered(step, data)
    allowing(lambda: variables.joined(data, data[0] if data else 1), errors.ProtocolError)
    allowing(lambda: variables.parse_report(data), errors.ProtocolError)


def _block_transfer(data: bytes) -> None:
    """Parts in any order, to somebody who listens and to somebody who asked."""
    joiner = block_transfer.Joiner()
    for piece in _messages(data):
        try:
            whole = joiner.feed(piece)
        except errors.ProtocolError:
            continue
        assert whole is None or len(whole) <= len(data)
    transfer = block_transfer.Transfer(3)
    _answered(transfer.ask(bytes(100), 30), data)


def _answered(step: Step[object], data: bytes) -> None:
    """Answer a step with messages out of the data until it ends or there are no more."""
    try:
        next(step)
        for message in _messages(data):
            step.send(message)
    except (StopIteration, errors.ProtocolError, errors.MeterRefused):
        return
    # Nobody listens any more.
    allowing(lambda: step.throw(errors.TimedOut("no answer")), errors.TimedOut)


def _messages(data: bytes) -> Iterator[bytes]:
    """Cut data into messages, each behind an octet of its length."""
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield data[at + 1 : end]
        at = end


# An association's object list of one object, read by its short name.
_OBJECT_LIST: Final = bytes.fromhex("0c0100 0101 0204 108000 120001 1100 0906 0000600100ff")


def _several(*messages: bytes) -> bytes:
    return b"".join(bytes((len(message),)) + message for message in messages)


TARGETS: Final[Mapping[str, Target]] = {
    "apdu": Target(
        _apdu, (b"\xc4\x01\xc1\x00\x11\x05", b"\xc7\x01\xc1\x00\x01\x00\x00", b"\x01\x00\x00")
    ),
    "changing": Target(
        _changing,
        tuple(
            _several(*answers)
            for answers in (
                (b"\xc5\x02\xc1\x00\x00\x00\x01", b"\xc5\x03\xc1\x00\x00\x00\x00\x02"),
                (b"\xc5\x05\xc1\x02\x00\x03",),
                (b"\xc7\x04\xc1\x00\x00\x00\x01", b"\xc7\x01\xc1\x00\x01\x00\x11\x05"),
                (b"\xc7\x02\xc1\x01\x00\x00\x00\x01\x02\x11\x05",),
                (b"\xc7\x03\xc1\x02\x00\x01\x00\x11\x05\x00\x01\x01\x03",),
            )
        ),
    ),
    "short_names": Target(
        _short_names,
        (
            _several(_OBJECT_LIST, b"\x0c\x01\x00\x11\x05"),
            _several(
                _OBJECT_LIST,
                b"\x0c\x01\x02\x00\x00\x01\x02\x01\x00",
                b"\x0c\x01\x02\x01\x00\x02\x02\x11\x05",
            ),
            _several(_OBJECT_LIST, b"\x0d\x01\x02\x00\x01", b"\x0d\x01\x00"),
            _several(_OBJECT_LIST, b"\x0c\x01\x01\x03"),
            b"\x18\x00\x01\x02\xfa\x08\x01\x11\x05",
        ),
    ),
    "block_transfer": Target(
        _block_transfer,
        tuple(
            _several(*map(bytes, parts))
            for parts in (
                [Part(n == 3, n < 3, 2, n, 0, b"abc") for n in (1, 2, 3)],
                [Part(False, False, 2, 1, 1, b""), Part(True, False, 2, 2, 4, b"abc")],
            )
        ),
    ),
}
