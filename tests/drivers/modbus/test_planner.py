"""The plan is allowed, complete and the shortest."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import planner, register_map
from drivers.modbus.register_map import Limits, Span

spans = st.lists(
    st.builds(Span, st.sampled_from([3, 4]), st.integers(0, 60), st.integers(1, 4)), max_size=7
)
limits = st.builds(
    Limits, st.sampled_from([8, 10, 20]), st.sampled_from([1, 2]), st.sampled_from([0, 3, 10])
)


def _allowed(group: list[Span], limit: Limits) -> bool:
    """Whether one request may read these spans, worked out word by word."""
    if len({span.function for span in group}) > 1:
        return False
    words = sorted({word for span in group for word in range(span.address, span.end)})
    gaps = [after - before - 1 for before, after in pairwise(words)]
    step = limit.alignment
    first, last = words[0] // step * step, -(-(words[-1] + 1) // step) * step
    return max(gaps, default=0) <= limit.max_gap and last - first <= limit.max_words


def _fewest(wanted: list[Span], limit: Limits) -> int:
    """The fewest requests, over every way to cut the wanted spans into groups."""
    if not wanted:
        return 0
    first, *rest = wanted
    counts = []
    for mask in range(2 ** len(rest)):
        group = [first] + [span for bit, span in enumerate(rest) if mask >> bit & 1]
        if _allowed(group, limit):
            left = [span for bit, span in enumerate(rest) if not mask >> bit & 1]
            counts.append(1 + _fewest(left, limit))
    return min(counts)


@given(spans, limits)
def test_plan_is_allowed_complete_and_shortest(wanted: list[Span], limit: Limits) -> None:
    requests = planner.plan(wanted, limit)
    for request in requests:
        assert request.address % limit.alignment == 0
        assert request.count % limit.alignment == 0
        assert request.count <= limit.max_words
    for span in wanted:
        assert any(
            request.function == span.function
            and request.address <= span.address
            and span.end <= request.end
            for request in requests
        ), "a value is torn or not read"
    assert len(requests) == _fewest(sorted(set(wanted), key=repr), limit)


def test_a_value_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 2"):
        planner.plan([Span(3, 0, 4)], Limits(2, 1, 0))


@pytest.mark.parametrize(
    ("name", "reading_types", "round_trips"),
    [
        ("eastron-sdm630", ("active_energy_import", "active_energy_export"), 1),
        ("eastron-sdm630", (), 1),
        ("eastron-sdm120", (), 1),
        ("abb-b23", ("active_energy_import", "active_energy_export"), 1),
        ("abb-b23", (), 2),
        ("schneider-iem3000", ("active_energy_import", "reactive_energy_export"), 1),
        ("schneider-iem3000", (), 5),
        ("carlo-gavazzi-em340", ("active_energy_import",), 1),
        ("carlo-gavazzi-em340", (), 3),
        ("carlo-gavazzi-em24", (), 3),
        ("chint-dtsu666", ("active_energy_import", "active_energy_export"), 1),
        ("chint-dtsu666", (), 4),
        ("eastron-sdm72", (), 1),
        ("finder-7m", (), 2),
        ("inepro-pro380", (), 2),
        ("janitza-umg96", (), 1),
        ("lovato-dmg610", (), 2),
        ("socomec-countis-e24", ("active_energy_import", "active_energy_export"), 1),
        ("socomec-countis-e24", (), 2),
        ("socomec-diris-a10", (), 2),
        ("socomec-diris-b30", (), 2),
        # Four registers of energy, two in each reading.
        ("siemens-pac3200", ("active_energy_import", "active_energy_export"), 1),
        ("siemens-pac3200", (), 2),
    ],
)
def test_round_trips_of_the_maps(
    name: str, reading_types: tuple[str, ...], round_trips: int
) -> None:
    meter = register_map.named(name)
    registers = [meter.registers[kind] for kind in reading_types or meter.registers]
    wanted = [field.span for register in registers for field in register.fields]
    assert len(planner.plan(wanted, meter.limits)) == round_trips


@given(st.sampled_from(register_map.names()), st.data())
def test_no_value_of_a_map_is_ever_cut(name: str, data: st.DataObject) -> None:
    meter = register_map.named(name)
    every = [field.span for register in meter.registers.values() for field in register.fields]
    wanted = data.draw(st.lists(st.sampled_from(every), min_size=1))
    for request in planner.plan(wanted, meter.limits):
        for span in every:
            if span.function == request.function:
                assert not span.address < request.address < span.end
                assert not span.address < request.end < span.end
