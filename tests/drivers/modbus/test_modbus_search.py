"""Profiles that ask the meter which map is right: SunSpec's list of models, Socomec's names."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sunspec2
from hypothesis import given
from hypothesis import strategies as st

from drivers import errors
from drivers.driver import Endpoint
from drivers.modbus import probe, profiles, sunspec
from drivers.modbus.line import Line
from drivers.modbus.place import Place
from drivers.modbus.register_map import RegisterMap, Span
from drivers.modbus.search import Search
from drivers.modbus.session import ModbusDriver
from tests.drivers.modbus.bank import Bank, hold, serving
from tests.drivers.modbus.test_modbus_maps import IMAGES

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODELS = Path(sunspec2.__file__).parent / "models" / "json"
ENERGY = ("active_energy_import", "active_energy_export")
WANTED = [*ENERGY, "voltage_l1", "voltage_l3", "current_l2", "frequency"]


def published(model: int) -> tuple[int, dict[str, tuple[int, dict[str, Any]]]]:
    """A model's length and its points by name, each with its offset, as pysunspec2 has them."""
    points, at = {}, 0
    for point in json.loads((MODELS / f"model_{model}.json").read_text())["group"]["points"]:
        points[point["name"]] = (at, point)
        at += point["size"]
    return at - 2, points


def written(model: int, values: Mapping[str, float | str]) -> list[int]:
    """A model's words with these values, encoded by what pysunspec2 says of each point."""
    length, points = published(model)
    words = [0] * (length + 2)
    words[:2] = [model, length]
    for name, value in values.items():
        at, point = points[name]
        kind = {"int16": "h", "sunssf": "h", "acc32": "I", "float32": "f", "uint16": "H"}
        if point["type"] == "string":
            data = str(value).encode().ljust(2 * point["size"], b"\0")
        else:
            data = struct.pack(f">{kind[point['type']]}", value)
        words[at : at + point["size"]] = struct.unpack(f">{len(data) // 2}H", data)
    return words


COMMON = {"Mn": "Acme", "Md": "Meter 3", "Vr": "1.2", "SN": "4711"}
SCALED = {
    "TotWhImp": 123_456, "TotWhExp": 789, "TotWh_SF": 1, "PhVphA": 2301, "PhVphC": 2299, "V_SF": -1,
    "AphB": 525, "A_SF": -2, "Hz": 5001, "Hz_SF": -2,
}  # fmt: skip
FLOATS = {
    "TotWhImp": 1_234_560.0, "TotWhExp": 7890.0, "PhVphA": 230.1, "PhVphC": 229.9, "AphB": 5.25,
    "Hz": 50.01,
}  # fmt: skip
READ = {
    "active_energy_import": 1_234_560,
    "active_energy_export": 7890,
    "voltage_l1": 2301,
    "voltage_l3": 2299,
    "current_l2": 5250,
    "frequency": 50_010,
}


def image(model: int, base: int, values: Mapping[str, float | str]) -> Bank:
    """A meter with a common model, one that nobody asked for, and a meter's."""
    strange = [64_001, 7, *range(7)]
    words = [0x5375, 0x6E53, *written(1, COMMON), *strange, *written(model, values), 0xFFFF, 0]
    return {(3, base): words}


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    """What was asked over any line."""
    asked: list[Span] = []
    read = Line.read

    async def counted(self: Line, unit: int, span: Span, seconds: float) -> tuple[int, ...]:
        asked.append(span)
        return await read(self, unit, span, seconds)

    monkeypatch.setattr(Line, "read", counted)
    return asked


async def read(driver: ModbusDriver, port: int, profile: str) -> dict[str, int]:
    endpoint = Endpoint("M-1", "127.0.0.1", port, profile, {}, 3600, timeout=5)
    async with driver.session(endpoint) as session:
        found = await session.read_registers(WANTED, now=NOW)
    return {one.reading_type: one.value for one in found}


@pytest.mark.parametrize("base", [40000, 50000, 0])
@pytest.mark.parametrize(
    ("model", "values"),
    [*((model, SCALED) for model in (201, 203, 204)), (211, FLOATS), (213, FLOATS)],
)
async def test_a_meter_is_found_in_its_own_list_of_models(
    model: int, values: Mapping[str, float | str], base: int, round_trips: list[Span]
) -> None:
    driver = ModbusDriver()
    with serving(image(model, base, values)) as (port, _):
        assert await read(driver, port, "sunspec") == READ
        first = len(round_trips)
        assert await read(driver, port, "sunspec") == READ
        assert len(round_trips) == first + 1, "a map that was found is read in one request"
        endpoint = Endpoint("M-1", "127.0.0.1", port, "sunspec", {}, 3600, timeout=5)
        async with driver.session(endpoint) as session:
            identity = await session.identify()
    assert (identity.serial, identity.manufacturer, identity.model) == ("4711", "Acme", "Meter 3")


