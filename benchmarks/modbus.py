"""Live Modbus meters' samples a minute, with dead and slow meters among them and without.

A simulated fleet in a process of its own is sampled by the product's head-end in one other process
(``miqyas worker --with-scheduler``: schedule, work queue, collector, landing in PostgreSQL), first
with every meter well, then with a tenth dead (a third of them silent, a third refusing, a third
hanging up) and a twentieth slow (four seconds an answer). Counted are the meters that are
well in both: their samples that landed, those that came too late to count as on time, and how long
after its grid point each had landed. Nothing is left out: the first minutes, in which nobody knows
yet who is dead, count.

The last line is one JSON object::

    {"ratio": …,                          live meters' samples a minute, with the dead ÷ without
     "reads_per_minute": …, "reads_per_minute_without": …, "expected_per_minute": …,
     "late": …, "late_without": …,        samples marked LATE_SAMPLE
     "p99_lateness_s": …, "p99_lateness_s_without": …, "worst_lateness_s": …,
     "cpu_ms_per_read": …, "cpu_ms_per_read_without": …,   of the head-end's process
     "slow_reads_per_minute": …, "meters": …, "minutes": …, "interval_s": …}
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks import scratch
from headend import groups, schedules
from mdm import registry
from schemas import database, quality, reading_type
from schemas.database import Connection
from simulators import control
from simulators import fleet as fleets
from simulators.fleet import Fleet

_DEAD: Final = 10
_SLOW: Final = 20
_SLOW_SECONDS: Final = 4.0
_READING: Final = "active_energy_import"
# After the last grid point, for what is still under way.
_LAST_WAIT: Final = 5.0
_MIQYAS: Final = "from console.command import main; main()"
_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Window:
    """Grid points that count: ``start`` is the first, ``end`` is behind the last."""

    start: datetime
    end: datetime
    interval: timedelta

    @property
    def minutes(self) -> float:
        """Its length [min]."""
        return (self.end - self.start) / timedelta(minutes=1)


@dataclass(frozen=True)
class Sampled:
    """What landed in a window of the meters that count; lateness in seconds."""

    reads: int
    late: int
    lateness: Sequence[float]
    slow_reads: int
    cpu_seconds: float

    @property
    def p99(self) -> float:
        """Lateness that one read in a hundred exceeds [s]."""
        return statistics.quantiles(self.lateness, n=100)[98] if len(self.lateness) > 1 else 0.0


def faults(meters: int) -> str:
    """Describe the dead and the slow among a fleet's meters, drawn by the fleet's seed."""
    thirds = [meters // _DEAD // 3 + (at < meters // _DEAD % 3) for at in range(3)]
    made = [
        f'[[fault]]\nkind = "dead_line"\ngroups = ["modbus"]\ncount = {count}\nmode = "{mode}"\n'
        "at = 2026-06-01T00:00:00\nlength = [0]\n"
        for mode, count in zip(("silent", "refused", "reset"), thirds, strict=True)
    ]
    made.append(
        f'[[fault]]\nkind = "slow_line"\ngroups = ["modbus"]\ncount = {meters // _SLOW}\n'
        f"latency = {_SLOW_SECONDS}\n"
    )
    return "\n".join(made)


@contextmanager
def described(meters: int) -> Iterator[tuple[Path, Path]]:
    """Write the two fleets' files: all well, and some dead or slow."""
    text = (Path(fleets.__file__).parent / "fleets" / "modbus.toml").read_text("utf-8")
    text = text.replace("count = 1000", f"count = {meters}")
    with tempfile.TemporaryDirectory() as folder:
        well, ill = Path(folder, "well.toml"), Path(folder, "ill.toml")
        well.write_text(text, "utf-8")
        ill.write_text(f"{text}\n{faults(meters)}", "utf-8")
        yield well, ill


def sampled(name: str, file: Path, live: set[str], slow: set[str], given: Args) -> Sampled:
    """Sample a fleet for a while; count what landed of the live meters."""
    fleet = fleets.load(file)
    with scratch.scratch_database(f"modbus_{name}") as url, control.running(file) as served:
        with database.connect(url) as connection:
            _register(connection, fleet, served.modbus_port, given.interval)
        with _worker(url) as worker:
            window = _window(given)
            _sleep_until(window.start - timedelta(seconds=1))
            before = _cpu(worker.pid)
            _sleep_until(window.end + timedelta(seconds=_LAST_WAIT))
            cpu = _cpu(worker.pid) - before
            if worker.poll() is not None:
                raise SystemExit(f"the worker ended with status {worker.returncode}")
        with database.connect(url) as connection:
            return _counted(connection, window, live, slow, cpu)


