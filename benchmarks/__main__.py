"""Run every benchmark, one after the other, and print one table: ``python -m benchmarks``.

Each runs in a process of its own; what it prints goes on to standard error while it works, and its
last line, one JSON object, has the figures. The exit status is 1 if one fails or misses a target;
an aim that is not reached yet is told as that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from console import show

Figures = Mapping[str, Any]

_ROOT: Final = Path(__file__).parents[1]
# Another process of Python and numpy may differ by as much, whatever it does.
_FLAT: Final = 1.25


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that a benchmark must reach: ``least``, or at most it if ``most``.

    An ``aim`` is where we want to be and are not yet everywhere: missing it fails nothing.
    """

    figure: str
    unit: str
    least: float
    most: bool = False
    aim: bool = False
    of: Callable[[Figures], float] | None = None

    def value(self, figures: Figures) -> float:
        """Give the figure's value."""
        return self.of(figures) if self.of else float(figures[self.figure])

    def met(self, figures: Figures) -> bool:
        """Tell whether the figure reaches the target."""
        value = self.value(figures)
        return value <= self.least if self.most else value >= self.least


def growth(figures: Figures) -> float:
    """Give the peak memory of the largest fleet over that of the smallest."""
    peaks = {int(meters): peak for meters, peak in figures["peak_mb_by_meters"].items()}
    return float(peaks[max(peaks)] / peaks[min(peaks)])


def decoded(*cases: str) -> Callable[[Figures], float]:
    """Give the smallest ratio of some of ``benchmarks.decode``'s cases."""
    return lambda figures: float(min(figures[case]["ratio"] for case in cases))


TARGETS: Final[Mapping[str, Sequence[Target]]] = {
    "store": (
        Target("ratio_in", "×", 10),
        Target("ratio_out", "×", 10),
        Target("ratio_bytes", "×", 6),
    ),
    "collect": (
        Target("ratio", "×", 15),
        Target("flat", "×", _FLAT, most=True),
    ),
    "lines": (
        Target("udp", "×", 1.5, most=True),
        Target("small_frames", "×", 3, most=True),
        Target("large_frames", "×", 2, most=True),
    ),
    "decode": (
        Target("months", "×", 50, of=decoded("month_normal", "month_compact")),
        Target("days", "×", 50, of=decoded("day_normal", "day_compact")),
        Target("months with null-data", "×", 50, of=decoded("month_null")),
        Target("days with null-data", "×", 50, of=decoded("day_null")),
    ),
    "modbus": (
        Target("ratio", "×", 0.98),
        Target("p99_lateness_s", "s", 3, most=True, aim=True),
    ),
    "leak": (
        Target("files_left", "", 0, most=True),
        Target("tasks_left", "", 0, most=True),
        Target("memory_grown_mb", "MB", 8, most=True),
    ),
    "push": (
        Target("pushes_per_s", "1/s", 4_900),
        Target("all_landed", "", 1),
        Target("grown_mb", "MB", 50, most=True),
    ),
    "bill": (
        Target("intervals_per_s", "1/s", 5_000_000),
        Target("usage_points_per_s", "1/s", 5_000),
        Target("usage_points_per_s_clock", "1/s", 5_000, aim=True),
        Target("ratio", "×", 10),
        Target("equal", "", 1),
        Target("peak_mb", "MB", 1_000, most=True),
    ),
    "vee": (
        Target("intervals_per_s", "1/s", 1_500_000),
        Target("intervals_per_cpu_s", "1/s", 1_500_000),
        Target("workers", "×", 1.7),
        Target("peak_mb", "MB", 2_000, most=True),
        Target("memory, 16 times the meters", "×", _FLAT, most=True, of=growth),
        Target("year_ms", "ms", 100, most=True),
        Target("exact", "", 1),
    ),
    "balance": (
        Target("accused", "", 0, most=True),
        Target("twice", "%", 95),
        Target("ten times", "%", 95),
        Target("half", "%", 95),
        Target("bypassed whole", "%", 80),
        Target("bypassed by 60 %", "%", 90),
        Target("bypassed by 30 %", "%", 80),
        Target("of another feeder", "%", 90),
        Target("not in the registry", "%", 90),
    ),
    "vee_truth": (
        Target("least_recall", "", 0.95),
        Target("false_alarms", "%", 0.5, most=True),
        Target("false_alarms_no_register", "%", 0.5, most=True),
        Target("false_alarms_fleet", "%", 0.5, most=True),
        Target("clean_days_changed", "", 0, most=True),
        Target("against_last_value", "×", 0.999, most=True),
        Target("against_pandas", "×", 0.999, most=True),
    ),
}


def run(name: str, arguments: Sequence[str] = ()) -> Figures | None:
    """Run one benchmark; give its figures, or None if it failed."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    last = ""
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            show.err.print(f"  {line.rstrip()}", style="dim", markup=False, soft_wrap=True)
            last = line
    if process.returncode:
        show.problem(f"{name} failed with status {process.returncode}; its messages are above.")
        return None
    try:
        found = json.loads(last)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        show.problem(f"{name}: its last line is not one JSON object: {last.rstrip()[:100]!r}")
        return None
    return found


def lines(name: str, figures: Figures | None) -> list[tuple[str, str, str, str, str]]:
    """Give a benchmark's lines of the table: benchmark, figure, value, target, met."""
    made = []
    for target in TARGETS[name]:
        wanted = f"{'≤' if target.most else '≥'} {target.least:,}"
        value, met = "–", "failed"
        if figures is not None:
            value = f"{_shown(target.value(figures))} {target.unit}"
            missed = "not yet" if target.aim else "NO"
            met = "yes" if target.met(figures) else missed
        made.append((name, target.figure, value, wanted, met))
    return made


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def main() -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    names = parser.parse_args().names or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"no benchmark {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    rows = []
    for number, name in enumerate(names, start=1):
        show.err.print(f"{number}/{len(names)} {name} …")
        began = time.perf_counter()
        rows += lines(name, run(name))
        show.err.print(f"{number}/{len(names)} {name}: {time.perf_counter() - began:.0f} s")
    show.table("Benchmarks", ["benchmark", "figure", "value #", "target #", "met"], rows)
    return 0 if all(row[-1] in ("yes", "not yet") for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
