"""Simulated Modbus meters against independent clients, and the driver against them."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pyModbusTCP.client import ModbusClient

from drivers import errors
from drivers.driver import Endpoint
from drivers.modbus import probe, register_map
from drivers.modbus.place import Place
from drivers.modbus.session import ModbusDriver, ModbusSession
from simulators import fleet, line, modbus_layouts, modbus_meter
from simulators.clock import Clock
from simulators.line import Lines
from simulators.meter import ACTIVE, Meter

NOON = datetime(2026, 6, 2, 9, tzinfo=UTC)


def meters(folder: Path, profile: str, extra: str = "") -> list[Meter]:
    """Two simulated meters of a model."""
    file = folder / "fleet.toml"
    file.write_text(
        f"""
        seed = 3
        zone = "Asia/Kuwait"
        start = 2026-06-01
        days = 3
        [[group]]
        name = "modbus"
        protocol = "modbus"
        count = 2
        profile = "{profile}"
        interval = 3600
        resolution = 100
        register_start_max = 1000000
        first_address = "127.77.0.1"
        address = {{ unit = 5 }}
        {extra}
        """,
        "utf-8",
    )
    return list(fleet.load(file).meters)


@asynccontextmanager
async def served(folder: Path, profile: str, extra: str = "") -> AsyncIterator[Lines]:
    lines = await modbus_meter.serve(
        meters(folder, profile, extra), Clock(int(NOON.timestamp())), port=0
    )
    yield lines
    await lines.close()


@asynccontextmanager
async def session(
    lines: Lines, meter: Meter, *, seconds: float = 5, **address: int
) -> AsyncIterator[ModbusSession]:
    """The driver's session with a simulated meter."""
    host, port = line.endpoint(meter, lines.port)
    endpoint = Endpoint(
        meter.mrid, host, port, meter.profile, {**meter.address, **address}, 3600, timeout=seconds
    )
    async with ModbusDriver().session(endpoint) as opened:
        yield opened


async def read(lines: Lines, meter: Meter, seconds: float = 5) -> int:
    """The cumulative register as the driver reads it."""
    async with session(lines, meter, seconds=seconds) as opened:
        (reading,) = await opened.read_registers([ACTIVE], now=lines.clock.now)
        return reading.value


def ask(lines: Lines, meter: Meter, function: int, address: int, count: int) -> list[int] | None:
    """Words as pyModbusTCP reads them."""
    host, port = line.endpoint(meter, lines.port)
    client = ModbusClient(host, port, unit_id=5, timeout=5)
    call = client.read_holding_registers if function == 3 else client.read_input_registers
    words: list[int] | None = call(address, count)
    client.close()
    return words


def packed(words: list[int] | None) -> bytes:
    assert words is not None
    return struct.pack(f">{len(words)}H", *words)


async def test_a_meter_behind_a_plain_gateway_speaks_frames_of_the_serial_line(
    tmp_path: Path,
) -> None:
    meter = dataclasses.replace(
        meters(tmp_path, "eastron-sdm630")[0], address={"unit": 5, "framing": "rtu"}
    )
    lines = await modbus_meter.serve([meter], Clock(int(NOON.timestamp())), port=0)
    host, port = line.endpoint(meter, lines.port)
    client = AsyncModbusTcpClient(host, port=port, framer=FramerType.RTU)
    assert await client.connect()
    words = (await client.read_input_registers(0x0048, count=2, device_id=5)).registers
    client.close()
    (imported,) = struct.unpack(">f", packed(words))
    truth = meter.register_at(ACTIVE, int(NOON.timestamp()))
    assert imported == pytest.approx(truth / 1000, rel=1e-7)
    assert await read(lines, meter) == pytest.approx(truth, rel=1e-7)
    await lines.close()


async def test_words_of_an_eastron_are_the_published_ones(tmp_path: Path) -> None:
    async with served(tmp_path, "eastron-sdm630") as lines:
        first, second = lines.meters
        for meter in (first, second):
            words = await asyncio.to_thread(ask, lines, meter, 4, 0x0048, 4)
            imported, exported = struct.unpack(">ff", packed(words))
            truth = meter.register_at(ACTIVE, int(NOON.timestamp()))
            assert imported == pytest.approx(truth / 1000, rel=1e-7)
            assert exported == 0
        words = await asyncio.to_thread(ask, lines, first, 4, 0x0000, 2)
        assert 200 < struct.unpack(">f", packed(words))[0] < 260


