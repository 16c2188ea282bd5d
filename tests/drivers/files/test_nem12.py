"""NEM12: real participants' files to the last digit, and everything wrong reported in its place."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import nemreader
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.files import nem12
from drivers.files.nem12 import AEST
from drivers.files.parsed import FileBlock, Parsed, Rejected, Source
from schemas import quality

Slot = tuple[datetime, int, str]


def series(parsed: Parsed) -> dict[str, list[Slot]]:
    """Interval starts, values [scaled unit] and AEMO qualities by NMI and suffix."""
    found: dict[str, list[Slot]] = defaultdict(list)
    for one in parsed.blocks:
        found[f"{one.source.usage_point}/{one.source.register}"] += slots(one)
    return found


def slots(one: FileBlock) -> list[Slot]:
    block = one.block
    codes = [0] * len(block) if block.quality is None else block.quality.tolist()
    step = timedelta(seconds=block.interval_seconds)
    return [
        (block.start + at * step, value, quality.aemo_of(code))
        for at, (value, code) in enumerate(zip(block.values.tolist(), codes, strict=True))
    ]


def expected(shared: Path) -> dict[str, dict[str, Any]]:
    every: dict[str, dict[str, Any]] = json.loads(
        (shared / "data/nem12/expected.json").read_text("utf-8")
    )
    assert len(every) == 40
    return every


def thousandths(unit: str) -> int:
    """How many Wh or varh the file's unit is."""
    return 1000 if unit.lower().startswith("k") else 1


def test_forty_real_files(shared: Path) -> None:
    for name, wanted in expected(shared).items():
        parsed = nem12.parse((shared / "data/nem12" / name).read_bytes())
        if "NEM13" in name:
            assert [one.value for one in parsed.rejected] == ["NEM13"]
            assert not parsed.blocks
            continue
        assert parsed.rejected == []
        found = series(parsed)
        assert found.keys() == wanted.keys()
        for key, facts in wanted.items():
            (unit,) = facts["uom"]
            assert len(found[key]) == facts["n"]
            total = sum(value for _, value, _ in found[key])
            assert Decimal(total) / thousandths(unit) == Decimal(str(facts["sum"]))
            assert Counter(code[0] for _, _, code in found[key]) == facts["quality"]
            first = min(start for start, _, _ in found[key]).astimezone(AEST)
            assert str(first.replace(tzinfo=None)) == facts["first"]


def test_forty_real_files_as_an_independent_reader_reads_them(shared: Path) -> None:
    for name in expected(shared):
        if "NEM13" in name:
            continue
        file = shared / "data/nem12" / name
        found = series(nem12.parse(file.read_bytes()))
        theirs = nemreader.read_nem_file(str(file)).readings
        for nmi, channels in theirs.items():
            for suffix, readings in channels.items():
                wanted = [
                    (
                        one.t_start.replace(tzinfo=AEST).astimezone(UTC),
                        round(Decimal(str(one.read_value)) * thousandths(one.uom)),
                        one.quality_method,
                    )
                    for one in readings
                ]
                assert sorted(found[f"{nmi}/{suffix}"]) == sorted(wanted)


def test_reasons_stand_beside_the_values(shared: Path) -> None:
    file = shared / "data/nem12/NEM12_SCENARIO805040401_ENERGEXM_NEMMCO.zip"
    second = nem12.parse(file.read_bytes()).blocks[1].block
    assert second.annotation is not None
    assert "3-10 S14 76 Communications Fault; 11-14 F15 1 Meters Removed" in second.annotation


def day(*, unit: str = "kWh", suffix: str = "E1", quality_: str = "A", **more: str) -> list[str]:
    """A file of one day with half hours, as lines."""
    values = more.get("values", ",".join(["1.5"] * 48))
    return [
        "100,NEM12,202606020900,MDP,RETAILER",
        f"200,NMI0000001,{suffix},1,{suffix},N1,SERIAL1,{unit},{more.get('minutes', '30')},",
        f"300,{more.get('date', '20260601')},{values},{quality_},,,20260602090000,",
        *([more["event"]] if "event" in more else []),
        "900",
    ]


def parse(lines: list[str], newline: str = "\r\n") -> Parsed:
    return nem12.parse((newline.join(lines) + newline).encode())


