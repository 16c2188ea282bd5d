"""What tests of the commands share: the command, and a town of simulated meters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from simulators import control
from tests.console import served
from tests.console import town as houses
from tests.console.served import Town
from tests.console.shell import Shell


@pytest.fixture
def town(miqyas: Shell, tmp_path: Path) -> Iterator[Town]:
    with control.running("small") as running:
        meters, keys = tmp_path / "meters.csv", tmp_path / "keys.csv"
        port = running.dlms_port
        assert miqyas("simulate", "registry", "small", "--port", port, "--out", meters).status == 0
        assert miqyas("simulate", "keys", "small", "--out", keys).status == 0
        assert miqyas("import", "registry", meters).status == 0
        assert miqyas("import", "keys", keys).status == 0
        made = Town(miqyas, running, tmp_path)
        moved = miqyas(
            "simulate", "clock", "small", "--to", served.DAY_AFTER, "--control", made.control
        )
        assert "It is 2026-06-04 21:30 UTC now" in moved.out
        yield made


@pytest.fixture(scope="module")
def address(module_database_url: str) -> Iterator[str]:
    """Where the pages of a small town are served."""
    houses.build(module_database_url)
    with houses.served(module_database_url) as at:
        yield at


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A client of the pages at an address."""
    with httpx.Client(base_url=address, timeout=30) as asking:
        yield asking
