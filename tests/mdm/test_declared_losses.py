"""Loss factors on demand, worked by hand: AEMO's practice, metered × DLF × MLF, of the day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.determinants.facts import Facts
from mdm.determinants.rounding import Rounding
from mdm.tariff import Tariff
from tests.mdm.declaring import IMPORT, JUNE, LONDON, REACTIVE, batch, figures, lines
from tests.mdm.declaring import tariff as made
from tests.mdm.test_determinants import days

TWO = days(JUNE, 2, LONDON)
START = int(TWO.start.timestamp())
LLF = '[[tariff.loss]]\nname = "LLF"\neffective_from = {}\nfactor = {}\n'
RISING = LLF.format("2025-07-01", "1.05") + LLF.format("2026-06-02", "1.06")


def lossy(kind: str, *keys: str, factors: str = RISING) -> Tariff:
    declared = ["[[tariff.determinant]]", f'kind = "{kind}"', 'losses = ["LLF"]', *keys]
    return made("\n".join([*declared, factors]))


def values(first: dict[int, int], second: dict[int, int] | None = None) -> list[int]:
    """Give two days of half hours [Wh]."""
    found = [0] * 96
    for day, some in enumerate((first, second or {})):
        for slot, value in some.items():
            found[48 * day + slot] = value
    return found


def test_the_highest_is_that_of_the_network() -> None:
    # 900 Wh × 1.05 = 945 on the first day, 895 × 1.06 = 948.7 on the second: 1.8974 kW.
    taken = {IMPORT: values({20: 900}, {20: 895})}
    found = lines(batch(lossy("peak_demand"), TWO, taken))["peak_demand", ""]
    assert (str(found.value), found.starts_at) == ("1.897", START + 86_400 + 20 * 1800)
    two = figures(batch(lossy("peak_demand", "count = 2"), TWO, taken))
    # The mean of 1.8974 and 1.89 kW is 1.8937.
    assert [two["peak_demand", part] for part in ("1", "2", "mean")] == ["1.897", "1.890", "1.894"]


def test_a_window_over_midnight_has_each_days_own_factor() -> None:
    # 500 × 1.05 + 500 × 1.06 = 1055 Wh in an hour.
    of = lossy("peak_demand", "window_minutes = 60", "step_minutes = 30")
    found = lines(batch(of, TWO, {IMPORT: values({47: 500}, {0: 500})}))["peak_demand", ""]
    assert (str(found.value), found.starts_at) == ("1.055", START + 47 * 1800)


def test_the_lowest() -> None:
    # 100 × 1.06 = 106 Wh are more than 100 × 1.05 = 105: 0.210 kW.
    taken = {IMPORT: [100] * 96}
    assert figures(batch(lossy("minimum_demand"), TWO, taken)) == {("minimum_demand", ""): "0.210"}


def test_apparent_demand() -> None:
    # 300 Wh and 400 varh are 500 VAh, × 1.05 = 525 in half an hour.
    flows = {IMPORT: values({10: 300}), REACTIVE: values({10: 400})}
    of = lossy("apparent_demand", f'reactive = "{REACTIVE}"')
    found = lines(batch(of, TWO, flows))["apparent_demand", ""]
    assert (str(found.value), found.unit) == ("1.050", "kVA")


def test_demand_at_the_groups_peak() -> None:
    facts = Facts(peaks={"coincident_demand/": (START + 36 * 1800,)})
    of = lossy("coincident_demand", 'peak_of = "billing_group"')
    taken = {IMPORT: values({20: 900, 36: 300})}
    # 300 × 1.05 = 315 Wh in half an hour.
    assert figures(batch(of, TWO, taken, facts=facts)) == {("coincident_demand", ""): "0.630"}


def test_adjusted_and_billed_demand_rest_on_it() -> None:
    # 480 Wh and 360 varh: power factor 0.8. 480 × 1.05 ÷ 0.5 h × 0.9 ÷ 0.8 = 1.134 kW.
    flows = {IMPORT: values({10: 480}), REACTIVE: values({10: 360})}
    keys = (f'reactive = "{REACTIVE}"', "power_factor = 0.9")
    assert figures(batch(lossy("adjusted_demand", *keys), TWO, flows)) == {
        ("adjusted_demand", ""): "1.134"
    }
    of = lossy("billed_demand", *keys, 'basis = "adjusted"', "minimum = 1")
    assert figures(batch(of, TWO, flows)) == {
        ("billed_demand", ""): "1.134",
        ("billed_demand", "measured"): "1.134",
    }


def test_a_usage_point_has_its_own_factor_or_none() -> None:
    of = lossy("peak_demand", factors='[[tariff.loss]]\nname = "LLF"\n')
    taken = {IMPORT: values({20: 900})}
    own = Facts(losses={"LLF": ((date(2026, 1, 1), Decimal("1.1")),)})
    assert figures(batch(of, TWO, taken, facts=own)) == {("peak_demand", ""): "1.980"}
    lacking = lines(batch(of, TWO, taken))["peak_demand", ""]
    assert (lacking.value, lacking.note) == (None, "there is no loss factor LLF on 2026-06-01")


def test_a_power_factor_has_no_losses() -> None:
    with pytest.raises(ValueError, match="power_factor has no key 'losses'"):
        lossy("power_factor", f'reactive = "{REACTIVE}"')


@settings(max_examples=30, deadline=None)
@given(
    taken=st.lists(st.integers(0, 2**31 - 1), min_size=96, max_size=96),
    factors=st.lists(st.decimals("0.000001", "9.999999", places=6), min_size=3, max_size=3),
)
def test_constant_factors_multiply_the_demand_exactly(
    taken: list[int], factors: list[Decimal]
) -> None:
    names = [f"L{number}" for number in range(len(factors))]
    losses = "".join(
        f'[[tariff.loss]]\nname = "{name}"\neffective_from = 2020-01-01\nfactor = {factor}\n'
        for name, factor in zip(names, factors, strict=True)
    )
    of = made(f'[[tariff.determinant]]\nkind = "peak_demand"\nlosses = {names}\n{losses}')
    product = Fraction(1)
    for factor in factors:
        product *= Fraction(factor)
    exact = max(taken) * product * 2 / 1000
    expected = Rounding(3).of(exact.numerator, exact.denominator)
    assert figures(batch(of, TWO, {IMPORT: taken}))["peak_demand", ""] == str(expected)