async def test_a_wrap_is_that_of_the_meters_own_scale() -> None:
    with serving(image(203, 40000, {**SCALED, "TotWh_SF": 2})) as (port, _):
        endpoint = Endpoint("M-1", "127.0.0.1", port, "sunspec", {}, 3600, timeout=5)
        async with ModbusDriver().session(endpoint) as session:
            found = await session.read_registers(ENERGY, now=NOW)
    assert [(one.value, one.modulus) for one in found] == [
        (12_345_600, 2**32 * 100),
        (78_900, 2**32 * 100),
    ]


async def test_a_new_scale_or_another_meter_is_seen_and_asked_anew() -> None:
    driver = ModbusDriver()
    with serving(image(203, 40000, SCALED)) as (port, handler):
        assert (await read(driver, port, "sunspec"))["active_energy_import"] == 1_234_560
        hold(handler.data_bank, image(203, 40000, {**SCALED, "TotWh_SF": 0}))
        assert (await read(driver, port, "sunspec"))["active_energy_import"] == 123_456
        hold(handler.data_bank, image(213, 40000, FLOATS))
        assert await read(driver, port, "sunspec") == READ


async def test_what_a_meter_does_not_have_is_left_out() -> None:
    lacking = {**SCALED, "TotWhExp": 0, "PhVphC": -0x8000}
    with serving(image(202, 40000, lacking)) as (port, _):
        found = await read(ModbusDriver(), port, "sunspec")
    assert sorted(READ.keys() - found.keys()) == ["active_energy_export", "voltage_l3"]


@pytest.mark.parametrize("profile", profiles.FAMILIES)
async def test_somebody_else_says_nothing_that_is_known(profile: str) -> None:
    with (
        serving(IMAGES["janitza-umg96"][0]) as (port, _),
        pytest.raises(errors.NotOffered, match=f"a {profile} meter"),
    ):
        await read(ModbusDriver(), port, profile)


@pytest.mark.parametrize("name", [name for name in IMAGES if name.startswith("socomec-")])
async def test_a_socomecs_name_picks_its_map(name: str, round_trips: list[Span]) -> None:
    words, expected = IMAGES[name]
    with serving(words) as (port, _):
        found = await read(ModbusDriver(), port, "socomec")
    assert found == {kind: value for kind, value in expected.items() if kind in WANTED}
    assert len(round_trips) <= 4


def walk(asking: Search, answers: list[list[int] | None]) -> RegisterMap | None:
    """Answer a search with these words, and with refusals when they are used up."""
    said = iter(answers)
    span = next(asking)
    for _ in range(40):
        assert 0 <= span.address <= span.end <= 0x10000
        assert 0 < span.count <= 125
        words = next(said, None)
        try:
            span = asking.send(words and (words * span.count)[: span.count])
        except StopIteration as end:
            found: RegisterMap | None = end.value
            return found
    raise AssertionError("it asks without end")


@given(st.lists(st.none() | st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=8), max_size=60))
def test_a_search_ends_whatever_a_meter_says(answers: list[list[int] | None]) -> None:
    for search in profiles.FAMILIES.values():
        found = walk(search(), answers)
        assert found is None or found.proof


@pytest.mark.parametrize("model", [201, 202, 203, 204])
def test_places_of_integers_are_the_published_ones(model: int) -> None:
    length, points = published(model)
    assert length == 105
    names = {
        "active_energy_import": "TotWhImp", "active_energy_export": "TotWhExp",
        "voltage_l1": "PhVphA", "voltage_l2": "PhVphB", "voltage_l3": "PhVphC",
        "current_l1": "AphA", "current_l2": "AphB", "current_l3": "AphC", "frequency": "Hz",
    }  # fmt: skip
    for kind, (at, _, unit, scale) in sunspec._SCALED.items():
        place, point = points[names[kind]]
        assert (at, unit, scale) == (place, point["units"], points[point["sf"]][0])


async def test_the_probe_proposes_what_a_meter_lists_itself_as() -> None:
    for model, values in ((203, SCALED), (213, FLOATS)):
        with serving(image(model, 40000, values)) as (port, writes):
            found = await probe.probe(Place("127.0.0.1", port), 1, seconds=1, pause=0)
        assert found[0].meter.name == "sunspec"
        assert found[0].fits
        assert f"it lists itself as SunSpec model {model}" in [one.seen for one in found[0].clues]
        assert found[1].score < found[0].score
        assert writes.count == 0
