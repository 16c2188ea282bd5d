"""The COSEM objects of the simulated meters, as a table of what each attribute answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from schemas.obis import Obis
from simulators import dlms_codec
from simulators.dlms_apdu import Access, Attribute, Selection
from simulators.dlms_buffer import Profile
from simulators.dlms_codec import Malformed
from simulators.dlms_model import REGISTERS, DlmsModel
from simulators.meter import ACTIVE, REACTIVE

Answer = Callable[[DlmsModel, int, Selection | None], bytes]
"""Writes an attribute at a moment of true time."""

Key = tuple[int, bytes]
"""Class and logical name of an object."""

_WH, _VARH, _WATT, _VOLT, _AMPERE = 30, 32, 27, 35, 33

ASSOCIATION: Final = (15, bytes(Obis.parse("0.0.40.0.0.255")))
_COUNTER: Final = (1, bytes(Obis.parse("0.0.43.1.0.255")))
_DEVICE_NAME: Final = (1, bytes(Obis.parse("0.0.42.0.0.255")))

PUBLIC: Final = frozenset({ASSOCIATION, _COUNTER, _DEVICE_NAME})
"""Objects that the public client may see."""

_VERSIONS: Final = {7: 1, 15: 1}


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
    key = (attribute.class_id, attribute.name)
    if key not in _OBJECTS:
        return Access.UNDEFINED
    write = _OBJECTS[key].get(attribute.index)
    if key == ASSOCIATION and attribute.index == 2:
        return object_list(public=public)
    if write is None or (public and key not in PUBLIC):
        return Access.DENIED
    try:
        return write(model, now, selection)
    except Malformed:
        return Access.TYPE_UNMATCHED


def methods(key: Key) -> tuple[int, ...]:
    """List the methods of an object."""
    return (1,) if key == ASSOCIATION else ()


@cache
def object_list(*, public: bool) -> bytes:
    """Write the association's object list with access rights."""
    return dlms_codec.array([_described(key) for key in _OBJECTS if not public or key in PUBLIC])


def _described(key: Key) -> bytes:
    class_id, name = key
    readable, selectors = dlms_codec.enum(1), dlms_codec.NULL
    indexes = sorted({*_OBJECTS[key]} | ({2} if key == ASSOCIATION else set()))
    by_attribute = [
        dlms_codec.structure(
            dlms_codec.integer(index),
            readable,
            _SELECTORS if class_id == 7 and index == 2 else selectors,
        )
        for index in indexes
    ]
    by_method = [
        dlms_codec.structure(dlms_codec.integer(index), readable) for index in methods(key)
    ]
    return dlms_codec.structure(
        dlms_codec.long_unsigned(class_id),
        dlms_codec.unsigned(_VERSIONS.get(class_id, 0)),
        dlms_codec.octets(name),
        dlms_codec.structure(dlms_codec.array(by_attribute), dlms_codec.array(by_method)),
    )


_SELECTORS: Final = dlms_codec.array([dlms_codec.integer(1), dlms_codec.integer(2)])


def _name(name: bytes) -> Answer:
    written = dlms_codec.octets(name)
    return lambda _model, _now, _selection: written


def _data(write: Callable[[DlmsModel], bytes]) -> dict[int, Answer]:
    return {2: lambda model, _now, _selection: write(model)}


def _scaler_unit(scaler: int, unit: int) -> Answer:
    written = dlms_codec.structure(dlms_codec.integer(scaler), dlms_codec.enum(unit))
    return lambda _model, _now, _selection: written


def _energy(reading_type: str, unit: int) -> dict[int, Answer]:
    def value(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
        return dlms_codec.double_long_unsigned(model.meter.register_at(reading_type, now))

    return {2: value, 3: _scaler_unit(0, unit)}


def _no_energy(unit: int) -> dict[int, Answer]:
    zero = dlms_codec.double_long_unsigned(0)
    return {2: lambda _model, _now, _selection: zero, 3: _scaler_unit(0, unit)}


def _present(name: str, write: Callable[[int], bytes], scaler: int, unit: int) -> dict[int, Answer]:
    def value(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
        return write(model.meter.present(now)[name])

    return {2: value, 3: _scaler_unit(scaler, unit)}


def _profile(of: Callable[[DlmsModel], Profile]) -> dict[int, Answer]:
    unsorted, by_nothing = (
        dlms_codec.enum(1),
        dlms_codec.structure(
            dlms_codec.long_unsigned(0),
            dlms_codec.octets(bytes(6)),
            dlms_codec.integer(0),
            dlms_codec.long_unsigned(0),
        ),
    )

    def number(write: Callable[[Profile, int], int]) -> Answer:
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


def _clock_time(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
    return dlms_codec.octets(model.clock(now))


def _device_name(model: DlmsModel) -> bytes:
    return dlms_codec.octets(f"MQS{model.meter.mrid:0>13}".encode()[:16])


def _association_status(_model: DlmsModel, _now: int, _selection: Selection | None) -> bytes:
    return dlms_codec.enum(2)


_OBJECTS: Final[Mapping[Key, Mapping[int, Answer]]] = MappingProxyType(
    {
        (class_id, bytes(Obis.parse(name))): {1: _name(bytes(Obis.parse(name))), **attributes}
        for class_id, name, attributes in (
            (8, "0.0.1.0.0.255", {2: _clock_time}),
            (1, "0.0.96.1.0.255", _data(lambda m: dlms_codec.octets(m.meter.mrid.encode()))),
            (1, "0.0.42.0.0.255", _data(_device_name)),
            (1, "1.0.0.2.0.255", _data(lambda _: dlms_codec.octets(b"Miqyas 1.0"))),
            (
                1,
                "0.0.43.1.0.255",
                _data(lambda m: dlms_codec.double_long_unsigned(m.accepted_counter)),
            ),
            (1, "0.0.96.10.1.255", _data(lambda _: dlms_codec.unsigned(0))),
            (1, "0.0.96.11.0.255", _data(lambda _: dlms_codec.unsigned(0))),
            (3, str(Obis.from_bytes(REGISTERS[ACTIVE])), _energy(ACTIVE, _WH)),
            (3, "1.0.2.8.0.255", _no_energy(_WH)),
            (3, str(Obis.from_bytes(REGISTERS[REACTIVE])), _energy(REACTIVE, _VARH)),
            (3, "1.0.1.29.0.255", _no_energy(_WH)),
            (3, "1.0.3.29.0.255", _no_energy(_VARH)),
            (
                3,
                "1.0.32.7.0.255",
                _present("voltage_l1", dlms_codec.long_unsigned, -1, _VOLT),
            ),
            (
                3,
                "1.0.31.7.0.255",
                _present("current_l1", dlms_codec.double_long_unsigned, -3, _AMPERE),
            ),
            (
                3,
                "1.0.1.7.0.255",
                _present("active_power_import", dlms_codec.double_long_unsigned, 0, _WATT),
            ),
            (7, "1.0.99.1.0.255", _profile(lambda m: m.load_profile)),
            (7, "1.0.99.2.0.255", _profile(lambda m: m.daily_registers)),
            (7, "0.0.99.98.0.255", _profile(lambda m: m.events)),
            (15, "0.0.40.0.0.255", {8: _association_status}),
        )
    }
)
