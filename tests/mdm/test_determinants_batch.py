"""Whole determinant sets from arrays: several channels, zones with changing clocks, holes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm import calendar_file, cycle_gates, tariff_file
from mdm.determinants import batch as batches
from mdm.determinants.batch import Batch
from mdm.determinants.composition import Result
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.registers import Reading, Span, Stretch
from schemas import quality
from schemas.assets import Channel
from schemas.period import Period
from schemas.reading import BlockTable
from tests.mdm.test_determinants import blocks, days

LONDON = ZoneInfo("Europe/London")
POWER = "active_energy_import_interval"
TARIFF = """
[[tariff]]
name = "british"
commodity = "electricity"
effective_from = 2020-01-01
calendar = "london"
register = "active_energy_import"
interval = "active_energy_import_interval"
sources = ["register", "interval"]
unit = "kWh"
determinants = [
  "consumption", "register_start", "register_end", "register_consumption", "interval_consumption",
  "time_of_use_consumption", "block_demand", "rolling_demand", "load_factor",
]
[tariff.rounding]
quantity = { places = 1 }
demand = { places = 2 }
ratio = { places = 3, mode = "down" }
[tariff.demand]
block_minutes = 30
rolling_minutes = [60]
[tariff.gates]
missing = 1
"""
(BRITISH,) = tariff_file.parse(TARIFF, "british.toml")


def joined(*tables: BlockTable) -> BlockTable:
    width = max(table.values.shape[1] for table in tables)

    def padded(array: np.ndarray, fill: int) -> np.ndarray:
        missing = ((0, 0), (0, width - array.shape[1]))
        return np.pad(array, missing, constant_values=fill)

    names = ("channel_id", "starts_at", "interval_seconds", "version", "provenance_id", "length")
    columns = {name: np.concatenate([getattr(t, name) for t in tables]) for name in names}
    values = np.concatenate([padded(t.values, 0) for t in tables])
    codes = np.concatenate([padded(t.quality, quality.MISSING) for t in tables])
    return BlockTable(**columns, values=values, quality=codes)


def span(
    period: Period, start: int, end: int, *, seconds: int = 900, cut: tuple[int, int] | None = None
) -> Span:
    first, last = cut or (int(period.start.timestamp()), int(period.end.timestamp()))
    stretch = Stretch(1, 5, "M", seconds, Decimal(1), 10**6, first, last)
    return Span(stretch, Reading(first, 1, start, 0), Reading(last, 1, end, 0))


def batch(period: Period, table: BlockTable, channels: list[Channel], *spans: Span) -> Batch:
    return Batch(
        tariff=BRITISH,
        calendar=calendar_file.named("london"),
        zone=LONDON,
        period=period,
        usage_points=[1],
        channels={1: channels},
        spans={1: list(spans)},
        blocks=table,
    )


def lines(result: Result) -> dict[tuple[str, str], Determinant]:
    return {(d.name, d.part): d for d in result.determinants}


@pytest.mark.parametrize(
    ("day", "n", "night"), [(date(2026, 3, 29), 92, 24), (date(2026, 10, 25), 100, 32)]
)
def test_a_day_on_which_clocks_change(day: date, n: int, night: int) -> None:
    period = days(day, 1, LONDON)
    table = blocks(7, period, LONDON, 900, [130] * n)
    found = batches.results(
        batch(period, table, [Channel(7, 1, POWER, 900)], span(period, 50, 50 + 130 * n))
    )[1]
    by_name = lines(found)
    assert by_name["register_start", "M"].value == Decimal("0.050")
    # 92 × 130 Wh = 11.96 kWh, 100 × 130 Wh = 13 kWh
    total = {92: Decimal("12.0"), 100: Decimal("13.0")}[n]
    assert by_name["consumption", ""].value == total
    assert by_name["consumption", ""].note == "by register"
    # 24 × 130 = 3.12 and 68 × 130 = 8.84 make 12.0 together; 32 × 130 = 4.16, 68 × 130 = 8.84.
    parts = {92: (Decimal("8.9"), Decimal("3.1")), 100: (Decimal("8.8"), Decimal("4.2"))}[n]
    assert by_name["time_of_use_consumption", "day"].value == parts[0]
    assert by_name["time_of_use_consumption", "night"].value == parts[1]
    assert by_name["time_of_use_consumption", "night"].counts == Counts(actual=night)
    assert by_name["block_demand", "30 min"].value == Decimal("0.52")
    # A flat load has a load factor of 1 only if the day's own 23 or 25 hours are counted.
    assert by_name["load_factor", ""].value == Decimal("1.000")
    assert found.difference == 0


def test_without_registers_intervals_are_billed_if_they_are_whole() -> None:
    period = days(date(2026, 6, 1), 1, LONDON)
    channel = Channel(7, 1, POWER, 900)
    whole = batches.results(batch(period, blocks(7, period, LONDON, 900, [100] * 96), [channel]))[1]
    assert lines(whole)["consumption", ""].value == Decimal("9.6")
    assert lines(whole)["consumption", ""].note == "by interval"
    assert cycle_gates.holds(BRITISH, whole) == ()
    codes = [quality.MISSING] + [quality.VALID] * 95
    holed = blocks(7, period, LONDON, 900, [0] + [100] * 95, codes=codes)
    short = batches.results(batch(period, holed, [channel]))[1]
    assert lines(short)["consumption", ""].value is None
    assert lines(short)["interval_consumption", ""].value == Decimal("9.5")
    assert lines(short)["load_factor", ""].note == "1 intervals are missing"
    assert [h.gate for h in cycle_gates.holds(BRITISH, short)] == ["consumption", "missing"]


def test_intervals_longer_than_the_window_give_no_demand() -> None:
    period = days(date(2026, 6, 1), 1, LONDON)
    table = blocks(7, period, LONDON, 3600, [100] * 24)
    found = lines(batches.results(batch(period, table, [Channel(7, 1, POWER, 3600)]))[1])
    assert found["block_demand", "30 min"].value is None
    assert found["block_demand", "30 min"].note == (
        "intervals of 3600 s do not fill a window of 1800 s"
    )
    assert found["rolling_demand", "60 min"].value == Decimal("0.10")


def exchange(second_from: int) -> Batch:
    """A meter of hourly intervals until noon, then one of quarter hours."""
    period = days(date(2026, 6, 1), 1, LONDON)
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    noon = start + 43_200
    hourly = [400] * 12 + [0] * 12
    quarters = [0] * second_from + [100] * (96 - second_from)
    table = joined(
        blocks(7, period, LONDON, 3600, hourly, codes=[0] * 12 + [quality.MISSING] * 12),
        blocks(
            *(8, period, LONDON, 900, quarters),
            codes=[quality.MISSING] * second_from + [0] * (96 - second_from),
        ),
    )
    channels = [Channel(7, 1, POWER, 3600), Channel(8, 1, POWER, 900)]
    return batch(
        *(period, table, channels),
        span(period, 0, 4_800, seconds=3600, cut=(start, noon)),
        span(period, 0, 4_800, seconds=900, cut=(noon, end)),
    )


def test_an_exchange_for_another_interval_length() -> None:
    found = batches.results(exchange(48))[1]
    assert found.counts == Counts(actual=12 + 48)
    assert lines(found)["interval_consumption", ""].value == Decimal("9.6")
    assert lines(found)["consumption", ""].value == Decimal("9.6")
    assert lines(found)["register_start", "M #2"].value == 0
    assert lines(found)["load_factor", ""].value is None
    assert (found.difference, found.overlapping) == (0, False)


def test_the_same_time_in_two_channels_is_held() -> None:
    found = batches.results(exchange(44))[1]
    assert found.overlapping
    assert "overlap" in [hold.gate for hold in cycle_gates.holds(BRITISH, found)]


def test_no_channel_at_all_is_missing_throughout() -> None:
    period = days(date(2026, 6, 1), 1, LONDON)
    table = blocks(7, period, LONDON, 900, [1] * 96)
    found = batches.results(batch(period, table, [], span(period, 10, 20)))[1]
    assert found.counts == Counts(missing=96)
    # The registers alone still tell what was consumed; the gate holds it for its missing intervals.
    assert lines(found)["consumption", ""].value == Decimal("0.0")
    assert lines(found)["register_consumption", ""].counts == Counts(actual=2)
    assert [h.gate for h in cycle_gates.holds(BRITISH, found)] == ["missing"]


def test_water_in_imperial_gallons() -> None:
    zone = ZoneInfo("Asia/Kuwait")
    tariff = tariff_file.standing().on("kw-residential", "water", date(2026, 6, 1))
    period = days(date(2026, 6, 1), 1, zone)
    litres = [189] * 24
    litres[0] = 454_609 - 23 * 189
    found = batches.results(
        Batch(
            tariff=tariff,
            calendar=calendar_file.named("kuwait"),
            zone=zone,
            period=period,
            usage_points=[1],
            channels={1: [Channel(7, 1, "water_volume_interval", 3600)]},
            spans={1: [span(period, 0, 454_609, seconds=3600)]},
            blocks=blocks(7, period, zone, 3600, litres),
        )
    )[1]
    consumption = lines(found)["consumption", ""]
    assert (str(consumption.value), consumption.unit) == ("100.000000", "1000 imperial gallons")
    assert lines(found)["register_end", "M"].value == Decimal("454.609")
    assert lines(found)["register_end", "M"].unit == "m³"


@given(
    st.integers(0, 2**32),
    st.sampled_from([date(2026, 3, 28), date(2026, 10, 24)]),
    st.integers(0, 3),
)
def test_exported_parts_sum_to_the_exported_total(seed: int, day: date, places: int) -> None:
    period = days(day, 3, LONDON)
    n = int(period.duration.total_seconds()) // 1800
    values = np.random.default_rng(seed).integers(0, 1000, n).tolist()
    table = blocks(7, period, LONDON, 1800, values)
    of = batch(period, table, [Channel(7, 1, POWER, 1800)])
    rounding = replace(BRITISH.quantity_rounding, places=places)
    found = batches.results(replace(of, tariff=replace(BRITISH, quantity_rounding=rounding)))[1]
    parts = [d.value for d in found.determinants if d.name == "time_of_use_consumption"]
    total = lines(found)["interval_consumption", ""].value
    assert sum(part for part in parts if part is not None) == total
    block = lines(found)["block_demand", "30 min"].value
    assert block is not None
    assert block == (Decimal(max(values) * 2) / 1000).quantize(Decimal("0.01"), ROUND_HALF_UP)
