"""Secured meter-days per CPU-second: the DLMS driver against a plain gurux-dlms client.

A simulated fleet in a process of its own (HLS5-GMAC, suite 0, every message authenticated and
encrypted) is read by both, in turns, a day of 96 quarter-hours in two channels at a time: connect,
associate, capture objects, scalers, the rows by range, release. Both must read the same energy.
CPU time is this process's own, user and system. The driver keeps many sessions open at once, as
the head-end does; gurux-dlms has no asyncio and reads one meter after the other. The driver reads
200, 1,000 and 5,000 meters of the fleet, so that one sees whether a meter costs the same in a large
fleet; and holds a thousand associations open at once, to see what memory one takes.

The last line is one JSON object::

    {"ratio": …,                      meter-days per CPU-second, driver ÷ gurux-dlms; the smallest
     "meter_days_per_cpu_s": …, "gurux_meter_days_per_cpu_s": …,
     "cpu_ms_per_meter_day": …, "gurux_cpu_ms_per_meter_day": …,
     "cpu_ms_by_meters": {meters: …}, "ratio_by_meters": {meters: …},
     "flat": …,                       a meter of the largest fleet ÷ one of the smallest
     "kb_per_session": …,             resident memory of an open association
     "sessions_at_once": …}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks import gurux_client
from drivers.dlms.session import DlmsDriver
from drivers.driver import Endpoint
from schemas.period import Period
from simulators import control
from simulators import fleet as fleets

# Rounds by meters read: a round of a small fleet is soon disturbed by others on the machine.
_SIZES: Final = {200: 5, 1000: 3, 5000: 2}
_GURUX_METERS: Final = 12
_HELD_OPEN: Final = 1000
_AT_ONCE: Final = 50
_INTERVAL: Final = timedelta(minutes=15)
_COLUMNS: Final = {"active_energy_import_interval": 2, "reactive_energy_import_interval": 3}

Sums = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Measured:
    """What a client read, and the CPU time that it took."""

    sums: Sums
    cpu_seconds: float

    @property
    def cpu_per_meter(self) -> float:
        """CPU time of one meter-day [s]."""
        return self.cpu_seconds / len(self.sums)


def endpoints(fleet: fleets.Fleet, port: int) -> list[Endpoint]:
    """Describe a fleet's meters as the head-end would, with a counter of its own for each."""
    secrets: dict[str, dict[str, bytes]] = {}
    for row in fleet.keys(right=True):
        secrets.setdefault(row["end_device"], {})[row["kind"]] = bytes.fromhex(row["key_hex"])
    return [
        Endpoint(
            end_device=row["end_device"],
            host=row["host"],
            port=int(row["port"]),
            profile=row["profile"],
            address={},
            interval_seconds=int(row["interval_seconds"]),
            security=row["security"],
            secrets=secrets[row["end_device"]],
            reserve_counters=_counter(),
        )
        for row in fleet.registry(dlms_port=port)
    ]


def _counter() -> Callable[[int], int]:
    start = 1

    def reserve(count: int) -> int:
        nonlocal start
        first, start = start, start + count
        return first

    return reserve


def by_driver(meters: Sequence[Endpoint], day: Period) -> Measured:
    """Read a day of each meter with the driver."""
    began = time.process_time()
    sums = asyncio.run(_collect(meters, day))
    return Measured(sums, time.process_time() - began)


async def _collect(meters: Sequence[Endpoint], day: Period) -> Sums:
    driver, turn = DlmsDriver(), asyncio.Semaphore(_AT_ONCE)
    sums: Sums = {}

    async def collect(endpoint: Endpoint) -> None:
        async with turn, driver.session(endpoint) as session:
            blocks = await session.read_intervals(day)
        first, second = (
            sum(int(block.values.sum()) for block in blocks if block.reading_type == name)
            for name in _COLUMNS
        )
        sums[endpoint.end_device] = first, second

    async with asyncio.TaskGroup() as tasks:
        for endpoint in meters:
            tasks.create_task(collect(endpoint))
    return sums


