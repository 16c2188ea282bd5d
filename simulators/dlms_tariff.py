"""Objects of the simulated meters that schedule: calendar, special days, scripts, push set-ups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schemas.obis import Obis
from simulators import dlms_codec, dlms_object, dlms_settings, dlms_time
from simulators.dlms_apdu import Access
from simulators.dlms_codec import Data, Malformed
from simulators.dlms_model import EVENT_CODE, DlmsModel
from simulators.dlms_object import CosemObject, Read, Refused, Write, cosem
from simulators.dlms_settings import fixed

CALENDAR_ACTIVATED, CALENDAR_WRITTEN = 9, 19
"""Event codes that IDIS meters note in their standard log."""

_TARIFFS: Final = bytes(Obis.parse("0.0.10.0.100.255"))
_IMAGE_SCRIPT: Final = bytes(Obis.parse("0.0.10.0.107.255"))
_NEVER: Final = bytes.fromhex("ffffffffffffffffff8000ff")
_MOST_ENTRIES: Final = 64
_PARTS: Final = ("name", "seasons", "weeks", "days")


def _day() -> bytes:
    action = dlms_codec.structure(
        dlms_codec.octets(bytes(4)), dlms_codec.octets(_TARIFFS), dlms_codec.long_unsigned(1)
    )
    return dlms_codec.structure(dlms_codec.unsigned(1), dlms_codec.array([action]))


_FIRST: Final = {
    "name": dlms_codec.octets(b"MQS1"),
    "seasons": dlms_codec.array(
        [
            dlms_codec.structure(
                dlms_codec.octets(b"1"),
                dlms_codec.octets(bytes.fromhex("ffff0101ff000000ff8000ff")),
                dlms_codec.octets(b"1"),
            )
        ]
    ),
    "weeks": dlms_codec.array(
        [dlms_codec.structure(dlms_codec.octets(b"1"), *[dlms_codec.unsigned(1)] * 7)]
    ),
    "days": dlms_codec.array([_day()]),
}
"""The calendar that meters leave the factory with: one tariff, always."""


def _entry(value: Data, *kinds: type) -> list[Data]:
    """Check a structure by the kinds of its parts."""
    if (
        not isinstance(value, list)
        or len(value) != len(kinds)
        or not all(isinstance(part, kind) for part, kind in zip(value, kinds, strict=True))
    ):
        raise Malformed(f"{value!r} is no such entry")
    return value


def _check_name(value: Data) -> None:
    if not isinstance(value, bytes) or len(value) > 16:
        raise Malformed("a name has up to 16 octets")


def _entries(value: Data) -> list[Data]:
    if not isinstance(value, list):
        raise Malformed("an array is wanted")
    if len(value) > _MOST_ENTRIES:
        raise Refused(Access.OTHER)
    return value


def _check_seasons(value: Data) -> None:
    for entry in _entries(value):
        _, start, _ = _entry(entry, bytes, bytes, bytes)
        if not isinstance(start, bytes) or len(start) != 12:
            raise Malformed("a season starts at a date-time")


def _check_weeks(value: Data) -> None:
    for entry in _entries(value):
        _entry(entry, bytes, *[int] * 7)


def _check_days(value: Data) -> None:
    for entry in _entries(value):
        _, actions = _entry(entry, int, list)
        for action in _entries(actions):
            at, _, _ = _entry(action, bytes, bytes, int)
            if not isinstance(at, bytes) or len(at) != 4:
                raise Malformed("an action starts at a time")


_CHECKS: Final = (_check_name, _check_seasons, _check_weeks, _check_days)


def _kept(side: str, part: str) -> Read:
    return lambda model, _now, _selection: model.kept.get(f"{side} {part}", _FIRST[part])


def _written(part: str, check: Callable[[Data], None]) -> Write:
    def write(model: DlmsModel, now: int, value: bytes) -> None:
        check(dlms_codec.whole(value))
        model.kept[f"passive {part}"] = value
        model.log(EVENT_CODE, CALENDAR_WRITTEN, now)

    return write


def _activate(model: DlmsModel, now: int) -> None:
    """Bring the passive calendar into force; it stays the passive one, too."""
    for part in _PARTS:
        model.kept[f"active {part}"] = model.kept.get(f"passive {part}", _FIRST[part])
    model.log(EVENT_CODE, CALENDAR_ACTIVATED, now)


def _activate_now(model: DlmsModel, now: int, _parameters: bytes | None) -> None:
    _activate(model, now)


def _activate_at(model: DlmsModel, _now: int, value: bytes) -> None:
    octets = dlms_codec.whole(value)
    if not isinstance(octets, bytes) or len(octets) != 12:
        raise Malformed("a calendar comes into force at a date-time")
    model.kept["activate at"] = value
    model.due.pop("calendar", None)
    if octets != _NEVER:
        model.due["calendar"] = (dlms_time.moment(octets, model.meter.time_zone), _activate)


def _when(model: DlmsModel) -> bytes:
    return model.kept.get("activate at", dlms_codec.octets(_NEVER))


def _check_special_days(value: Data) -> None:
    for entry in _entries(value):
        _, date, _ = _entry(entry, int, bytes, int)
        if not isinstance(date, bytes) or len(date) != 5:
            raise Malformed("a special day has a date")


def _set_special_days(model: DlmsModel, _now: int, value: bytes) -> None:
    _check_special_days(dlms_codec.whole(value))
    model.kept["special days"] = value


def _scripts(*numbers: int) -> bytes:
    """Write a table of scripts; what they do is the maker's own affair."""
    return dlms_codec.array(
        [
            dlms_codec.structure(dlms_codec.long_unsigned(number), dlms_codec.array([]))
            for number in numbers
        ]
    )


