"""Pages that are billed by registers say what is composed for one usage point, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm import calendar_file, cycle_gates, tariff_file
from mdm.determinants import batch as batches
from mdm.determinants import composition, determinant, pages
from mdm.determinants.batch import Batch
from mdm.determinants.determinant import Counts
from mdm.determinants.pages import Page
from mdm.determinants.registers import Reading, Span, Stretch, bounded
from mdm.determinants.resets import pieces
from mdm.tariff import BILLING_REGISTER, Tariff
from schemas import quality
from schemas.assets import Channel
from schemas.period import Period
from schemas.reading import BlockTable
from tests.mdm.test_determinants import blocks, days
from tests.mdm.test_determinants_batch import joined

KUWAIT = ZoneInfo("Asia/Kuwait")
LINES = ("consumption", "register_start", "register_end", "register_consumption",
         "interval_consumption", "time_of_use_consumption", "block_demand", "rolling_demand",
         "load_factor")  # fmt: skip
READ = (quality.VALID, quality.EDITED, quality.REGISTER_PRORATED, quality.SUSPECT, quality.MISSING)
GIVEN = (quality.VALID, quality.ESTIMATED_LINEAR, quality.MISSING, quality.SUSPECT)
TEXT = """
[[tariff]]
name = "town"
commodity = "{commodity}"
effective_from = 2020-01-01
calendar = "kuwait"
register = "{register}"
{interval}
sources = {sources}
unit = "{unit}"
determinants = {lines}
[tariff.rounding]
quantity = {{ places = {places}, mode = "{mode}" }}
demand = {{ places = 2, mode = "{mode}" }}
ratio = {{ places = 3, mode = "{mode}" }}
[tariff.demand]
block_minutes = 30
rolling_minutes = [15, 60]
"""
DECLARED = """
[[tariff.determinant]]
kind = "time_of_use_register"
name = "{name}"
{total}
registers = {{ day = "active_energy_import_t1", night = "active_energy_import_t2" }}
"""
T1, T2 = "active_energy_import_t1", "active_energy_import_t2"
KINDS = {
    "electricity": ("active_energy_import", ["Wh", "kWh", "MWh"]),
    "water": ("water_volume", ["L", "m³", "imperial gallon", "1000 imperial gallons"]),
}


def tariff(
    commodity: str = "electricity",
    unit: str = "kWh",
    *,
    places: int = 1,
    mode: str = "half_up",
    sources: tuple[str, ...] = ("register", "interval"),
    lines: tuple[str, ...] = LINES,
    intervals: bool = True,
    declared: str = "",
) -> Tariff:
    register = KINDS[commodity][0]
    text = TEXT.format(
        commodity=commodity,
        register=register,
        interval=f'interval = "{register}_interval"' if intervals else "",
        sources=list(sources),
        unit=unit,
        lines=list(lines),
        places=places,
        mode=mode,
    )
    return tariff_file.parse(text + declared, "town.toml")[0]


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    commodity = draw(st.sampled_from(sorted(KINDS)))
    intervals = draw(st.booleans())
    sources = [("register",), (BILLING_REGISTER, "register")]
    if intervals:
        sources += [("register", "interval"), ("interval", "register"), ("interval",)]
    declared = ""
    if commodity == "electricity" and draw(st.booleans()):
        total = draw(st.sampled_from(["", 'total = "active_energy_import"']))
        declared = DECLARED.format(name=draw(st.sampled_from(["", "by hour"])), total=total)
    return tariff(
        commodity,
        draw(st.sampled_from(KINDS[commodity][1])),
        places=draw(st.sampled_from([0, 1, 3, 6])),
        mode=draw(st.sampled_from(["half_up", "half_even", "down"])),
        sources=draw(st.sampled_from(sources)),
        lines=tuple(draw(st.sets(st.sampled_from(LINES), min_size=1))),
        intervals=intervals,
        declared=declared,
    )


@st.composite
def meters(draw: st.DrawFn, start: int, end: int) -> list[Span]:
    """Draw a usage point's meters: there all the time, exchanged, moved in or out, or none."""
    bounds = draw(
        st.sampled_from([
            *[[(start, end)]] * 5,
            [(start, start + 40_020), (start + 40_020, end)],
            [(start + 36_000, end)], [(start, end - 7_200)], [(start, start + 3_600)], [],
        ])
    )  # fmt: skip
    multipliers = ["1.000000", "40.000000", "0.333333", "1000000.000000"]
    found: list[Span] = []
    for number, (since, until) in enumerate(bounds, 1):
        stretch = Stretch(
            installation_id=number,
            channel_id=draw(st.sampled_from([5, 5, 5, None])),
            end_device=draw(st.sampled_from(["M", 'M "%d"', "عداد", "M-%s"])),
            interval_seconds=900,
            multiplier=Decimal(draw(st.sampled_from(multipliers))),
            modulus=draw(st.sampled_from([None, 10_000, 10**9])),
            starts_at=since,
            ends_at=until,
        )
        moments = [since, until]
        if draw(st.sampled_from([False, False, False, True])):
            moments[draw(st.integers(0, 1))] += draw(st.sampled_from([900, -900]))
        if draw(st.sampled_from([False, False, False, True])):
            moments = [*moments, since + 1_800]
        readings = [
            Reading(at, 1, draw(st.sampled_from([0, 7, 4_000, 9_990, 10**9 - 5, 10**16])), code)
            for at in sorted(set(moments))
            for code in [draw(st.sampled_from([*[quality.VALID] * 6, *READ]))]
        ]
        found += pieces(bounded(stretch, readings, start, end), readings)
    return found