async def test_words_of_an_abb_are_the_published_ones(tmp_path: Path) -> None:
    async with served(tmp_path, "abb-b23") as lines:
        meter = lines.meters[1]
        words = await asyncio.to_thread(ask, lines, meter, 3, 0x5000, 4)
        (hundredths,) = struct.unpack(">Q", packed(words))
        assert hundredths * 10 == meter.register_at(ACTIVE, int(NOON.timestamp()))
        words = await asyncio.to_thread(ask, lines, meter, 3, 0x5B00, 2)
        assert 2000 < struct.unpack(">I", packed(words))[0] < 2600


async def test_pymodbus_gets_the_less_significant_word_first(tmp_path: Path) -> None:
    async with served(tmp_path, "carlo-gavazzi-em340") as lines:
        meter = lines.meters[0]
        host, port = line.endpoint(meter, lines.port)
        async with AsyncModbusTcpClient(host, port=port) as client:
            answer = await client.read_input_registers(0x0034, count=2, device_id=5)
            tenths = client.convert_from_registers(
                answer.registers, client.DATATYPE.INT32, word_order="little"
            )
        assert tenths == meter.register_at(ACTIVE, int(NOON.timestamp())) // 100


WHOLE = {"socomec-diris-a10": 1000, "socomec-diris-b30": 1000}
"""Meters whose energy is in coarser steps than the curve's, in Wh."""
TENS = ("socomec-countis-e24", "socomec-diris-a10")
"""Meters whose power is in tens of W."""


@pytest.mark.parametrize("profile", modbus_layouts.LAYOUTS)
async def test_the_driver_reads_what_the_meter_has(tmp_path: Path, profile: str) -> None:
    moment = int(NOON.timestamp())
    async with served(tmp_path, profile) as lines:
        for meter in lines.meters:
            async with session(lines, meter) as opened:
                wanted = list(register_map.named(profile).registers)
                readings = {
                    one.reading_type: one.value
                    for one in await opened.read_registers(wanted, now=NOON)
                }
                assert set(readings) == set(wanted)
                # What the meter shows, in the steps in which it shows it.
                counted = meter.register_at(ACTIVE, moment)
                assert readings[ACTIVE] == counted - counted % WHOLE.get(profile, 1)
                present = meter.present(moment)
                steps = {"voltage_l1": 1, "current_l1": 10, "frequency": 100}
                for kind in steps.keys() & readings.keys():
                    assert abs(readings[kind] - present[kind]) < steps[kind]
                assert abs(readings["active_power_import"] - present["active_power_import"]) <= (
                    10 if profile in TENS else 1
                )
                assert readings["active_power_export"] == 0
                if "serial" in register_map.named(profile).identity:
                    serial = (await opened.identify()).serial
                    assert int(serial.removeprefix("CG")) == meter.number


@pytest.mark.parametrize("profile", modbus_layouts.LAYOUTS)
async def test_the_probe_proposes_what_the_meter_is(tmp_path: Path, profile: str) -> None:
    async with served(tmp_path, profile) as lines:
        for meter in lines.meters:
            host, port = line.endpoint(meter, lines.port)
            found = await probe.probe(Place(host, port), 5, seconds=5, pause=0)
            shown = [(one.meter.name, one.score, one.clues) for one in found if one.fits]
            assert shown[0][0] == profile, shown
            assert len(shown) == 1 or shown[1][1] < shown[0][1], shown
            assert {one.meter.name for one in found} == set(register_map.names())


async def test_a_register_that_grows_while_probed_speaks_for_its_map(tmp_path: Path) -> None:
    async with served(tmp_path, "lovato-dmg610") as lines:
        host, port = line.endpoint(lines.meters[0], lines.port)

        async def later() -> None:
            await asyncio.sleep(0.3)
            lines.clock.move(NOON + timedelta(hours=1))

        found, _ = await asyncio.gather(
            probe.probe(Place(host, port), 5, seconds=5, pause=0.8), later()
        )
    assert any(clue.seen.endswith(", growing") for clue in found[0].clues)


async def test_the_probe_of_another_unit_says_that_nobody_answers(tmp_path: Path) -> None:
    async with served(tmp_path, "abb-b23") as lines:
        host, port = line.endpoint(lines.meters[0], lines.port)
        with pytest.raises(errors.TimedOut, match="no answer"):
            await probe.probe(Place(host, port), 6, seconds=0.05, pause=0)


def test_every_map_can_be_simulated() -> None:
    assert set(modbus_layouts.LAYOUTS) == set(register_map.names())


async def test_a_profile_that_nobody_can_simulate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no simulated 'gas'"):
        await modbus_meter.serve(meters(tmp_path, "gas"), Clock(0), port=0)


