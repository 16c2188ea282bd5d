"""Raw → VEE → final, end to end, with the shipped rules on real load curves with 2 % gaps.

Raw blocks and daily registers are put into the raw store beforehand, cut at 00:00 UTC and with
arrivals, as landing does it. Timed is everything from the first claim of an arrival to the last
commit of final blocks, findings and register readings, by worker processes that share the queue and
have their modules and rule sets loaded, as those that run for days have.
Without history it is the first day of a new fleet, so that its channels are made too.

Two rates are told. ``intervals_per_s`` is by the clock. ``intervals_per_cpu_s`` counts the CPU time
of the workers and of their database backends, for two cores: what the clock would say if nobody
else used the machine and nothing waited for the disk. Where the time goes is told by phase, in µs a
channel-day. Peak memory is of the largest worker; the larger fleets show that it does not grow.
With history most usage points come in the light way (``mdm.intake_light``); ``again`` is the share
of channel-days that had been validated before and were once more, because the next day came.

The last line is one JSON object::

    {"intervals_per_s": …, "intervals_per_s_one_worker": …, "workers": two workers ÷ one,
     "intervals_per_cpu_s": two cores, "cpu_us": {phase: {"worker": …, "database": …}},
     "peak_mb": …, "peak_mb_by_meters": {meters: …}, "cpu_rate_by_meters": {meters: …},
     "meters": …, "days": …, "again": …,
     "with_history": the same of a smaller fleet with ``--history`` days in the record, or null,
     "year_ms": rules and estimators over one meter's year,
     "year_record_ms": the same with everything read from the record and compared with it,
     "intervals": …, "gaps": …, "exact": …}   days with a register at both ends that add up
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Barrier
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import phases, scratch
from benchmarks.store import load
from mdm import vee, vee_weeks
from schemas import binary_copy, binary_fields, database, quality
from schemas.binary_fields import Column
from schemas.database import Connection
from schemas.period import Period
from validation import ruleset

_STEP: Final = 900
_SLOTS: Final = 96
_DAY: Final = 86_400
_MICRO: Final = 1_000_000
# The first local midnight in Kuwait.
_START: Final = int(datetime(2026, 5, 31, 21, tzinfo=UTC).timestamp())
# Slots missing in a row, as often as meters of the field lose them: mostly one or two.
_RUNS: Final = (1, 1, 1, 2, 2, 4, 12)
# Meters that are landed together: a multiple of the 50 different load curves.
_LANDED: Final = 20_000


@dataclass(frozen=True)
class Worker:
    """What one worker process did."""

    intervals: int
    started: float
    ended: float
    peak_mb: float
    cpu: float
    spent: phases.Share
    days: int
    again: int


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
                "reading_type_id": binary_fields.constant("int2", 11, meters),
                "starts_at": _moment(int(moment[piece[0]]), meters),
                "interval_seconds": binary_fields.constant("int4", _STEP, meters),
                "digest": Column("int8", np.arange(meters)),
                "source": binary_fields.constant("text", "bench", meters),
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
    _tell(f"registering {meters} meters")
    with database.connect(url) as connection:
        devices = scratch.add_meters(connection, meters)
    if history:
        _land_all(url, devices, history, days, later=False)
        _workers(url, history, 2)
    lost = _land_all(url, devices, history, days, later=True)
    _tell(f"validating {meters} meters")
    done = _workers(url, history + days, workers)
    _tell("")
    seconds = max(each.ended for each in done) - min(each.started for each in done)
    intervals = sum(each.intervals for each in done)
    cpu = sum(each.cpu for each in done)
    return {
        "intervals_per_s": round(intervals / seconds),
        "intervals_per_cpu_s": round(2 * intervals / cpu),
        "cpu_us": phases.shares([each.spent for each in done], intervals // _SLOTS),
        "peak_mb": round(max(each.peak_mb for each in done)),
        "again": round(sum(each.again for each in done) / sum(each.days for each in done), 3),
        "meters": meters,
        "intervals": intervals,
        "gaps": lost,
        "exact": _exact(url, meters, history, days),
    }


def year_ms() -> tuple[float, float]:
    """Measure one meter's year: the rules alone, and the whole run from the record [ms of CPU]."""
    with scratch.scratch_database("year") as url:
        with database.connect(url) as connection:
            devices = scratch.add_meters(connection, 1)
        _land_all(url, devices, 0, 365, later=True)
        work(url, _at(_START + _DAY * 365))
        with database.connect(url) as connection:
            backend = connection.info.backend_pid
            (point,) = connection.execute("SELECT id FROM usage_point").fetchone() or (0,)
            period = Period(_at(_START), _at(_START + _DAY * 365))
            found = []
            for _ in range(3):
                before = time.process_time() + phases.cpu_of(backend)
                with phases.watched(backend) as watch:
                    vee.validate(connection, [point], period, now=_at(_START + _DAY * 365))
                    spent = watch.done()
                whole = time.process_time() + phases.cpu_of(backend) - before
                found.append((round(1e3 * spent["engine"][0], 1), round(1e3 * whole, 1)))
    return min(one for one, _ in found), min(whole for _, whole in found)