def test_a_day_worked_by_hand() -> None:
    parsed = parse(day())
    (one,) = parsed.blocks
    assert one.source == Source("SERIAL1", "NMI0000001", "E1")
    assert one.line == 3
    block = one.block
    assert block.reading_type == "active_energy_import_interval"
    # Midnight of Eastern Standard Time is 14:00 UTC the day before, in winter and in summer.
    assert block.start == datetime(2026, 5, 31, 14, tzinfo=UTC)
    assert (block.interval_seconds, block.values.tolist()) == (1800, [1500] * 48)
    assert block.quality is None
    assert block.annotation is None
    assert parse(day(date="20260101")).blocks[0].block.start.hour == 14


@pytest.mark.parametrize(
    ("suffix", "unit", "kind", "value"),
    [
        ("E1", "WH", "active_energy_import_interval", 2),
        ("B1", "kwh", "active_energy_export_interval", 1500),
        ("Q2", "KVARH", "reactive_energy_import_interval", 1500),
        ("K1", "MVArh", "reactive_energy_export_interval", 1_500_000),
        ("E2", "MWh", "active_energy_import_interval", 1_500_000),
    ],
)
def test_directions_and_units(suffix: str, unit: str, kind: str, value: int) -> None:
    block = parse(day(suffix=suffix, unit=unit)).blocks[0].block
    assert (block.reading_type, block.values[0]) == (kind, value)


def test_what_is_finer_than_a_watt_hour_is_rounded_once_and_said() -> None:
    values = ",".join(["0.0005", "0.0015", ".0025"] + ["0"] * 45)
    block = parse(day(values=values)).blocks[0].block
    assert block.values[:3].tolist() == [0, 2, 2]
    assert block.annotation == "rounded to 1 Wh"


def test_qualities_are_kept() -> None:
    lines = day(quality_="V")
    lines[3:3] = ["400,1,20,F14,76,Comms", "400,21,40,A,,", "500,S,SO1,20260601120000,001234.5"]
    block = parse(lines).blocks[0].block
    assert block.quality is not None
    assert [quality.aemo_of(code) for code in block.quality.tolist()] == (
        ["F14"] * 20 + ["A"] * 20 + ["V"] * 8
    )
    assert quality.classes(block.quality)[-1] == quality.QualityClass.QUESTIONABLE
    assert block.annotation == "1-20 F14 76 Comms; B2B S SO1 20260601120000 001234.5"


def test_a_null_day_may_be_empty() -> None:
    block = parse(day(quality_="N", values="," * 47)).blocks[0].block
    assert block.quality is not None
    assert set(quality.classes(block.quality)) == {quality.QualityClass.MISSING}


@pytest.mark.parametrize(
    ("change", "line", "column", "value"),
    [
        ({"unit": "V"}, 2, "UOM", "V"),
        ({"unit": "kvarh"}, 2, "UOM", "kvarh"),
        ({"suffix": "X1"}, 2, "NMISuffix", "X1"),
        ({"minutes": "60"}, 2, "IntervalLength", "60"),
        ({"date": "20260631"}, 3, "IntervalDate", "20260631"),
        ({"date": "1/6/2026"}, 3, "IntervalDate", "1/6/2026"),
        ({"quality_": "X"}, 3, "QualityMethod", "X"),
        ({"quality_": ""}, 3, "QualityMethod", ""),
        ({"quality_": "S1"}, 3, "QualityMethod", "S1"),
        ({"values": ",".join(["1"] * 47)}, 3, "interval 48", "A"),
        ({"values": ",".join(["1"] * 46 + ["1_0", "1"])}, 3, "interval 47", "1_0"),
        ({"values": ",".join(["1e3"] + ["1"] * 47)}, 3, "interval 1", "1e3"),
        ({"values": ",".join(["9999999"] + ["1"] * 47)}, 3, "interval 1", "9999999"),
        ({"values": ",".join(["1"] * 56)}, 3, "field 56", "1"),
    ],
)
def test_a_wrong_row_is_reported_in_its_place(
    change: dict[str, str], line: int, column: str, value: str
) -> None:
    parsed = parse(day(**change))
    assert not parsed.blocks
    first = parsed.rejected[0]
    assert (first.line, first.column, first.value) == (line, column, value)
    assert first.reason


