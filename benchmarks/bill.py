"""Closing a month: determinants from the final record, exported as CSV with a manifest.

A fleet's month of quarter hours stands in the final record: real load curves, 2 % of them
estimated. Computed are its energy in four time-of-use periods, block and rolling demand, load
factor and counts by quality; written are the determinant sets with the versions that they name,
and the files of one export to a folder. Two worker processes take the cycle's partitions at once;
they count as two cores.

It is done twice: from the intervals, with nothing summed beforehand, and from days that were summed
beforehand. Both must give the same determinants from the same named versions. Rates count CPU time
of workers and of their database backends, for two cores: what the clock would say if nobody else
used the machine. The same figures are computed by pandas, by group-by over the rows of the view
``reading``, for some of the usage points; they must be equal, too.

The last line is one JSON object::

    {"intervals_per_s": …, "usage_points_per_s": …,   whole: determinants, inputs, export; two cores
     "intervals_per_s_clock": …, "usage_points_per_s_clock": …,   the same by the clock
     "ratio": pandas' CPU time a usage point ÷ ours from the intervals, "ratio_days": … from days,
     "equal": 1 if intervals, days and pandas agree, "days_per_s": days summed beforehand,
     "peak_mb": of the largest process, "usage_points": …, "intervals": …,
     "cpu_us": {"intervals": {phase: {"worker": …, "database": …}}, "days": …}}   a usage point
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from benchmarks import bill_fleet, bill_pandas, phases, scratch
from mdm import (
    cycle,
    cycle_beside,
    cycle_columns,
    cycle_digests,
    cycle_inputs,
    cycle_pages,
    cycle_sets,
    daily,
    daily_group,
    delivery,
    readings,
)
from mdm.cycle import Cycle
from mdm.determinants import composition, days, profile, supply
from schemas import database
from schemas.database import Connection

_SETS: Final = """
SELECT p.mrid, s.digest, s.input_digest FROM determinant_set s
JOIN usage_point p ON p.id = s.usage_point_id WHERE s.cycle_id = %s ORDER BY 1
"""
_PHASES: Final[phases.Phases] = (
    (readings, "current", "intervals out"),
    (daily, "current", "days out"),
    (profile, "arrange", "figures"),
    (supply, "figures", "figures"),
    (days, "figures", "figures"),
    (composition, "digests", "digests"),
    (cycle_digests, "digests", "digests"),
    (cycle_inputs, "gathered", "registry out"),
    (cycle_beside, "beside", "gates"),
    (cycle_sets, "_add_sets", "sets in"),
    (cycle_pages, "write", "determinants in"),
    (cycle_columns, "interval_inputs", "inputs in"),
    (cycle_columns, "register_inputs", "inputs in"),
    # Its database works for a thread beside the one that writes files; both are the export's.
    (delivery, "_prepared", "export: files and claim"),
    (delivery, "_send", "export: sent"),
    (delivery, "_exports", "export: counted"),
)


@dataclass(frozen=True)
class Worker:
    """What one process did."""

    started: float
    ended: float
    cpu: float
    peak_mb: float
    spent: phases.Share


def close(url: str, first: int, of: int) -> Worker:
    """Compute every ``of``-th partition of the cycle, from one on, or with ``of`` 0 the export."""
    started = time.time()
    with database.connect(url, autocommit=not of) as connection:
        backend = connection.info.backend_pid
        before = time.process_time() + phases.cpu_of(backend)
        with phases.watched(backend, _PHASES) as watch, _beside() as readers:
            if of:
                _compute(connection, first, of)
            else:
                _export(connection)
            spent = watch.done()
        cpu = time.process_time() + phases.cpu_of(backend) - before + sum(readers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Worker(started, time.time(), cpu, peak, spent)


@contextmanager
def _beside() -> Iterator[list[float]]:
    """Note the CPU time [s] of each backend that is opened beside the worker's own, at its end."""
    spent: list[float] = []
    again = database.again

    @contextmanager
    def noted(connection: Connection) -> Iterator[Connection]:
        with again(connection) as other:
            yield other
            spent.append(phases.cpu_of(other.info.backend_pid))

    with patch.object(database, "again", noted):
        yield spent


