"""Tariffs: what comes with the program, effective dates, clear errors."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mdm import calendar_file, tariff_file
from mdm.determinants.rounding import UNITS, Rounding
from mdm.tariff import TariffError, collected
from schemas import facts, reading_type

JUNE = date(2026, 6, 1)

MINIMAL = """
[terms.power]
commodity = "electricity"
calendar = "london"
register = "active_energy_import"
interval = "active_energy_import_interval"
sources = ["register", "interval"]
unit = "kWh"
determinants = ["consumption", "block_demand"]
demand = { block_minutes = 30, rolling_minutes = [15] }
gates = { missing = 0.5 }
[terms.power.rounding]
quantity = { places = 3 }
demand = { places = 2, mode = "down" }
ratio = { places = 4 }

[[tariff]]
name = "house"
effective_from = 2020-01-01
terms = "power"
"""


def test_every_sector_of_kuwait_has_electricity_and_water() -> None:
    tariffs = tariff_file.standing()
    for sector in facts.rows("sectors.csv"):
        for commodity, unit in (("electricity", "kWh"), ("water", "1000 imperial gallons")):
            tariff = tariffs.on(f"kw-{sector['code']}", commodity, JUNE)
            assert tariff.unit == unit
            assert calendar_file.named(tariff.calendar).on(JUNE)


def test_kuwait_begins_on_the_published_days() -> None:
    tariffs = tariff_file.standing()
    begins = {
        "investment": date(2017, 8, 22),
        "commercial": date(2017, 5, 22),
        "government": date(2017, 5, 22),
        "industrial": date(2017, 11, 22),
        "agricultural": date(2017, 11, 22),
        "chalet": date(2018, 2, 22),
    }
    for sector, day in begins.items():
        assert tariffs.on(f"kw-{sector}", "electricity", JUNE).effective_from == day


def test_a_tariff_can_be_made_again_from_its_definition() -> None:
    for versions in tariff_file.standing().by_key.values():
        for tariff in versions:
            assert tariff_file.restored(tariff.definition) == tariff
            assert len(tariff.digest) == 64


def test_terms_are_shared_and_replaced() -> None:
    text = MINIMAL + '\n[[tariff]]\nname = "shop"\neffective_from = 2021-01-01\nterms = "power"\n'
    house, shop = tariff_file.parse(text + 'unit = "MWh"\n', "tariffs.toml")
    assert (house.unit, shop.unit) == ("kWh", "MWh")
    assert (shop.block_seconds, shop.rolling_seconds) == (1800, (900,))
    assert shop.demand_rounding == Rounding(2, "down")
    assert shop.gates.missing == Decimal("0.5")
    assert shop.gates.estimated is None


def test_the_version_in_force_is_found() -> None:
    later = MINIMAL[MINIMAL.index("[[tariff]]") :].replace("2020-01-01", "2026-06-01")
    tariffs = collected(tariff_file.parse(MINIMAL + later + 'unit = "MWh"\n', "tariffs.toml"))
    assert tariffs.on("house", "electricity", date(2026, 5, 31)).unit == "kWh"
    assert tariffs.on("house", "electricity", date(2026, 6, 1)).unit == "MWh"
    with pytest.raises(TariffError, match="begins on 2020-01-01, after 2019-12-31"):
        tariffs.on("house", "electricity", date(2019, 12, 31))
    with pytest.raises(TariffError, match="no tariff 'barn' for electricity; known: house"):
        tariffs.on("barn", "electricity", JUNE)


def test_the_same_day_twice_is_refused() -> None:
    twice = MINIMAL + MINIMAL[MINIMAL.index("[[tariff]]") :]
    with pytest.raises(TariffError, match=r"house .* is there twice"):
        collected(tariff_file.parse(twice, "tariffs.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('terms = "power"', 'terms = "gas"', "no [terms.gas]; known: power"),
        ('unit = "kWh"', 'unit = "m³"', "Wh cannot be billed in 'm³'; known: Wh, kWh, MWh"),
        ('unit = "kWh"', 'unit = "kWh"\nprice = 2', "unknown key 'price'"),
        ('"consumption", ', '"consumptoin", ', "no determinant 'consumptoin'"),
        ("missing = 0.5", "mising = 0.5", "unknown gate 'mising'"),
        ("missing = 0.5", "missing = 101", "a percentage from 0 to 100"),
        ("places = 3", "places = -1", "places 0 … 9"),
        ('mode = "down"', 'mode = "up"', "a mode of half_up"),
        ('register = "active_energy_import"\n', "", "there is no register reading type"),
        ('"active_energy_import"', '"water_volume"', "no cumulative electricity reading type"),
        ('commodity = "electricity"', 'commodity = "steam"', "one of electricity, water, gas"),
        ('sources = ["register", "interval"]', "sources = []", "must list register"),
        ("block_minutes = 30", "block_minutes = 0", "longer than 0 minutes"),
        ("effective_from = 2020-01-01\n", "", "'effective_from' is missing"),
        ("[[tariff]]", "[[tariff]", "tariffs.toml: "),
    ],
)
def test_errors_say_what_and_where(old: str, new: str, message: str) -> None:
    with pytest.raises(TariffError, match=r"tariffs\.toml") as caught:
        tariff_file.parse(MINIMAL.replace(old, new), "tariffs.toml")
    assert message in str(caught.value)


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINIMAL, "utf-8")
    assert tariff_file.load(tmp_path).on("house", "electricity", JUNE).unit == "kWh"


def test_units_are_those_of_reading_types() -> None:
    stored = {kind.unit for kind in reading_type.table().values()}
    assert UNITS.keys() <= stored


def test_a_gallon_is_exact() -> None:
    # 4 546.09 L is a thousand imperial gallons; 1 000 L is 219.969 248 3 gallons.
    numerator, denominator = UNITS["L"]["1000 imperial gallons"]
    assert Rounding(6).of(454_609 * numerator, denominator) == 100
    numerator, denominator = UNITS["L"]["imperial gallon"]
    assert str(Rounding(7).of(1000 * numerator, denominator)) == "219.9692483"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("half_up", ["0.3", "-0.3", "0.3", "0.4", "0.2"]),
        ("half_even", ["0.2", "-0.2", "0.3", "0.4", "0.2"]),
        ("down", ["0.2", "-0.2", "0.2", "0.3", "0.2"]),
    ],
)
def test_rounding_by_hand(mode: str, expected: list[str]) -> None:
    rounding = Rounding(1, mode)  # type: ignore[arg-type]
    values = [(1, 4), (-1, 4), (26, 100), (35, 100), (24, 100)]
    assert [str(rounding.of(*value)) for value in values] == expected


def test_shares_sum_to_the_rounded_total() -> None:
    # Three thirds of 1 to one decimal: 0.333 each; the first gets what is left.
    assert [str(v) for v in Rounding(1).shares([1, 1, 1], 3)] == ["0.4", "0.3", "0.3"]
    # 0.25 + 0.26 + 0.49 = 1.00: remainders 5, 6, 9; two tenths are left, for 0.49 and 0.26.
    assert [str(v) for v in Rounding(1).shares([25, 26, 49], 100)] == ["0.2", "0.3", "0.5"]
