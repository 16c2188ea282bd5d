"""Values decode to what the vendors' documents say, exactly, and no bytes make trouble."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import decode, register_map
from drivers.modbus.register_map import Register

INTEGERS = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
FLOATS = {"float32": "f", "float64": "d"}


def register(data_type: str, order: str = "big", **more: object) -> Register:
    """A register of active energy in a map of its own."""
    entry = {"unit": '"kWh"', "scale": '"0.01"', **more}
    lines = "\n".join(f"{key} = {value}" for key, value in entry.items())
    text = f"""
        manufacturer = "-"
        model = "-"
        source = "-"
        [limits]
        max_words = 10
        alignment = 1
        max_gap = 0
        [defaults]
        [[register]]
        reading_type = "active_energy_import"
        address = 0
        function = 3
        type = "{data_type}"
        word_order = "{order}"
        {lines}
    """
    return register_map.parse("test", text).registers["active_energy_import"]


def words(data: bytes, order: str = "big") -> list[int]:
    """Cut bytes into words, most significant first or last."""
    cut = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return cut if order == "big" else cut[::-1]


@pytest.mark.parametrize(
    ("name", "reading_type", "on_the_wire", "value"),
    [
        # Eastron's protocol document: 43 66 33 34 is 230.2 V.
        ("eastron-sdm630", "voltage_l1", [0x4366, 0x3334], 2302),
        # 3F 80 00 00 is 1.0: one kWh is 1000 Wh, one watt positive is no export.
        ("eastron-sdm630", "active_energy_import", [0x3F80, 0x0000], 1000),
        ("eastron-sdm120", "active_power_import", [0x3F80, 0x0000], 1),
        ("eastron-sdm120", "active_power_export", [0x3F80, 0x0000], 0),
        ("eastron-sdm120", "active_power_export", [0xBF80, 0x0000], 1),
        # 0.01 kWh a count, most significant of four words first.
        ("abb-b23", "active_energy_import", [0, 0, 1, 0xE240], 1234560),
        ("abb-b23", "active_energy_import", [0xFFFF] * 4, None),
        ("abb-b23", "active_power_import", [0x7FFF, 0xFFFF], None),
        ("abb-b23", "active_power_export", [0xFFFF, 0xFC18], 10),
        ("abb-b23", "frequency", [5000], 50000),
        # 3204 in the vendor's count, Wh in 64 bits; power in kW as a float.
        ("schneider-iem3000", "active_energy_import", [0, 0, 0x0001, 0x0000], 65536),
        ("schneider-iem3000", "active_power_import", [0x4060, 0x0000], 3500),
        # "LSW -> MSW", and EEE.
        ("carlo-gavazzi-em340", "voltage_l1", [0x08FE, 0x0000], 2302),
        ("carlo-gavazzi-em340", "active_energy_import", [0x0001, 0x0002], 13107300),
        ("carlo-gavazzi-em340", "active_energy_import", [0xFFFF, 0x7FFF], None),
        ("carlo-gavazzi-em340", "frequency", [0x01F4], 50000),
    ],
)
def test_published_facts(
    name: str, reading_type: str, on_the_wire: list[int], value: int | None
) -> None:
    assert decode.value(on_the_wire, register_map.named(name).registers[reading_type]) == value


@given(st.sampled_from(sorted(INTEGERS)), st.sampled_from(["big", "little"]), st.data())
def test_integers_come_back_exactly(data_type: str, order: str, data: st.DataObject) -> None:
    bits, signed = int(data_type[1:]), data_type[0] == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    number = data.draw(st.integers(low, high))
    sent = words(struct.pack(">" + INTEGERS[data_type], number), order)
    expected = number * 10
    assert decode.value(sent, register(data_type, order)) == (
        expected if abs(expected) < 2**63 else None
    )


@given(st.sampled_from(sorted(FLOATS)), st.sampled_from(["big", "little"]), st.data())
def test_floats_are_rounded_once(data_type: str, order: str, data: st.DataObject) -> None:
    number = data.draw(st.floats(width=int(data_type[5:])))  # type: ignore[arg-type]
    sent = words(struct.pack(">" + FLOATS[data_type], number), order)
    decoded = decode.value(sent, register(data_type, order, scale='"1"'))
    if not math.isfinite(number) or abs(number) > 1e15:
        assert decoded is None or abs(decoded) < 2**63
    else:
        # Python's own rational arithmetic rounds half to even too, and never in between.
        assert decoded == round(Fraction(number) * 1000)


def test_a_tie_is_rounded_to_even_and_not_twice() -> None:
    # 0.0625 kWh is 62.5 Wh exactly; 0.06250000000000001 is above it by less than a double shows
    # after any rounding in between.
    assert decode.value(words(struct.pack(">d", 0.0625)), register("float64", scale='"1"')) == 62
    above = math.nextafter(0.0625, 1)
    assert decode.value(words(struct.pack(">d", above)), register("float64", scale='"1"')) == 63


@given(st.sampled_from(register_map.names()), st.data())
def test_any_words_give_a_value_or_none(name: str, data: st.DataObject) -> None:
    meter = register_map.named(name)
    for one in meter.registers.values():
        size = sum(field.span.count for field in one.fields)
        sent = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=size, max_size=size))
        value = decode.value(sent, one)
        assert value is None or abs(value) < 2**63
        assert one.part == "whole" or value is None or value >= 0
    for field in meter.identity.values():
        size = field.span.count
        sent = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=size, max_size=size))
        assert decode.text(sent, field).isprintable()


def test_serial_numbers() -> None:
    abb = register_map.named("abb-b23").identity["serial"]
    assert decode.text([0x0001, 0x86A0], abb) == "100000"
    gavazzi = register_map.named("carlo-gavazzi-em340").identity["serial"]
    sent = words(b"BD4200120053\0\0")
    assert decode.text(sent, gavazzi) == "BD4200120053"


def test_where_registers_wrap() -> None:
    assert register("u32").modulus == 2**32 * 10
    assert register("i32").modulus == 2**31 * 10
    assert register("u32", wraps_at='"1000000"').modulus == 10**9
    assert register("u64").modulus is None, "beyond what the store can hold"
    assert register("float32").modulus is None, "not known"
    assert register("float32", wraps_at='"9999999"').modulus == 9_999_999_000
    assert register("u32", plus="[2]").modulus is None, "each part wraps on its own"


def test_parts_are_added_before_anything_is_rounded() -> None:
    # 0.0625 kWh is 62.5 Wh: each part alone would round to 62, together they are 125.
    half = words(struct.pack(">d", 0.0625))
    both = register("float64", scale='"1"', plus="[4]")
    assert decode.value(half + half, both) == 125
    assert decode.value(half + words(struct.pack(">d", math.nan)), both) is None
    assert decode.value([0, 1, 0xFFFF, 0xFFFF], register("u32", plus="[2]")) == 0x1_0000_0000 * 10
    lacking = register("u32", plus="[2]", unavailable="0xFFFF_FFFF")
    assert decode.value([0, 1, 0xFFFF, 0xFFFF], lacking) is None


@pytest.mark.parametrize("name", register_map.names())
def test_a_map_says_where_it_comes_from(name: str) -> None:
    meter = register_map.named(name)
    assert meter.source
    assert meter.manufacturer
    assert "active_energy_import" in meter.registers
    assert all(isinstance(one.factor, Decimal) for one in meter.registers.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": '"km"'}, "no unit of active energy"),
        ({"unit": '"V"'}, "no unit of active energy"),
        ({"address": "65535"}, "not within"),
        ({"type": '"u24"'}, "u24"),
        ({"function": "6"}, "6"),
        ({"scale": '"a"'}, "test"),
        ({"plus": "[65535]"}, "not within"),
    ],
)
def test_a_wrong_map_is_refused(change: dict[str, str], said: str) -> None:
    entry = {
        "reading_type": '"active_energy_import"',
        "unit": '"kWh"',
        "address": "0",
        "type": '"u32"',
        "function": "3",
    }
    lines = "\n".join(f"{key} = {value}" for key, value in {**entry, **change}.items())
    head = 'manufacturer = "-"\nmodel = "-"\nsource = "-"\n[limits]\nmax_words = 9\nalignment = 1\n'
    with pytest.raises(register_map.MapError, match=said):
        register_map.parse("test", f"{head}max_gap = 0\n[defaults]\n[[register]]\n{lines}\n")


def test_the_page_of_formats_shows_a_map_that_can_be_read() -> None:
    whole = (Path(__file__).parents[3] / "docs/formats.md").read_text("utf-8")
    page = whole.split("# Register maps of Modbus meters")[1]
    shown = register_map.parse("shown", page.split("```toml\n")[1].split("```")[0])
    assert shown.registers["active_energy_import"].modulus == 10**10
    assert shown.product is not None
    assert set(register_map.WORDS) == set(page.split("# u16")[1].split("\n")[0].split()) | {"u16"}
