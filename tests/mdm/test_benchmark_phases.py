"""Benchmarks tell where time goes by functions that there are."""

from __future__ import annotations

import pytest

from benchmarks import bill, bill_registers, phases


@pytest.mark.parametrize("of", [bill, bill_registers, phases], ids=lambda of: of.__name__)
def test_what_a_benchmark_watches_is_there(of: object) -> None:
    watched: phases.Phases = of._PHASES  # type: ignore[attr-defined]
    assert watched
    for module, name, _ in watched:
        assert callable(getattr(module, name, None)), f"{module.__name__}.{name}"
