"""Register images worked out by hand from what the vendors publish, read over the wire.

Each image is what one meter would hold; the server that holds it is pyModbusTCP, which gives zeros
everywhere else. The words are written as hexadecimal literals, not packed by the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.driver import Endpoint
from drivers.modbus import profiles, register_map
from drivers.modbus.register_map import Register
from drivers.modbus.session import ModbusDriver
from tests.drivers.modbus.bank import Bank, serving

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]

IMAGES: Mapping[str, tuple[Bank, Mapping[str, int]]] = {
    # 19060 is the signed sum and must not be taken for the import. 1 234 567 Wh is 4996 B438.
    "janitza-umg96": (
        {
            (3, 19000): (0x4366, 0x0000),  # 230.0 V
            (3, 19012): (0x40A8, 0x0000),  # 5.25 A
            (3, 19026): (0xC49A, 0x5000),  # -1234.5 W
            (3, 19050): (0x4248, 0x0000),  # 50.0 Hz
            (3, 19060): (0xC8F4, 0x2400),  # -500 000 Wh
            (3, 19068): (0x4996, 0xB438),  # 1 234 567 Wh
            (3, 19076): (0x447A, 0x0000),  # 1000 Wh
        },
        {
            "active_energy_import": 1_234_567,
            "active_energy_export": 1000,
            "voltage_l1": 2300,
            "current_l1": 5250,
            "active_power_import": 0,
            "active_power_export": 1234,
            "frequency": 50_000,
        },
    ),
    # Two tariffs of 64-bit floats: 1 000 000 Wh and 234 567.5 Wh; 1 234 567.5 rounds to even.
    "siemens-pac3200": (
        {
            (3, 1): (0x4366, 0x0000),
            (3, 13): (0x40A8, 0x0000),
            (3, 55): (0x4248, 0x0000),
            (3, 65): (0x449A, 0x5000),
            (3, 801): (0x412E, 0x8480, 0, 0),
            (3, 805): (0x410C, 0xA23C, 0, 0),
            (3, 809): (0x408F, 0x4000, 0, 0),  # 1000 Wh
            (3, 813): (0x3FE0, 0x0000, 0, 0),  # 0.5 Wh
        },
        {
            "active_energy_import": 1_234_568,
            "active_energy_export": 1000,
            "active_energy_import_t1": 1_000_000,
            "active_energy_import_t2": 234_568,
            "voltage_l1": 2300,
            "current_l1": 5250,
            "active_power_import": 1234,
            "active_power_export": 0,
            "frequency": 50_000,
        },
    ),
    # Integers in disguise: 2300.0 is 230 V, 5250.0 is 5.25 A, 12345.0 is 1234.5 W, 5000.0 is 50 Hz.
    "chint-dtsu666": (
        {
            (3, 0x0006): (0x0028,),  # IrAt 40
            (3, 0x0007): (0x000A,),  # UrAt 10 tenths
            (3, 0x101E): (0x449A, 0x5000),  # 1234.5 kWh
            (3, 0x1028): (0x3EC0, 0x0000),  # 0.375 kWh
            (3, 0x2006): (0x450F, 0xC000),
            (3, 0x200C): (0x45A4, 0x1000),
            (3, 0x2012): (0x4640, 0xE400),
            (3, 0x2044): (0x459C, 0x4000),
        },
        {
            "active_energy_import": 1_234_500,
            "active_energy_export": 375,
            "current_transformer_ratio": 40_000,
            "voltage_transformer_ratio": 1000,
            "voltage_l1": 2300,
            "current_l1": 5250,
            "active_power_import": 1234,
            "active_power_export": 0,
            "frequency": 50_000,
        },
    ),
    "finder-7m": (
        {
            (4, 2500): (0x4366, 0x0000),
            (4, 2516): (0x40A8, 0x0000),
            (4, 2536): (0xC49A, 0x5000),
            (4, 2584): (0x4248, 0x0000),
            (4, 2752): (0x4996, 0xB438),  # Wh, not kWh
            (4, 2754): (0x449A, 0x4000),  # 1234 varh, between import and export
            (4, 2756): (0x447A, 0x0000),
            (4, 2758): (0x3F80, 0x0000),
        },
        {
            "active_energy_import": 1_234_567,
            "active_energy_export": 1000,
            "reactive_energy_import": 1234,
            "reactive_energy_export": 1,
            "voltage_l1": 2300,
            "current_l1": 5250,
            "active_power_import": 0,
            "active_power_export": 1234,
            "frequency": 50_000,
        },
    ),
    # Power in kW; the average voltage (0x5000: 231 V) is not that of phase 1; totals hold tariffs.
    "inepro-pro380": (
        {
            (3, 0x5000): (0x4367, 0x0000),
            (3, 0x5002): (0x4366, 0x0000),
            (3, 0x5008): (0x4248, 0x0000),
            (3, 0x500C): (0x40A8, 0x0000),
            (3, 0x5012): (0xC020, 0x0000),  # -2.5 kW
            (3, 0x600C): (0x449A, 0x5000),  # 1234.5 kWh
            (3, 0x600E): (0x447A, 0x0000),  # 1000 kWh
            (3, 0x6010): (0x436A, 0x8000),  # 234.5 kWh
            (3, 0x6018): (0x3EC0, 0x0000),
        },
        {
            "active_energy_import": 1_234_500,
            "active_energy_import_t1": 1_000_000,
            "active_energy_import_t2": 234_500,
            "active_energy_export": 375,
            "voltage_l1": 2300,
            "current_l1": 5250,
            "active_power_import": 0,
            "active_power_export": 2500,
            "frequency": 50_000,
        },
    ),
    # 23012 x 0.01 V, 52500 x 0.0001 A, -120750 x 0.01 W, 50010 x 0.001 Hz, 2^32 x 0.01 kWh.
    "lovato-dmg610": (
        {
            (4, 0x0001): (0, 0x59E4),
            (4, 0x0007): (0, 0xCD14),
            (4, 0x0031): (0, 0xC35A),
            (4, 0x0039): (0xFFFE, 0x2852),
            (4, 0x1B1F): (0, 1, 0, 0),
            (4, 0x1B23): (0, 0, 0, 0x0064),
        },
        {
            "active_energy_import": 42_949_672_960,
            "active_energy_export": 1000,
            "voltage_l1": 2301,
            "current_l1": 5250,
            "active_power_import": 0,
            "active_power_export": 1208,
            "frequency": 50_010,
        },
    ),
    "eastron-sdm72": (
        {
            (4, 0x0034): (0xC49A, 0x5000),
            (4, 0x0048): (0x449A, 0x5000),
            (4, 0x004A): (0x3EC0, 0x0000),
        },
        {
            "active_energy_import": 1_234_500,
            "active_energy_export": 375,
            "active_power_import": 0,
            "active_power_export": 1234,
        },
    ),
    # 23000 x 0.01 V, 5250 mA, -123 x 10 W, 5000 x 0.01 Hz, 123456 x 10 Wh; "Countis E24".
    "socomec-countis-e24": (
        {
            (3, 0xC38A): (0x436F, 0x756E, 0x7469, 0x7320, 0x4532, 0x3400, 0, 0),
            (3, 0xC558): (0, 0x59D8, 0, 0x59D9, 0, 0x59DA),
            (3, 0xC55E): (0, 0x1388),
            (3, 0xC560): (0, 0x1482, 0, 0x1483, 0, 0x1484),
            (3, 0xC568): (0xFFFF, 0xFF85),
            (3, 0xC65C): (0, 0x0007),
            (3, 0xC702): (0x0001, 0xE240),
            (3, 0xC708): (0, 0x0064),
        },
        {
            "active_energy_import": 1_234_560,
            "active_energy_export": 1000,
            "voltage_l1": 2300,
            "voltage_l2": 2300,
            "voltage_l3": 2300,
            "current_l1": 5250,
            "current_l2": 5251,
            "current_l3": 5252,
            "active_power_import": 0,
            "active_power_export": 1230,
            "frequency": 50_000,
        },
    ),
    # The same, but for whole kWh in another place; "DIRIS A10".
    "socomec-diris-a10": (
        {
            (3, 0xC38A): (0x4449, 0x5249, 0x5320, 0x4131, 0x3000, 0, 0, 0),
            (3, 0xC558): (0, 0x59D8, 0, 0x59D8, 0, 0x59D8),
            (3, 0xC55E): (0, 0x1388),
            (3, 0xC560): (0, 0x1482, 0, 0x1482, 0, 0x1482),
            (3, 0xC568): (0, 0x007B),
            (3, 0xC65C): (0x0001, 0xE240),
            (3, 0xC662): (0, 0x0001),
            (3, 0xC702): (0, 0x0007),
        },
        {
            "active_energy_import": 123_456_000,
            "active_energy_export": 1000,
            "voltage_l1": 2300,
            "voltage_l2": 2300,
            "voltage_l3": 2300,
            "current_l1": 5250,
            "current_l2": 5250,
            "current_l3": 5250,
            "active_power_import": 1230,
            "active_power_export": 0,
            "frequency": 50_000,
        },
    ),
    # Power in W; "DIRIS B30".
    "socomec-diris-b30": (
        {
            (3, 0xC38A): (0x4449, 0x5249, 0x5320, 0x4233, 0x3000, 0, 0, 0),
            (3, 0x480C): (0, 0x59D8, 0, 0x59D8, 0, 0x59D8),
            (3, 0x481A): (0, 0x1482, 0, 0x1482, 0, 0x1482),
            (3, 0x482C): (0, 0x04D2),
            (3, 0x4D83): (0x0001, 0xE240),
            (3, 0x4D86): (0, 0x0001),
        },
        {
            "active_energy_import": 123_456_000,
            "active_energy_export": 1000,
            "voltage_l1": 2300,
            "voltage_l2": 2300,
            "voltage_l3": 2300,
            "current_l1": 5250,
            "current_l2": 5250,
            "current_l3": 5250,
            "active_power_import": 1234,
            "active_power_export": 0,
        },
    ),
    # "LSW -> MSW"; at 0x0034 and 0x0033 stand things that an EM340 would have there.
    "carlo-gavazzi-em24": (
        {
            (4, 0x0000): (0x08FE, 0x0000),  # 2302 x 0.1 V
            (4, 0x000C): (0x1482, 0x0000),  # 5250 mA
            (4, 0x0028): (0xD0D5, 0xFFFF),  # -12075 x 0.1 W
            (4, 0x0033): (0x0001,),
            (4, 0x0034): (0x03E7, 0x0000),
            (4, 0x0037): (0x01F4,),  # 500 x 0.1 Hz
            (4, 0x0042): (0x2345, 0x0001),  # 74565 x 0.1 kWh
            (4, 0x005C): (0xFFFF, 0x7FFF),  # EEE
        },
        {
            "active_energy_import": 7_456_500,
            "voltage_l1": 2302,
            "current_l1": 5250,
            "active_power_import": 0,
            "active_power_export": 1208,
            "frequency": 50_000,
        },
    ),
}


@pytest.mark.parametrize("profile", IMAGES)
async def test_an_image_is_read_as_what_it_stands_for(profile: str) -> None:
    image, expected = IMAGES[profile]
    with serving(image) as (port, _):
        endpoint = Endpoint("M-1", "127.0.0.1", port, profile, {}, 3600, timeout=5)
        async with ModbusDriver().session(endpoint) as session:
            asked = list(register_map.named(profile).registers)
            readings = await session.read_registers(asked, now=NOW)
    assert {reading.reading_type: reading.value for reading in readings} == expected


def test_the_pages_name_every_map_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (row,) = [line for line in readme.splitlines() if line.startswith("| `modbus` |")]
    assert re.findall(r"`([\w-]+)`", row.split("|")[3]) == profiles.names()
    formats = (ROOT / "docs/formats.md").read_text("utf-8")
    table = formats.split("# Register maps of Modbus meters")[1].split("\n# ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|.*\| ([^|]+) \|$", table, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == profiles.names()
    for name, meters, wraps in rows:
        if name in register_map.names():
            meter = register_map.named(name)
            assert meters == f"{meter.manufacturer} {meter.model}"
            assert wraps == _told(meter.registers["active_energy_import"])


def _told(register: Register) -> str:
    """How the page says where a register starts again from 0."""
    if register.modulus is not None:
        return f"{register.modulus:,} Wh"
    return "registry" if "float" in register.field.data_type else "cannot be reached"
