"""Push setup, class 40: what a meter sends by itself.

References
----------
IEC 62056-6-2:2021, 4.4.8 (Push setup), versions 0 to 2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.control import PushSetup, PushWindow
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks
from drivers.dlms.steps import Step
from drivers.errors import LocalProtocolError, MeterRefused, RemoteProtocolError
from schemas.obis import Obis

_OBJECTS, _DESTINATION, _WINDOWS, _RANDOM, _RETRIES, _DELAY = 2, 3, 4, 5, 6, 7
_ALL: Final = (_OBJECTS, _DESTINATION, _WINDOWS, _RANDOM, _RETRIES, _DELAY)
_MOST_OBJECTS, _MOST_WINDOWS = 256, 64
_INTEGER, _UNSIGNED, _LONG_UNSIGNED, _ENUM = 15, 17, 18, 22


def at(setup: Attribute, channel: int) -> Attribute:
    """Give the set-up of a channel: the number stands in group B of its name."""
    if not 0 <= channel <= 0xFF:
        raise LocalProtocolError(f"push set-up {channel} is none of 0 … 255")
    return replace(setup, name=replace(setup.name, b=channel))


def read(association: Association, setup: Attribute) -> Step[PushSetup]:
    """Read a set-up.

    Raises
    ------
    RemoteProtocolError
        if it is not built as the standard says.
    """
    values = yield from checks.read(association, setup, _ALL)
    return decode(setup.name.b, values)


def write(association: Association, setup: Attribute, wanted: PushSetup) -> Step[PushSetup]:
    """Write what differs in a set-up, and read it back.

    Raises
    ------
    MeterRefused
        if the meter takes it and then shows another one.
    """
    present = yield from checks.read(association, setup, _ALL)
    delay = present[-1]
    for index, has, gets in zip(_ALL, present, encode(wanted, delay), strict=True):
        if axdr.decode(gets)[0] != has:
            yield from association.set(replace(setup, index=index), gets)
    shown = yield from read(association, setup)
    if shown != wanted:
        raise MeterRefused(
            f"the meter took push set-up {wanted.channel} and shows another: {shown}"
        )
    return shown


def encode(setup: PushSetup, delay: axdr.Value) -> tuple[bytes, ...]:
    """Write the values of attributes 2 … 7.

    Parameters
    ----------
    delay : of the meter now: a number up to version 0, three of them later
    """
    windows = (
        axdr.encode_sequence(
            axdr.STRUCTURE,
            axdr.encode_octet_string(bytes.fromhex(window.start)),
            axdr.encode_octet_string(bytes.fromhex(window.end)),
        )
        for window in setup.windows
    )
    return (
        axdr.encode_sequence(axdr.ARRAY, *(_object(text) for text in setup.objects)),
        axdr.encode_sequence(
            axdr.STRUCTURE,
            axdr.encode_number(_ENUM, setup.transport),
            axdr.encode_octet_string(setup.destination.encode("ascii")),
            axdr.encode_number(_ENUM, setup.message),
        ),
        axdr.encode_sequence(axdr.ARRAY, *windows),
        axdr.encode_number(_LONG_UNSIGNED, setup.randomisation_seconds),
        axdr.encode_number(_UNSIGNED, setup.retries),
        _delay(setup.retry_seconds, delay),
    )


def decode(channel: int, values: list[axdr.Value]) -> PushSetup:
    """Read the values of attributes 2 … 7.

    Raises
    ------
    RemoteProtocolError
        if they are none.
    """
    objects, destination, windows, random, retries, delay = values
    transport, where, message = checks.parts(destination, "destination", int, bytes, int)
    if isinstance(delay, tuple):
        delay = delay[0] if delay else None
    if not all(isinstance(number, int) for number in (random, retries, delay)):
        raise RemoteProtocolError("a push set-up's delays and retries are no numbers")
    try:
        return PushSetup(
            channel,
            tuple(_text(one) for one in checks.array(objects, "push objects", _MOST_OBJECTS)),
            where.decode("latin-1").strip("\x00"),
            transport,
            message,
            tuple(_window(one) for one in checks.array(windows, "windows", _MOST_WINDOWS)),
            random,
            retries,
            delay,
        )
    except ValueError as error:
        raise RemoteProtocolError(f"the meter's push set-up is none: {error}") from None


def _object(text: str) -> bytes:
    """Write one push object, given as ``class/OBIS/attribute`` with a data index or without."""
    try:
        class_id, name, index, *selected = text.split("/")
        (data,) = selected or ("0",)
        return axdr.encode_sequence(
            axdr.STRUCTURE,
            axdr.encode_number(_LONG_UNSIGNED, int(class_id)),
            axdr.encode_octet_string(bytes(Obis.parse(name))),
            axdr.encode_number(_INTEGER, int(index)),
            axdr.encode_number(_LONG_UNSIGNED, int(data)),
        )
    except ValueError as error:
        raise LocalProtocolError(
            f"{text!r} is no push object such as 3/1.0.1.8.0.255/2: {error}"
        ) from None


def _text(value: axdr.Value) -> str:
    # Later versions have a restriction and columns behind these four.
    if not isinstance(value, tuple) or len(value) < 4:
        raise RemoteProtocolError("a push object is no structure of four or more")
    class_id, name, index, data = checks.parts(value[:4], "push object", int, bytes, int, int)
    if len(name) != 6:
        raise RemoteProtocolError(f"a push object's name has {len(name)} octets, not 6")
    text = f"{class_id}/{Obis.from_bytes(name)}/{index}"
    return f"{text}/{data}" if data else text


def _window(value: axdr.Value) -> PushWindow:
    start, end = checks.parts(value, "push window", bytes, bytes)
    return PushWindow(start.hex(), end.hex())


def _delay(seconds: int, present: axdr.Value) -> bytes:
    if not isinstance(present, tuple):
        return axdr.encode_number(_LONG_UNSIGNED, seconds)
    rest = [number for number in present[1:] if isinstance(number, int)]
    return axdr.encode_sequence(
        axdr.STRUCTURE, *(axdr.encode_number(_LONG_UNSIGNED, one) for one in (seconds, *rest))
    )
