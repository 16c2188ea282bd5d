"""Secured meter-days per CPU-second: the DLMS driver against a plain gurux-dlms client.

A simulated fleet in a process of its own (HLS5-GMAC, suite 0, every message authenticated and
encrypted) is read by both, in turns, a day of 96 quarter-hours in two channels at a time: connect,
associate, capture objects, scalers, the rows by range, release. Both must read the same energy.
CPU time is this process's own, user and system. The driver keeps many sessions open at once, as
the head-end does; gurux-dlms has no asyncio and reads one meter after the other.

The last line is one JSON object::

    {"ratio": …,                      meter-days per CPU-second, driver ÷ gurux-dlms
     "meter_days_per_cpu_s": …, "gurux_meter_days_per_cpu_s": …,
     "cpu_ms_per_meter_day": …, "gurux_cpu_ms_per_meter_day": …,
     "meters": …, "sessions_at_once": …}
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

_ROUNDS: Final = 5
_GURUX_METERS: Final = 12
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both clients in turns and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collect", description=__doc__)
    parser.add_argument("--meters", type=int, default=200, help="meters in the fleet")
    given = parser.parse_args(arguments)
    fleet = fleets.load("collect", meters=given.meters)
    ours, theirs = [], []
    with control.running("collect", meters=given.meters) as served:
        meters = endpoints(fleet, served.dlms_port)
        by_driver(meters[:5], _days(fleet.period.end, 1)[0])
        for day in _days(fleet.period.end, _ROUNDS):
            ours.append(by_driver(meters, day))
            theirs.append(by_gurux(meters[:_GURUX_METERS], day))
            _compare(ours[-1], theirs[-1])
            print(
                f"{day}: driver {ours[-1].cpu_per_meter * 1e3:6.2f} ms, "
                f"gurux-dlms {theirs[-1].cpu_per_meter * 1e3:6.2f} ms of CPU a meter-day"
            )
    print(json.dumps(_figures(ours, theirs, given.meters)))
    return 0


def _figures(ours: list[Measured], theirs: list[Measured], meters: int) -> dict[str, float]:
    own = statistics.median(one.cpu_per_meter for one in ours)
    other = statistics.median(one.cpu_per_meter for one in theirs)
    return {
        "ratio": round(other / own, 1),
        "meter_days_per_cpu_s": round(1 / own, 1),
        "gurux_meter_days_per_cpu_s": round(1 / other, 1),
        "cpu_ms_per_meter_day": round(own * 1e3, 3),
        "gurux_cpu_ms_per_meter_day": round(other * 1e3, 3),
        "meters": meters,
        "sessions_at_once": _AT_ONCE,
    }


if __name__ == "__main__":
    sys.exit(main())
