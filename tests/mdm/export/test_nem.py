"""NEM12 and NEM13, read back by nemreader, and by our own reader as a third."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import nemreader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.files import nem12 as ours
from mdm.export import codes, nem12, nem13
from mdm.export.record import Record
from mdm.export.series import Meter
from schemas import facts, quality, quality_mapping, reading_type
from tests.mdm.export.records import AWKWARD, END, HEAD, IMPORT, START, dial, intervals, record
from tests.mdm.export.records import measured as with_series

AEST = timedelta(hours=10)
DAYS = (END - START).days * 96
EXPORT = "active_energy_export_interval"


def read(content: bytes, folder: Path) -> dict[str, dict[str, list[Any]]]:
    """Read a file with nemreader: readings by NMI and suffix."""
    file = folder / "out.csv"
    file.write_bytes(content)
    found = nemreader.read_nem_file(str(file)).readings
    return {nmi: dict(channels) for nmi, channels in found.items()}


def utc(naive: datetime) -> datetime:
    return (naive - AEST).replace(tzinfo=UTC)


def test_nemreader_reads_what_the_bill_was_made_of(tmp_path: Path) -> None:
    values = [100 + n for n in range(DAYS)]
    flags = {
        3: quality.ESTIMATED_LINEAR,
        4: quality.ESTIMATED_LINEAR,
        5: quality.MISSING,
        40: quality.EDITED,
        200: quality.POWER_DOWN,
        201: quality.aemo("F", 14),
    }
    point = with_series(
        record("UP-1"), intervals(values, flags), intervals([7] * DAYS, reading_type=EXPORT)
    )
    channels = read(nem12.render(HEAD, [point]), tmp_path)["UP-1"]
    assert sorted(channels) == ["B1", "E1"]
    by_time = {utc(r.t_start): r for r in channels["E1"]}
    assert {r.uom for r in channels["E1"]} == {"kWh"}
    assert {r.meter_serial_number for r in channels["E1"]} == {"M-1"}
    for slot, value in enumerate(values):
        found = by_time[START + timedelta(minutes=15 * slot)]
        code = flags.get(slot, quality.VALID)
        expected = quality_mapping.to_aemo(code)
        assert (found.quality_method or "A") == str(expected), slot
        if code != quality.MISSING:
            assert Decimal(str(found.read_value)) * 1000 == value
    # Nothing outside the period has a value: AEMO's days are not Kuwait's.
    outside = [r for at, r in by_time.items() if not START <= at < END]
    assert len(by_time) == 4 * 96
    assert {(r.read_value, r.quality_method) for r in outside} == {(0.0, "N")}
    assert by_time[START + timedelta(minutes=45)].event_code == "94"
    assert by_time[START + timedelta(minutes=45)].event_desc == "estimated_linear"
    assert by_time[START + timedelta(minutes=15 * 200)].event_code == "79"


def test_our_reader_gives_the_same_values_and_codes() -> None:
    flags = {0: quality.ESTIMATED_TWO_WEEK, 100: quality.SUSPECT}
    point = with_series(record("UP-1"), intervals([5] * DAYS, flags))
    parsed = ours.parse(nem12.render(HEAD, [point]))
    assert not parsed.rejected
    total = sum(int(part.block.values.sum()) for part in parsed.blocks)
    assert total == 5 * DAYS
    assert {part.block.reading_type for part in parsed.blocks} == {IMPORT}
    first = parsed.blocks[0].block
    assert first.quality is not None
    # 21:00 UTC is seven o'clock in the morning there.
    assert int(first.quality[28]) == quality.ESTIMATED_TWO_WEEK
    assert first.annotation
    assert "estimated_two_week" in first.annotation


OWN = sorted(int(row["code"]) for row in facts.rows("quality_codes.csv"))
THEIRS = [quality.aemo(flag, method) for flag in "EFS" for method in range(100)]
DECIDED = (*quality.BY_PEOPLE, quality.EDITED)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*OWN, *THEIRS, quality.aemo("N")]), min_size=1, max_size=DAYS))
def test_every_quality_goes_through_a_file_and_comes_back(codes_: list[int]) -> None:
    flags = dict(enumerate(codes_))
    point = with_series(record("UP-1"), intervals([5] * DAYS, flags))
    parsed = ours.parse(nem12.render(HEAD, [point]))
    assert not parsed.rejected
    found: dict[int, int] = {}
    for part in parsed.blocks:
        block = part.block
        for slot in range(len(block.values)):
            at = int(block.start.timestamp()) + 900 * slot
            found[at] = 0 if block.quality is None else int(block.quality[slot])
    for slot, code in flags.items():
        back = found.get(int(START.timestamp()) + 900 * slot, quality.MISSING)
        # A person's decision is none elsewhere: flag, method and reason stay, not the decision.
        as_aemo = quality.aemo(quality.aemo_of(code)[0], int(quality.aemo_of(code)[1:] or 0))
        kept = quality.VALID if as_aemo == quality.aemo("A") else as_aemo
        assert back == (kept if code in DECIDED else code), quality.name_of(code)


def test_a_meter_exchange_begins_a_new_block(tmp_path: Path) -> None:
    swap = int((START + timedelta(days=1, hours=12)).timestamp())
    meters = [Meter("OLD", 0, swap), Meter("NEW", swap, 2**62)]
    point = with_series(record("UP-1"), intervals([1] * DAYS), meters=meters)
    channels = read(nem12.render(HEAD, [point]), tmp_path)["UP-1"]
    serials = [r.meter_serial_number for r in sorted(channels["E1"], key=lambda r: r.t_start)]
    assert serials == ["OLD"] * 192 + ["NEW"] * 192


@given(
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=200),
    st.dictionaries(st.integers(0, 199), st.sampled_from([10, 100, 200, 301, 321, 390, 400])),
    st.integers(0, 95),
)
@settings(max_examples=40, deadline=None)
def test_any_values_come_back(values: list[int], flags: dict[int, int], shift: int) -> None:
    kept = {slot: code for slot, code in flags.items() if slot < len(values)}
    start = START + timedelta(minutes=15 * shift)
    parsed = ours.parse(
        nem12.render(HEAD, [with_series(record("UP-1"), intervals(values, kept, start=start))])
    )
    assert not parsed.rejected
    found: dict[datetime, tuple[int, int]] = {}
    for part in parsed.blocks:
        block = part.block
        codes_ = [0] * len(block) if block.quality is None else block.quality.tolist()
        for slot, (value, code) in enumerate(zip(block.values.tolist(), codes_, strict=True)):
            found[block.start + timedelta(minutes=15 * slot)] = (value, code)
    for slot, value in enumerate(values):
        code = kept.get(slot, 0)
        back, flag = found[start + timedelta(minutes=15 * slot)]
        assert back == (0 if code == quality.MISSING else value)
        assert quality.aemo_of(flag) == str(quality_mapping.to_aemo(code))


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (record("UP-1"), "it has no intervals"),
        (with_series(record(AWKWARD), intervals([1])), "its name cannot be an NMI"),
        (with_series(record("UP-12345678"), intervals([1])), "its name cannot be an NMI"),
        (
            with_series(record("UP-1"), intervals([1], reading_type="water_volume_interval")),
            "AEMO has no suffix for water_volume_interval",
        ),
        (
            with_series(record("UP-1"), intervals([1], seconds=3600)),
            "intervals of 3600 s: NEM12 has 5, 15 and 30 minutes",
        ),
    ],
)
def test_what_cannot_be_in_a_nem12_file(point: Record, reason: str) -> None:
    assert reason in (nem12.refusal(point) or "")


def test_channels_beside_others_are_told() -> None:
    point = with_series(
        record("UP-1"), intervals([1]), intervals([1], seconds=3600, reading_type=EXPORT),
        meters=[Meter("A-serial-number-that-is-long", 0, 2**62)],
    )  # fmt: skip
    assert nem12.refusal(point) is None
    told = dict(nem12.left_out(point))
    assert told[f"{EXPORT}, 3600 s"] == "intervals of 3600 s: NEM12 has 5, 15 and 30 minutes"
    assert "meter serial numbers" in told


def test_nemreader_reads_registers(tmp_path: Path) -> None:
    exchange = START + timedelta(days=1)
    dials = [
        dial(START, 999_990_000, device="OLD", multiplier="40"),
        dial(exchange, 10_000, device="OLD", multiplier="40"),
        dial(exchange, 0, device="NEW"),
        dial(END, 2_500, device="NEW", code=quality.ESTIMATED),
    ]
    second = int(exchange.timestamp())
    meters = [Meter("OLD", 0, second), Meter("NEW", second, 2**62)]
    channels = read(
        nem13.render(HEAD, [with_series(record("UP-1"), dials=dials, meters=meters)]), tmp_path
    )["UP-1"]
    old, new = (channels[suffix][0] for suffix in ("11", "21"))
    # It went over its end: 10 kWh up to it, 10 kWh after it, forty-fold.
    assert (old.val_start, old.val_end, old.read_value) == (999990.0, 10.0, 800.0)
    assert (utc(old.t_start), utc(old.t_end)) == (START, exchange)
    assert (new.read_value, new.meter_serial_number, new.uom) == (2.5, "NEW", "kWh")
    assert new.quality_method == "S18"


def test_a_register_that_fell_without_a_known_end_is_told() -> None:
    fell = [dial(START, 500, modulus=None), dial(END, 400, modulus=None)]
    point = with_series(record("UP-1"), dials=fell)
    assert "nobody knows where it starts again" in (nem13.refusal(point) or "")
    assert nem13.refusal(with_series(record("UP-1"), dials=fell[:1])) == (
        "it has no two readings of a register"
    )


def test_every_reading_type_has_codes() -> None:
    """The standard has a unit for each but bare ratios, which have 0, none."""
    for name in reading_type.table():
        assert bool(codes.of(name).unit) == (name not in reading_type.RATIOS)
