"""SunSpec meters: the meter lists its own models, and tells the scale of each quantity itself.

SunSpec Information Model Specification (Device Information Model 1.1, §6): "SunS" at one of three
addresses, then models one after the other, each with its number and length in front, until model
65535. Meters are models 201 to 204 (integers with scale factors) and 211 to 214 (floats).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from drivers.modbus.register_map import DataType, Field, Limits, Register, RegisterMap, Span
from drivers.modbus.search import Search

_BASES: Final = (40000, 50000, 0)
_MARK: Final = (0x5375, 0x6E53)
_COMMON: Final = 1
_END: Final = 0xFFFF
_INTEGERS: Final = range(201, 205)
_FLOATS: Final = range(211, 215)
# A meter has some models; a list without end is none.
_MOST_MODELS: Final = 30
_NOT_IMPLEMENTED: Final = 0x8000
_LARGEST_SCALE: Final = 10
_LIMITS: Final = Limits(max_words=125, alignment=1, max_gap=100)

# Model 1, behind its number and length: text of so many words at so many words from its start.
_IDENTITY: Final[Mapping[str, tuple[int, int]]] = {
    "manufacturer": (2, 16),
    "model": (18, 16),
    "firmware": (42, 8),
    "serial": (50, 16),
}

# Words from a model's start, unit, and where its scale factor is: models 201 to 204.
_SCALED: Final[Mapping[str, tuple[int, DataType, str, int]]] = {
    "active_energy_import": (46, "u32", "Wh", 54),
    "active_energy_export": (38, "u32", "Wh", 54),
    "voltage_l1": (8, "i16", "V", 15),
    "voltage_l2": (9, "i16", "V", 15),
    "voltage_l3": (10, "i16", "V", 15),
    "current_l1": (3, "i16", "A", 6),
    "current_l2": (4, "i16", "A", 6),
    "current_l3": (5, "i16", "A", 6),
    "frequency": (16, "i16", "Hz", 17),
}
# The same of models 211 to 214.
_PLAIN: Final[Mapping[str, tuple[int, str]]] = {
    "active_energy_import": (68, "Wh"),
    "active_energy_export": (60, "Wh"),
    "voltage_l1": (12, "V"),
    "voltage_l2": (14, "V"),
    "voltage_l3": (16, "V"),
    "current_l1": (4, "A"),
    "current_l2": (6, "A"),
    "current_l3": (8, "A"),
    "frequency": (26, "Hz"),
}


def search() -> Search:
    """Walk a meter's models to the one that it is, and read its scale factors.

    Power is left out: makers do not agree on its sign.
    """
    for base in _BASES:
        words = yield Span(3, base, 4)
        if words is not None and tuple(words[:2]) == _MARK:
            found = yield from _walk(base + 2, words[2], words[3])
            if found is not None:
                return found
    return None


def _walk(address: int, model: int, length: int) -> Search:
    common: int | None = None
    for _ in range(_MOST_MODELS):
        if model == _COMMON:
            common = address
        elif model in _INTEGERS:
            return (yield from _scaled_map(address, model, length, common))
        elif model in _FLOATS:
            header = {Span(3, address, 2): (model, length)}
            return _map(model, common, dict(_plain_registers(address)), header)
        address += 2 + length
        if model == _END or address > _END - 2:
            break
        words = yield Span(3, address, 2)
        if words is None:
            break
        model, length = words
    return None


def _scaled_map(address: int, model: int, length: int, common: int | None) -> Search:
    """Read the scale factors; they and the model's header prove that the map is still right."""
    end = 2 + max(place for _, _, _, place in _SCALED.values())
    words = yield Span(3, address, end)
    if words is None:
        return None
    places = sorted({place for _, _, _, place in _SCALED.values()})
    scales = {place: _signed(words[place]) for place in places}
    registers = {
        name: _register(
            name, Span(3, address + at, 2 if data_type == "u32" else 1), data_type, unit, scale
        )
        for name, (at, data_type, unit, place) in _SCALED.items()
        if (scale := scales[place]) is not None
    }
    proof = {Span(3, address + place, 1): (words[place],) for place in places}
    return _map(model, common, registers, {Span(3, address, 2): (model, length), **proof})


def _plain_registers(address: int) -> Iterator[tuple[str, Register]]:
    for name, (at, unit) in _PLAIN.items():
        yield name, _register(name, Span(3, address + at, 2), "float32", unit, 0)


def _register(name: str, span: Span, data_type: DataType, unit: str, scale: int) -> Register:
    # An accumulator of 0 is one that the meter does not have.
    nothing = {"u32": {0}, "i16": {_NOT_IMPLEMENTED}}.get(data_type, set())
    return Register(
        reading_type=name,
        field=Field(span, data_type, "big"),
        scale=Decimal(10) ** scale,
        unit=unit,
        unavailable=frozenset(nothing),
        part="whole",
        wraps_at=None,
    )


def _map(
    model: int,
    common: int | None,
    registers: Mapping[str, Register],
    proof: Mapping[Span, tuple[int, ...]],
) -> RegisterMap:
    identity = {
        what: Field(Span(3, common + at, count), "ascii", "big")
        for what, (at, count) in _IDENTITY.items()
        if common is not None
    }
    return RegisterMap(
        name="sunspec",
        manufacturer="",
        model=f"SunSpec model {model}",
        source="SunSpec models 1, 201 to 204, 211 to 214",
        limits=_LIMITS,
        registers=registers,
        identity=identity,
        proof=proof,
    )


def _signed(word: int) -> int | None:
    """Read a scale factor; None where the meter has none, or no sensible one."""
    value = word - 0x10000 if word & 0x8000 else word
    return value if abs(value) <= _LARGEST_SCALE else None
