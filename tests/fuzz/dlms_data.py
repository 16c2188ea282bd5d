"""Decoders of DLMS data: values, objects, profile buffers, times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from benchmarks import decode as profiles
from drivers import errors
from drivers.dlms import (
    axdr,
    clock_time,
    profile,
    profile_buffer,
)
from drivers.dlms.objects import (
    calendar,
    checks,
    image_transfer,
    object_list,
    push_setup,
    special_days,
)
from tests.fuzz.target import NOW, Target, only


def _axdr(data: bytes) -> None:
    value, end = axdr.decode(data)
    assert 0 < end <= len(data)
    profile.capture_objects(value)


def _objects(data: bytes) -> None:
    """Decode attributes of the objects that engineers work with; the first octet says which."""
    which, value = data[0] % 6 if data else 0, axdr.decode(data[1:])[0]
    if which == 0:
        object_list.decode(value)
    elif which == 1:
        calendar.decode(*(checks.parts(value, "calendar", object, object, object, object)))
    elif which == 2:
        special_days.decode(value)
    elif which == 3:
        push_setup.decode(0, list(checks.parts(value, "push", *[object] * 6)))
    elif which == 4:
        image_transfer._bits(value)
    else:
        image_transfer._identifications(value)


def _profile_buffer(data: bytes) -> None:
    width = data[0] % 6 + 1 if data else 1
    clock = None if width == 6 else data[0] // 8 % width if data else 0
    columns = profile_buffer.decode(data[1:], width=width, clock=clock, period_seconds=900)
    assert columns.rows <= len(data)
    for column in columns.others:
        assert len(column.values) == len(column.present) == columns.rows
    if columns.clock is not None:
        assert len(columns.clock.moments) == columns.rows


def _clock(data: bytes) -> None:
    time = clock_time.decode(data).utc(-60)
    assert time is not None


_COMPACT: Final = (
    bytes.fromhex("13 02 02 11 01 0003 12 04 01 000200 02 000300"),
    bytes.fromhex("13 02 03 11 01 0002 02 02 09 00 06 0a 01 0161 00000001 00 00000002"),
)


def _buffers() -> Iterable[bytes]:
    yield from (b"\x01" + one for one in _COMPACT)
    for written in profiles.FORMS.values():
        for rows in (1, 3, 40):
            yield b"\x03" + written(profiles.rows(rows, 7))


TIME: Final = clock_time.encode(NOW, -180)


_OBJECTS: Final = (
    b"\x00"
    + bytes.fromhex("0101 0204 120008 1100 09060000010000ff 0202 0101 0203 0f02 1603 00")
    + bytes.fromhex("0101 0202 0f06 1601"),
    b"\x01" + bytes.fromhex("0204 090141 0100 0100 0101 0202 1101 0101 0203 090400000000")
    + bytes.fromhex("090600000a0064ff 120001"),
    b"\x02" + bytes.fromhex("0101 0203 120001 0905 ffff0219ff 1102"),
    b"\x03" + bytes.fromhex("0206 0101 0204 120003 09060100010800ff 0f02 120000")
    + bytes.fromhex("0203 1600 0900 1600")
    + bytes.fromhex("0100 120000 1100 120000"),
    b"\x04" + bytes.fromhex("0409ff80"),
    b"\x05" + bytes.fromhex("0101 0203 06000000ff 09024657 0900"),
)  # fmt: skip


TARGETS: Final[Mapping[str, Target]] = {
    "axdr": Target(
        only(_axdr, errors.ProtocolError),
        (bytes.fromhex("0203060000000109020102170102030404 0408f0"), *_COMPACT),
    ),
    "objects": Target(only(_objects, errors.ProtocolError), _OBJECTS),
    "profile_buffer": Target(only(_profile_buffer, errors.ProtocolError), tuple(_buffers())),
    "clock_time": Target(only(_clock, errors.ProtocolError), (TIME,)),
}
