"""Transformer ratios of DLMS meters: worked by hand, and whatever comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import ratios
from schemas import quality

CURRENT, VOLTAGE = ratios.OBJECTS
ABOVE, BELOW = ratios.OBJECTS[CURRENT]


@pytest.mark.parametrize(
    ("numerator", "denominator", "thousandths"),
    [
        (200, 5, 40_000),  # a transformer of 200 A to 5 A
        (40, None, 40_000),  # some meters have the quotient alone
        (40, 1, 40_000),
        (40, 0, 40_000),
        (100, 3, 33_333),
        (20_000, 110, 181_818),  # 20 kV to 110 V: 181.8182
    ],
)
def test_the_ratio_is_numerator_by_denominator(
    numerator: int, denominator: int | None, thousandths: int
) -> None:
    values: dict[Any, Any] = {ABOVE: numerator}
    if denominator is not None:
        values[BELOW] = denominator
    assert ratios.scaled(CURRENT, values) == (thousandths, quality.VALID)


def test_a_meter_without_the_object_has_none() -> None:
    assert ratios.scaled(VOLTAGE, {ABOVE: 200, BELOW: 5}) is None


def test_both_objects_of_a_ratio_are_asked_for_and_none_of_other_registers() -> None:
    asked = [str(one.name) for one in ratios.attributes(["active_energy_import", CURRENT])]
    assert asked == ["1.0.0.4.2.255", "1.0.0.4.5.255"]


_ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=4) | st.text()


@given(_ANY, _ANY)
def test_whatever_a_meter_says_is_a_ratio_or_in_doubt(numerator: object, below: object) -> None:
    values: dict[Any, Any] = {ABOVE: numerator, BELOW: below}
    found = ratios.scaled(CURRENT, values)
    assert found is not None
    value, code = found
    assert code in (quality.VALID, quality.METER_DOUBTS, quality.OVERFLOW)
    assert value >= 0
