"""The tables of facts agree with the types that read them and with each other."""

from decimal import Decimal
from typing import get_args

import numpy as np
import pytest

from schemas import facts, quality, reading_type
from schemas.quality import QualityClass


def test_reading_types_hold_only_the_words_of_their_type() -> None:
    for kind in reading_type.table().values():
        assert kind.commodity in get_args(reading_type.Commodity)
        assert kind.accumulation in get_args(reading_type.Accumulation)
        assert kind.description_en
        assert kind.description_ar


def test_every_interval_type_names_a_register_of_the_same_unit() -> None:
    intervals = [t for t in reading_type.table().values() if t.accumulation == "delta"]
    assert intervals
    for kind in intervals:
        register = reading_type.named(kind.cumulative or "")
        assert register.accumulation == "cumulative"
        assert register.unit == kind.unit
        assert reading_type.interval_of(register.name) == kind


def test_numbers_and_obis_codes_lead_back_to_the_type() -> None:
    for kind in reading_type.table().values():
        assert reading_type.of_id(kind.id) is kind
        assert reading_type.of_obis(kind.obis) is kind


def test_a_value_is_shown_in_its_display_unit_exactly() -> None:
    assert reading_type.named("active_energy_import").shown(123_456) == Decimal("123.456")
    assert reading_type.named("voltage_l1").shown(2304) == Decimal("230.4")


def test_an_unknown_reading_type_is_told_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="active_energy_import"):
        reading_type.named("energy")


def test_every_constant_stands_in_the_table_of_quality_codes() -> None:
    rows = {int(row["code"]): row["name"] for row in facts.rows("quality_codes.csv")}
    constants = {
        value: name.lower()
        for name, value in vars(quality).items()
        if name.isupper() and isinstance(value, int) and name != "AEMO_BASE"
    }
    assert constants == rows


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (quality.VALID, QualityClass.VALID),
        (quality.SUSPECT, QualityClass.QUESTIONABLE),
        (quality.MISSING, QualityClass.MISSING),
        (quality.ESTIMATED_LINEAR, QualityClass.ESTIMATED),
        (quality.EDITED, QualityClass.EDITED),
        (quality.aemo("A"), QualityClass.VALID),
        (quality.aemo("S", 14), QualityClass.ESTIMATED),
        (quality.aemo("N"), QualityClass.MISSING),
        (999, QualityClass.QUESTIONABLE),
    ],
)
def test_classes(code: int, expected: QualityClass) -> None:
    assert quality.classes(np.array([code], np.int16))[0] == expected


@pytest.mark.parametrize("flag", quality.AEMO_FLAGS)
@pytest.mark.parametrize("method", [0, 11, 75])
def test_aemo_flags_and_methods_come_back_as_they_were(flag: str, method: int) -> None:
    text = flag + (f"{method:02d}" if method else "")
    assert quality.aemo_of(quality.aemo(flag, method)) == text


@pytest.mark.parametrize(("flag", "method"), [("X", 0), ("", 0), ("AE", 0), ("S", 100), ("S", -1)])
def test_what_is_not_aemo_is_refused(flag: str, method: int) -> None:
    with pytest.raises(ValueError, match="not an AEMO"):
        quality.aemo(flag, method)
