"""Gates by hand: each just within its limit and just over it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given

from mdm import calendar_file, cycle_days, cycle_gates, tariff_file
from mdm.cycle_days import Days
from mdm.cycle_gates import Beside, Former
from mdm.determinants import batch as batches
from mdm.determinants.batch import Batch
from mdm.determinants.composition import Result
from mdm.tariff import Tariff, TariffError
from schemas import quality
from schemas.assets import Channel
from tests.mdm.test_daily import summed
from tests.mdm.test_determinants import blocks, days
from tests.mdm.test_determinants_batch import BRITISH, LONDON, POWER, TARIFF, joined, span
from tests.mdm.test_determinants_pages import towns

# Ten days across the day of 25 hours.
PERIOD = days(date(2026, 10, 20), 10, LONDON)
LENGTHS = [100 if n == 5 else 96 for n in range(10)]
SLOTS = sum(LENGTHS)


def gated(gates: str) -> Tariff:
    """Give the British tariff with other gates."""
    (made,) = tariff_file.parse(TARIFF.replace("missing = 1", gates), "gated.toml")
    return made


def codes_of_days(**kinds: int) -> list[int]:
    """Give every slot's code; ``d3`` gives that of the fourth day's slots."""
    return [kinds.get(f"d{n}", 0) for n, length in enumerate(LENGTHS) for _ in range(length)]


def looked_at(codes: list[int], *, gates: str = "missing = 100") -> tuple[Batch, Result]:
    tariff = gated(gates)
    values = [0 if code == quality.MISSING else 100 for code in codes]
    table = blocks(7, PERIOD, LONDON, 900, values, codes=codes)
    batch = Batch(
        tariff=tariff, calendar=calendar_file.named("london"), zone=LONDON, period=PERIOD,
        usage_points=[1], channels={1: [Channel(7, 1, POWER, 900)]},
        spans={1: [span(PERIOD, 0, 100 * SLOTS)]}, blocks=table,
    )  # fmt: skip
    return batch, batches.results(batch)[1]


def test_days_by_hand() -> None:
    kinds = {
        "d1": quality.ESTIMATED_LIKE_DAY, "d2": quality.MISSING, "d4": quality.MISSING,
        "d5": quality.EDITED, "d6": quality.SUSPECT, "d8": quality.CLOCK_SHIFTED,
    }  # fmt: skip
    batch, _ = looked_at(codes_of_days(**kinds))
    # Estimated, missing, edited and doubtful days measured nothing; a shifted clock measured.
    # Days 1–2 make two, days 4–6 three; days 2 and 4 are not known.
    assert cycle_days.seen(batch) == {1: Days(10, 8, 5, 3, 0)}
    assert cycle_days.seen(batch, [1]) == {1: Days(10, 8, 5, 3, SLOTS)}


@given(town=towns())
def test_days_that_were_summed_beforehand_say_the_same(town: Batch) -> None:
    assert cycle_days.seen(summed(town)) == cycle_days.seen(town)
    unseen = np.unique(town.blocks.provenance_id).tolist()
    assert cycle_days.seen(summed(town), unseen) == cycle_days.seen(town, unseen)


@pytest.mark.parametrize(("known", "covered"), [(50, 9), (51, 10)])
def test_a_day_is_covered_when_more_than_half_is_known(known: int, covered: int) -> None:
    codes = codes_of_days()
    first = sum(LENGTHS[:5])  # the day of 100 slots
    codes[first + known : first + 100] = [quality.MISSING] * (100 - known)
    batch, _ = looked_at(codes)
    assert cycle_days.seen(batch)[1].covered == covered


def test_days_before_the_meter_came_are_not_expected() -> None:
    batch, _ = looked_at(codes_of_days(d0=quality.MISSING, d1=quality.MISSING, d3=quality.MISSING))
    came = int((PERIOD.start + timedelta(days=2)).timestamp())
    late = span(PERIOD, 0, 1, cut=(came, int(PERIOD.end.timestamp())))
    assert cycle_days.seen(replace(batch, spans={1: [late]}))[1] == Days(8, 7, 1, 1, 0)
    two = joined(batch.blocks, batch.blocks)
    assert cycle_days.seen(replace(batch, blocks=two, usage_points=[2, 1]))[1].expected == 10


@pytest.mark.parametrize(
    ("gates", "passes", "fails"),
    [
        ("days_without_actuals = 4", Days(30, 30, 4, 2, 0), Days(30, 30, 5, 2, 0)),
        ("consecutive_days_without_actuals = 2", Days(30, 30, 9, 2, 0), Days(30, 30, 9, 3, 0)),
        ("days_covered = 90", Days(30, 27, 0, 0, 0), Days(30, 26, 0, 0, 0)),
        ("not_validated = 0", Days(30, 30, 0, 0, 0), Days(30, 30, 0, 0, 1)),
        # 964 intervals: 1 % are 9.64, 2.5 % are 24.1.
        ("accepted = 1", Days(accepted=9), Days(accepted=10)),
        ("unscaled = 2.5", Days(unscaled=24), Days(unscaled=25)),
        ("warned = 0", Days(warned=0), Days(warned=1)),
        # opendsm: at least 10 % unique values.
        ("unique_values = 10", Days(known=960, unique=96), Days(known=960, unique=95)),
    ],
)
def test_gates_on_days(gates: str, passes: Days, fails: Days) -> None:
    batch, result = looked_at(codes_of_days(), gates=gates)
    assert cycle_gates.holds(batch.tariff, result, Beside(days=passes)) == ()
    (hold,) = cycle_gates.holds(batch.tariff, result, Beside(days=fails))
    assert hold.gate == gates.split(" =", maxsplit=1)[0]
    # Without what it looks at, a gate holds nothing.
    assert cycle_gates.holds(batch.tariff, result) == ()


@pytest.mark.parametrize(("length", "held"), [(24, True), (25, False), (70, False), (71, True)])
def test_the_length_of_the_period(length: int, held: bool) -> None:
    batch, result = looked_at(codes_of_days(), gates="period_days = [25, 70]")
    holds = cycle_gates.holds(batch.tariff, result, Beside(local_days=length))
    assert [hold.gate for hold in holds] == (["period_days"] if held else [])


USAGE = """usage = { against = ["last_year", "last_period"], low = 50, high = 200, smallest = 1,
not_actual = 30 }"""
# 96.4 kWh in ten days and an hour (the period has 25 hours on one day): 9.6 kWh a day.
WEEK = 7 * 86400


@pytest.mark.parametrize(
    ("former", "gates"),
    [
        ({}, []),
        ({"last_period": (Decimal("67.2"), "kWh", WEEK, 0)}, []),  # 9.6 a day
        ({"last_period": (Decimal("134.4"), "kWh", WEEK, 0)}, []),  # half of it: not below 50 %
        ({"last_period": (Decimal("134.5"), "kWh", WEEK, 0)}, ["low"]),
        ({"last_period": (Decimal("33.6"), "kWh", WEEK, 0)}, []),  # twice as much
        ({"last_period": (Decimal("33.5"), "kWh", WEEK, 0)}, ["high"]),
        # Last year comes first and says that it is usual.
        ({"last_period": (Decimal(1), "kWh", WEEK, 0),
          "last_year": (Decimal("67.2"), "kWh", WEEK, 0)}, []),
        # Unless too much of it was not actual.
        ({"last_period": (Decimal(1), "kWh", WEEK, 0),
          "last_year": (Decimal("67.2"), "kWh", WEEK, 31)}, ["high"]),
        # Another unit cannot be compared.
        ({"last_year": (Decimal(1), "MWh", WEEK, 0)}, []),
    ],
)  # fmt: skip
def test_high_and_low(former: dict[str, tuple[Decimal, str, int, int]], gates: list[str]) -> None:
    batch, result = looked_at(codes_of_days(), gates=USAGE.replace("\n", " "))
    before = {name: Former(v, u, s, Decimal(p)) for name, (v, u, s, p) in former.items()}
    seconds = int(PERIOD.duration.total_seconds())
    beside = Beside(seconds, 10, None, before)  # type: ignore[arg-type]
    assert [hold.gate for hold in cycle_gates.holds(batch.tariff, result, beside)] == gates


def test_a_small_difference_is_neither_high_nor_low() -> None:
    batch, result = looked_at(
        codes_of_days(), gates=USAGE.replace("smallest = 1", "smallest = 9").replace("\n", " ")
    )
    seconds = int(PERIOD.duration.total_seconds())
    little = Former(Decimal(7), "kWh", WEEK, Decimal(0))
    beside = Beside(seconds, 10, None, {"last_year": little})
    assert cycle_gates.holds(batch.tariff, result, beside) == ()


def test_what_has_registers_only_is_not_looked_at_by_intervals() -> None:
    gates = "registers_only = true\nmissing = 1\ndays_without_actuals = 0"
    batch, result = looked_at([quality.MISSING] * SLOTS, gates=gates)
    empty = Days(expected=10, without_actuals=10, longest=10)
    for registers_only in (False, True):
        beside, held = Beside(days=empty, registers_only=registers_only), not registers_only
        holds = cycle_gates.holds(batch.tariff, result, beside)
        assert [hold.gate for hold in holds] == ["missing", "days_without_actuals"] * held
        assert cycle_gates.complete(result, beside) is not held


def test_single_determinants_have_limits_of_their_own() -> None:
    codes = codes_of_days()
    # Ten of the night's 288 slots: 1 % of all 964, 3.5 % of the night's.
    codes[4:14] = [quality.ESTIMATED_LINEAR] * 10
    gates = "determinants = { time_of_use_consumption = { estimated = 2 } }"
    batch, result = looked_at(codes, gates=gates)
    (hold,) = cycle_gates.holds(batch.tariff, result)
    assert hold.gate == "determinant_quality"
    assert hold.detail == (
        "time_of_use_consumption night: 10 of 284 are estimated, at most 2 % may be"
    )


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ("days_without_actuals = 1.5", "must be a number of days"),
        ("period_days = [70, 25]", "70 is more than 25"),
        ("period_days = 30", r"must be \[shortest, longest\]"),
        ("days_covered = 101", "percentage from 0 to 100"),
        ("usage = { against = ['yesterday'], low = 1 }", "last_year or last_period"),
        ("usage = { against = ['last_year'] }", "needs low, high or both"),
        ("usage = { against = ['last_year'], low = 50, high = 50 }", "low must be below high"),
        ("usage = { against = ['last_year'], low = nan }", "InvalidOperation"),
        ("usage = { against = ['last_year'], lower = 5 }", "unknown key 'lower'"),
        ("determinants = { block_demand = { odd = 1 } }", "unknown 'odd'"),
        ("determinants = { reactive = { missing = 1 } }", "'reactive', which the tariff does"),
        ("registers_only = 1", "must be true or false, not 1"),
        ("weird = 3", "unknown gate 'weird'"),
    ],
)
def test_wrong_gates_are_named(gates: str, message: str) -> None:
    with pytest.raises(TariffError, match=message):
        gated(gates)


def test_a_tariff_that_was_kept_before_there_were_more_gates_is_the_same() -> None:
    again = tariff_file.restored(BRITISH.definition)
    assert (again.digest, again.gates.usage, again.wait_days) == (BRITISH.digest, None, None)
