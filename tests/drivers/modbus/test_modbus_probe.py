"""What the probe proposes, and that it only reads: on images by hand, and on bad peers."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import errors
from drivers.modbus import plausibility, probe, register_map
from drivers.modbus.place import Place
from drivers.modbus.plausibility import Candidate
from tests.drivers.modbus.bank import Bank, serving
from tests.drivers.modbus.test_modbus_maps import IMAGES

# What the meters of the first five maps would hold: 230 V, 5.25 A, 1234.5 W, 50 Hz, 1234.5 kWh.
IMAGES_BEFORE: Mapping[str, Bank] = {
    "eastron-sdm630": {
        (4, 0x0000): (0x4366, 0, 0x4366, 0, 0x4366, 0, 0x40A8, 0),
        # Where an SDM120 has its power, an SDM630 has that of phase 1.
        (4, 0x000C): (0x43CD, 0xC000),
        (4, 0x0034): (0x449A, 0x5000),
        (4, 0x0046): (0x4248, 0, 0x449A, 0x5000, 0x3EC0, 0),
    },
    "eastron-sdm120": {
        (4, 0x0000): (0x4366, 0),
        (4, 0x0006): (0x40A8, 0),
        (4, 0x000C): (0x449A, 0x5000),
        (4, 0x001E): (0x3F80, 0),
        (4, 0x0046): (0x4248, 0, 0x449A, 0x5000, 0x3EC0, 0),
    },
    "abb-b23": {
        (3, 0x5000): (0, 0, 1, 0xE23A, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF),
        (3, 0x5B00): (0, 0x08FC),
        (3, 0x5B0C): (0, 0x020D),
        (3, 0x5B14): (1, 0xE23A),
        (3, 0x5B2C): (0x1388,),
    },
    "schneider-iem3000": {
        (3, 0x0BB7): (0x40A8, 0),
        (3, 0x0BD3): (0x4366, 0),
        (3, 0x0BF3): (0x3F9E, 0x0419),  # 1.2345 kW
        (3, 0x0C25): (0x4248, 0),
        (3, 0x0C83): (0, 0, 0x0012, 0xD644),  # 1 234 500 Wh
    },
    "carlo-gavazzi-em340": {
        (4, 0x0000): (0x08FC, 0),
        (4, 0x000C): (0x1482, 0),
        (4, 0x0028): (0x3039, 0),
        (4, 0x0033): (0x01F4,),
        (4, 0x0034): (0x3039, 0),
        # Energy of phases 1 to 3: an EM24 has its total at 0x0042.
        (4, 0x0040): (0x1000, 0, 0x1000, 0, 0x1039, 0),
    },
}
ALL_IMAGES = {**IMAGES_BEFORE, **{name: image for name, (image, _) in IMAGES.items()}}


async def probed(port: int, unit: int = 1) -> list[Candidate]:
    return await probe.probe(Place("127.0.0.1", port), unit, seconds=1, pause=0)


def test_every_map_has_an_image() -> None:
    assert sorted(ALL_IMAGES) == register_map.names()


@pytest.mark.parametrize("profile", ALL_IMAGES)
async def test_the_map_of_an_image_is_proposed_and_nothing_is_written(profile: str) -> None:
    with serving(ALL_IMAGES[profile]) as (port, writes):
        found = await probed(port)
    first, second = found[:2]
    assert first.meter.name == profile
    assert first.fits
    assert second.score < first.score, "two maps cannot be told apart"
    assert writes.count == 0


async def test_the_server_counts_writes() -> None:
    with serving({}) as (port, writes):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, 0, 7))
        assert await reader.read(12)
        writer.close()
    assert writes.count == 1


async def test_a_server_of_zeros_is_no_meter() -> None:
    with serving({}) as (port, _):
        found = await probed(port)
    assert [one.meter.name for one in found if one.fits] == []
    assert sorted(one.meter.name for one in found) == register_map.names()


VOLTS, HERTZ, ENERGY = (4, 0x0000), (4, 0x0046), (4, 0x0048)


def judged(first: Bank, later: Bank) -> Candidate:
    """An SDM120 with these words and zeros elsewhere, judged."""

    def memory(words: Bank) -> dict[tuple[int, int], int]:
        blank = {(4, address): 0 for address in range(0x50)}
        return blank | {
            (function, address + offset): word
            for (function, address), values in words.items()
            for offset, word in enumerate(values)
        }

    return plausibility.judge(register_map.named("eastron-sdm120"), memory(first), memory(later))


def words(number: float) -> tuple[int, ...]:
    return struct.unpack(">HH", struct.pack(">f", number))


@pytest.mark.parametrize(
    ("volts", "points"),
    [(79.9, -4), (80.0, 3), (300.0, 3), (400.0, 1), (760.0, 1), (761.0, -4), (2300.0, -4), (0, -4)],
)
def test_mains_voltages(volts: float, points: int) -> None:
    clues = judged({VOLTS: words(volts)}, {}).clues
    assert [clue.points for clue in clues if clue.seen.startswith("Voltage L1")] == [points]


@pytest.mark.parametrize(
    ("hertz", "points"),
    [(44.9, -4), (45.0, 3), (50.0, 3), (60.0, 3), (65.0, 3), (65.1, -4), (5000.0, -4)],
)
def test_mains_frequencies(hertz: float, points: int) -> None:
    clues = judged({HERTZ: words(hertz)}, {}).clues
    assert [clue.points for clue in clues if clue.seen.startswith("Supply freq")] == [points]


@pytest.mark.parametrize(
    ("first", "later", "points"),
    [
        (1234.5, 1234.5, [2]),
        (1234.5, 1234.75, [3]),
        (1234.5, 1234.25, [-6]),
        (1234.5, 9999.0, [-6]),
        (1234.5, float("nan"), [-6]),
        (-1.0, -1.0, [-6]),
        (float("nan"), 1.0, [-6]),
        (float("inf"), float("inf"), [-6]),
        (2e9, 2e9, [-6]),
        (0.0, 0.0, []),
    ],
)
def test_energy_stands_or_grows(first: float, later: float, points: list[int]) -> None:
    found = judged({ENERGY: words(first)}, {ENERGY: words(later)})
    seen = [clue.points for clue in found.clues if "energy import" in clue.seen]
    assert seen == points


def test_energy_that_shrinks_outweighs_the_best_mains() -> None:
    mains = {VOLTS: words(230.0), HERTZ: words(50.0)}
    standing = {**mains, ENERGY: words(100.0)}
    assert judged(standing, standing).fits
    assert not judged(standing, {**mains, ENERGY: words(99.0)}).fits


def test_current_without_power_speaks_against_a_map() -> None:
    loaded = {VOLTS: words(230.0), (4, 0x0006): words(5.0)}
    (against,) = [clue for clue in judged(loaded, {}).clues if clue.seen.startswith("no power")]
    assert against.points < 0
    with_power = {**loaded, (4, 0x000C): words(1150.0)}
    assert judged(with_power, {}).score > judged(loaded, {}).score


@given(st.sampled_from(register_map.names()), st.data())
def test_any_memory_can_be_judged(name: str, data: st.DataObject) -> None:
    meter = register_map.named(name)
    fields = [field for one in meter.registers.values() for field in one.fields]
    places: list[tuple[int, int]] = [
        (field.span.function, address)
        for field in [*fields, *meter.identity.values()]
        for address in range(field.span.address, field.span.end)
    ]
    memories = st.dictionaries(st.sampled_from(places), st.integers(0, 0xFFFF))
    found = plausibility.judge(meter, data.draw(memories), data.draw(memories))
    assert found.meter is meter
    assert all(clue.points and clue.seen for clue in found.clues)


async def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(errors.Refused, match="nobody listens at"):
        await probed(port)


async def test_somebody_who_speaks_no_modbus() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(web, "127.0.0.1", 0)
    with pytest.raises(errors.RemoteProtocolError, match="no Modbus TCP frame"):
        await probed(listening.sockets[0].getsockname()[1])
    listening.close()


async def test_a_meter_that_is_silent_about_what_it_does_not_have() -> None:
    asked: list[tuple[int, int]] = []
    image = ALL_IMAGES["lovato-dmg610"]
    memory = {
        (function, address + offset): word
        for (function, address), values in image.items()
        for offset, word in enumerate(values)
    }

    async def meter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            _, function, address, count = struct.unpack_from(">BBHH", request, 6)
            asked.append((function, address))
            if address in (0x0001, 0x1B1F):
                data = [memory.get((function, address + offset), 0) for offset in range(count)]
                body = struct.pack(f">BBB{count}H", 1, function, 2 * count, *data)
                writer.write(request[:4] + struct.pack(">H", len(body)) + body)
        writer.close()

    listening = await asyncio.start_server(meter, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    found = await probe.probe(Place("127.0.0.1", port), 1, seconds=0.1, pause=0)
    assert [one.meter.name for one in found if one.fits] == ["lovato-dmg610"]
    assert {function for function, _ in asked} == {3, 4}
    assert len(asked) <= len(register_map.names()) + 3, "one silence is enough for a map"
    listening.close()