def main() -> None:
    """Measure one worker, two workers, several sizes, and with history; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--meters", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--history", type=int, default=28, help="days in the record; 0 for no such")
    parser.add_argument("--history-meters", type=int, default=5_000, help="meters with history")
    given = parser.parse_args()
    sizes = (max(given.meters // 16, 1), max(given.meters // 4, 1))
    cases = [(given.meters, 0, 1), (given.meters, 0, 2), *((meters, 0, 2) for meters in sizes)]
    if given.history:
        cases.append((min(given.meters, given.history_meters), given.history, 2))
    found: list[dict[str, Any]] = []
    for meters, history, workers in cases:
        with scratch.scratch_database("vee") as url:
            found.append(measure(url, meters, history, given.days, workers))
        print(f"{meters} meters, {history} days before, {workers} workers: {found[-1]}", flush=True)
    one, two, *others = found
    long = others.pop() if given.history else None
    rules, record = year_ms()
    figures = {
        **two,
        "intervals_per_s_one_worker": one["intervals_per_s"],
        "workers": round(two["intervals_per_s"] / one["intervals_per_s"], 2),
        "peak_mb_by_meters": {str(each["meters"]): each["peak_mb"] for each in (*others, two)},
        "cpu_rate_by_meters": {
            str(each["meters"]): each["intervals_per_cpu_s"] for each in (*others, two)
        },
        "days": given.days,
        "with_history": {**long, "history_days": given.history} if long else None,
        "year_ms": rules,
        "year_record_ms": record,
    }
    print(json.dumps(figures))


def work(url: str, now: datetime, others: Barrier | None = None) -> Worker:
    """Take batches until nothing is left.

    Parameters
    ----------
    others : where workers wait for each other before the first batch
    """
    intervals, days, again = 0, 0, 0
    with database.connect(url) as connection:
        # A worker runs for days: it has its modules, rule sets and calendars when something comes.
        ruleset.shipped()
        vee_weeks.shipped()
        np.unique(np.zeros(1))
        if others is not None:
            others.wait()
        backend, started = connection.info.backend_pid, time.time()
        before = time.process_time() + phases.cpu_of(backend)
        with phases.watched(backend) as watch:
            while True:
                report = vee.run(connection, now=now)
                with watch.phase("commit"):
                    connection.commit()
                intervals += report.intervals
                days, again = days + report.days, again + report.again
                if not report.taken:
                    break
            spent = watch.done()
        cpu = time.process_time() + phases.cpu_of(backend) - before
    ended = time.time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Worker(intervals, started, ended, peak, cpu, spent, days, again)


def _workers(url: str, days: int, count: int) -> list[Worker]:
    now = _at(_START + _DAY * days)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as shared, context.Pool(count) as pool:
        return pool.starmap(work, [(url, now, shared.Barrier(count))] * count, chunksize=1)


def _parts(meters: int) -> list[slice]:
    """Part a fleet into some thousand meters at a time."""
    return [slice(n, min(n + _LANDED, meters)) for n in range(0, meters, _LANDED)]


def _fleet_part(
    part: slice, history: int, days: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Give the true values and the missing slots of some meters, shape (meters, days, slots)."""
    values = load(part.stop - part.start, history + days)
    missing = gaps(len(values), values.shape[1] * _SLOTS, 0.02, seed=1 + part.start)
    return values, missing.reshape(values.shape)


