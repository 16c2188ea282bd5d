"""What meters store and show, with every fault, beside the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulators import stored
from simulators.faults import Fault
from simulators.load_curve import Load
from simulators.meter import ACTIVE, REACTIVE, WATER, Meter

START = 1_780_000_000 - 1_780_000_000 % 86_400 - 3 * 3600  # a midnight in Kuwait
DAY = 86_400
END = START + 7 * DAY


def meter(*faults: Fault, **changes: object) -> Meter:
    load = Load("1/M1", "il_cooling", 2400, 2, START, 0, 7 * 96)
    made = Meter(
        mrid="M1",
        usage_point="UP1",
        group="g",
        number=1,
        commodity="electricity",
        sector="residential",
        tariff="t",
        billing_group="monthly",
        segment="",
        time_zone="Asia/Kuwait",
        manufacturer="",
        model="",
        protocol="dlms",
        profile="generic",
        security="none",
        host="127.0.0.9",
        address={"client": 1, "server": 1},
        interval_seconds=900,
        register_modulus=10**9,
        register_start={ACTIVE: 5_000_000, REACTIVE: 1000, WATER: 0},
        multiplier=1,
        start=START,
        end=END,
        load=load,
        faults=faults,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def at(slot: int, length: int = 1) -> tuple[int, int]:
    return START + slot * 900, START + (slot + length) * 900


def _midnights() -> np.ndarray:
    return np.arange(START, END + 1, DAY)


def test_without_faults_everything_is_the_truth_to_the_wh() -> None:
    whole = meter()
    rows, true = stored.load_profile(whole), whole.true_intervals(ACTIVE)
    assert rows.stamps.tolist() == list(range(START + 900, END + 1, 900))
    assert rows.values[ACTIVE].tolist() == true.tolist()
    daily = stored.daily_registers(whole)
    assert daily.stamps.tolist() == _midnights().tolist()
    assert np.diff(daily.values[ACTIVE]).tolist() == true.reshape(-1, 96).sum(axis=1).tolist()


def test_register_grows_inside_an_interval_and_never_falls() -> None:
    whole = meter()
    seen = whole.register(ACTIVE, np.arange(START - 100, END + 100, 61))
    assert (np.diff(seen) >= 0).all()
    assert seen[0] == 5_000_000
    assert seen[-1] == 5_000_000 + whole.true_intervals(ACTIVE).sum()
    hourly = replace(whole, interval_seconds=3600)
    assert hourly.true_intervals(ACTIVE)[0] == whole.true_intervals(ACTIVE)[:4].sum()


def test_register_moves_in_steps_of_its_resolution() -> None:
    load = Load("1/M1", "uk_hourly", 2400, 2, START, 0, 7 * 96, resolution=10)
    coarse = meter(load=load, protocol="modbus", interval_seconds=3600)
    seen = coarse.register(ACTIVE, np.arange(START, END, 77))
    assert (seen % 10 == 0).all()
    assert np.diff(seen).max() > 10


def test_rows_are_there_when_they_were_captured() -> None:
    rows = stored.load_profile(meter())
    assert rows.visible(START + 899) == 0
    assert rows.visible(START + 900) == 1
    assert rows.between(START + 900, START + 2700, START + 1800) == slice(0, 2)


def test_gap_is_lost_and_the_register_goes_on() -> None:
    broken = meter(Fault("gap", *at(40, 5)))
    rows = stored.load_profile(broken)
    missing = set(range(START + 900, END + 1, 900)) - set(rows.stamps.tolist())
    assert missing == set(range(START + 41 * 900, START + 46 * 900, 900))
    daily = stored.daily_registers(broken).values[ACTIVE]
    assert daily[-1] - daily[0] == broken.true_intervals(ACTIVE).sum()


@pytest.mark.parametrize(("value", "divisor"), [("same", 1), ("different", 2)])
def test_duplicate_is_stored_twice(value: str, divisor: int) -> None:
    broken = meter(Fault("duplicate", *at(40), {"value": value}))
    rows, true = stored.load_profile(broken), int(broken.true_intervals(ACTIVE)[40])
    assert (np.diff(rows.stamps) == 0).nonzero()[0].tolist() == [40]
    assert rows.values[ACTIVE][40:42].tolist() == [true, true // divisor]
    assert true > 1


def test_spike_stands_out_and_the_register_does_not_know() -> None:
    broken = meter(Fault("spike", *at(40), {"factor": 40}))
    rows, true = stored.load_profile(broken), broken.true_intervals(ACTIVE)
    assert (rows.values[ACTIVE] != true).nonzero()[0].tolist() == [40]
    assert rows.values[ACTIVE][40] - true[40] == 40 * (true.sum() // len(true))
    assert rows.values[REACTIVE].tolist() == broken.true_intervals(REACTIVE).tolist()
    assert (
        stored.daily_registers(broken).values[ACTIVE].tolist()
        == stored.daily_registers(meter()).values[ACTIVE].tolist()
    )


def test_stuck_register_stands_and_catches_up() -> None:
    broken = meter(Fault("stuck_register", *at(90, 110), {"mode": "register"}))
    rows, daily = stored.load_profile(broken), stored.daily_registers(broken).values[ACTIVE]
    assert rows.values[ACTIVE].tolist() == broken.true_intervals(ACTIVE).tolist()
    right = stored.daily_registers(meter()).values[ACTIVE]
    assert daily[1] == daily[2] < right[1] < right[2]
    assert daily[3:].tolist() == right[3:].tolist()


def test_stuck_intervals_repeat_and_the_register_is_right() -> None:
    broken = meter(Fault("stuck_register", *at(40, 6), {"mode": "intervals"}))
    values = stored.load_profile(broken).values[ACTIVE]
    assert set(values[39:46].tolist()) == {int(broken.true_intervals(ACTIVE)[39])}
    moments = _midnights()
    assert broken.register(ACTIVE, moments).tolist() == meter().register(ACTIVE, moments).tolist()


def test_stuck_both_stores_zeros_and_the_register_catches_up() -> None:
    broken = meter(Fault("stuck_register", *at(90, 20), {"mode": "both"}))
    values = stored.load_profile(broken).values
    assert (values[ACTIVE] == 0).nonzero()[0].tolist()[:1] <= [90]
    assert values[ACTIVE][90:110].sum() == values[REACTIVE][90:110].sum() == 0
    assert values[ACTIVE][110] == broken.true_intervals(ACTIVE)[110]
    daily, right = (stored.daily_registers(m).values[ACTIVE] for m in (broken, meter()))
    assert daily[1] < right[1]
    assert daily[2:].tolist() == right[2:].tolist()
    assert stored.events(broken).values["code"].tolist() == [
        stored.POWER_UP,
        stored.MEASUREMENT_ERROR,
    ]


def test_register_wraps_at_its_modulus() -> None:
    rolling = meter(register_start={ACTIVE: 10**9 - 30_000, REACTIVE: 0})
    daily = stored.daily_registers(rolling).values[ACTIVE]
    assert daily.max() < 10**9
    assert (np.diff(daily) < 0).sum() == 1
    assert (daily[-1] - daily[0]) % 10**9 == rolling.true_intervals(ACTIVE).sum()


@pytest.mark.parametrize("seconds", [300, -600])
def test_drifting_clock_stamps_by_itself(seconds: int) -> None:
    drift = Fault("clock_drift", START + DAY, START + 3 * DAY, {"seconds": seconds})
    broken = meter(drift)
    assert broken.clock_offset(START + DAY) == 0
    assert broken.clock_offset(START + 2 * DAY) == seconds // 2
    assert broken.clock_offset(END) == seconds
    rows, true = stored.load_profile(broken), broken.true_intervals(ACTIVE)
    assert rows.stamps.tolist() == list(range(START + 900, END + 1, 900))
    assert rows.values[ACTIVE][:96].tolist() == true[:96].tolist()
    late = slice(4 * 96, 6 * 96)
    assert (rows.captured[late] == rows.stamps[late] - seconds).all()
    assert rows.values[ACTIVE][late].tolist() != true[late].tolist()
    daily = stored.daily_registers(broken)
    edges = np.diff(daily.values[ACTIVE])
    assert edges.tolist() == rows.values[ACTIVE].reshape(-1, 96).sum(axis=1).tolist()
    offsets = [broken.clock_offset(int(t)) for t in rows.captured]
    assert np.abs(rows.captured + offsets - rows.stamps).max() <= 1


def test_present_values_fit_together() -> None:
    now = START + 40 * 900 + 5
    values = meter().present(now)
    assert values["active_power_import"] == meter().true_intervals(ACTIVE)[40] * 4
    watts = values["voltage_l1"] * values["current_l1"] / 10_000
    assert watts == pytest.approx(values["active_power_import"], abs=1)
    assert meter().present(END + 1)["active_power_import"] == 0
