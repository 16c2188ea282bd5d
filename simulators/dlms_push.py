"""What simulated DLMS meters push: data notifications, and the last gasp when the power goes off.

This is the meters' own codec: the listener has another, and each is checked against gurux-dlms.

References
----------
IEC 62056-5-3:2017, 9.3.10 (DataNotification), 9.3.12 (EventNotification); IEC 62056-4-7 (wrapper).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from simulators import dlms_codec, stored
from simulators.dlms_model import EVENT_CODE, INTERVALS, REGISTERS, DlmsModel
from simulators.meter import ACTIVE, REACTIVE, Meter
from simulators.stored import Rows

REGISTERS_LIST: Final = "registers"
INTERVALS_LIST: Final = "intervals"
"""Lists that a meter can push, its option ``push``."""

POWER_DOWN: Final = 1
POWER_UP: Final = 2

_GENERAL_GLO: Final = 0xDB
_DATA_NOTIFICATION: Final = b"\x0f"
_EVENT_NOTIFICATION: Final = b"\xc2"
_CONFIRMED: Final = 0x4000_0000
_DEVICE_NAME: Final = bytes.fromhex("00002a0000ff")
_SERIAL: Final = bytes.fromhex("0000600100ff")
_CLOCK: Final = bytes.fromhex("0000010000ff")
_POWER: Final = bytes.fromhex("0100010700ff")
_VOLTAGE: Final = bytes.fromhex("0100200700ff")
_CURRENT: Final = bytes.fromhex("01001f0700ff")
_WH, _VARH, _VOLT, _AMPERE, _WATT = 30, 32, 35, 33, 27
_UNITS: Final = {ACTIVE: _WH, REACTIVE: _VARH}


def registers(model: DlmsModel, now: int, *, invoke: int, confirmed: bool = False) -> bytes:
    """Write a push of the present registers, not ciphered.

    Parameters
    ----------
    now : moment of true time [Unix s]
    invoke : long invoke id, 24 bits
    """
    meter, present = model.meter, model.meter.present(now)
    items = _heading(model, model.clock(now))
    for name in meter.reading_types:
        count = dlms_codec.double_long_unsigned(meter.register_at(name, now))
        items.append(_value(REGISTERS[name], count, 0, _UNITS[name]))
    power = dlms_codec.double_long_unsigned(present["active_power_import"])
    volt = dlms_codec.long_unsigned(present["voltage_l1"])
    ampere = dlms_codec.double_long_unsigned(present["current_l1"])
    items.append(_value(_POWER, power, 0, _WATT))
    items.append(_value(_VOLTAGE, volt, -1, _VOLT))
    items.append(_value(_CURRENT, ampere, -3, _AMPERE))
    return _notification(items, invoke, confirmed=confirmed)


def intervals(model: DlmsModel, row: int, *, invoke: int, confirmed: bool = False) -> bytes:
    """Write a push of one row of the load profile, not ciphered.

    Parameters
    ----------
    row : of ``stored.load_profile``
    """
    profile = model.load_profile
    stamp = profile.columns[0].written[row, 2:].tobytes()
    items = _heading(model, stamp)
    for name in model.meter.reading_types:
        value = int(profile.rows.values[name][row])
        items.append(
            _value(INTERVALS[name], dlms_codec.double_long_unsigned(value), 0, _UNITS[name])
        )
    return _notification(items, invoke, confirmed=confirmed)


def event(model: DlmsModel, now: int, code: int) -> bytes:
    """Write an event notification: the code of the standard event log, such as ``POWER_DOWN``."""
    attribute = (1).to_bytes(2, "big") + EVENT_CODE + b"\x02"
    stamp = b"\x01\x0c" + model.clock(now)
    return _EVENT_NOTIFICATION + stamp + attribute + dlms_codec.unsigned(code)


def ciphered(model: DlmsModel, plain: bytes) -> bytes:
    """Put a notification under general-glo-ciphering, authenticated and encrypted."""
    text = model.suite.sealed(plain, model.next_counter())
    title = dlms_codec.length(len(model.title)) + model.title
    return bytes((_GENERAL_GLO,)) + title + dlms_codec.length(len(text)) + text


def wrapped(apdu: bytes, *, source: int = 1, destination: int = 1) -> bytes:
    """Put an APDU behind the wrapper's header."""
    ports = source.to_bytes(2, "big") + destination.to_bytes(2, "big")
    return b"\0\1" + ports + len(apdu).to_bytes(2, "big") + apdu


