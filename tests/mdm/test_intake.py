"""The pure parts of intake: grids, multipliers and chains of registers."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mdm import intake_layout, intake_registers
from mdm.intake_installed import FOREVER, Installed
from mdm.intake_layout import Week
from mdm.intake_raw import RawRegisters

START = int(datetime(2026, 6, 1, 21, tzinfo=UTC).timestamp())
KUWAIT = intake_layout.of(date(2026, 6, 2), 2, "Asia/Kuwait", 3600, Week())


def installed(multiplier: str = "1", modulus: int = 0, *, sampled: bool = False) -> Installed:
    return Installed(
        id=np.array([1], np.int32),
        usage_point=np.array([1], np.int32),
        end_device=np.array([1], np.int32),
        zone=np.array(["Asia/Kuwait"]),
        commodity=np.array(["electricity"]),
        starts_at=np.array([0]),
        ends_at=np.array([FOREVER]),
        multiplier=np.array([int(Decimal(multiplier) * 1_000_000)]),
        interval_seconds=np.array([3600], np.int32),
        modulus=np.full((1, 64), modulus),
        sampled=np.array([sampled]),
    )


def steps(where: Installed, samples: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """Hours from the start, energy and quality between neighbouring samples (seconds, value)."""
    rows = len(samples)
    raw = RawRegisters(
        end_device=np.ones(rows, np.int32),
        reading_type=np.ones(rows, np.int16),
        read_at=np.array([START + second for second, _ in samples]),
        value=np.array([value for _, value in samples]),
        quality=np.zeros(rows, np.int16),
    )
    found = intake_registers.steps(intake_registers.dials(raw, where), where, KUWAIT)
    return list(
        zip(
            ((found.start - START) // 3600).tolist(),
            ((found.end - START) // 3600).tolist(),
            found.energy.tolist(),
            found.quality.tolist(),
            strict=True,
        )
    )


@given(
    values=st.lists(st.integers(-(2**31), 2**40), min_size=1, max_size=20),
    millionths=st.integers(1, 10**10),
)
def test_multipliers_round_half_to_even_exactly(values: list[int], millionths: int) -> None:
    multiplier = Decimal(millionths) / 1_000_000
    found = installed(str(multiplier)).times(np.zeros(len(values), np.intp), np.array(values))
    wanted = [int((v * multiplier).quantize(Decimal(1), ROUND_HALF_EVEN)) for v in values]
    assert found.tolist() == wanted


def test_a_register_wraps_and_a_reset_says_nothing() -> None:
    five_digits = installed("2", 100_000)
    assert steps(five_digits, [(0, 99_990), (3600, 15)]) == [(0, 1, 50, 0)]
    assert steps(five_digits, [(0, 40_000), (3600, 15)]) == []
    assert steps(installed(), [(0, 60_000), (3600, 15)]) == []


def test_readings_off_the_grid_are_passed_over() -> None:
    exact = installed()
    assert steps(exact, [(0, 100), (1800, 130), (7200, 200)]) == [(0, 2, 100, 0)]
    assert steps(exact, [(20, 100), (3600, 130), (7200, 200)]) == [(1, 2, 70, 0)]


def test_samples_are_put_on_the_grid() -> None:
    polled = installed(sampled=True)
    assert steps(polled, [(20, 100), (3590, 130), (7200, 200)]) == [(0, 1, 30, 0), (1, 2, 70, 0)]
    late = [(0, 100), (3600 + 900, 130), (7200, 200)]
    assert steps(polled, late) == [(0, 1, 30, 14), (1, 2, 70, 14)]
    # Of two for one grid point the nearer counts; one that is early is not of the point after it.
    assert steps(polled, [(0, 100), (3600, 130), (4000, 140)]) == [(0, 1, 30, 0)]
    assert steps(polled, [(0, 100), (3000, 130), (7200, 200)]) == [(0, 2, 100, 0)]


def test_the_grid_of_a_zone_with_a_quarter_hour() -> None:
    layout = intake_layout.of(date(2026, 6, 2), 2, "Asia/Kathmandu", 3600, Week())
    midnight = int(datetime(2026, 6, 1, 18, 15, tzinfo=UTC).timestamp())
    moved, off = layout.snapped(
        np.array([midnight + 3610, midnight + 3600 - 10, midnight + 900]), 60
    )
    assert moved.tolist() == [midnight + 3600, midnight + 3600, midnight]
    assert off.tolist() == [10, -10, 900]
    assert layout.cell(np.array([midnight, midnight + 25 * 3600, midnight - 1])).tolist() == [
        0,
        25,
        -1,
    ]


def test_a_day_of_25_hours_pads_the_others() -> None:
    layout = intake_layout.of(date(2025, 10, 25), 3, "Europe/London", 3600, Week())
    assert layout.days.length.tolist() == [24, 25, 24]
    after = layout.bounds[2]
    assert layout.cell(np.array([after - 3600, after])).tolist() == [49, 50]
    part = layout.part(1, 2)
    assert (part.count, part.width, part.first) == (1, 25, date(2025, 10, 26))
