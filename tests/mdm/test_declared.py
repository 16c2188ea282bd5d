"""Declared determinants: golden tables by hand. London: 48 half-hours a day, night 00:30–07:30."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from mdm.determinants.determinant import Counts
from mdm.determinants.facts import Facts
from schemas import quality
from schemas.assets import Channel
from tests.mdm.declaring import (
    EXPORT,
    IMPORT,
    JUNE,
    LONDON,
    REACTIVE,
    batch,
    figures,
    joined,
    lines,
    one,
)
from tests.mdm.declaring import tariff as made
from tests.mdm.test_determinants import days

DAY = days(JUNE, 1, LONDON)
START = int(DAY.start.timestamp())


def half_hours(**at: int) -> list[int]:
    """A day of 48 half-hours of 0, and some: ``_10=500`` is 500 Wh in slot 10."""
    values = [0] * 48
    for slot, value in at.items():
        values[int(slot[1:])] = value
    return values


@pytest.mark.parametrize(
    ("day", "n", "night"),
    [(date(2026, 3, 29), 46, 12), (date(2026, 10, 25), 50, 16), (JUNE, 48, 14)],
)
def test_energy_by_period_on_days_of_23_and_25_hours(day: date, n: int, night: int) -> None:
    of = one("energy", 'name = "export"', f'interval = "{EXPORT}"', "split = true")
    found = lines(batch(of, days(day, 1, LONDON), {EXPORT: [250] * n}))
    # 0.25 kWh a half-hour: 12 → 3, 16 → 4, 14 → 3.5 kWh at night.
    assert found["energy", "export night"].value == Decimal("0.25") * night
    assert found["energy", "export day"].value == Decimal("0.25") * (n - night)
    assert found["energy", "export night"].counts == Counts(actual=night)
    assert found["energy", "export day"].reading_type == EXPORT


def test_energy_of_one_period_counts_its_own_qualities() -> None:
    of = one("energy", 'periods = ["night"]')
    codes = {IMPORT: {1: quality.MISSING, 2: quality.ESTIMATED, 20: quality.EDITED}}
    values = [1] + [0] + [100] * 46
    found = lines(batch(of, DAY, {IMPORT: values}, codes=codes))["energy", ""]
    assert (str(found.value), found.counts) == ("1.300", Counts(actual=12, missing=1, estimated=1))


def test_reactive_energy_in_kvarh() -> None:
    of = one("energy", f'interval = "{REACTIVE}"', 'unit = "kvarh"')
    found = lines(batch(of, DAY, {REACTIVE: [7] * 48}))["energy", ""]
    assert (str(found.value), found.unit) == ("0.336", "kvarh")


def test_loss_factors_of_the_tariff_change_inside_the_period() -> None:
    # AEMO's practice: energy × DLF × MLF. 10 kWh a day; DLF 1.05 then 1.06, MLF 0.98:
    # 10 × 1.05 × 0.98 + 10 × 1.06 × 0.98 = 10.29 + 10.388.
    text = (
        '[[tariff.determinant]]\nkind = "energy"\nlosses = ["DLF", "MLF"]\n'
        '[[tariff.loss]]\nname = "DLF"\neffective_from = 2026-06-02\nfactor = 1.06\n'
        '[[tariff.loss]]\nname = "DLF"\neffective_from = 2025-07-01\nfactor = 1.05\n'
        '[[tariff.loss]]\nname = "MLF"\n'
    )
    two = days(JUNE, 2, LONDON)
    values = ([10_000] + [0] * 47) * 2
    own = Facts(losses={"MLF": ((date(2026, 1, 1), Decimal("0.98")),)})
    assert figures(batch(made(text), two, {IMPORT: values}, facts=own)) == {
        ("energy", ""): "20.678"
    }
    lacking = lines(batch(made(text), two, {IMPORT: values}))["energy", ""]
    assert (lacking.value, lacking.note) == (None, "there is no loss factor MLF on 2026-06-01")


def test_net_per_interval_and_per_period() -> None:
    # Import 500 at 1:00 and 300 at 12:00; export 700 at 12:00, Wh.
    flows = {IMPORT: half_hours(_2=500, _24=300), EXPORT: half_hours(_24=700)}
    each = one("net_energy", f'minus = "{EXPORT}"', 'per = "interval"')
    assert figures(batch(each, DAY, flows)) == {
        ("net_energy", "taken"): "0.500",
        ("net_energy", "given"): "0.400",
    }
    whole = one("net_energy", f'minus = "{EXPORT}"', 'per = "period"')
    found = lines(batch(whole, DAY, flows))
    assert found["net_energy", "taken"].value == Decimal("0.100")
    assert found["net_energy", "given"].value == 0
    assert found["net_energy", "given"].reading_type == EXPORT


def test_reactive_energy_beyond_a_third_of_active_energy() -> None:
    # Great Britain's distribution charging: kvarh over 0.33 × kWh in each half-hour.
    # 1000 Wh allow 330 varh: 400 − 330 = 70; no active energy allows none: 50.
    of = {IMPORT: half_hours(_5=1000, _6=1000), REACTIVE: half_hours(_5=400, _6=100, _7=50)}
    keys = (f'reactive = "{REACTIVE}"', "ratio = 0.33")
    each = one("excess_reactive_energy", *keys, 'per = "interval"')
    assert figures(batch(each, DAY, of))["excess_reactive_energy", ""] == "0.120"
    whole = one("excess_reactive_energy", *keys, 'per = "period"')
    # 550 − 0.33 × 2000 is less than nothing.
    assert figures(batch(whole, DAY, of))["excess_reactive_energy", ""] == "0.000"


def test_the_three_highest_and_their_mean() -> None:
    two = days(JUNE, 2, LONDON)
    values = half_hours(_10=900, _11=800, _30=500) + half_hours(_3=700)
    of = one("peak_demand", "count = 3")
    found = lines(batch(of, two, {IMPORT: values}))
    assert [str(found["peak_demand", p].value) for p in ("1", "2", "3", "mean")] == [
        *("1.800", "1.600", "1.400"),
        "1.600",
    ]
    assert found["peak_demand", "3"].starts_at == START + 86_400 + 3 * 1800
    # One a day: 900 and 700 Wh, and there is no third day: (1.8 + 1.4) ÷ 2.
    daily = lines(batch(one("peak_demand", "count = 3", "one_a_day = true"), two, {IMPORT: values}))
    assert ("peak_demand", "3") not in daily
    assert str(daily["peak_demand", "mean"].value) == "1.600"
    assert daily["peak_demand", "mean"].note == "of 2 windows: there are no more"


def test_a_window_moves_by_its_sub_interval() -> None:
    # Quarter hours 30, 40, 50, 20 Wh from slot 2: an hour that moves by 30 minutes takes 2–5.
    values = [0] * 96
    values[2:6] = [30, 40, 50, 20]
    rolling = one("peak_demand", "window_minutes = 60", "step_minutes = 30")
    found = lines(batch(rolling, DAY, {IMPORT: values}, seconds=900))["peak_demand", ""]
    assert (found.value, found.starts_at) == (Decimal("0.140"), START + 1800)
    block = one("peak_demand", "window_minutes = 60")
    assert figures(batch(block, DAY, {IMPORT: values}, seconds=900))["peak_demand", ""] == "0.070"
    # Three sub-intervals of five minutes; a quarter-hour series has none.
    short = one("peak_demand", "window_minutes = 15", "step_minutes = 5")
    none = lines(batch(short, DAY, {IMPORT: values}, seconds=900))["peak_demand", ""]
    assert none.note == "intervals of 900 s do not fill a window of 900 s that moves by 300 s"


def test_highest_windows_do_not_overlap() -> None:
    values = [0] * 96
    values[8:12] = [100, 100, 100, 100]
    of = one("peak_demand", "window_minutes = 30", "step_minutes = 15", "count = 2")
    found = lines(batch(of, DAY, {IMPORT: values}, seconds=900))
    starts = [found["peak_demand", p].starts_at - START for p in ("1", "2")]
    assert starts == [8 * 900, 10 * 900]


def test_demand_inside_a_period_only() -> None:
    values = half_hours(_3=400, _20=900)
    of = made(
        '[[tariff.determinant]]\nkind = "peak_demand"\nname = "night"\nperiods = ["night"]\n'
        '[[tariff.determinant]]\nkind = "minimum_demand"\nperiods = ["night"]\n'
    )
    found = lines(batch(of, DAY, {IMPORT: [v + 50 for v in values]}))
    assert found["peak_demand", "night"].value == Decimal("0.900")
    assert found["minimum_demand", ""].value == Decimal("0.100")


def test_demand_at_the_groups_peak() -> None:
    values = half_hours(_20=900, _36=300, _37=100)
    of = one("coincident_demand", 'peak_of = "billing_group"')
    facts = Facts(peaks={"coincident_demand/": (START + 36 * 1800,)})
    found = lines(batch(of, DAY, {IMPORT: values}, facts=facts))["coincident_demand", ""]
    assert (found.value, found.starts_at) == (Decimal("0.600"), START + 36 * 1800)
    holed = batch(*(of, DAY, {IMPORT: values}), facts=facts, codes={IMPORT: {36: quality.MISSING}})
    note = "an interval is missing in the peak's window 2026-06-01 17:00 UTC"
    assert lines(holed)["coincident_demand", ""].note == note
    unknown = lines(batch(of, DAY, {IMPORT: values}))["coincident_demand", ""]
    assert unknown.note == "the peak of billing_group is unknown"


def test_demand_at_the_systems_three_peaks() -> None:
    # Great Britain's Triad: the mean of one's demand in the system's three highest half-hours.
    values = half_hours(_34=100, _35=200, _36=600)
    of = one("coincident_demand", 'peak_of = "SYSTEM"', "count = 3")
    facts = Facts(peaks={"coincident_demand/": tuple(START + s * 1800 for s in (36, 34, 35))})
    assert figures(batch(of, DAY, {IMPORT: values}, facts=facts)) == {
        ("coincident_demand", "1"): "1.200",
        ("coincident_demand", "2"): "0.200",
        ("coincident_demand", "3"): "0.400",
        ("coincident_demand", "mean"): "0.600",
    }


def test_apparent_demand_is_rooted_in_each_window_before_the_highest_is_taken() -> None:
    # 3-4-5 triangles: 300 Wh and 400 varh in half an hour are 1 kVA; 480 Wh alone are 0.96 kVA.
    flows = {IMPORT: half_hours(_10=300, _20=480), REACTIVE: half_hours(_10=400)}
    of = one("apparent_demand", f'reactive = "{REACTIVE}"')
    found = lines(batch(of, DAY, flows))["apparent_demand", ""]
    assert (str(found.value), found.unit) == ("1.000", "kVA")
    assert found.starts_at == START + 10 * 1800


def test_power_factor_of_the_period_and_at_the_peak() -> None:
    # 247 kWh beside √(321² − 247²) kvarh are 0.7695 (a published bill: 247 kW, 321 kVA).
    keys = (f'reactive = "{REACTIVE}"',)
    flows = {IMPORT: half_hours(_10=247_000), REACTIVE: half_hours(_10=205_027)}
    found = figures(batch(one("power_factor", *keys), DAY, flows))["power_factor", ""]
    assert found == "0.7695"
    # 600 ÷ √(600² + 800²) = 0.6 over the period; at the peak 400 ÷ √(400² + 300²) = 0.8.
    flows = {IMPORT: half_hours(_10=400, _20=200), REACTIVE: half_hours(_10=300, _20=500)}
    assert figures(batch(one("power_factor", *keys), DAY, flows)) == {
        ("power_factor", ""): "0.6000"
    }
    peak = one("power_factor", *keys, 'at = "peak"')
    assert figures(batch(peak, DAY, flows)) == {("power_factor", ""): "0.8000"}
    nothing = {IMPORT: [0] * 48, REACTIVE: [0] * 48}
    empty = lines(batch(one("power_factor", *keys), DAY, nothing))["power_factor", ""]
    assert empty.note == "there was neither active nor reactive energy"


@pytest.mark.parametrize(
    ("keys", "expected", "note"),
    [
        # Norris Public Power District: 0.93 required, at most +10 %, from 15 kW on.
        # 40 kW at power factor 0.8: 40 × 0.93 ÷ 0.8 = 46.5, capped at 44.
        ([], "46.500", "adjusted to power factor 0.93"),
        (["cap = 10"], "44.000", "adjusted to power factor 0.93"),
        (["from_demand = 41"], "40.000", "not adjusted"),
    ],
)
def test_demand_adjusted_by_power_factor(keys: list[str], expected: str, note: str) -> None:
    flows = {IMPORT: half_hours(_10=20_000), REACTIVE: half_hours(_10=15_000)}
    of = one("adjusted_demand", f'reactive = "{REACTIVE}"', "power_factor = 0.93", *keys)
    found = lines(batch(of, DAY, flows))["adjusted_demand", ""]
    assert (str(found.value), found.note) == (expected, note)


PAST = ((date(2026, 4, 1), Decimal("90.000")), (date(2026, 5, 1), Decimal("70.000")))


@pytest.mark.parametrize(
    ("keys", "past", "expected", "why"),
    [
        ([], (), "40.000", "measured"),
        # 80 % of the 90 kW of April.
        (["share = 0.8", "cycles = 11"], PAST, "72.000", "0.8 of the highest of 2 former cycles"),
        (["share = 0.4", "cycles = 11"], PAST, "40.000", "measured"),
        (["share = 0.4", "cycles = 11", "minimum = 50"], PAST, "50.000", "the minimum"),
    ],
)
def test_billed_demand(
    keys: list[str], past: tuple[tuple[date, Decimal], ...], expected: str, why: str
) -> None:
    of = one("billed_demand", *keys)
    facts = Facts(history={"billed_demand/": past})
    found = lines(batch(of, DAY, {IMPORT: half_hours(_10=20_000)}, facts=facts))
    billed, measured = found["billed_demand", ""], found["billed_demand", "measured"]
    assert (str(billed.value), billed.note) == (expected, why)
    assert str(measured.value) == "40.000"


def test_the_basis_of_billed_demand() -> None:
    flows = {IMPORT: half_hours(_10=20_000), REACTIVE: half_hours(_10=15_000)}
    keys = (f'reactive = "{REACTIVE}"', "power_factor = 0.93")
    for basis, expected, unit in (("apparent", "50.000", "kVA"), ("adjusted", "46.500", "kW")):
        of = one("billed_demand", *keys, f'basis = "{basis}"')
        found = lines(batch(of, DAY, flows))["billed_demand", ""]
        assert (str(found.value), found.unit) == (expected, unit)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("net_energy", (f'minus = "{EXPORT}"', 'per = "period"')),
        ("apparent_demand", (f'reactive = "{REACTIVE}"',)),
        ("power_factor", (f'reactive = "{REACTIVE}"',)),
    ],
)
def test_a_channel_that_is_not_there_is_named(kind: str, keys: tuple[str, ...]) -> None:
    found = lines(batch(one(kind, *keys), DAY, {IMPORT: [1] * 48}))[kind, ""]
    assert found.value is None
    assert found.note.startswith("there are no intervals of ")


def test_other_lengths_are_summed_to_a_common_one() -> None:
    # Quarter-hours of active, half-hours of reactive energy: windows of half an hour.
    of = one("apparent_demand", f'reactive = "{REACTIVE}"')
    quarters = [0] * 96
    quarters[20:22] = [100, 200]
    one_ = batch(of, DAY, {IMPORT: quarters}, seconds=900)
    other = batch(of, DAY, {REACTIVE: half_hours(_10=400)})
    table = joined([one_.blocks, replace(other.blocks, channel_id=other.blocks.channel_id + 1)])
    both = replace(one_, blocks=table, further={1: [Channel(8, 1, REACTIVE, 1800)]})
    assert figures(both) == {("apparent_demand", ""): "1.000"}