async def test_the_register_follows_the_clock(tmp_path: Path) -> None:
    async with served(tmp_path, "abb-b23") as lines:
        meter = lines.meters[0]
        before = await read(lines, meter)
        lines.clock.move(datetime(2026, 6, 2, 21, tzinfo=UTC))
        hour = (int(NOON.timestamp()) - meter.start) // 3600
        flow = meter.true_intervals(ACTIVE)[hour : hour + 12]
        assert await read(lines, meter) - before == flow.sum() > 0


async def test_what_the_meter_does_not_take(tmp_path: Path) -> None:
    async with served(tmp_path, "eastron-sdm120") as lines:
        host, port = line.endpoint(lines.meters[0], lines.port)
        async with AsyncModbusTcpClient(host, port=port, timeout=5, retries=0) as client:
            codes = {}
            for name, address, count in [
                ("odd start", 0x0001, 2),
                ("odd count", 0x0000, 3),
                ("past the end", 0x0180, 4),
                ("too many", 0x0000, 82),
            ]:
                answer = await client.read_input_registers(address, count=count, device_id=5)
                codes[name] = answer.exception_code
            answer = await client.read_coils(0, count=8, device_id=5)
            codes["coils"] = answer.exception_code
        assert codes == {
            "odd start": 2,
            "odd count": 2,
            "past the end": 2,
            "too many": 3,
            "coils": 1,
        }


async def test_a_request_inside_a_value_gets_its_words(tmp_path: Path) -> None:
    async with served(tmp_path, "abb-b23") as lines:
        meter = lines.meters[0]
        whole = await asyncio.to_thread(ask, lines, meter, 3, 0x5000, 4)
        part = await asyncio.to_thread(ask, lines, meter, 3, 0x5002, 3)
        assert whole is not None
        assert part is not None
        assert part[:2] == whole[2:]


async def test_another_unit_is_not_answered(tmp_path: Path) -> None:
    async with (
        served(tmp_path, "abb-b23") as lines,
        session(lines, lines.meters[0], seconds=0.4, unit=6) as opened,
    ):
        with pytest.raises(errors.TimedOut, match="no answer"):
            await opened.read_registers([ACTIVE], now=NOON)


async def test_garbage_is_hung_up_on(tmp_path: Path) -> None:
    async with served(tmp_path, "abb-b23") as lines:
        reader, writer = await asyncio.open_connection(*line.endpoint(lines.meters[0], lines.port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


FAULT = '[[fault]]\nmeters = ["M00001"]\nat = 2026-06-02T11:00:00\n'


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ('kind = "dead_line"\nmode = "silent"', errors.TimedOut),
        ('kind = "dead_line"\nmode = "refused"', errors.Refused),
        ('kind = "dead_line"\nmode = "reset"', errors.Broken),
        ('kind = "slow_line"\nlatency = 2.0', errors.TimedOut),
        ('kind = "reset_in_transfer"\nafter = 5', errors.Broken),
    ],
)
async def test_faults_of_the_line(
    tmp_path: Path, fault: str, error: type[errors.DriverError]
) -> None:
    async with served(tmp_path, "abb-b23", f"{FAULT}{fault}\nlength = [2]") as lines:
        faulty, healthy = lines.meters
        with pytest.raises(error):
            await read(lines, faulty, seconds=0.4)
        assert await read(lines, healthy) > 0


async def test_a_slow_line_is_read_slowly(tmp_path: Path) -> None:
    fault = f'{FAULT}kind = "slow_line"\nlatency = 0.1\nchunk = 3\nlength = [2]'
    async with served(tmp_path, "abb-b23", fault) as lines:
        meter = lines.meters[0]
        assert await read(lines, meter) == meter.register_at(ACTIVE, int(NOON.timestamp()))


async def test_a_stuck_register_stands_and_a_rolling_one_starts_at_zero(tmp_path: Path) -> None:
    stuck = f'{FAULT}kind = "stuck_register"\nlength = [5]\n'
    rolls = '[[fault]]\nkind = "rollover"\nmeters = ["M00002"]\nat = 2026-06-02T13:00:00\n'
    async with served(tmp_path, "abb-b23", stuck + rolls) as lines:
        standing, rolling = lines.meters
        first = [await read(lines, meter) for meter in lines.meters]
        lines.clock.move(datetime(2026, 6, 2, 11, tzinfo=UTC))
        assert await read(lines, standing) == first[0]
        assert await read(lines, rolling) < first[1]
        assert first[1] > rolling.register_modulus - 1_000_000