@st.composite
def intervals(draw: st.DrawFn, point: int, period: Period) -> BlockTable | None:
    """Draw a usage point's intervals: whole, without some of them, or none."""
    if draw(st.integers(0, 2)) == 0:
        return None
    values = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 900, 96)
    values *= draw(st.sampled_from([0, 1, 1, 1_000]))
    codes = np.zeros(96, np.int16)
    for slot in draw(st.lists(st.integers(0, 95), max_size=2)):
        codes[slot] = draw(st.sampled_from(GIVEN))
    if draw(st.sampled_from([False, False, False, True])):
        codes[:] = quality.MISSING
    values[codes == quality.MISSING] = 0
    return blocks(point, period, KUWAIT, 900, values.tolist(), codes=codes.tolist())


@st.composite
def towns(draw: st.DrawFn) -> Batch:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    made, points = draw(tariffs()), list(range(1, draw(st.integers(1, 5)) + 1))
    spans = {point: draw(meters(start, end)) for point in points}
    tables = {point: draw(intervals(point, period)) for point in points if made.interval}
    there = {point: table for point, table in tables.items() if table is not None}
    dials: dict[int, dict[str, list[Span]]] = {point: {} for point in points}
    if BILLING_REGISTER in made.sources and draw(st.booleans()):
        dials[1][BILLING_REGISTER] = draw(meters(start, end))
    for kind in (T1, T2) if made.declared else ():
        for point in points:
            dials[point][kind] = draw(meters(start, end))
    return Batch(
        tariff=made,
        calendar=calendar_file.named("kuwait"),
        zone=KUWAIT,
        period=period,
        usage_points=points,
        channels={p: [Channel(p, p, made.interval or "", 900)] for p in there},
        spans=spans,
        blocks=joined(*there.values()) if there else _no_blocks(period),
        dials=dials,
    )


def _no_blocks(period: Period) -> BlockTable:
    table = blocks(1, period, KUWAIT, 900, [0] * 96)
    names = ("channel_id", "starts_at", "interval_seconds", "version", "provenance_id", "length",
             "values", "quality")  # fmt: skip
    return replace(table, **{name: getattr(table, name)[:0] for name in names})


@settings(max_examples=150)
@given(town=towns())
def test_pages_are_what_is_composed_one_by_one(town: Batch) -> None:
    together = batches.results(town)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "serves", lambda _: False)
        single = batches.results(town)
    assert not any(isinstance(result.determinants, Page) for result in single.values())
    assert together == single
    wanted = {point: determinant.digest(r.determinants) for point, r in single.items()}
    assert composition.digests(together) == wanted
    for point, result in together.items():
        assert cycle_gates.holds(town.tariff, result) == cycle_gates.holds(
            town.tariff, single[point]
        )
        if isinstance(result.determinants, Page):
            for name in (*LINES, "register_sum_difference"):
                named = [d for d in single[point].determinants if d.name == name]
                assert list(result.determinants.named(name)) == named


def meter(
    period: Period, start: int, end: int, *, modulus: int = 10_000, factor: str = "1"
) -> Span:
    since, until = int(period.start.timestamp()), int(period.end.timestamp())
    stretch = Stretch(1, 5, "M", 900, Decimal(factor), modulus, since, until)
    return Span(stretch, Reading(since, 1, start, 0), Reading(until, 1, end, quality.EDITED))


