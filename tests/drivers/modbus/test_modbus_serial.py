"""Meters on a serial line: pymodbus' server, our simulated bus, and what goes wrong there."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import errors
from drivers.driver import Endpoint
from drivers.modbus import place, probe, rtu
from drivers.modbus.line import Line
from drivers.modbus.register_map import Span
from drivers.modbus.session import ModbusDriver
from simulators import fleet as fleets
from simulators.clock import Clock
from simulators.meter import ACTIVE, Meter
from simulators.modbus_bus import Bus
from tests.drivers.modbus.serial_pair import answering, cable

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
VOLTS = (0x4366, 0x3334)
SAID = bytes.fromhex("01 04 04 43 66 33 34 1B 38")
FLEET = """
seed = 3
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2
now = "end"

[[group]]
name = "bus"
protocol = "modbus"
count = 4
profile = "eastron-sdm120"
first_address = "127.30.0.1"
"""


def endpoint(path: str, **address: int | str) -> Endpoint:
    # Pseudo-terminals have no parity.
    address = {"line": path, "baud": 19200, "parity": "N", **address}
    return Endpoint("M-1", "", 502, "eastron-sdm120", address, 3600, timeout=5)


@asynccontextmanager
async def pymodbus_at(path: str, *units: int) -> AsyncIterator[None]:
    """pymodbus' own serial server with some units, each holding the same voltage."""
    words = SimData(0, datatype=DataType.REGISTERS, values=[*VOLTS, *[0] * 100])
    devices = [SimDevice(unit, simdata=[words]) for unit in units]
    server = ModbusSerialServer(devices, framer=FramerType.RTU, port=path, baudrate=19200)
    serving = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
def bus(tmp_path: Path) -> tuple[list[Meter], Bus]:
    """Four simulated meters on one line, units 1 to 4, at the end of their fleet's time."""
    described = tmp_path / "bus.toml"
    described.write_text(FLEET)
    fleet = fleets.load(described)
    meters = [
        dataclasses.replace(meter, address={"unit": unit})
        for unit, meter in enumerate(fleet.meters, start=1)
    ]
    return meters, Bus(meters, Clock(fleet.now))


async def test_against_an_independent_serial_server() -> None:
    with cable() as (ours, theirs):
        async with (
            pymodbus_at(theirs, 9),
            ModbusDriver().session(endpoint(ours, unit=9)) as session,
        ):
            readings = await session.read_registers(["voltage_l1", "frequency"], now=NOW)
    assert [reading.value for reading in readings] == [2302, 0]


async def test_units_of_a_bus_are_read_one_after_the_other() -> None:
    driver = ModbusDriver()

    async def voltage(path: str, unit: int) -> int:
        async with driver.session(endpoint(path, unit=unit)) as session:
            (reading,) = await session.read_registers(["voltage_l1"], now=NOW)
            return reading.value

    with cable() as (ours, theirs):
        async with pymodbus_at(theirs, 3, 4, 5):
            found = await asyncio.gather(*(voltage(ours, unit) for unit in (3, 4, 5)))
    assert found == [2302, 2302, 2302]


async def read(driver: ModbusDriver, at: Endpoint) -> dict[str, int]:
    async with driver.session(at) as session:
        wanted = ["active_energy_import", "voltage_l1", "frequency"]
        found = await session.read_registers(wanted, now=NOW)
    return {one.reading_type: one.value for one in found}


async def test_our_simulated_meters_on_one_line(bus: tuple[list[Meter], Bus]) -> None:
    meters, talk = bus
    driver = ModbusDriver()
    with answering(talk.receive) as path:
        found = await asyncio.gather(
            *(read(driver, endpoint(path, unit=unit)) for unit in (4, 2, 1, 3))
        )
    true = [meters[unit - 1].register_at(ACTIVE, talk.clock.seconds) for unit in (4, 2, 1, 3)]
    # The meter gives kWh as a 32-bit float: seven digits of them.
    for told, registers in zip(found, true, strict=True):
        assert told["active_energy_import"] == pytest.approx(registers, rel=1e-7)
    assert len({one["active_energy_import"] for one in found}) == 4
    assert talk.requests == 4, "one round trip a meter"


async def test_a_unit_that_is_not_there_costs_its_own_time_only(
    bus: tuple[list[Meter], Bus],
) -> None:
    _, talk = bus
    driver = ModbusDriver()
    began = time.monotonic()
    with answering(talk.receive) as path:
        dead, alive = await asyncio.gather(
            read(driver, endpoint(path, unit=77, timeout="0.3")),
            read(driver, endpoint(path, unit=2, timeout="0.3")),
            return_exceptions=True,
        )
    assert isinstance(dead, errors.TimedOut)
    assert "M-1: /dev/" in str(dead)
    assert isinstance(alive, dict)
    assert time.monotonic() - began < 2