def _set_execution(model: DlmsModel, _now: int, value: bytes) -> None:
    """Take the time at which the image is activated: one, or none."""
    entries = _entries(dlms_codec.whole(value))
    if len(entries) > 1:
        raise Refused(Access.OTHER)
    model.due.pop("image", None)
    for entry in entries:
        at, date = _entry(entry, bytes, bytes)
        if not isinstance(at, bytes) or not isinstance(date, bytes) or len(at) != 4:
            raise Malformed("a script runs at a time of a date")
        octets = date + at + bytes.fromhex("8000ff")
        moment = dlms_time.moment(octets, model.meter.time_zone)
        model.due["image"] = (moment, dlms_settings.activate_image)
    model.kept["image execution"] = value


def _execution(model: DlmsModel) -> bytes:
    return model.kept.get("image execution", dlms_codec.array([]))


_SCRIPT_READ, _SCRIPT_WRITE = dlms_object.kept(
    "image script",
    dlms_codec.structure(dlms_codec.octets(bytes(6)), dlms_codec.long_unsigned(0)),
)

_CALENDAR: Final = cosem(
    20,
    "0.0.13.0.0.255",
    {
        **{2 + place: _kept("active", part) for place, part in enumerate(_PARTS)},
        **{6 + place: _kept("passive", part) for place, part in enumerate(_PARTS)},
        10: dlms_settings.shown(_when),
    },
    writes={
        **{
            6 + place: _written(part, check)
            for place, (part, check) in enumerate(zip(_PARTS, _CHECKS, strict=True))
        },
        10: _activate_at,
    },
    methods={1: _activate_now},
)


def _push_setup(channel: int) -> CosemObject:
    """Make a push set-up, version 0, that sends nothing until somebody sets it up."""
    starts = {
        2: dlms_codec.array([]),
        3: dlms_codec.structure(dlms_codec.enum(0), dlms_codec.octets(b""), dlms_codec.enum(0)),
        4: dlms_codec.array([]),
        5: dlms_codec.long_unsigned(0),
        6: dlms_codec.unsigned(0),
        7: dlms_codec.long_unsigned(0),
    }
    attributes = {
        index: dlms_object.kept(f"push {channel}.{index}", start) for index, start in starts.items()
    }
    return cosem(
        40,
        f"0.{channel}.25.9.0.255",
        {index: read for index, (read, _) in attributes.items()},
        writes={index: write for index, (_, write) in attributes.items()},
    )


OBJECTS: Final[tuple[CosemObject, ...]] = (
    _CALENDAR,
    cosem(
        11,
        "0.0.11.0.0.255",
        {2: lambda model, _now, _: model.kept.get("special days", dlms_codec.array([]))},
        writes={2: _set_special_days},
    ),
    cosem(9, "0.0.10.0.100.255", {2: fixed(_scripts(1, 2, 3, 4))}),
    cosem(9, "0.0.10.0.107.255", {2: fixed(_scripts(1))}),
    cosem(
        22,
        "0.0.15.0.2.255",
        {
            2: _SCRIPT_READ,
            3: fixed(dlms_codec.enum(1)),
            4: dlms_settings.shown(_execution),
        },
        writes={2: _SCRIPT_WRITE, 4: _set_execution},
    ),
    *(_push_setup(channel) for channel in range(4)),
)
