"""The worked example of Great Britain: every kind of determinant, over the day of 23 hours."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from mdm import tariff_file
from mdm.determinants import batch as batches
from mdm.determinants.facts import Facts
from mdm.determinants.registers import Reading, Span, Stretch
from mdm.tariff_declared import KINDS
from schemas import quality
from tests.mdm.declaring import EXPORT, IMPORT, LONDON, REACTIVE, batch, lines
from tests.mdm.test_determinants import days

WORKS = tariff_file.standing().on("gb-works", "electricity", date(2026, 3, 27))
# Friday 27 March, Saturday, the Sunday of 46 half-hours, Monday: 190 half-hours.
PERIOD = days(date(2026, 3, 27), 4, LONDON)
START, END = int(PERIOD.start.timestamp()), int(PERIOD.end.timestamp())


def span(first: int, last: int) -> Span:
    stretch = Stretch(1, 9, "M-1", 1800, Decimal(1000), None, START, END)
    ends = Reading(START, 1, first, quality.VALID), Reading(END, 1, last, quality.VALID)
    return Span(stretch, *ends)


def test_it_asks_for_every_kind() -> None:
    assert {of.kind for of in WORKS.declared} == set(KINDS)


def test_a_works_over_the_change_of_clocks() -> None:
    # 10 kWh and 3 kvarh a half-hour; on Monday at 17:00 40 kWh and 30 kvarh; export 1 kWh.
    # Monday begins at slot 48 + 48 + 46 = 142: 17:00 is slot 176.
    active, reactive = [10_000] * 190, [3_000] * 190
    active[176], reactive[176] = 40_000, 30_000
    flows = {IMPORT: active, REACTIVE: reactive, EXPORT: [1_000] * 190}
    facts = Facts(
        peaks={"coincident_demand/": tuple(START + 1800 * slot for slot in (176, 34, 80))},
        history={"billed_demand/": ((date(2026, 2, 1), Decimal("130.0")),)},
        losses={"LLF": ((date(2025, 4, 1), Decimal("1.1")),)},
    )
    dials = {
        "active_energy_import_t1": [span(0, 1260)],
        "active_energy_import_t2": [span(0, 520)],
        "active_energy_import_t3": [span(0, 150)],
    }
    # Two working days of 6 red half-hours and 26 amber ones; green are the other 126.
    of = batch(WORKS, PERIOD, flows, facts=facts, dials=dials, spans=[span(5_000, 6_930)])
    found = {key: str(line.value) for key, line in lines(of).items()}
    assert found == {
        ("consumption", ""): "1930.0",
        ("register_start", "M-1"): "5.000",
        ("register_end", "M-1"): "6.930",
        ("register_consumption", ""): "1930.0",
        ("interval_consumption", ""): "1930.0",
        ("time_of_use_consumption", "green"): "1260.0",
        ("time_of_use_consumption", "amber"): "520.0",
        ("time_of_use_consumption", "red"): "150.0",
        ("block_demand", "30 min"): "80.0",
        # 1930 ÷ (80 × 95 h) = 0.25395
        ("load_factor", ""): "0.254",
        ("time_of_use_register", "amber"): "520.0",
        ("time_of_use_register", "green"): "1260.0",
        ("time_of_use_register", "red"): "150.0",
        ("register_sum_difference", ""): "0.0",
        ("energy", "with losses green"): "1386.0",
        ("energy", "with losses amber"): "572.0",
        ("energy", "with losses red"): "165.0",
        ("energy", "export"): "190.0",
        ("energy", "reactive"): "597.0",
        ("net_energy", "taken"): "1740.0",
        ("net_energy", "given"): "0.0",
        # 30 − 0.33 × 40 = 16.8; elsewhere 3 is under 3.3.
        ("excess_reactive_energy", ""): "16.8",
        # Of the red hours of two days: 80 on Monday, 20 on Friday, no third day.
        ("peak_demand", "red 1"): "80.0",
        ("peak_demand", "red 2"): "20.0",
        ("peak_demand", "red mean"): "50.0",
        ("peak_demand", "rolling"): "50.0",
        ("minimum_demand", ""): "20.0",
        ("coincident_demand", "1"): "80.0",
        ("coincident_demand", "2"): "20.0",
        ("coincident_demand", "3"): "20.0",
        ("coincident_demand", "mean"): "40.0",
        # √(40² + 30²) = 50 in half an hour
        ("apparent_demand", ""): "100.0",
        # 1930 ÷ √(1930² + 597²) = 0.95533; 40 ÷ 50
        ("power_factor", ""): "0.955",
        ("power_factor", "at peak"): "0.800",
        # 0.955 is over 0.95: nothing to adjust.
        ("adjusted_demand", ""): "80.0",
        # 0.8 × 130 is more than the 100 measured and the minimum of 50.
        ("billed_demand", ""): "104.0",
        ("billed_demand", "measured"): "100.0",
    }


def test_a_works_on_the_day_of_25_hours() -> None:
    # Friday 23 October, Saturday, the Sunday of 50 half-hours, Monday: 194 half-hours of 10 kWh and
    # 3 kvarh. Monday begins at slot 146: 17:00 is slot 180, of 40 kWh and 30 kvarh; export 1 kWh.
    period = days(date(2026, 10, 23), 4, LONDON)
    start = int(period.start.timestamp())
    active, reactive = [10_000] * 194, [3_000] * 194
    active[180], reactive[180] = 40_000, 30_000
    flows = {IMPORT: active, REACTIVE: reactive, EXPORT: [1_000] * 194}
    facts = Facts(
        peaks={"coincident_demand/": tuple(start + 1800 * slot for slot in (180, 34, 80))},
        losses={"LLF": ((date(2025, 4, 1), Decimal("1.1")),)},
    )
    of = tariff_file.standing().on("gb-works", "electricity", date(2026, 10, 23))
    found = {k: str(d.value) for k, d in lines(batch(of, period, flows, facts=facts)).items()}
    # Two working days of 6 red half-hours and 26 amber ones; green are the other 130.
    expected = {
        ("interval_consumption", ""): "1970.0",
        ("time_of_use_consumption", "green"): "1300.0",
        ("time_of_use_consumption", "amber"): "520.0",
        ("time_of_use_consumption", "red"): "150.0",
        ("block_demand", "30 min"): "80.0",
        # 1970 ÷ (80 × 97 h) = 0.25387
        ("load_factor", ""): "0.254",
        ("energy", "with losses green"): "1430.0",
        ("energy", "with losses amber"): "572.0",
        ("energy", "with losses red"): "165.0",
        ("energy", "export"): "194.0",
        ("energy", "reactive"): "609.0",
        ("net_energy", "taken"): "1776.0",
        ("excess_reactive_energy", ""): "16.8",
        ("peak_demand", "red 1"): "80.0",
        ("peak_demand", "red 2"): "20.0",
        ("peak_demand", "red mean"): "50.0",
        ("peak_demand", "rolling"): "50.0",
        ("minimum_demand", ""): "20.0",
        ("coincident_demand", "mean"): "40.0",
        ("apparent_demand", ""): "100.0",
        # 1970 ÷ √(1970² + 609²) = 0.95539
        ("power_factor", ""): "0.955",
        ("power_factor", "at peak"): "0.800",
        ("billed_demand", "measured"): "100.0",
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["kw-government", "gb-works", "au-business"])
def test_a_usage_point_without_anything_says_why(name: str) -> None:
    of = tariff_file.standing().on(name, "electricity", date(2026, 6, 1))
    empty = batch(of, PERIOD, {"water_volume_interval": [0] * 190})
    found = batches.results(empty)[1].determinants
    assert found
    assert all(line.note for line in found if line.value is None)
    assert not [line for line in found if line.value]
