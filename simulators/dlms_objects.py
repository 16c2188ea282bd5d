"""The COSEM objects of the simulated meters: a table, and what associations do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from schemas.obis import Obis
from simulators import dlms_codec, dlms_object, dlms_settings, dlms_tariff
from simulators.dlms_apdu import Access, Attribute, Selection
from simulators.dlms_buffer import Profile
from simulators.dlms_model import (
    EVENT_CODE,
    FRAUD_CODE,
    QUALITY_CODE,
    REGISTERS,
    SWITCH_CODE,
    DlmsModel,
)
from simulators.dlms_object import CosemObject, Key, Read, cosem
from simulators.meter import ACTIVE, REACTIVE

_WH, _VARH, _WATT, _VOLT, _AMPERE = 30, 32, 27, 35, 33

ASSOCIATION: Final = (15, bytes(Obis.parse("0.0.40.0.0.255")))
_COUNTER: Final = (1, bytes(Obis.parse("0.0.43.1.0.255")))
_DEVICE_NAME: Final = (1, bytes(Obis.parse("0.0.42.0.0.255")))

PUBLIC: Final = frozenset({ASSOCIATION, _COUNTER, _DEVICE_NAME})
"""Objects that the public client may see."""

_READ, _WRITE, _READ_WRITE = 1, 2, 3


def answer(
    model: DlmsModel,
    attribute: Attribute,
    selection: Selection | None,
    now: int,
    *,
    public: bool,
) -> bytes | Access:
    """Write an attribute, or say why not.

    Parameters
    ----------
    now : true time; what the meter makes of it is its own affair [Unix s]
    public : asked by the public client
    """
    found = _found(attribute, public=public)
    if isinstance(found, Access):
        return found
    model.catch_up(now)
    if found.key == ASSOCIATION and attribute.index == 2:
        return object_list(public=public)
    return found.read(model, attribute.index, selection, now)


def store(
    model: DlmsModel, attribute: Attribute, value: bytes, now: int, *, public: bool
) -> Access | None:
    """Take a new value of an attribute, A-XDR; None if it is taken, else why not."""
    if public:
        return Access.DENIED
    found = _found(attribute, public=public)
    if isinstance(found, Access):
        return found
    model.catch_up(now)
    return found.write(model, attribute.index, value, now)


def act(
    model: DlmsModel, method: Attribute, parameters: bytes | None, now: int, *, public: bool
) -> bytes | Access | None:
    """Run a method; give what it returns, A-XDR or nothing, or why it does not run."""
    if public:
        return Access.DENIED
    found = _found(method, public=public)
    if isinstance(found, Access):
        return found
    model.catch_up(now)
    return found.act(model, method.index, parameters, now)


def _found(attribute: Attribute, *, public: bool) -> CosemObject | Access:
    key = (attribute.class_id, attribute.name)
    if key not in OBJECTS:
        return Access.UNDEFINED
    return Access.DENIED if public and key not in PUBLIC else OBJECTS[key]


@cache
def object_list(*, public: bool) -> bytes:
    """Write the association's object list with access rights."""
    return dlms_codec.array(
        [_described(one) for key, one in OBJECTS.items() if not public or key in PUBLIC]
    )


def _described(one: CosemObject) -> bytes:
    return dlms_codec.structure(
        dlms_codec.long_unsigned(one.class_id),
        dlms_codec.unsigned(one.version),
        dlms_codec.octets(one.name),
        dlms_codec.structure(*rights(one)),
    )


def rights(one: CosemObject) -> tuple[bytes, bytes]:
    """Write what a client may do with an object: by attribute, and by method."""
    indexes = {1, *one.reads, *one.writes} | ({2} if one.key == ASSOCIATION else set())
    by_attribute = [
        dlms_codec.structure(
            dlms_codec.integer(index),
            dlms_codec.enum(_access(one, index)),
            _SELECTORS if one.class_id == 7 and index == 2 else dlms_codec.NULL,
        )
        for index in sorted(indexes)
    ]
    methods = sorted({*one.methods} | ({1} if one.key == ASSOCIATION else set()))
    by_method = [
        dlms_codec.structure(dlms_codec.integer(index), dlms_codec.enum(_READ)) for index in methods
    ]
    return dlms_codec.array(by_attribute), dlms_codec.array(by_method)


def _access(one: CosemObject, index: int) -> int:
    """Give an attribute's access mode."""
    if index not in one.writes:
        return _READ
    return _READ_WRITE if index in one.reads else _WRITE


_SELECTORS: Final = dlms_codec.array([dlms_codec.integer(1), dlms_codec.integer(2)])


def _data(write: Callable[[DlmsModel], bytes]) -> dict[int, Read]:
    return {2: lambda model, _now, _selection: write(model)}


def _scaler_unit(scaler: int, unit: int) -> Read:
    written = dlms_codec.structure(dlms_codec.integer(scaler), dlms_codec.enum(unit))
    return lambda _model, _now, _selection: written


