"""Simulated meters served in the test's own event loop, and the endpoints that lead to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.driver import Endpoint
from simulators import dlms_meter, line
from simulators import fleet as fleets
from simulators.clock import Clock
from simulators.fleet import Fleet
from simulators.line import Lines
from simulators.meter import Meter

HEAD = """
seed = 3
zone = "Asia/Kuwait"
start = 2026-06-01
days = 3
now = "end"
"""
GROUP = """
[[group]]
name = "meters"
protocol = "dlms"
count = 1
profile = "generic"
security = "hls-gmac"
first_address = "127.12.0.1"
"""


def described(folder: Path, text: str) -> Fleet:
    """Load a fleet of one secured meter, with what the text adds."""
    file = folder / "fleet.toml"
    file.write_text(HEAD + GROUP + text, "utf-8")
    return fleets.load(file)


def counters(first: int = 1) -> Callable[[int], int]:
    """Make a source of invocation counters that gives each once."""
    taken = first

    def reserve(count: int) -> int:
        nonlocal taken
        run, taken = taken, taken + count
        return run

    return reserve


@dataclass(frozen=True)
class Served:
    """A fleet that is being served."""

    fleet: Fleet
    lines: Lines
    clock: Clock
    serial_folder: Path

    @property
    def now(self) -> datetime:
        return self.clock.now

    def endpoint(self, mrid: str, **changes: Any) -> Endpoint:
        """Describe a meter as the registry does."""
        row = next(
            row
            for row in self.fleet.registry(
                dlms_port=self.lines.port, serial_folder=self.serial_folder
            )
            if row["end_device"] == mrid
        )
        keys = self.fleet.keys()
        known = [key for key in keys if key["end_device"] == mrid]
        endpoint = Endpoint(
            end_device=mrid,
            host=row["host"],
            port=int(row["port"] or 0),
            profile=row["profile"],
            address=dict(part.split("=") for part in row["address"].split(";") if part),
            interval_seconds=int(row["interval_seconds"]),
            security=row["security"],
            secrets={key["kind"]: bytes.fromhex(key["key_hex"]) for key in known},
            reserve_counters=counters(),
            timeout=5.0,
        )
        return replace(endpoint, **changes)

    def meter(self, mrid: str) -> Meter:
        return self.fleet.meter(mrid)


@asynccontextmanager
async def serving(fleet: Fleet, serial_folder: Path = line.SERIAL_FOLDER) -> AsyncIterator[Served]:
    """Serve a fleet's DLMS meters for the length of a block."""
    clock = Clock(fleet.now)
    meters = [meter for meter in fleet.meters if meter.protocol == "dlms"]
    lines = await dlms_meter.serve(meters, clock, port=0, serial_folder=serial_folder)
    try:
        yield Served(fleet, lines, clock, serial_folder)
    finally:
        await lines.close()
