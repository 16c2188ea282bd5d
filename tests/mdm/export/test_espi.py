"""Green Button: valid against NAESB's schemas, and read back by greenbutton-objects."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from greenbutton_objects import parse

from mdm.export import espi, units
from mdm.export.record import LeftOut
from schemas import quality, quality_mapping
from tests.mdm.export.records import (
    AWKWARD,
    END,
    HEAD,
    IMPORT,
    START,
    dial,
    intervals,
    line,
    measured,
    record,
)  # fmt: skip

NAMES = {"a": "http://www.w3.org/2005/Atom", "e": "http://naesb.org/espi"}
FLAGS = {1: quality.ESTIMATED_LINEAR, 2: quality.MISSING, 50: quality.EDITED, 99: quality.SUSPECT}
DAYS = 3 * 96
LINES = [
    line(),
    line("time_of_use_consumption", "1.250", part="peak"),
    line("block_demand", "4", "kW", "30 min", ends_at=START + timedelta(minutes=30)),
    line("block_demand", "7.5", "kVA", "60 min"),
    line("load_factor", "0.4321", "1"),
    line("power_factor", None, "1"),
]


def whole(name: str = "UP-1") -> Any:
    dials = [dial(START, 5_000), dial(END, 33_800, code=quality.ESTIMATED)]
    return measured(record(name, LINES), intervals([100] * DAYS, FLAGS), dials=dials)


@pytest.fixture(scope="module")
def schema(shared: Path) -> xmlschema.XMLSchema10:
    atom, resources = (shared / "data/schemas" / name for name in ("atom.xsd", "espi.xsd"))
    return xmlschema.XMLSchema10(str(atom), locations={NAMES["e"]: str(resources)})


def contents(content: bytes) -> list[ET.Element]:
    feed = ET.fromstring(content)
    return [part[0] for part in feed.findall("a:entry/a:content", NAMES)]


@pytest.mark.parametrize("name", ["UP-1", AWKWARD, "ط" * 5_000])
def test_it_is_valid(schema: xmlschema.XMLSchema10, name: str) -> None:
    water = measured(
        record(name + "w", [line("consumption", "12", "1000 imperial gallons")], commodity="water"),
        intervals([3] * 24, seconds=3600, reading_type="water_volume_interval"),
    )
    content = espi.render(HEAD, [whole(name), water])
    feed = ET.fromstring(content)
    assert [e.reason for e in schema.iter_errors(feed)] == []
    parts = contents(content)
    assert {part.tag.rpartition("}")[2] for part in parts} == {
        "UsagePoint", "MeterReading", "ReadingType", "IntervalBlock", "UsageSummary",
    }  # fmt: skip
    ids = [found.text for found in feed.findall("a:entry/a:id", NAMES)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"urn:uuid:[0-9A-F-]{36}", str(one)) for one in ids)


def test_the_schema_would_find_what_is_wrong(schema: xmlschema.XMLSchema10) -> None:
    wrong = espi.render(HEAD, [whole()]).replace(b"<espi:value>100<", b"<espi:value>1.5<")
    assert len(list(schema.iter_errors(ET.fromstring(wrong)))) == DAYS - len(FLAGS) + 3


def test_another_reader_finds_every_interval(tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(espi.render(HEAD, [whole(AWKWARD), whole("UP-2")]))
    points = parse.parse_feed(str(file))
    assert [point.title for point in points] == [AWKWARD, "UP-2"]
    for point in points:
        assert point.serviceCategory.name == "electricity"
        series = {one.title: one for one in point.meterReadings}
        assert sorted(series) == ["active_energy_import, M-1", f"{IMPORT}, 900 s"]
        found = {r.timePeriod.start: r for r in series[f"{IMPORT}, 900 s"].intervalReadings}
        assert len(found) == DAYS - 1
        for slot in range(DAYS):
            at = START + timedelta(minutes=15 * slot)
            code = FLAGS.get(slot, quality.VALID)
            if code == quality.MISSING:
                assert at not in found
                continue
            one = found[at]
            assert (one.value, one.value_symbol) == (100, "Wh")
            assert one.timePeriod.duration == timedelta(minutes=15)
            told = {q.quality.value for q in one.readingQualities}
            assert told == ({quality_mapping.to_espi(code)} if code else set())
        assert len(series[f"{IMPORT}, 900 s"].intervalBlocks) == 3
        register = list(series["active_energy_import, M-1"].intervalReadings)
        assert [(r.timePeriod.start, r.value) for r in register] == [(START, 5000), (END, 33800)]


def test_the_summary_has_the_determinants() -> None:
    (summary,) = (
        part for part in contents(espi.render(HEAD, [whole()])) if part.tag.endswith("UsageSummary")
    )

    def amount(path: str) -> tuple[Decimal, str | None]:
        found = summary.find(path, NAMES)
        assert found is not None
        power = int(found.findtext("e:powerOfTenMultiplier", "", NAMES))
        value = Decimal(found.findtext("e:value", "", NAMES)).scaleb(power)
        return value, found.findtext("e:uom", None, NAMES)

    assert amount("e:overallConsumptionLastPeriod") == (28800, "72")
    assert amount("e:peakDemand")[0] == Decimal(7500)
    lines = {
        item.findtext("e:note", "", NAMES): item
        for item in summary.findall("e:costAdditionalDetailLastPeriod", NAMES)
    }
    assert len(lines) == 5
    factor = lines[f"load_factor {IMPORT}"].find("e:measurement", NAMES)
    assert factor is not None
    power = int(factor.findtext("e:powerOfTenMultiplier", "", NAMES))
    assert Decimal(factor.findtext("e:value", "", NAMES)).scaleb(power) == Decimal("0.4321")
    assert summary.findtext("e:qualityOfReading", None, NAMES) == "13"


def test_what_espi_cannot_say_is_told() -> None:
    told = set(espi.left_out(whole()))
    assert LeftOut("power_factor", "no readings") in told
    assert any(one.what == "missing intervals" for one in told)
    odd = record("UP-1", [line("consumption", "1", "furlong")])
    assert list(espi.left_out(odd)) == [
        LeftOut("consumption", "ESPI has no unit or number for furlong")
    ]
    assert espi.refusal(record("UP\x01")) is not None


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("28.800", "kWh", (28800, 0, 72)),
        ("-0.5", "kWh", (-500, 0, 72)),
        ("1.23456", "m³", (1_234_560, -6, 42)),
        ("0.12345", "1", (123_450, -6, 0)),
        ("12", "1000 imperial gallons", (12, 3, 130)),
        ("1E+2", "kWh", (100, 3, 72)),
    ],
)
def test_figures_are_exact(value: str, unit: str, expected: tuple[int, int, int]) -> None:
    assert units.measured(Decimal(value), unit) == expected


def test_a_figure_beyond_48_bits_is_told() -> None:
    assert units.measured(Decimal(2) ** 60, "kWh") is None
    assert units.measured(Decimal("1e-20"), "kWh") is None
