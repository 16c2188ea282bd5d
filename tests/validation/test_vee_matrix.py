"""What a cube refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.validation.vee_cubes import cube, span_table
from validation import matrix
from validation.matrix import Cube

GOOD = cube([[[1] * 24, [2] * 24]] * 2)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"values": GOOD.values[0]}, r"values are \(2, 24\)"),
        ({"quality": GOOD.quality[:, :1]}, r"quality is \(2, 1, 24\), not \(2, 2, 24\)"),
        ({"target": np.ones((2, 3), dtype=np.bool_)}, r"target is \(2, 3\), not \(2, 2\)"),
        ({"one_way": np.ones(3, dtype=np.bool_)}, r"one_way is \(3,\), not \(2,\)"),
        ({"misfit": np.ones((2, 2, 23), dtype=np.bool_)}, r"misfit is \(2, 2, 23\)"),
        ({"outside": np.ones((2, 2, 24), dtype=np.bool_)}, "a value where nothing is expected"),
        ({"values": GOOD.values.astype(np.float64)}, "not float64 and int16"),
        ({"quality": GOOD.quality.astype(np.int32)}, "not int32 and int32"),
        ({"interval_seconds": 0}, "interval_seconds is 0"),
        ({"spans": span_table([(2, 0, 1, 5)])}, "a span lies outside of 2 channels × 48 slots"),
        ({"spans": span_table([(0, 40, 49, 5)])}, "a span lies outside"),
    ],
)
def test_a_cube_that_does_not_fit_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(GOOD, **changed)


def test_days_of_another_width_are_refused() -> None:
    other: Cube = cube([[[1] * 48] * 2], interval_seconds=1800)
    with pytest.raises(ValueError, match=r"days.clock is \(2, 48\), not \(2, 24\)"):
        replace(GOOD, days=other.days)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(0, 5, 5, 1)], "ends after it starts"),
        ([(0, 0, 10, 1), (0, 9, 20, 1)], "none overlaps"),
    ],
)
def test_spans_that_cannot_be_are_refused(rows: list[tuple[int, int, int, int]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        span_table(rows)


def test_spans_are_put_in_order() -> None:
    table = span_table([(1, 0, 5, 3), (0, 9, 12, 2), (0, 0, 9, 1)])
    assert table.energy.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="ordered"):
        matrix.Spans(table.channel[::-1], table.start[::-1], table.end[::-1], table.energy)