def due(models: Sequence[DlmsModel], after: int, upto: int) -> Iterator[tuple[Meter, bytes]]:
    """Give what meters push after a moment and up to another, in the order of time, framed.

    Parameters
    ----------
    after, upto : [Unix s], the first exclusive, the second inclusive
    """
    calendar = sorted(
        (moment, place, kind, number)
        for place, model in enumerate(models)
        for moment, kind, number in (*_lists(model, after, upto), *_events(model, after, upto))
    )
    for moment, place, kind, number in calendar:
        model = models[place]
        if kind == INTERVALS_LIST:
            plain = intervals(model, number, invoke=number)
        elif kind == REGISTERS_LIST:
            plain = registers(model, moment, invoke=moment // 60 & 0xFFFFFF)
        else:
            plain = event(model, moment, number)
        apdu = ciphered(model, plain) if model.meter.security == "hls-gmac" else plain
        yield model.meter, wrapped(apdu)


def pushes(meter: Meter) -> bool:
    """Tell whether a meter pushes at all."""
    return meter.protocol == "dlms" and "push" in meter.options


def _lists(model: DlmsModel, after: int, upto: int) -> Iterator[tuple[int, str, int]]:
    """Give moments, lists and rows of what is pushed while the power is on."""
    meter = model.meter
    if meter.options["push"] == INTERVALS_LIST:
        rows: Rows = stored.load_profile(meter)
        first, last = np.searchsorted(rows.captured, [after, upto], side="right").tolist()
        moments = ((int(rows.captured[row]), row) for row in range(first, last))
    else:
        step = int(meter.options.get("push_seconds", 3600))
        first = max(after + 1, meter.start)
        first += (meter.start - first) % step
        moments = ((moment, 0) for moment in range(first, min(upto, meter.end) + 1, step))
    for moment, row in moments:
        if meter.fault("dead_line", moment) is None:
            yield moment, str(meter.options["push"]), row


def _events(model: DlmsModel, after: int, upto: int) -> Iterator[tuple[int, str, int]]:
    for fault in model.meter.having("dead_line"):
        if fault.text("mode", "silent") == "power":
            for moment, code in ((fault.starts_at, POWER_DOWN), (fault.ends_at, POWER_UP)):
                if after < moment <= upto:
                    yield moment, "event", code


def _heading(model: DlmsModel, stamp: bytes) -> list[bytes]:
    """Write who speaks, and when."""
    return [
        _named(_DEVICE_NAME, dlms_codec.octets(f"MQS{model.meter.mrid:0>13}".encode()[:16])),
        _named(_SERIAL, dlms_codec.octets(model.meter.mrid.encode())),
        _named(_CLOCK, dlms_codec.octets(stamp)),
    ]


def _named(name: bytes, value: bytes) -> bytes:
    return dlms_codec.structure(dlms_codec.octets(name), value)


def _value(name: bytes, value: bytes, scaler: int, unit: int) -> bytes:
    scale = dlms_codec.structure(dlms_codec.integer(scaler), dlms_codec.enum(unit))
    return dlms_codec.structure(dlms_codec.octets(name), value, scale)


def _notification(items: list[bytes], invoke: int, *, confirmed: bool) -> bytes:
    head = invoke | (_CONFIRMED if confirmed else 0)
    return _DATA_NOTIFICATION + head.to_bytes(4, "big") + b"\0" + dlms_codec.structure(*items)
