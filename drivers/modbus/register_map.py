"""Register maps: which register of which meter means what, read from ``maps/*.toml``.

A map is data, one file per meter model, with the source of its facts. Addresses are those on the
wire (counted from 0), words of a value stand in the order that ``word_order`` says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, cast, get_args

from drivers import quantity
from schemas import reading_type

DataType = Literal["u16", "i16", "u32", "i32", "u64", "i64", "float32", "float64", "ascii"]
WordOrder = Literal["big", "little"]
Part = Literal["whole", "positive", "negative"]
Function = Literal[3, 4]

WORDS: Final[dict[DataType, int]] = {
    "u16": 1,
    "i16": 1,
    "u32": 2,
    "i32": 2,
    "u64": 4,
    "i64": 4,
    "float32": 2,
    "float64": 4,
}


class MapError(ValueError):
    """A register map contradicts itself; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class Span:
    """Words that stand together in a meter: the function code that reads them, and where.

    Attributes
    ----------
    function : 3 (holding registers) or 4 (input registers)
    address : of the first word, as sent on the wire
    count : words
    """

    function: Function
    address: int
    count: int

    @property
    def end(self) -> int:
        """Address of the first word behind it."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Field:
    """A value's place and type on the wire; ``word_order`` big is AB CD, little is CD AB."""

    span: Span
    data_type: DataType
    word_order: WordOrder


