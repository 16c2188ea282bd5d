"""Pages of many usage points at once say what is composed for one, to the last bit."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm import calendar_file, tariff_file
from mdm.determinants import batch as batches
from mdm.determinants import composition, determinant, pages
from mdm.determinants.batch import Batch
from mdm.determinants.pages import Page
from mdm.tariff import Tariff
from schemas import quality
from schemas.assets import Channel
from tests.mdm.test_determinants import blocks, days
from tests.mdm.test_determinants_batch import LONDON, POWER, joined

CODES = (quality.VALID, quality.SUSPECT, quality.MISSING, quality.ESTIMATED, quality.EDITED)
TEXT = """
[[tariff]]
name = "plain"
commodity = "electricity"
effective_from = 2020-01-01
calendar = "london"
interval = "active_energy_import_interval"
sources = ["interval"]
unit = "{unit}"
determinants = ["consumption", "interval_consumption", "time_of_use_consumption", "block_demand",
  "rolling_demand", "load_factor"]
[tariff.rounding]
quantity = {{ places = {places}, mode = "{mode}" }}
demand = {{ places = 2, mode = "{mode}" }}
ratio = {{ places = 3, mode = "{mode}" }}
[tariff.demand]
block_minutes = 60
rolling_minutes = [30, 120]
"""


def tariff(unit: str = "kWh", places: int = 1, mode: str = "half_up") -> Tariff:
    text = TEXT.format(unit=unit, places=places, mode=mode)
    return tariff_file.parse(text, "plain.toml")[0]


@st.composite
def towns(draw: st.DrawFn) -> Batch:
    """Some usage points' days, one of them with a change of clocks; a few slots are not valid."""
    period = days(draw(st.sampled_from([date(2026, 3, 28), date(2026, 10, 24)])), 2, LONDON)
    slots = int(period.duration.total_seconds()) // 1800
    tables = []
    for channel in range(1, draw(st.integers(1, 4)) + 1):
        scale = draw(st.sampled_from([0, 1, 3, 400, 20_000_000]))
        seed = draw(st.integers(0, 9))
        values = np.random.default_rng(seed).integers(0, 7, slots) * scale
        values[0] = draw(st.sampled_from([values[0], -5]))
        codes = np.zeros(slots, np.int16)
        for slot in draw(st.lists(st.integers(0, slots - 1), max_size=3)):
            codes[slot] = draw(st.sampled_from(CODES))
        values[codes == quality.MISSING] = 0
        tables.append(blocks(channel, period, LONDON, 1800, values.tolist(), codes=codes.tolist()))
    points = list(range(1, len(tables) + 2))
    made = tariff(
        draw(st.sampled_from(["Wh", "kWh", "MWh"])),
        draw(st.sampled_from([0, 1, 3, 6])),
        draw(st.sampled_from(["half_up", "half_even", "down"])),
    )
    return Batch(
        tariff=made,
        calendar=calendar_file.named("london"),
        zone=LONDON,
        period=period,
        usage_points=points,
        channels={point: [Channel(point, point, POWER, 1800)] for point in points},
        spans={},
        blocks=joined(*tables),
    )


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


def test_whole_usage_points_have_pages_and_others_have_not() -> None:
    period = days(date(2026, 6, 1), 1, LONDON)
    holed = [quality.MISSING, *[quality.VALID] * 47]
    town = Batch(
        tariff=tariff(),
        calendar=calendar_file.named("london"),
        zone=LONDON,
        period=period,
        usage_points=[1, 2, 3],
        channels={point: [Channel(point, point, POWER, 1800)] for point in (1, 2, 3)},
        spans={},
        blocks=joined(
            blocks(1, period, LONDON, 1800, [500] * 48),
            blocks(2, period, LONDON, 1800, [0, *[500] * 47], codes=holed),
            blocks(3, period, LONDON, 1800, [0] * 48),
        ),
    )
    found = batches.results(town)
    # The second misses an interval, the third has no demand that a load factor could be of.
    assert [point for point, result in found.items() if isinstance(result.determinants, Page)] == [
        1
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[tariff.demand]", "[tariff.gates]\nmissing = 1\n[tariff.demand]\nnovel = 3"),
        ("places = 1,", "places = 7,"),
    ],
)
def test_what_pages_do_not_know_is_composed(old: str, new: str) -> None:
    assert pages.serves(tariff())
    text = TEXT.format(unit="kWh", places=1, mode="down").replace(old, new)
    assert not pages.serves(tariff_file.parse(text, "novel.toml")[0])