def test_a_wrong_event_is_reported_and_its_intervals_stay_questionable() -> None:
    for event, column in [
        ("400,0,20,F14,,", "StartInterval"),
        ("400,1,49,F14,,", "EndInterval"),
        # int() takes 4,300 digits.
        (f"400,1,{'4' * 5000},F14,,", "EndInterval"),
        ("400,20,1,F14,,", "EndInterval"),
        ("400,1,20,Z,,", "QualityMethod"),
        ("400", "StartInterval"),
    ]:
        parsed = parse(day(quality_="V", event=event))
        assert [(one.line, one.column) for one in parsed.rejected] == [(4, column)]
        assert {code for _, _, code in slots(parsed.blocks[0])} == {"V"}


def test_good_rows_are_read_beside_wrong_ones() -> None:
    lines = day()
    lines[3:3] = [lines[2].replace("20260601", "2026"), lines[2].replace("20260601", "20260603")]
    lines[5:5] = ["", "250,NMI", "200,NMI2,E1,1,E1,N1,S2,gallons,30,", lines[2], "400,1,2,A,,"]
    parsed = parse(lines)
    assert [one.line for one in parsed.blocks] == [3, 5]
    assert [(one.line, one.column) for one in parsed.rejected] == [
        (4, "IntervalDate"),
        (7, "RecordIndicator"),
        (8, "UOM"),
        (9, "RecordIndicator"),
        (10, "RecordIndicator"),
    ]


def test_a_file_that_is_cut_off_says_so() -> None:
    parsed = parse(day()[:-1])
    assert len(parsed.blocks) == 1
    assert "whole" in parsed.rejected[0].reason


def test_two_files_in_one() -> None:
    parsed = parse(day() + day(date="20260602"))
    assert len(parsed.blocks) == 2
    assert parsed.rejected == []
    late = parse([*day(), "300,20260603"])
    assert [one.line for one in late.rejected] == [5]


def zipped(*names: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "\n".join(day()))
    return memory.getvalue()


@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=5))
@example([(8, 14)])
@example([(50, 0), (51, 0), (52, 0)])
def test_a_damaged_zip_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(zipped("one.csv"))
    for at, octet in changes:
        damaged[at % len(damaged)] = octet
    parsed = nem12.parse(bytes(damaged))
    assert parsed.blocks or parsed.rejected


def test_a_zip_packed_otherwise_is_refused() -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("one.csv", "100,NEM12,202607010000,A,B")
    [rejected] = nem12.parse(memory.getvalue()).rejected
    assert rejected.reason == "is packed in another way than deflate"


def test_zips() -> None:
    assert len(nem12.parse(zipped("one.csv")).blocks) == 1
    assert nem12.parse(zipped("a", "b")).rejected == [
        Rejected(0, "zip", "a, b", "has 2 files, not one")
    ]
    whole = zipped("one.csv")
    for wrong in (whole[:-30], whole[:60] + b"\0\0\0" + whole[63:], b"PK", zipped()):
        parsed = nem12.parse(wrong)
        assert not parsed.blocks
        assert [one.line for one in parsed.rejected] == [0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\na,b\n1,2\n",
        b"200,NMI\n",
        b"100,NEM99\n300\n",
        "100,NEM13".encode("utf-16"),
    ],
)
def test_what_is_no_nem12_is_refused_once(data: bytes) -> None:
    parsed = nem12.parse(data)
    assert not parsed.blocks
    assert len(parsed.rejected) == 1


@given(st.binary(max_size=400))
def test_any_bytes_give_a_result(data: bytes) -> None:
    for whole in (data, b"PK" + data, b"100,NEM12\n" + data):
        nem12.parse(whole)


@given(st.data())
def test_no_row_is_lost(data: st.DataObject) -> None:
    """Each 300 row is a block or a report, whatever was done to the file."""
    lines = day() + day(date="20260602", suffix="B1")
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, 9))
        fields = lines[at].split(",")
        if column < len(fields):
            fields[column] = data.draw(st.sampled_from(["", "300", "x", "-1", "200", "NEM13", "V"]))
            lines[at] = ",".join(fields)
    parsed = parse(lines, data.draw(st.sampled_from(["\n", "\r\n"])))
    read = {one.line for one in parsed.blocks} | {one.line for one in parsed.rejected}
    headless = any(one.column == "VersionHeader" or one.line == 1 for one in parsed.rejected)
    for number, line in enumerate(lines, 1):
        if line.startswith("300,") and not headless:
            assert number in read