@dataclass(frozen=True)
class Args:
    """What the command line says; ``interval`` in seconds."""

    meters: int
    minutes: float
    interval: int


def _register(connection: Connection, fleet: Fleet, port: int, interval: int) -> None:
    rows = fleet.registry(modbus_port=port)
    report = registry.import_rows(
        connection, ({**row, "interval_seconds": str(interval)} for row in rows)
    )
    if report.rejected:
        raise SystemExit(f"the registry refused {report.rejected[0]}")
    groups.put(connection, "all", selector={})
    schedules.add(
        connection, "samples", group="all", reads=("registers",), now=datetime.now(UTC),
        interval_seconds=interval,
    )  # fmt: skip


@contextmanager
def _worker(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the head-end's one process."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MIQYAS, "worker", "--with-scheduler"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "MIQYAS_DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _window(given: Args) -> Window:
    """Choose the grid points that count: those from the second next one on."""
    interval = timedelta(seconds=given.interval)
    now = datetime.now(UTC).timestamp()
    first = datetime.fromtimestamp((now // given.interval + 1) * given.interval, UTC)
    while first - datetime.now(UTC) < timedelta(seconds=6):
        first += interval
    count = max(1, round(given.minutes * 60 / given.interval))
    return Window(first, first + interval * count, interval)


def _sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def _cpu(pid: int) -> float:
    """Give a process's CPU time, user and system [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def _counted(
    connection: Connection, window: Window, live: set[str], slow: set[str], cpu: float
) -> Sampled:
    rows = connection.execute(
        "SELECT d.mrid, r.read_at, r.quality, r.collected_at, s.ended_at"
        " FROM raw_register_reading r JOIN end_device d ON d.id = r.end_device_id"
        " JOIN collection_session s ON s.id = r.session_id"
        " WHERE r.reading_type_id = %s AND r.read_at >= %s AND r.read_at < %s",
        [reading_type.named(_READING).id, window.start, window.end],
    ).fetchall()
    mine = [row for row in rows if row[0] in live]
    # A sample off the grid is no sample of a grid point.
    on_grid = [row for row in mine if not (row[1] - window.start) % window.interval]
    return Sampled(
        reads=len({(row[0], row[1]) for row in on_grid}),
        late=sum(row[2] == quality.LATE_SAMPLE for row in on_grid) + len(mine) - len(on_grid),
        lateness=[(row[4] - row[1]).total_seconds() for row in on_grid],
        slow_reads=sum(row[0] in slow for row in rows),
        cpu_seconds=cpu,
    )


def _figures(given: Args, live: int, without: Sampled, ill: Sampled) -> Mapping[str, float]:
    def a_minute(count: int) -> float:
        return round(count / given.minutes, 1)

    return {
        "ratio": round(ill.reads / max(without.reads, 1), 4),
        "reads_per_minute": a_minute(ill.reads),
        "reads_per_minute_without": a_minute(without.reads),
        "expected_per_minute": round(live * 60 / given.interval, 1),
        "late": ill.late,
        "late_without": without.late,
        "p99_lateness_s": round(ill.p99, 2),
        "p99_lateness_s_without": round(without.p99, 2),
        "worst_lateness_s": round(max(ill.lateness, default=0.0), 2),
        "cpu_ms_per_read": round(1e3 * ill.cpu_seconds / max(ill.reads, 1), 2),
        "cpu_ms_per_read_without": round(1e3 * without.cpu_seconds / max(without.reads, 1), 2),
        "slow_reads_per_minute": a_minute(ill.slow_reads),
        "meters": given.meters,
        "minutes": given.minutes,
        "interval_s": given.interval,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Sample both fleets and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modbus", description=__doc__)
    parser.add_argument("--meters", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=3, help="of each of the two fleets")
    parser.add_argument("--interval", type=int, default=60, help="between samples, s")
    given = Args(**vars(parser.parse_args(arguments)))
    with described(given.meters) as (well, ill):
        fleet = fleets.load(ill)
        dead = {meter.mrid for meter in fleet.meters if any(meter.having("dead_line"))}
        slow = {meter.mrid for meter in fleet.meters if any(meter.having("slow_line"))}
        live = {meter.mrid for meter in fleet.meters} - dead - slow
        without = sampled("well", well, live, slow, given)
        print(f"all well: {without.reads} samples, {without.late} late, p99 {without.p99:.2f} s")
        with_dead = sampled("ill", ill, live, slow, given)
        print(
            f"{len(dead)} dead, {len(slow)} slow: {with_dead.reads} samples, {with_dead.late} late,"
            f" p99 {with_dead.p99:.2f} s"
        )
    print(json.dumps(_figures(given, len(live), without, with_dead)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
