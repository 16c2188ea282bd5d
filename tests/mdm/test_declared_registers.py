"""Registers by time of use: golden cases with exchange, rollover, multiplier, and the sum check."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from mdm import cycle_gates
from mdm.determinants import batch as batches
from mdm.determinants.determinant import Counts
from mdm.determinants.registers import Reading, Span, Stretch
from schemas import quality
from tests.mdm.declaring import IMPORT, JUNE, LONDON, batch, lines, one
from tests.mdm.test_determinants import days

PERIOD = days(JUNE, 2, LONDON)
START, END = int(PERIOD.start.timestamp()), int(PERIOD.end.timestamp())
T1, T2, TOTAL = "active_energy_import_t1", "active_energy_import_t2", "active_energy_import"
OF = one(
    "time_of_use_register",
    f'registers = {{ day = "{T1}", night = "{T2}" }}',
    f'total = "{TOTAL}"',
)


def span(first: int, last: int, *, multiplier: str = "1", at: tuple[int, int] = (START, END),
         read: tuple[int, int] | None = None, number: int = 1) -> Span:  # fmt: skip
    stretch = Stretch(number, 9, f"M-{number}", 900, Decimal(multiplier), 100_000, *at)
    since, until = read or at
    return Span(
        stretch,
        Reading(since, 1, first, quality.VALID),
        Reading(until, 1, last, quality.VALID),
    )


def test_registers_by_period_and_their_sum() -> None:
    # Day rolls over five dials: 99,500 → 400 is 900; × 40 = 36 kWh. Night 250 × 40 = 10 kWh.
    dials = {
        T1: [span(99_500, 400, multiplier="40")],
        T2: [span(1_000, 1_250, multiplier="40")],
    }
    total = [span(50_000, 51_150, multiplier="40")]
    found = lines(batch(OF, PERIOD, {IMPORT: [0] * 96}, dials=dials, spans=total))
    assert str(found["time_of_use_register", "day"].value) == "36.000"
    assert str(found["time_of_use_register", "night"].value) == "10.000"
    assert found["time_of_use_register", "night"].reading_type == T2
    assert found["time_of_use_register", "day"].counts == Counts(actual=2)
    assert str(found["register_sum_difference", ""].value) == "0.000"
    short = [span(50_000, 51_149, multiplier="40")]
    off = lines(batch(OF, PERIOD, {IMPORT: [0] * 96}, dials=dials, spans=short))
    assert str(off["register_sum_difference", ""].value) == "-0.040"
    (strict,) = (replace(of, tolerance=Fraction(3, 100)) for of in OF.declared)
    (loose,) = (replace(of, tolerance=Fraction(4, 100)) for of in OF.declared)
    held = []
    for declared in (OF.declared[0], strict, loose):
        of = batch(replace(OF, declared=(declared,)), PERIOD, {IMPORT: [0] * 96}, dials=dials,
                   spans=short)  # fmt: skip
        held.append([h.gate for h in cycle_gates.holds(of.tariff, batches.results(of)[1])])
    assert held == [[], ["register_sum"], []]


def test_an_exchange_is_bridged_by_the_periods_own_intervals() -> None:
    # The old meter was read at midnight, the new one at the midnight after: one whole day between,
    # 14 half-hours of night at 100 Wh and 34 of day at 200 Wh.
    noon, middle = START + 43_200, START + 86_400
    before, after = (START, noon), (noon, END)
    values = [100 if 1 <= slot % 48 < 15 else 200 for slot in range(96)]

    def two(first: int, last: int) -> list[Span]:
        return [
            span(first, first, at=before, read=(START, START)),
            span(0, last, at=after, read=(middle, END), number=2),
        ]

    dials = {T1: two(5_000, 6_800), T2: two(700, 1_400)}
    total = two(5_700, 8_200)
    found = lines(batch(OF, PERIOD, {IMPORT: values}, dials=dials, spans=total))
    assert str(found["time_of_use_register", "day"].value) == "13.600"
    assert str(found["time_of_use_register", "night"].value) == "2.800"
    assert str(found["register_sum_difference", ""].value) == "0.000"
    note = "by intervals from 2026-05-31 23:00 UTC to 2026-06-01 23:00 UTC"
    assert found["time_of_use_register", "night"].note == note


def test_a_register_that_was_not_read_leaves_the_others() -> None:
    unread = Span(span(0, 0).stretch, None, Reading(END, 1, 5, quality.VALID))
    dials = {T1: [span(0, 333)], T2: [unread]}
    found = lines(batch(OF, PERIOD, {IMPORT: [0] * 96}, dials=dials, spans=[span(0, 500)]))
    assert str(found["time_of_use_register", "day"].value) == "0.333"
    assert found["time_of_use_register", "night"].value is None
    assert found["time_of_use_register", "night"].counts == Counts(actual=1, missing=1)
    check = found["register_sum_difference", ""]
    assert (check.value, check.note) == (None, "a register of a period does not say")
