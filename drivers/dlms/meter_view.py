"""A meter's profile from its association view: objects, profiles with their columns, registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from drivers.dlms import axdr, profile, ratios
from drivers.dlms.apdu import Attribute
from drivers.dlms.companion import Companion
from drivers.dlms.engine import Association
from drivers.dlms.objects import object_list
from drivers.dlms.refusals import Refusal
from drivers.dlms.steps import Step
from drivers.driver import Feature
from drivers.meter_profile import Capture, MeterProfile, OfferedObject, StoredProfile
from schemas import reading_type
from schemas.obis import Obis

_PROFILE_GENERIC: Final = 7
_REGISTERS: Final = (3, 4, 5)
_CAPTURE_OBJECTS, _CAPTURE_PERIOD, _ROWS, _MOST_ROWS = 3, 4, 7, 8
_MOST_PROFILES: Final = 64
_DAY: Final = 86_400


def read(association: Association, companion: Companion) -> Step[MeterProfile]:
    """Read what a meter offers to this client.

    A profile that the meter lists and does not describe is left out.

    Raises
    ------
    MeterRefused
        if the meter does not show its object list.
    """
    objects = yield from object_list.read(association, companion.object("association"))
    names = _names(companion)
    profiles = []
    for buffer in _buffers(objects)[:_MOST_PROFILES]:
        found = yield from _profile(association, buffer, names.get(buffer, str(buffer.name)))
        if found is not None:
            profiles.append(replace(found, reads=_reads(found, companion)))
    return MeterProfile(companion.name, objects, tuple(profiles), _registers(objects))


def captured(stored: StoredProfile) -> tuple[Attribute, ...]:
    """Give a stored profile's columns as attributes."""
    return tuple(_attribute(capture.source) for capture in stored.captures)


def _names(companion: Companion) -> dict[Attribute, str]:
    """Name the profiles that the companion profile knows."""
    logs = (log.buffer for log in companion.event_logs)
    names = {log: f"event_log_{place}" for place, log in enumerate(logs, 1)}
    return names | {attribute: what for what, attribute in companion.objects.items()}


def _reads(stored: StoredProfile, companion: Companion) -> tuple[Feature, ...]:
    """Tell what sessions read from a profile, by the rules of ``drivers.dlms.memory``."""
    meanings = [reading_type.named(one.reading_type) for one in stored.captures if one.reading_type]
    registers = any(one.accumulation == "cumulative" for one in meanings)
    first = stored.name == companion.intervals[0]
    finer = 0 < stored.period_seconds < _DAY or (first and not stored.period_seconds)
    found: list[Feature] = []
    if stored.name in companion.intervals and meanings and finer:
        found.append("intervals")
    if stored.name in companion.registers and registers:
        found.append("register_history")
    if stored.name in companion.billing and registers:
        found.append("billing_registers")
    if stored.source in {str(log.buffer) for log in companion.event_logs}:
        found.append("events")
    return tuple(found)


def _buffers(objects: Sequence[OfferedObject]) -> list[Attribute]:
    return [
        Attribute(one.class_id, Obis.parse(one.obis), 2)
        for one in objects
        if one.class_id == _PROFILE_GENERIC and _readable(one, 2) and _readable(one, 3)
    ]


def _profile(association: Association, buffer: Attribute, name: str) -> Step[StoredProfile | None]:
    indexes = (_CAPTURE_OBJECTS, _CAPTURE_PERIOD, _ROWS, _MOST_ROWS)
    asked = [buffer.beside(index) for index in indexes]
    objects, period, rows, most = yield from association.get_all(asked)
    # A profile that captures nothing yet has an empty list, which is no defect here.
    if isinstance(objects, Refusal) or not objects or not isinstance(period, int):
        return None
    columns = profile.capture_objects(objects)
    scalers = [column.beside(3) for column in columns if column.class_id in _REGISTERS]
    values = yield from association.get_all(scalers)
    known = dict(zip(scalers, values, strict=True))
    captures = tuple(_capture(column, known) for column in columns)
    return StoredProfile(name, str(buffer), period, captures, (), _count(rows), _count(most))


def _capture(column: Attribute, scalers: Mapping[Attribute, axdr.Value]) -> Capture:
    meaning = reading_type.of_obis(column.name)
    name = None if meaning is None or column.index != 2 else meaning.name
    match scalers.get(column.beside(3)):
        case (int(scaler), int(unit)):
            return Capture(str(column), name, scaler, unit)
        case _:
            return Capture(str(column), None, None, None)


def _registers(objects: Sequence[OfferedObject]) -> tuple[str, ...]:
    """Name the registers whose present value can be read."""
    found = []
    for one in objects:
        meaning = reading_type.of_obis(Obis.parse(one.obis))
        classes = (1, *_REGISTERS) if meaning and meaning.name in ratios.OBJECTS else _REGISTERS
        readable = one.class_id in classes and _readable(one, 2)
        if readable and meaning is not None and meaning.accumulation != "delta":
            found.append(meaning.name)
    return tuple(dict.fromkeys(found))


def _readable(one: OfferedObject, index: int) -> bool:
    return any(access.index == index and access.readable for access in one.attributes)


def _attribute(source: str) -> Attribute:
    class_id, name, index = source.split("/")
    return Attribute(int(class_id), Obis.parse(name), int(index))


def _count(value: axdr.Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