def _energy(reading_type: str, unit: int) -> dict[int, Read]:
    def value(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
        return dlms_codec.double_long_unsigned(model.meter.register_at(reading_type, now))

    return {2: value, 3: _scaler_unit(0, unit)}


def _no_energy(unit: int) -> dict[int, Read]:
    zero = dlms_codec.double_long_unsigned(0)
    return {2: lambda _model, _now, _selection: zero, 3: _scaler_unit(0, unit)}


def _present(name: str, write: Callable[[int], bytes], scaler: int, unit: int) -> dict[int, Read]:
    def value(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
        return write(model.meter.present(now)[name])

    return {2: value, 3: _scaler_unit(scaler, unit)}


def _profile(of: Callable[[DlmsModel], Profile]) -> dict[int, Read]:
    unsorted, by_nothing = (
        dlms_codec.enum(1),
        dlms_codec.structure(
            dlms_codec.long_unsigned(0),
            dlms_codec.octets(bytes(6)),
            dlms_codec.integer(0),
            dlms_codec.long_unsigned(0),
        ),
    )

    def number(write: Callable[[Profile, int], int]) -> Read:
        return lambda model, now, _: dlms_codec.double_long_unsigned(write(of(model), now))

    return {
        2: lambda model, now, selection: of(model).buffer(selection, now),
        3: lambda model, _now, _selection: of(model).capture_objects(),
        4: number(lambda profile, _: profile.capture_period),
        5: lambda _model, _now, _selection: unsorted,
        6: lambda _model, _now, _selection: by_nothing,
        7: number(lambda profile, now: profile.rows.visible(now)),
        8: number(lambda profile, _: len(profile.rows.stamps)),
    }


def _event_code(code: bytes) -> CosemObject:
    """Make the object that has the last event's code."""

    def last(model: DlmsModel) -> bytes:
        noted = model.logged.get(code)
        return dlms_codec.unsigned(noted[-1][1] if noted else 0)

    return cosem(1, str(Obis.from_bytes(code)), _data(last))


def _event_log(log: str, code: bytes) -> CosemObject:
    return cosem(7, log, _profile(lambda m: m.events(code)), version=1)


_LOGS: Final = {
    "0.0.99.98.0.255": EVENT_CODE,
    "0.0.99.98.1.255": FRAUD_CODE,
    "0.0.99.98.2.255": SWITCH_CODE,
    "0.0.99.98.4.255": QUALITY_CODE,
}
"""Event logs, and the objects whose codes they capture."""


def _device_name(model: DlmsModel) -> bytes:
    return dlms_codec.octets(f"MQS{model.meter.mrid:0>13}".encode()[:16])


def _current_ratio(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
    return dlms_codec.double_long_unsigned(5 * model.meter.ratio_at(now))


def _association_status(_model: DlmsModel, _now: int, _selection: Selection | None) -> bytes:
    return dlms_codec.enum(2)


def _echo(_model: DlmsModel, _now: int, parameters: bytes | None) -> bytes | None:
    """Give back what came."""
    if parameters is not None:
        dlms_codec.whole(parameters)
    return parameters


_NOTE_READ, _NOTE_WRITE = dlms_object.kept("note", dlms_codec.octets(b""))

OBJECTS: Final[Mapping[Key, CosemObject]] = MappingProxyType(
    {
        one.key: one
        for one in (
            *dlms_settings.OBJECTS,
            *dlms_tariff.OBJECTS,
            cosem(1, "0.0.96.1.0.255", _data(lambda m: dlms_codec.octets(m.meter.mrid.encode()))),
            cosem(1, "0.0.42.0.0.255", _data(_device_name)),
            cosem(1, "1.0.0.2.0.255", _data(lambda m: dlms_codec.octets(m.firmware))),
            cosem(
                1,
                "0.0.43.1.0.255",
                _data(lambda m: dlms_codec.double_long_unsigned(m.accepted_counter)),
            ),
            cosem(1, "0.0.96.10.1.255", _data(lambda _: dlms_codec.unsigned(0))),
            *(_event_code(code) for code in _LOGS.values()),
            *(_event_log(log, code) for log, code in _LOGS.items()),
            # Transformers of 5 A and of no voltage: 200 / 5 and 1 / 1.
            cosem(1, "1.0.0.4.2.255", {2: _current_ratio}),
            cosem(1, "1.0.0.4.3.255", _data(lambda _: dlms_codec.long_unsigned(1))),
            cosem(1, "1.0.0.4.5.255", _data(lambda _: dlms_codec.long_unsigned(5))),
            cosem(1, "1.0.0.4.6.255", _data(lambda _: dlms_codec.long_unsigned(1))),
            cosem(3, str(Obis.from_bytes(REGISTERS[ACTIVE])), _energy(ACTIVE, _WH)),
            cosem(3, "1.0.2.8.0.255", _no_energy(_WH)),
            cosem(3, str(Obis.from_bytes(REGISTERS[REACTIVE])), _energy(REACTIVE, _VARH)),
            cosem(3, "1.0.1.29.0.255", _no_energy(_WH)),
            cosem(3, "1.0.3.29.0.255", _no_energy(_VARH)),
            cosem(
                3,
                "1.0.32.7.0.255",
                _present("voltage_l1", dlms_codec.long_unsigned, -1, _VOLT),
            ),
            cosem(
                3,
                "1.0.31.7.0.255",
                _present("current_l1", dlms_codec.double_long_unsigned, -3, _AMPERE),
            ),
            cosem(
                3,
                "1.0.1.7.0.255",
                _present("active_power_import", dlms_codec.double_long_unsigned, 0, _WATT),
            ),
            cosem(7, "1.0.99.1.0.255", _profile(lambda m: m.load_profile), version=1),
            cosem(7, "1.0.99.2.0.255", _profile(lambda m: m.load_profile_2), version=1),
            cosem(7, "0.0.98.1.0.255", _profile(lambda m: m.billing_registers), version=1),
            cosem(15, "0.0.40.0.0.255", {8: _association_status}, version=1),
            # An object of the maker's own, for whoever tries a meter's services: an attribute of
            # any length, and a method that gives back what it got.
            cosem(
                32768,
                "0.0.128.0.0.255",
                {2: _NOTE_READ},
                writes={2: _NOTE_WRITE},
                methods={1: _echo},
            ),
        )
    }
)