def _land_all(url: str, devices: list[int], history: int, days: int, *, later: bool) -> int:
    """Land the days of the history, or the later ones; give the slots missing in them."""
    parts = [(url, devices[part], part, history, days, later) for part in _parts(len(devices))]
    context, lost = multiprocessing.get_context("spawn"), 0
    with context.Pool(min(2, len(parts))) as pool:
        for n, missing in enumerate(pool.imap_unordered(_land_part, parts), start=1):
            lost += missing
            _tell(f"landed {min(n * _LANDED, len(devices))} of {len(devices)} meters")
    with database.connect(url) as connection:
        connection.execute("ANALYZE")
    return lost


def _land_part(given: tuple[str, list[int], slice, int, int, bool]) -> int:
    """Land some meters; see ``_land_all``."""
    url, devices, part, history, days, later = given
    values, missing = _fleet_part(part, history, days)
    chosen = slice(history, None) if later else slice(0, history)
    marks = missing[:, chosen]
    with database.connect(url) as connection:
        land(connection, devices, values[:, chosen], marks, history if later else 0)
    return int(marks.sum())


def _tell(what: str) -> None:
    """Show people how far it is, beside what is measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def _land_registers(
    connection: Connection, devices: list[int], line: NDArray[np.int32], start: int
) -> None:
    meters, days = len(line), line.shape[1] // _SLOTS
    energy = line.reshape(meters, days, _SLOTS).sum(axis=2, dtype=np.int64)
    dials = np.concatenate([np.zeros((meters, 1), np.int64), energy.cumsum(axis=1)], axis=1)
    if start != _START:
        # The first dial of a later landing stands in the raw store already.
        known = (
            "SELECT end_device_id, max(value) FROM raw_register_reading"
            " WHERE end_device_id = ANY(%s) GROUP BY 1 ORDER BY 1"
        )
        before = np.array([row[1] for row in connection.execute(known, [devices])], np.int64)
        dials = dials[:, 1:] + before[:, None]
    first = 0 if start == _START else 1
    moments = start + _DAY * np.arange(first, days + 1)
    rows = dials.size
    binary_copy.write(
        connection,
        "raw_register_reading",
        {
            "end_device_id": Column("int4", np.repeat(np.array(devices, np.int32), dials.shape[1])),
            "reading_type_id": binary_fields.constant("int2", 1, rows),
            "read_at": Column("timestamptz", np.tile(moments, meters) * _MICRO),
            "value": Column("int8", dials.ravel()),
            "quality": binary_fields.constant("int2", 0, rows),
            "source": binary_fields.constant("text", "bench", rows),
            "collected_at": _moment(start + _DAY * days, rows),
        },
    )


def _exact(url: str, meters: int, history: int, days: int) -> float:
    """Give the share of days whose final energy is the register's difference."""
    right = 0
    with database.connect(url) as connection:
        for part in _parts(meters):
            values, _ = _fleet_part(part, history, days)
            rows = connection.execute(
                "SELECT p.id, b.starts_at, (SELECT sum(v) FROM unnest(b.values) AS v)"
                " FROM interval_block b JOIN channel c ON c.id = b.channel_id"
                " JOIN usage_point p ON p.id = c.usage_point_id"
                " WHERE b.version = 1 AND b.starts_at >= %s AND p.id > %s AND p.id <= %s",
                [_at(_START + _DAY * history), part.start, part.stop],
            )
            truth: NDArray[np.int64] = values.sum(axis=2, dtype=np.int64)
            for point, starts_at, total in rows:
                day = (int(starts_at.timestamp()) - _START) // _DAY
                right += int(truth[point - 1 - part.start, day]) == int(total)
    return float(right / (meters * days))


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _moment(second: int, rows: int) -> Column:
    return binary_fields.constant("timestamptz", second * _MICRO, rows)


if __name__ == "__main__":
    main()
