"""Our own CSV: what the page of formats says, and every wrong row reported in its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.files import interval_csv
from drivers.files.parsed import Parsed, Source
from schemas import quality
from schemas.reading import RegisterReading

HEADER = "end_device,reading_type,starts_at,interval_seconds,value,unit,quality"
ENERGY = "active_energy_import_interval"


def parse(*rows: str, header: str = HEADER) -> Parsed:
    return interval_csv.parse("\n".join([header, *rows, ""]).encode())


GOOD = {
    "device": "M1",
    "kind": ENERGY,
    "at": "2026-06-01T00:00:00+03:00",
    "seconds": "900",
    "value": "0.25",
    "unit": "kWh",
    "code": "",
}


def row(**cells: str) -> str:
    """A good row unless told otherwise."""
    assert cells.keys() <= GOOD.keys()
    return ",".join({**GOOD, **cells}.values())


def test_rows_that_follow_each_other_are_a_block() -> None:
    parsed = parse(
        row(),
        row(at="2026-06-01T00:15:00+03:00", value="0.5", code="estimated"),
        row(at="2026-05-31T21:30:00Z", value="1000", unit="Wh", code="S14"),
        row(device="M2", kind="water_volume_interval", unit="m³", value="0.012"),
    )
    assert parsed.rejected == []
    first, second = parsed.blocks
    assert first.source == Source("M1")
    assert first.line == 2
    assert first.block.start == datetime(2026, 5, 31, 21, tzinfo=UTC)
    assert first.block.values.tolist() == [250, 500, 1000]
    assert first.block.quality is not None
    assert first.block.quality.tolist() == [0, quality.ESTIMATED, quality.aemo("S", 14)]
    assert second.block.reading_type == "water_volume_interval"
    assert second.block.values.tolist() == [12]
    assert second.block.quality is None


def test_a_gap_or_a_repeated_time_begins_a_new_block() -> None:
    parsed = parse(
        row(at="2026-06-01T00:00:00Z"),
        row(at="2026-06-01T00:30:00Z"),
        row(at="2026-06-01T00:30:00Z", value="0.75"),
        row(at="2026-06-01T00:45:00Z"),
    )
    starts = [(one.line, one.block.start.minute, len(one.block)) for one in parsed.blocks]
    assert starts == [(2, 0, 1), (3, 30, 1), (4, 30, 2)]


def test_registers_have_no_length() -> None:
    parsed = parse(row(kind="active_energy_import", seconds="", value="12345.678"))
    at = datetime(2026, 5, 31, 21, tzinfo=UTC)
    assert [one.reading for one in parsed.readings] == [
        RegisterReading("active_energy_import", at, 12_345_678)
    ]
    assert parsed.readings[0].line == 2


def test_optional_columns_may_be_missing_and_the_order_is_free() -> None:
    parsed = parse(
        "kWh,7,M1,2026-06-01T00:00:00Z,active_energy_import",
        header="unit,value,end_device,starts_at,reading_type",
    )
    assert parsed.rejected == []
    assert parsed.readings[0].reading.value == 7000


def test_missing_may_be_empty_and_rounding_is_said() -> None:
    parsed = parse(
        row(value="", code="missing"), row(at="2026-06-01T00:15:00+03:00", value=".0005")
    )
    block = parsed.blocks[0].block
    assert block.values.tolist() == [0, 0]
    assert block.quality is not None
    assert block.quality.tolist() == [quality.MISSING, 0]
    assert block.annotation == "rounded to 1 Wh"


@pytest.mark.parametrize(
    ("wrong", "column", "reason"),
    [
        (row(device=""), "end_device", "missing"),
        (row(kind="gas"), "reading_type", "no reading type 'gas'"),
        (row(at="2026-06-01T00:00:00"), "starts_at", "with its offset"),
        (row(at="1.6.2026 00:00"), "starts_at", "with its offset"),
        (row(at="2026-06-01T00:00:00.5Z"), "starts_at", "with its offset"),
        (row(at="9999-12-31T23:59:59Z"), "starts_at", "with its offset"),
        (row(seconds=""), "interval_seconds", "1 … 86400"),
        (row(seconds="0"), "interval_seconds", "1 … 86400"),
        (row(seconds="-900"), "interval_seconds", "1 … 86400"),
        (row(kind="active_energy_import"), "interval_seconds", "leave it empty"),
        (row(value=""), "value", "not a number"),
        (row(value="1,5"), "row", "has 8 cells where the header has 7"),
        (row(value="1e3"), "value", "not a number"),
        (row(value="NaN"), "value", "not a number"),
        (row(value="9999999"), "value", "more than can be stored"),
        (row(value="9" * 60), "value", "not an amount"),
        (row(unit="m³"), "unit", "no unit of active energy"),
        (row(unit="KWH"), "unit", "no unit of active energy"),
        (row(code="good"), "quality", "there are valid, "),
        ("M1", "row", "has 1 cells"),
    ],
)
def test_a_wrong_row_is_reported_and_the_others_are_read(
    wrong: str, column: str, reason: str
) -> None:
    parsed = parse(row(), wrong, row(at="2026-06-01T00:15:00+03:00"))
    assert [len(one.block) for one in parsed.blocks] == [2]
    assert [(one.line, one.column) for one in parsed.rejected] == [(3, column)]
    assert reason in parsed.rejected[0].reason


def test_lines_are_counted_as_an_editor_does() -> None:
    parsed = parse("", row(), "", '"M\n1",' + row(device="")[1:], row(value="x"))
    assert parsed.blocks[0].line == 3
    assert [one.line for one in parsed.rejected] == [7]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (HEADER.replace(",unit", ""), "has no column unit"),
        (HEADER + ",extra", "is unknown or there twice"),
        (HEADER + ",value", "is unknown or there twice"),
        ("", "has no column"),
    ],
)
def test_a_wrong_header_stops_everything(header: str, reason: str) -> None:
    parsed = parse(row(), header=header)
    assert not parsed.blocks
    assert len(parsed.rejected) == 1
    assert reason in parsed.rejected[0].reason
    assert parsed.rejected[0].line in (1, 2)


def test_an_empty_file_and_a_marked_one() -> None:
    assert [str(one) for one in interval_csv.parse(b"").rejected] == ["the file is empty"]
    text = f"\ufeff{HEADER}\r\n{row()}\r\n"
    assert len(interval_csv.parse(text.encode()).blocks) == 1


@given(st.binary(max_size=300))
def test_any_bytes_give_a_result(data: bytes) -> None:
    interval_csv.parse(data)
    interval_csv.parse(HEADER.encode() + b"\n" + data)


@given(st.lists(st.tuples(st.sampled_from(["M1", "M2"]), st.integers(0, 9), st.booleans())))
def test_every_row_is_read_or_reported(rows: list[tuple[str, int, bool]]) -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    written = [
        row(
            device=device,
            at=(start + timedelta(minutes=15 * slot)).isoformat(),
            value=str(slot) if good else "?",
        )
        for device, slot, good in rows
    ]
    parsed = parse(*written)
    read = [
        (one.source.end_device, int(value) // 1000)
        for one in parsed.blocks
        for value in one.block.values
    ]
    assert sorted(read) == sorted((device, slot) for device, slot, good in rows if good)
    assert [one.line for one in parsed.rejected] == [
        line for line, (_, _, good) in enumerate(rows, 2) if not good
    ]
    for one in parsed.blocks:
        steps = [int(value) // 1000 for value in one.block.values]
        assert steps == list(range(steps[0], steps[0] + len(steps)))


def test_the_page_of_formats_shows_a_file_that_can_be_read() -> None:
    page = (Path(__file__).parents[3] / "docs/formats.md").read_text("utf-8")
    example = page.split("```csv\n")[1].split("```")[0]
    parsed = interval_csv.parse(example.encode())
    assert parsed.rejected == []
    assert parsed.blocks
    assert parsed.readings
    for name in interval_csv.REQUIRED + interval_csv.OPTIONAL:
        assert f"| `{name}` |" in page