async def test_a_late_answer_of_another_unit_is_not_taken_for_this_ones() -> None:
    late = bytes.fromhex("02 04 04 00 00 00 00")
    late += rtu.crc(late)
    said = iter([b"", late + SAID, SAID])
    with answering(lambda _: next(said)) as path:
        line = Line(place.of("", 0, {"line": path}))
        with pytest.raises(errors.TimedOut):
            await line.read(2, Span(4, 0, 2), 0.1)
        assert await line.read(1, Span(4, 0, 2), 2) == VOLTS
        # Nobody is late now: the same would be somebody else's.
        assert await line.read(1, Span(4, 0, 2), 2) == VOLTS
        line.close()


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (SAID[:-1] + b"\0", errors.Garbled, "CRC 1b 00, not 1b 38"),
        (SAID[:5], errors.HalfAnswer, "5 of 9 bytes"),
        (b"", errors.TimedOut, "no answer"),
        (SAID + SAID, errors.OutOfStep, "the same answer twice"),
        (b"\x02" + SAID[1:-2] + rtu.crc(b"\x02" + SAID[1:-2]), errors.WrongUnit, "unit 2"),
        (b"\x01\x84\x02" + rtu.crc(b"\x01\x84\x02"), errors.NotOffered, "no such registers"),
    ],
)
async def test_what_goes_wrong_on_a_line_is_told_apart(
    said: bytes, error: type[errors.DriverError], words: str
) -> None:
    with answering(lambda _: said) as path:
        line = Line(place.of("", 0, {"line": path}))
        with pytest.raises(error, match=words) as raised:
            await line.read(1, Span(4, 0, 2), 0.1)
        assert raised.type is error
        line.close()


async def test_a_second_answer_in_the_silence_after_the_first_is_seen() -> None:
    loop = asyncio.get_running_loop()
    with answering(lambda _: SAID) as path:
        line = Line(place.of("", 0, {"line": path}))
        assert await line.read(1, Span(4, 0, 2), 1) == VOLTS
        assert line._stream is not None
        loop.call_soon(line._stream.data_received, SAID)
        with pytest.raises(errors.OutOfStep, match="nobody waited for"):
            await line.read(1, Span(4, 0, 2), 1)
        assert await line.read(1, Span(4, 0, 2), 1) == VOLTS
        line.close()


async def test_frames_stand_apart_as_the_line_asks_for() -> None:
    heard: list[float] = []

    def answer(_: bytes) -> bytes:
        heard.append(time.monotonic())
        return SAID

    with answering(answer) as path:
        line = Line(place.of("", 0, {"line": path, "baud": 300}))
        for _ in range(3):
            await line.read(1, Span(4, 0, 2), 1)
        line.close()
    # 3.5 characters of ten bits at 300 bit/s.
    assert min(after - before for before, after in pairwise(heard)) >= 3.5 * 10 / 300


async def test_a_port_that_is_not_there_and_one_that_is_taken() -> None:
    with pytest.raises(errors.Unreachable, match="M-1: no serial port at /dev/no-such-port"):
        await read(ModbusDriver(), endpoint("/dev/no-such-port"))
    with answering(lambda _: SAID) as path:
        first = Line(place.of("", 0, {"line": path}))
        await first.connect(1)
        with pytest.raises(errors.Refused, match="in use by another program"):
            await read(ModbusDriver(), endpoint(path))
        first.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"parity": "X"}, "parity=X is none of N, E, O"),
        ({"baud": "fast"}, "baud=fast"),
        ({"stop": 3}, "stop=3"),
        ({"bits": 7}, "bits=7"),
        ({"framing": "tcp"}, "framing=tcp does not go with line="),
        ({"unit": 0}, "unit=0 is not a unit 1"),
        ({"timeout": "never"}, "timeout=never"),
    ],
)
async def test_an_address_that_is_wrong_is_our_mistake(
    address: dict[str, int | str], said: str
) -> None:
    with pytest.raises(errors.LocalProtocolError, match=said):
        await read(ModbusDriver(), endpoint("/dev/none", **address))


def test_settings_of_a_line_without_a_line() -> None:
    with pytest.raises(ValueError, match="baud= needs line="):
        place.of("192.0.2.1", 502, {"baud": 9600})


async def test_a_probe_over_a_serial_line_proposes_the_map(bus: tuple[list[Meter], Bus]) -> None:
    _, talk = bus
    with answering(talk.receive) as path:
        at = place.of("", 0, {"line": path, "baud": 115200})
        found = await probe.probe(at, 3, seconds=0.5, pause=0)
    assert found[0].meter.name == "eastron-sdm120"
    assert found[0].fits
