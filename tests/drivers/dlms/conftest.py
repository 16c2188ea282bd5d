"""What tests of what is done with a DLMS meter share: one that is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.drivers.dlms import secured_meter
from tests.drivers.dlms.served import Served, serving


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """One secured meter, served until the test ends."""
    async with serving(secured_meter.fleet(tmp_path)) as one:
        yield one