def measured(url: str, points: int) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Close the month; give the figures, and every set's digests."""
    with database.connect(url) as connection:
        number = _cycle(connection).id
    context = multiprocessing.get_context("spawn")
    # Both are there before one takes a part; starting a program is not counted.
    with context.Pool(2, context.Barrier(2, timeout=60).wait) as pool:
        workers = pool.starmap(close, [(url, 0, 2), (url, 1, 2)], chunksize=1)
        workers += pool.starmap(close, [(url, 0, 0)])
    with database.connect(url) as connection:
        sets = connection.execute(_SETS, [number]).fetchall()
    cpu = sum(each.cpu for each in workers)
    clock = max(each.ended for each in workers) - min(each.started for each in workers)
    figures = {
        "cpu_us_a_point": round(1e6 * cpu / points),
        "per_s": 2 * points / cpu,
        "per_s_clock": points / clock,
        "peak_mb": round(max(each.peak_mb for each in workers)),
        "phases": phases.shares([each.spent for each in workers], points),
    }
    return figures, [(row[0], row[1], row[2]) for row in sets]


def summed(url: str) -> float:
    """Sum the month's days beforehand; give how many a second of CPU time, on two cores.

    Week by week: a month's days stand in about as many rows as if each had been summed on its own.
    """
    with database.connect(url) as connection:
        backend, made = connection.info.backend_pid, 0
        before = time.process_time() + phases.cpu_of(backend)
        for points in daily_group.partitions(connection, bill_fleet.GROUP):
            for week in range(7, bill_fleet.DAYS + 7, 7):
                until = min(bill_fleet.STARTS_ON + timedelta(days=week), bill_fleet.ENDS_ON)
                made += daily_group.add(
                    *(connection, points, bill_fleet.STARTS_ON, until),
                    now=bill_fleet.NOW,
                    tariffs=bill_fleet.tariffs(),
                ).days
                connection.commit()
        cpu = time.process_time() + phases.cpu_of(backend) - before
    with database.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE interval_days")
    return 2 * made / cpu


def main() -> None:
    """Close the same month from intervals, from days and by pandas; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=20_000, help="usage points")
    parser.add_argument("--by-pandas", type=int, default=30, help="of them, computed by pandas too")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    sets = []
    for name in ("intervals", "days"):
        with scratch.scratch_database(f"bill_{name}") as url:
            bill_fleet.loaded(url, given.points)
            if name == "days":
                days_per_s = summed(url)
            found[name], named = measured(url, given.points)
            print(f"{given.points} usage points from {name}: {found[name]}", flush=True)
            sets.append(named)
            if name == "days":
                seconds, equal = bill_pandas.compared(url, given.by_pandas)
    intervals, by_day = found["intervals"], found["days"]
    slots = bill_fleet.DAYS * bill_fleet.SLOTS
    figures = {
        "intervals_per_s": round(intervals["per_s"] * slots),
        "usage_points_per_s": round(by_day["per_s"]),
        "intervals_per_s_clock": round(intervals["per_s_clock"] * slots),
        "usage_points_per_s_clock": round(by_day["per_s_clock"]),
        "ratio": round(1e6 * seconds / intervals["cpu_us_a_point"], 1),
        "ratio_days": round(1e6 * seconds / by_day["cpu_us_a_point"], 1),
        "equal": int(equal and sets[0] == sets[1] and len(sets[0]) == given.points),
        "days_per_s": round(days_per_s),
        "peak_mb": max(each["peak_mb"] for each in found.values()),
        "usage_points": given.points,
        "intervals": given.points * slots,
        "cpu_us": {name: each["phases"] for name, each in found.items()},
    }
    print(json.dumps(figures))


def _compute(connection: Connection, first: int, of: int) -> None:
    one = _cycle(connection)
    for points in cycle.partitions(connection, one)[first::of]:
        cycle.run_partition(
            connection, one, points, now=bill_fleet.NOW, tariffs=bill_fleet.tariffs()
        )
        connection.commit()


def _export(connection: Connection) -> None:
    one = _cycle(connection)
    with tempfile.TemporaryDirectory() as folder:
        delivery.deliver(connection, one, target=folder, file_format="csv", now=bill_fleet.NOW)


def _cycle(connection: Connection) -> Cycle:
    opened = cycle.opened(
        connection,
        bill_fleet.GROUP,
        bill_fleet.STARTS_ON,
        bill_fleet.ENDS_ON,
        now=bill_fleet.NOW,
    )
    if not connection.autocommit:
        connection.commit()
    return opened


if __name__ == "__main__":
    main()
