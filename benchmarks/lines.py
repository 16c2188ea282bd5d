"""What a secured meter-day costs the driver over each line, against the wrapper over TCP.

The same fleet (HLS5-GMAC, suite 0) is served on loopback over the wrapper by TCP and UDP, over HDLC
with the smallest usual frames (128 octets, one at a time) and with the largest (2,030 octets, seven
at a time), and its days are read in turns: connect, associate, capture objects, scalers, a day of
96 quarter-hours by range, release. CPU time is this process's own, user and system.

The last line is one JSON object::

    {"cpu_ms_per_meter_day": {line: …}, "ratio": {line: …},   line ÷ wrapper over TCP, CPU time
     "small_frames": …, "large_frames": …, "udp": …}          the ratios again, by their names
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks import collect
from schemas.period import Period
from simulators import control
from simulators import fleet as fleets

_ROUNDS: Final = 5
_HEAD: Final = """
seed = 1
zone = "Asia/Kuwait"
start = 2026-06-01
days = 8
now = "end"
"""
_GROUP: Final = """
[[group]]
name = "{name}"
protocol = "dlms"
count = {count}
profile = "generic"
security = "hls-gmac"
first_address = "127.21.{at}.1"
address = {{ {address} }}
options = {{ information = 2030, window = 7 }}
"""
_LINES: Final = {
    "wrapper": "",
    "udp": 'framing = "udp"',
    "hdlc-128-1": 'framing = "hdlc"',
    "hdlc-2030-7": 'framing = "hdlc", frame = 2030, window = 7',
}


def described(count: int) -> str:
    """Write the fleet's file: so many meters on each line."""
    groups = [
        _GROUP.format(name=name, count=count, at=at, address=address)
        for at, (name, address) in enumerate(_LINES.items())
    ]
    return _HEAD + "".join(groups)


def measured(count: int) -> dict[str, float]:
    """Read days over each line in turns; give the CPU time of a meter-day [ms]."""
    found: dict[str, list[float]] = {name: [] for name in _LINES}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines.toml"
        file.write_text(described(count), "utf-8")
        fleet = fleets.load(file)
        addresses = {one.mrid: one.address for one in fleet.meters}
        groups = {one.mrid: one.group for one in fleet.meters}
        with control.running(file) as served:
            meters = [
                replace(one, address=addresses[one.end_device])
                for one in collect.endpoints(fleet, served.dlms_port)
            ]
            for back in range(_ROUNDS + 1):
                last = fleet.period.end - timedelta(days=back)
                day = Period(last - timedelta(days=1), last)
                for name in _LINES:
                    mine = [one for one in meters if groups[one.end_device] == name]
                    cost = collect.by_driver(mine, day).cpu_per_meter
                    if back:  # the first day warms up
                        found[name].append(cost * 1000)
    return {name: statistics.median(costs) for name, costs in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every line and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lines", description=__doc__)
    parser.add_argument("--meters", type=int, default=100, help="meters on each line")
    costs = measured(parser.parse_args(arguments).meters)
    ratios = {name: cost / costs["wrapper"] for name, cost in costs.items()}
    for name, cost in costs.items():
        print(f"{name:12} {cost:6.2f} ms a meter-day, {ratios[name]:.2f} times the wrapper's")
    figures = {
        "cpu_ms_per_meter_day": {name: round(cost, 3) for name, cost in costs.items()},
        "ratio": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "udp": round(ratios["udp"], 3),
        "small_frames": round(ratios["hdlc-128-1"], 3),
        "large_frames": round(ratios["hdlc-2030-7"], 3),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
