"""IEC 61968-9 MeterReadings: every element by the paths of a message that a head-end sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

from mdm.export import cim
from mdm.export.series import Meter
from schemas import quality, quality_mapping
from tests.mdm.export.records import (
    AWKWARD,
    END,
    HEAD,
    IMPORT,
    START,
    dial,
    intervals,
    measured,
    record,
)  # fmt: skip

NAMES = {
    "m": "http://iec.ch/TC57/2011/schema/message",
    "r": "http://iec.ch/TC57/2011/MeterReadings#",
}
FLAGS = {0: quality.ESTIMATED_LINEAR, 1: quality.MISSING, 5: quality.SUSPECT, 7: quality.ACCEPTED}


def readings(content: bytes) -> list[ET.Element]:
    return ET.fromstring(content).findall("m:Payload/r:MeterReadings/r:MeterReading", NAMES)


def paths(node: ET.Element, above: str = "") -> set[str]:
    own = f"{above}/{node.tag}"
    return {own, *(f"{own}@{key}" for key in node.attrib)}.union(*(paths(c, own) for c in node))


def point(name: str = "UP-1") -> object:
    return measured(
        record(name),
        intervals([100 + n for n in range(96)], FLAGS),
        dials=[dial(START, 5_000), dial(END, 33_800, code=quality.ESTIMATED)],
    )


def test_every_interval_comes_back() -> None:
    first, registers = readings(cim.render(HEAD, [point(AWKWARD)]))  # type: ignore[list-item]
    (block,) = first.findall("r:IntervalBlocks", NAMES)
    kind = block.find("r:ReadingType", NAMES)
    assert kind is not None
    # 15 minutes, delta, forward, electricity, energy, kilo, watt-hours.
    assert kind.attrib["ref"] == "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    found = block.findall("r:IntervalReadings", NAMES)
    assert len(found) == 96
    for slot, one in enumerate(found):
        at = datetime.fromisoformat(one.findtext("r:timeStamp", "", NAMES)).astimezone(UTC)
        assert at == START + timedelta(minutes=15 * (slot + 1))
        refs = [
            q.attrib["ref"] for q in one.findall("r:ReadingQualities/r:ReadingQualityType", NAMES)
        ]
        code = FLAGS.get(slot, quality.VALID)
        assert quality_mapping.of_iec(refs) == code
        value = one.findtext("r:value", None, NAMES)
        if code == quality.MISSING:
            assert value is None
        else:
            assert Decimal(str(value)) * 1000 == 100 + slot
    assert first.findtext("r:UsagePoint/r:mRID", None, NAMES) == AWKWARD
    assert first.findtext("r:Meter/r:mRID", None, NAMES) == "M-1"
    shown = [
        (one.findtext("r:timeStamp", "", NAMES), one.findtext("r:value", "", NAMES))
        for one in registers.findall("r:Readings", NAMES)
    ]
    assert shown == [("2026-05-31T21:00:00Z", "5.000"), ("2026-06-03T21:00:00Z", "33.800")]
    kind = registers.find("r:Readings/r:ReadingType", NAMES)
    assert kind is not None
    assert kind.attrib["ref"] == "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


def test_it_is_built_as_a_head_end_builds_it(shared: Path) -> None:
    theirs = ET.parse(shared / "data/cim/MeterReadings_EventMessage_HES-CHT.xml").getroot()
    ours = ET.fromstring(cim.render(HEAD, [point()]))  # type: ignore[list-item]
    # What they have and we do not: the time of the quality, and their number of the interval.
    missing = {path.rpartition("}")[2] for path in paths(theirs) - paths(ours)}
    assert missing == {"comment", "timeStamp"}
    header = [part.tag for part in theirs[0] if not part.tag.endswith("Property")]
    assert [part.tag for part in ours[0] if not part.tag.endswith("Property")] == header


def test_registers_of_two_meters_stand_apart() -> None:
    swap = int((START + timedelta(days=1)).timestamp())
    dials = [dial(START, 1, device="A"), dial(END, 2, device="B")]
    meters = [Meter("A", 0, swap), Meter("B", swap, 2**62)]
    both = measured(record("UP-1"), dials=dials, meters=meters)
    found = readings(cim.render(HEAD, [both]))
    assert [one.findtext("r:Meter/r:mRID", None, NAMES) for one in found] == ["A", "B"]


def test_what_the_standard_lacks_is_told() -> None:
    odd = measured(record("UP-1"), intervals([1], seconds=1500))
    (told,) = cim.left_out(odd)
    assert told.what == "measuring period of 1500 s"
    assert cim.refusal(record("UP-1")) == "it has no readings"
    assert cim.reading_type_mrid(IMPORT, 1500).startswith("0.0.0.4.")
    assert cim.reading_type_mrid("voltage_l1") == "0.0.0.12.0.1.54.0.0.0.0.0.0.0.128.0.29.0"
    assert cim.reading_type_mrid("water_volume_interval", 3600).endswith(".3.134.0")
