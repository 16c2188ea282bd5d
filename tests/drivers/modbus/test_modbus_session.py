"""Sessions against an independent server: what they read, and what they refuse to begin."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from drivers import errors
from drivers.driver import Endpoint
from drivers.modbus import register_map
from drivers.modbus.session import ModbusDriver
from schemas.period import Period
from schemas.reading import RegisterReading

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ALL = Period(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC))
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def endpoint(port: int, profile: str, **address: int | str) -> Endpoint:
    return Endpoint("M-1", "127.0.0.1", port, profile, address, 3600, timeout=5)


def floats(*values: float) -> list[int]:
    """Words of 32-bit floats, most significant first."""
    return list(struct.unpack(f">{2 * len(values)}H", struct.pack(f">{len(values)}f", *values)))


@pytest.fixture
def server() -> Iterator[tuple[int, DataBank]]:
    """A pyModbusTCP server on a free port, and its memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bank = DataBank()
    running = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    running.start()
    yield port, bank
    running.stop()


async def test_registers_of_an_eastron(server: tuple[int, DataBank]) -> None:
    port, bank = server
    bank.set_input_registers(0x0000, floats(230.2, 231.0, 229.9, 5.25))
    bank.set_input_registers(0x0034, floats(-1207.5))
    bank.set_input_registers(0x0048, floats(1234.5, 0.375))
    wanted = [
        "active_energy_import",
        "active_energy_export",
        "voltage_l1",
        "current_l1",
        "active_power_import",
        "active_power_export",
        "water_volume",
    ]
    async with ModbusDriver().session(endpoint(port, "eastron-sdm630")) as session:
        readings = await session.read_registers(wanted, now=NOW)
    # 1207.5 W of export is between two watts: to the even one.
    assert readings == [
        RegisterReading("active_energy_import", NOW, 1_234_500),
        RegisterReading("active_energy_export", NOW, 375),
        RegisterReading("voltage_l1", NOW, 2302),
        RegisterReading("current_l1", NOW, 5250),
        RegisterReading("active_power_import", NOW, 0),
        RegisterReading("active_power_export", NOW, 1208),
    ]


async def test_registers_and_serial_of_an_abb(server: tuple[int, DataBank]) -> None:
    port, bank = server
    bank.set_holding_registers(0x8900, [0x0001, 0x86A0])
    bank.set_holding_registers(0x5000, [0, 0, 1, 0xE240, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF])
    wanted = ["active_energy_import", "active_energy_export"]
    async with ModbusDriver().session(endpoint(port, "abb-b23", unit=7)) as session:
        identity = await session.identify()
        readings = await session.read_registers(wanted, now=NOW)
    assert (identity.serial, identity.manufacturer) == ("100000", "ABB")
    assert readings == [RegisterReading("active_energy_import", NOW, 1_234_560)]


async def test_words_of_a_carlo_gavazzi_stand_the_other_way(
    server: tuple[int, DataBank],
) -> None:
    port, bank = server
    bank.set_input_registers(0x0034, [0xE240, 0x0001])
    async with ModbusDriver().session(endpoint(port, "carlo-gavazzi-em340")) as session:
        readings = await session.read_registers(["active_energy_import"], now=NOW)
    assert [reading.value for reading in readings] == [12_345_600]


@pytest.mark.parametrize("profile", register_map.names())
async def test_every_map_reads_in_one_connection(
    server: tuple[int, DataBank], profile: str
) -> None:
    port, _ = server
    meter = register_map.named(profile)
    async with ModbusDriver().session(endpoint(port, profile)) as session:
        readings = await session.read_registers(list(meter.registers), now=NOW)
    assert {(reading.reading_type, reading.value) for reading in readings} == {
        (kind, 0) for kind in meter.registers
    }


async def test_what_these_meters_do_not_have(server: tuple[int, DataBank]) -> None:
    port, _ = server
    async with ModbusDriver().session(endpoint(port, "eastron-sdm120")) as session:
        for asked in (
            session.identify(),
            session.read_intervals(ALL),
            session.read_register_history(ALL),
            session.read_events(ALL),
            session.read_clock(now=NOW),
        ):
            with pytest.raises(errors.NotOffered, match="M-1: a eastron-sdm120 meter"):
                await asked
        assert await session.read_registers(["water_volume"], now=NOW) == []


@pytest.mark.parametrize(
    ("profile", "unit", "said"),
    [("no-such-meter", 1, "known: abb-b23"), ("abb-b23", 300, "unit=300"), ("abb-b23", "x", "x")],
)
async def test_an_endpoint_that_is_wrong_is_our_mistake(
    profile: str, unit: int | str, said: str
) -> None:
    with pytest.raises(errors.LocalProtocolError, match=said):
        async with ModbusDriver().session(endpoint(1, profile, unit=unit)):
            pass
