"""Intervals that a session read, and those that the simulated meter holds."""

from __future__ import annotations

from datetime import timedelta

from drivers.dlms.session import DlmsDriver
from drivers.driver import Endpoint
from schemas.period import Period
from schemas.reading import IntervalBlock
from tests.drivers.dlms.served import Served

ACTIVE, REACTIVE = "active_energy_import_interval", "reactive_energy_import_interval"


def of(blocks: list[IntervalBlock], name: str) -> dict[int, int]:
    """Give intervals by their start [Unix s]; the first of a stamp's values counts."""
    found: dict[int, int] = {}
    for block in blocks:
        if block.reading_type == name:
            start = int(block.start.timestamp())
            for place, value in enumerate(block.values.tolist()):
                found.setdefault(start + place * block.interval_seconds, value)
    return found


def truth(served: Served, mrid: str, name: str) -> dict[int, int]:
    meter = served.meter(mrid)
    values = meter.true_intervals(name.removesuffix("_interval"))
    return {meter.start + place * 900: int(value) for place, value in enumerate(values)}


def within(values: dict[int, int], period: Period) -> dict[int, int]:
    first, end = period.start.timestamp(), period.end.timestamp()
    return {start: value for start, value in values.items() if first <= start < end}


async def read_day(served: Served, endpoint: Endpoint) -> dict[int, int]:
    day = Period(served.now - timedelta(days=1), served.now)
    async with DlmsDriver().session(endpoint) as session:
        return of(await session.read_intervals(day), ACTIVE)
