"""True load: exact, repeatable, and really the real data."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import load_curve
from simulators.load_curve import Load


def _load(**changes: object) -> Load:
    usual: dict[str, object] = {
        "key": "1/M1",
        "curve": "uk_hourly",
        "mean": 1000,
        "mix": 1,
        "start": 0,
        "start_weekday": 0,
        "slots": 96 * 14,
    }
    return Load(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "weeks", "first_hours"),
    # The first hours as the source has them: kWh × 1000, half hours added.
    [
        ("uk_hourly", 40, [61, 51, 52]),
        ("uk_half_hourly", 20, [2630, 1111, 579]),
        ("il_cooling", 20, [110, 260, 420]),
    ],
)
def test_curves_are_whole_weeks_of_real_hours(
    name: str, weeks: int, first_hours: list[int]
) -> None:
    hours = load_curve.curve(name)
    assert len(hours) == weeks * 168
    assert hours[:3].tolist() == first_hours
    assert hours.min() >= 0


def test_unknown_curve_says_what_is_known() -> None:
    with pytest.raises(KeyError, match="uk_hourly"):
        load_curve.curve("moon")


@given(
    mean=st.integers(1, 100_000),
    mix=st.integers(1, 20),
    resolution=st.sampled_from([1, 10, 1000]),
    curve=st.sampled_from(["uk_hourly", "uk_half_hourly", "il_cooling"]),
)
def test_quarters_sum_to_the_hour_exactly(mean: int, mix: int, resolution: int, curve: str) -> None:
    load = _load(mean=mean, mix=mix, resolution=resolution, curve=curve)
    hours = load.active.reshape(-1, 4).sum(axis=1)
    assert hours.tolist() == (load._hours * resolution).tolist()
    assert (load.active % resolution == 0).all()
    assert (load.active >= 0).all()
    assert (load.reactive <= load.active.reshape(-1, 4).sum(axis=1).max()).all()


def test_mean_is_what_was_asked() -> None:
    year = _load(mean=2500, mix=8, slots=96 * 7 * 40)
    assert year.active.sum() / (7 * 24 * 40) == pytest.approx(2500, rel=0.02)


def test_shape_follows_the_source() -> None:
    whole = _load(slots=96 * 7 * 40)
    hours = whole.active.reshape(-1, 4).sum(axis=1)
    source = load_curve.curve("uk_hourly")
    best = max(np.corrcoef(hours, np.roll(source, -168 * week))[0, 1] for week in range(40))
    assert best > 0.95


def test_same_key_gives_the_same_bytes_for_ever() -> None:
    """Written down once: no version of numpy and no machine may change it."""
    load = _load(slots=96 * 7)
    digest = hashlib.sha256(load.active.astype("<i8").tobytes() + load.reactive.tobytes())
    assert digest.hexdigest()[:16] == "e5cf7704d67186df"
    assert load_curve.draws("a", 1, count=3).tolist() == [
        16205374486530016054,
        16758832216327469529,
        9262994402352334141,
    ]
    assert not np.array_equal(load.active, _load(key="1/M2", slots=96 * 7).active)


def test_longer_loads_start_with_the_shorter() -> None:
    short, long = _load(slots=96), _load(slots=96 * 30)
    assert long.active[:96].tolist() == short.active.tolist()


def test_water_stands_still_at_night_and_electricity_does_not() -> None:
    water, power = _load(water=True, mean=60), _load(mean=600)
    quiet = (water.active.reshape(-1, 4).sum(axis=1) == 0).mean()
    assert 0.2 < quiet < 0.5
    assert (power.active.reshape(-1, 4).sum(axis=1) == 0).mean() < 0.01
