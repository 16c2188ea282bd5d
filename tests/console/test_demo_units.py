"""What the demonstration prints of units."""

import pytest

from console.demo import summary


@pytest.mark.parametrize(
    ("unit", "shown"), [("kWh", "kWh"), ("1000 imperial gallons", "× 1000 imperial gallons")]
)
def test_a_unit_that_begins_with_a_figure_stands_apart(unit: str, shown: str) -> None:
    assert summary.counted(unit) == shown