@dataclass(frozen=True, slots=True)
class Register:
    """A field that holds a reading.

    Attributes
    ----------
    reading_type : name in ``reading_types.csv``
    field : where it is
    scale, unit : the raw number × ``scale`` is in ``unit``
    unavailable : raw bit patterns that say "no value"
    part : of a signed number, take all, or the positive or the negative part as an amount
    wraps_at : where a cumulative register starts again from 0 [``unit``]; None when its data type's
        end is all there is
    plus : fields whose values are added: meters that count each tariff and have no total
    """

    reading_type: str
    field: Field
    scale: Decimal
    unit: str
    unavailable: frozenset[int]
    part: Part
    wraps_at: Decimal | None
    plus: tuple[Field, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        """All fields that make the reading, in the order in which their words are decoded."""
        return (self.field, *self.plus)

    @property
    def cumulative(self) -> bool:
        """Whether it counts and never goes back, but where it wraps."""
        return reading_type.named(self.reading_type).accumulation == "cumulative"

    @property
    def factor(self) -> Decimal:
        """Scaled units of the reading type in one of the raw number."""
        return _factor(self.scale, self.unit, self.reading_type)

    @property
    def modulus(self) -> int | None:
        """Where a cumulative register wraps [scaled unit]; None if it cannot be reached or known.

        An integer that the vendor does not stop earlier wraps where its data type ends. A sum of
        registers does not: each of them wraps on its own.
        """
        if not self.cumulative:
            return None
        if self.wraps_at is not None:
            kind = reading_type.named(self.reading_type)
            return quantity.rounded(self.wraps_at, quantity.factor(self.unit, kind))
        if self.plus or self.field.data_type.startswith("float"):
            return None
        bits = 16 * self.field.span.count - (self.field.data_type[0] == "i")
        modulus = quantity.exact(Decimal(2**bits), self.factor)
        whole = modulus == modulus.to_integral_value() and modulus < 2**63
        return int(modulus) if whole else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the meter takes in one request.

    Attributes
    ----------
    max_words : most words
    alignment : start and count must be multiples of it
    max_gap : most unwanted words between two wanted ones that may be read along
    """

    max_words: int
    alignment: int
    max_gap: int


@dataclass(frozen=True, slots=True)
class Product:
    """How a meter that has this map names itself, among the other meters of its family.

    Attributes
    ----------
    family : a profile that finds out which of its maps is right
    field : where the name is
    names : what it may begin with, in small letters
    """

    family: str
    field: Field
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """All that is known about one meter model's registers.

    Attributes
    ----------
    name : of the file, and of the profile in the registry
    source : where the facts come from
    registers : by reading type
    identity : serial, model, firmware, manufacturer, where the meter has them
    product : how the meter names itself, where its maker has several maps
    proof : words that a meter with this map has, where the map was found by asking
    """

    name: str
    manufacturer: str
    model: str
    source: str
    limits: Limits
    registers: Mapping[str, Register]
    identity: Mapping[str, Field]
    product: Product | None = None
    proof: Mapping[Span, tuple[int, ...]] = field(default_factory=dict)


@cache
def _factor(scale: Decimal, unit: str, name: str) -> Decimal:
    return quantity.exact(scale, quantity.factor(unit, reading_type.named(name)))


def names() -> list[str]:
    """List the maps that there are."""
    folder = resources.files("drivers.modbus").joinpath("maps")
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml"))


@cache
def named(name: str) -> RegisterMap:
    """Read a map.

    Raises
    ------
    KeyError
        with the known names, if there is none of that name.
    MapError
        if the file contradicts itself.
    """
    if name not in names():
        raise KeyError(f"no Modbus register map {name!r}; known: {', '.join(names())}")
    folder = resources.files("drivers.modbus").joinpath("maps")
    return parse(name, folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def proven(found: RegisterMap, proof: Mapping[Span, tuple[int, ...]]) -> RegisterMap:
    """Give a map with words that prove it."""
    return replace(found, proof=proof)


def parse(name: str, text: str) -> RegisterMap:
    """Read a map from its TOML text.

    Raises
    ------
    MapError
        naming the entry that is wrong.
    """
    try:
        table = tomllib.loads(text)
        defaults = table["defaults"]
        read = [_register({**defaults, **entry}) for entry in table["register"]]
        registers = {register.reading_type: register for register in read}
        if len(registers) != len(read):
            raise MapError("a reading type has two registers")
        return RegisterMap(
            name=name,
            manufacturer=table["manufacturer"],
            model=table["model"],
            source=table["source"],
            limits=Limits(**table["limits"]),
            registers=registers,
            identity={
                what: _field({**defaults, **entry})
                for what, entry in table.get("identity", {}).items()
            },
            product=_product({**defaults, **table["product"]}) if "product" in table else None,
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise MapError(f"register map {name}: {error}") from error


def _register(entry: Mapping[str, Any]) -> Register:
    kind = reading_type.named(entry["reading_type"])
    register = Register(
        reading_type=kind.name,
        field=_field(entry),
        scale=Decimal(entry.get("scale", "1")),
        unit=entry["unit"],
        unavailable=frozenset(_patterns(entry.get("unavailable", ()))),
        part=_one_of(entry.get("part", "whole"), get_args(Part)),
        wraps_at=Decimal(entry["wraps_at"]) if "wraps_at" in entry else None,
        plus=tuple(_field({**entry, "address": other}) for other in entry.get("plus", ())),
    )
    quantity.factor(register.unit, kind)
    return register


def _product(entry: Mapping[str, Any]) -> Product:
    field = _field({**entry, "type": "ascii"})
    return Product(entry["family"], field, tuple(name.lower() for name in entry["names"]))


def _field(entry: Mapping[str, Any]) -> Field:
    data_type = _one_of(entry["type"], get_args(DataType))
    function = _one_of(entry["function"], get_args(Function))
    count = entry["words"] if data_type == "ascii" else WORDS[cast(DataType, data_type)]
    address = entry["address"]
    if not 0 <= address <= address + count <= 65536:
        raise MapError(f"address {address} + {count} words is not within 0 … 65535")
    span = Span(cast(Function, function), address, count)
    order = _one_of(entry.get("word_order", "big"), get_args(WordOrder))
    return Field(span, cast(DataType, data_type), cast(WordOrder, order))


def _patterns(entry: int | Sequence[int]) -> Sequence[int]:
    return [entry] if isinstance(entry, int) else entry


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise MapError(f"{value!r} is none of {', '.join(map(str, allowed))}")
    return value