def test_what_has_a_page_by_hand() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    holed = [quality.MISSING, *[quality.VALID] * 95]
    kind = "active_energy_import_interval"
    town = Batch(
        tariff=tariff(),
        calendar=calendar_file.named("kuwait"),
        zone=KUWAIT,
        period=period,
        usage_points=[1, 2, 3, 4, 5],
        channels={point: [Channel(point, point, kind, 900)] for point in (1, 3)},
        spans={
            1: [meter(period, 9_990, 9_590)],
            2: [meter(period, 9_990, 10, factor="40")],
            3: [meter(period, 0, 9_500)],
            4: [replace(meter(period, 1, 2), end=None)],
            5: [meter(period, 1, 2), meter(period, 1, 2)],
        },
        blocks=joined(
            blocks(1, period, KUWAIT, 900, [100] * 96),
            blocks(3, period, KUWAIT, 900, [0, *[100] * 95], codes=holed),
        ),
    )
    found = batches.results(town)
    # The first's register fell, the third misses an interval, the fourth a reading; the fifth has
    # two meters. The second was never read by intervals: its register rolled over.
    assert [p for p, result in found.items() if isinstance(result.determinants, Page)] == [2]
    lines = {(d.name, d.part): d for d in found[2].determinants}
    # (10 − 9,990 + 10,000) Wh × 40
    assert lines["consumption", ""].value == Decimal("0.8")
    assert lines["consumption", ""].note == "by register"
    assert lines["consumption", ""].counts == Counts(actual=1, edited=1)
    assert str(lines["register_start", "M"].value) == "9.990"
    assert str(lines["register_end", "M"].value) == "0.010"
    assert lines["register_end", "M"].rounding == "exact"
    assert lines["interval_consumption", ""].value is None
    assert lines["interval_consumption", ""].note == "no interval is known"
    assert lines["interval_consumption", ""].counts == Counts(missing=96)
    assert lines["load_factor", ""].note == "no window of 1800 s is without a missing interval"
    assert found[2].register_micro == 800 * 10**6
    assert found[2].difference is None


def test_a_register_alone_and_a_register_beside_intervals() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    alone = Batch(
        tariff=tariff("water", "1000 imperial gallons", places=6, intervals=False,
                      sources=("register",)),
        calendar=calendar_file.named("kuwait"),
        zone=KUWAIT,
        period=period,
        usage_points=[1],
        channels={},
        spans={1: [meter(period, 0, 454_609, modulus=10**6)]},
        blocks=_no_blocks(period),
    )  # fmt: skip
    found = batches.results(alone)[1]
    assert isinstance(found.determinants, Page)
    # 4.54609 L are a gallon: 454,609 L are 100,000 of them.
    assert [(d.name, str(d.value)) for d in found.determinants] == [
        ("consumption", "100.000000"), ("register_start", "0.000"), ("register_end", "454.609"),
        ("register_consumption", "100.000000"),
    ]  # fmt: skip
    assert found.counts == Counts()
    beside = replace(
        alone,
        tariff=tariff(),
        channels={1: [Channel(1, 1, "active_energy_import_interval", 900)]},
        spans={1: [meter(period, 0, 9_650, modulus=10**6)]},
        blocks=blocks(1, period, KUWAIT, 900, [100] * 96),
    )
    whole = batches.results(beside)[1]
    assert isinstance(whole.determinants, Page)
    # 9,600 Wh by intervals, 9,650 Wh by register.
    assert whole.difference == -50 * 10**6
    assert [str(d.value) for d in whole.determinants[:5]] == ["9.7", "0.000", "9.650", "9.7", "9.6"]


def test_registers_by_time_of_use_have_a_page_by_hand() -> None:
    period = days(date(2026, 6, 1), 1, KUWAIT)
    total = 'total = "active_energy_import"'
    made = tariff(
        intervals=False,
        sources=("register",),
        lines=("consumption",),
        declared=DECLARED.format(name="by hour", total=total),
        places=3,
    )
    town = Batch(
        tariff=made,
        calendar=calendar_file.named("kuwait"),
        zone=KUWAIT,
        period=period,
        usage_points=[1, 2, 3],
        channels={},
        spans={point: [meter(period, 9_000, 9_100)] for point in (1, 2, 3)},
        blocks=_no_blocks(period),
        dials={
            1: {T1: [meter(period, 10, 80)], T2: [meter(period, 9_990, 20)]},
            # 40 Wh more than the total's register counted.
            2: {T1: [meter(period, 0, 100)], T2: [meter(period, 0, 40)]},
            3: {T1: [meter(period, 10, 80)], T2: [replace(meter(period, 0, 30), start=None)]},
        },
    )
    found = batches.results(town)
    # The third's night was not read when the period began.
    assert [p for p, result in found.items() if isinstance(result.determinants, Page)] == [1, 2]
    said = {
        point: [(d.name, d.part, None if d.value is None else str(d.value)) for d in r.determinants]
        for point, r in found.items()
    }
    name, check = "time_of_use_register", "register_sum_difference"
    assert said[1] == [
        ("consumption", "", "0.100"), (name, "by hour day", "0.070"),
        (name, "by hour night", "0.030"), (check, "by hour", "0.000"),
    ]  # fmt: skip
    assert [line[2] for line in said[2]] == ["0.100", "0.100", "0.040", "-0.040"]
    assert [line[2] for line in said[3]] == ["0.100", "0.070", None, None]
    for point in (1, 2):
        lines = found[point].determinants
        assert composition.digests(found)[point] == determinant.digest(tuple(lines))
        assert lines[3].counts == Counts(actual=3, edited=3)
