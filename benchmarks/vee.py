"""Raw → VEE → final, end to end, with the shipped rules on real load curves with 2 % gaps.

Raw blocks and daily registers are put into the raw store beforehand, cut at 00:00 UTC and with
arrivals, as landing does it. Timed is everything from the first claim of an arrival to the last
commit of final blocks, findings and register readings, by worker processes that share the queue.
Peak memory is that of the largest worker; the second, larger fleet shows that it does not grow.

The last line is one JSON object::

    {"intervals_per_s": …,            two workers, the larger fleet
     "intervals_per_s_one_worker": …, "peak_mb": …,
     "peak_mb_by_meters": {meters: …}, "meters": …, "days": …, "history_days": …,
     "intervals": …, "gaps": …, "exact": …}   days with a register at both ends that add up
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import scratch
from benchmarks.store import load
from mdm import vee
from schemas import binary_copy, database, quality
from schemas.binary_copy import Column
from schemas.database import Connection

_STEP: Final = 900
_SLOTS: Final = 96
_DAY: Final = 86_400
_MICRO: Final = 1_000_000
# The first local midnight in Kuwait.
_START: Final = int(datetime(2026, 5, 31, 21, tzinfo=UTC).timestamp())
# Slots missing in a row, as often as meters of the field lose them: mostly one or two.
_RUNS: Final = (1, 1, 1, 2, 2, 4, 12)


@dataclass(frozen=True)
class Worker:
    """What one worker process did."""

    intervals: int
    started: float
    ended: float
    peak_mb: float


def gaps(meters: int, slots: int, share: float, seed: int = 1) -> NDArray[np.bool_]:
    """Choose missing slots in runs, about that share of all, shape (meters, slots)."""
    random = np.random.default_rng(seed)
    mask = np.zeros((meters, slots), np.bool_)
    runs = int(share * mask.size / np.mean(_RUNS))
    row, first = random.integers(0, meters, runs), random.integers(0, slots, runs)
    length = random.choice(_RUNS, runs)
    for i in range(max(_RUNS)):
        chosen = (i < length) & (first + i < slots)
        mask[row[chosen], first[chosen] + i] = True
    return mask


def land(
    connection: Connection,
    devices: list[int],
    values: NDArray[np.int32],
    missing: NDArray[np.bool_],
    first_day: int,
) -> None:
    """Put whole local days of all meters into the raw store, with an arrival a meter."""
    meters, days, _ = values.shape
    line, marks = values.reshape(meters, -1), missing.reshape(meters, -1)
    start = _START + _DAY * first_day
    moment = start + _STEP * np.arange(line.shape[1])
    edges = np.flatnonzero(np.diff(moment // _DAY)) + 1
    codes = np.where(marks, np.int16(quality.MISSING), np.int16(0))
    shown = np.where(marks, 0, line)
    for piece in np.split(np.arange(line.shape[1]), edges):
        clean = ~np.asarray(marks[:, piece]).any(axis=1)
        binary_copy.write(
            connection,
            "raw_interval_block",
            {
                "end_device_id": Column("int4", np.array(devices, np.int32)),
                "reading_type_id": binary_copy.constant("int2", 11, meters),
                "starts_at": _moment(int(moment[piece[0]]), meters),
                "interval_seconds": binary_copy.constant("int4", _STEP, meters),
                "digest": Column("int8", np.arange(meters)),
                "source": binary_copy.constant("text", "bench", meters),
                "collected_at": _moment(start + _DAY * days, meters),
                "values": Column("int4[]", shown[:, piece]),
                "quality": Column("int2[]", codes[:, piece], null=np.asarray(clean)),
            },
        )
    _land_registers(connection, devices, line, start)
    connection.execute(
        "INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)"
        " SELECT d, %(start)s, %(end)s, %(end)s FROM unnest(%(devices)s::int[]) AS d",
        {"devices": devices, "start": _at(start), "end": _at(start + _DAY * days)},
    )
    connection.commit()


def measure(url: str, meters: int, history: int, days: int, workers: int) -> dict[str, Any]:
    """Run workers over a fleet until nothing is left; give rates and sizes."""
    values = load(meters, history + days)
    missing = gaps(meters, values.shape[1] * _SLOTS, 0.02).reshape(values.shape)
    with database.connect(url) as connection:
        devices = scratch.add_meters(connection, meters)
        if history:
            land(connection, devices, values[:, :history], missing[:, :history], 0)
    if history:
        _workers(url, history, 2)
    with database.connect(url) as connection:
        land(connection, devices, values[:, history:], missing[:, history:], history)
        connection.execute("ANALYZE")
    done = _workers(url, history + days, workers)
    seconds = max(each.ended for each in done) - min(each.started for each in done)
    intervals = sum(each.intervals for each in done)
    with database.connect(url) as connection:
        exact = _exact(connection, values, history)
    return {
        "intervals_per_s": round(intervals / seconds),
        "peak_mb": round(max(each.peak_mb for each in done)),
        "intervals": intervals,
        "gaps": int(missing[:, history:].sum()),
        "exact": exact,
    }


def main() -> None:
    """Measure one worker, two workers, and two sizes; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--meters", type=int, default=4000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--history", type=int, default=0, help="days in the record beforehand")
    given = parser.parse_args()
    cases = ((given.meters // 4, 2), (given.meters, 1), (given.meters, 2))
    found = []
    for meters, workers in cases:
        with scratch.scratch_database("vee") as url:
            found.append(measure(url, meters, given.history, given.days, workers))
        print(f"{meters} meters, {workers} workers: {found[-1]}", flush=True)
    small, one, two = found
    print(
        json.dumps(
            {
                **two,
                "intervals_per_s_one_worker": one["intervals_per_s"],
                "peak_mb_by_meters": {
                    str(given.meters // 4): small["peak_mb"],
                    str(given.meters): two["peak_mb"],
                },
                "meters": given.meters,
                "days": given.days,
                "history_days": given.history,
            }
        )
    )


def work(url: str, now: datetime) -> Worker:
    """Take batches until nothing is left."""
    started, intervals = time.time(), 0
    with database.connect(url) as connection:
        while True:
            report = vee.run(connection, now=now)
            connection.commit()
            intervals += report.intervals
            if not report.taken:
                break
    ended = time.time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Worker(intervals, started, ended, peak)


def _workers(url: str, days: int, count: int) -> list[Worker]:
    now = _at(_START + _DAY * days)
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        return pool.starmap(work, [(url, now)] * count, chunksize=1)


def _land_registers(
    connection: Connection, devices: list[int], line: NDArray[np.int32], start: int
) -> None:
    meters, days = len(line), line.shape[1] // _SLOTS
    energy = line.reshape(meters, days, _SLOTS).sum(axis=2, dtype=np.int64)
    dials = np.concatenate([np.zeros((meters, 1), np.int64), energy.cumsum(axis=1)], axis=1)
    if start != _START:
        # The first dial of a later landing stands in the raw store already.
        known = "SELECT end_device_id, max(value) FROM raw_register_reading GROUP BY 1 ORDER BY 1"
        before = np.array([row[1] for row in connection.execute(known)], np.int64)
        dials = dials[:, 1:] + before[:, None]
    first = 0 if start == _START else 1
    moments = start + _DAY * np.arange(first, days + 1)
    rows = dials.size
    binary_copy.write(
        connection,
        "raw_register_reading",
        {
            "end_device_id": Column("int4", np.repeat(np.array(devices, np.int32), dials.shape[1])),
            "reading_type_id": binary_copy.constant("int2", 1, rows),
            "read_at": Column("timestamptz", np.tile(moments, meters) * _MICRO),
            "value": Column("int8", dials.ravel()),
            "quality": binary_copy.constant("int2", 0, rows),
            "source": binary_copy.constant("text", "bench", rows),
            "collected_at": _moment(start + _DAY * days, rows),
        },
    )


def _exact(connection: Connection, values: NDArray[np.int32], history: int) -> float:
    """Give the share of days whose final energy is the register's difference."""
    rows = connection.execute(
        "SELECT p.mrid, b.starts_at, (SELECT sum(v) FROM unnest(b.values) AS v)"
        " FROM interval_block b JOIN channel c ON c.id = b.channel_id"
        " JOIN usage_point p ON p.id = c.usage_point_id WHERE b.version = 1"
    ).fetchall()
    truth: NDArray[np.int64] = values.sum(axis=2, dtype=np.int64)
    right = 0
    for mrid, starts_at, total in rows:
        day = (int(starts_at.timestamp()) - _START) // _DAY
        right += day >= history and int(truth[int(mrid[3:]) - 1, day]) == int(total)
    return float(right / (len(values) * (values.shape[1] - history)))


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _moment(second: int, rows: int) -> Column:
    return binary_copy.constant("timestamptz", second * _MICRO, rows)


if __name__ == "__main__":
    main()