def by_gurux(meters: Sequence[Endpoint], day: Period) -> Measured:
    """Read a day of each meter with gurux-dlms; what it prints goes nowhere."""
    sums: Sums = {}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        began = time.process_time()
        for endpoint in meters:
            with gurux_client.reader(endpoint) as reader:
                rows = reader.rows(day.start + _INTERVAL, day.end)
            first, second = (sum(row[column] for row in rows) for column in _COLUMNS.values())
            sums[endpoint.end_device] = first, second
        cpu = time.process_time() - began
    return Measured(sums, cpu)


def _compare(ours: Measured, theirs: Measured) -> None:
    for meter, sums in theirs.sums.items():
        if ours.sums[meter] != sums:
            raise SystemExit(f"{meter}: the driver read {ours.sums[meter]}, gurux-dlms {sums}")


def _days(now: datetime, count: int) -> list[Period]:
    last = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        Period(last - timedelta(days=back + 1), last - timedelta(days=back))
        for back in range(count)
    ]


async def _held_open(meters: Sequence[Endpoint]) -> float:
    """Associate with all meters at once; give the memory that each takes [kB]."""
    driver = DlmsDriver()
    async with contextlib.AsyncExitStack() as stack:
        before = _resident()
        for endpoint in meters:
            await stack.enter_async_context(driver.session(endpoint))
        return (_resident() - before) / len(meters)


def _resident() -> float:
    """Give this process's resident memory [kB]."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both clients in turns and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collect", description=__doc__)
    parser.add_argument("--meters", type=int, default=max(_SIZES), help="meters in the fleet")
    most = parser.parse_args(arguments).meters
    sizes = {meters: rounds for meters, rounds in _SIZES.items() if meters <= most} or {most: 5}
    fleet = fleets.load("collect", meters=most)
    found: dict[int, list[tuple[float, float]]] = {}
    with control.running("collect", meters=most) as served:
        meters = endpoints(fleet, served.dlms_port)
        by_driver(meters[:5], _days(fleet.period.end, 1)[0])
        # First: later, memory that is free again would hide what a session takes.
        held = asyncio.run(_held_open(meters[:_HELD_OPEN]))
        for size, rounds in sizes.items():
            days = _days(fleet.period.end, rounds)
            found[size] = [_round(meters[:size], day) for day in days]
    print(json.dumps(_figures(found) | {"kb_per_session": round(held, 1)}))
    return 0


def _round(meters: Sequence[Endpoint], day: Period) -> tuple[float, float]:
    """Read a day by both; give the CPU time of a meter-day [s], the driver's first."""
    ours, theirs = by_driver(meters, day), by_gurux(meters[:_GURUX_METERS], day)
    _compare(ours, theirs)
    print(
        f"{len(meters):5,} meters, {day}: driver {ours.cpu_per_meter * 1e3:6.2f} ms, "
        f"gurux-dlms {theirs.cpu_per_meter * 1e3:6.2f} ms of CPU a meter-day",
        flush=True,
    )
    return ours.cpu_per_meter, theirs.cpu_per_meter


def _figures(found: dict[int, list[tuple[float, float]]]) -> dict[str, object]:
    """Give the figures; of a size's rounds the median counts."""
    own = {size: statistics.median(one for one, _ in rounds) for size, rounds in found.items()}
    ratios = {
        size: round(statistics.median(other for _, other in rounds) / own[size], 1)
        for size, rounds in found.items()
    }
    other = statistics.median(other for rounds in found.values() for _, other in rounds)
    worst = min(ratios, key=lambda size: ratios[size])
    return {
        "ratio": ratios[worst],
        "meter_days_per_cpu_s": round(1 / own[worst], 1),
        "gurux_meter_days_per_cpu_s": round(1 / other, 1),
        "cpu_ms_per_meter_day": round(own[worst] * 1e3, 3),
        "gurux_cpu_ms_per_meter_day": round(other * 1e3, 3),
        "cpu_ms_by_meters": {str(size): round(cost * 1e3, 3) for size, cost in own.items()},
        "ratio_by_meters": {str(size): ratio for size, ratio in ratios.items()},
        "flat": round(own[max(own)] / own[min(own)], 2),
        "sessions_at_once": _AT_ONCE,
    }


if __name__ == "__main__":
    sys.exit(main())
