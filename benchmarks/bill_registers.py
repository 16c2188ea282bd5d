"""Closing a month of usage points that are billed by registers; run with ``python -m``.

Kuwait's shipped tariffs bill by registers: electricity meters beside quarter hours, whose days may
be summed beforehand, or alone; water meters. CPU time of the worker and of its database backend.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import bill_fleet, phases, scratch
from mdm import (
    cycle,
    cycle_drafts,
    cycle_inputs,
    cycle_sets,
    daily_group,
    readings,
    tariff_file,
    usage_points,
)
from mdm.determinants import pages
from mdm.readings import RegisterTable
from schemas import database
from schemas.database import Connection

FLEETS: Final = ("alone", "water", "intervals", "days")
_PHASES: Final[phases.Phases] = (
    (cycle_inputs, "gathered", "inputs"),
    (cycle, "results", "determinants"),
    (cycle_drafts, "drafts", "gates and digests"),
    (cycle_sets, "write", "sets"),
)
_SETS: Final = "SELECT usage_point_id, input_digest, digest FROM determinant_set ORDER BY 1"
_PAGED: Final = "SELECT count(*) FROM determinant_page"


def closed(url: str) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Close the month; give the figures, and every set's digests."""
    with database.connect(url) as connection:
        one = cycle.opened(
            *(connection, bill_fleet.GROUP, bill_fleet.STARTS_ON, bill_fleet.ENDS_ON),
            now=bill_fleet.NOW,
        )
        connection.commit()
        backend, done = connection.info.backend_pid, 0
        before = time.process_time() + phases.cpu_of(backend)
        with phases.watched(backend, _PHASES) as watch:
            for points in cycle.partitions(connection, one):
                run = cycle.run_partition(connection, one, points, now=bill_fleet.NOW)
                done += run.written
                connection.commit()
            spent = watch.done()
        cpu = time.process_time() + phases.cpu_of(backend) - before
        sets = connection.execute(_SETS).fetchall()
        (paged,) = connection.execute(_PAGED).fetchone() or (0,)
    return {
        "cpu_us_a_point": round(1e6 * cpu / done),
        "usage_points_per_s": round(2 * done / cpu),
        "pages": paged,
        "phases": phases.shares([spent], done),
    }, sets


def loaded(url: str, fleet: str, points: int) -> None:
    """Make usage points with a meter each that was read at each midnight of the month."""
    commodity = "water" if fleet == "water" else "electricity"
    kind = "water_volume" if fleet == "water" else "active_energy_import"
    uses = np.full(points, 700_000, np.int64)
    if fleet in ("intervals", "days"):
        bill_fleet.loaded(url, points)
    with database.connect(url) as connection:
        if fleet in ("intervals", "days"):
            uses = _used(connection)
        else:
            scratch.add_meters(connection, points)
        connection.execute(
            "UPDATE usage_point SET tariff = 'kw-residential', commodity = %s", [commodity]
        )
        _read(connection, kind, uses)
        connection.commit()
    with database.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    if fleet == "days":
        _summed(url)


def _used(connection: Connection) -> NDArray[np.int64]:
    """Sum each usage point's intervals."""
    rows = connection.execute(
        "SELECT (SELECT sum(v) FROM unnest(array_agg(b.sum)) v) FROM ("
        ' SELECT channel_id, (SELECT sum(v) FROM unnest("values") v) AS sum FROM interval_block) b'
        " JOIN channel c ON c.id = b.channel_id GROUP BY c.usage_point_id ORDER BY c.usage_point_id"
    )
    return np.array([row[0] for row in rows], np.int64)


def _read(connection: Connection, kind: str, uses: NDArray[np.int64]) -> None:
    """Record every register's readings, one a day."""
    ids = [point.id for point in usage_points.usage_points(connection)]
    known = usage_points.ensure_channels(connection, [(point, kind, 0) for point in ids])
    rows = connection.execute("SELECT usage_point_id, id FROM installation").fetchall()
    installed = {row[0]: row[1] for row in rows}
    points = len(ids)
    first = np.arange(points, dtype=np.int64) * 7_919 % 10**8
    days = bill_fleet.DAYS
    used = np.outer(np.arange(days + 1), uses) // days
    moments = bill_fleet.START + 86_400 * np.arange(days + 1, dtype=np.int64)
    table = RegisterTable(
        channel_id=np.tile(np.array([known[point, kind, 0] for point in ids], np.int32), days + 1),
        installation_id=np.tile(np.array([installed[point] for point in ids], np.int32), days + 1),
        read_at=np.repeat(moments, points),
        version=np.zeros((days + 1) * points, np.int32),
        value=(first + used).ravel(),
        quality=np.zeros((days + 1) * points, np.int16),
    )
    when = datetime(2026, 6, 1, 3, tzinfo=UTC)
    provenance = readings.add_provenance(connection, "vee", recorded_at=when)
    readings.record_registers(connection, table, provenance_id=provenance, recorded_at=when)


def _summed(url: str) -> None:
    with database.connect(url) as connection:
        for points in daily_group.partitions(connection, bill_fleet.GROUP):
            daily_group.add(
                *(connection, points, bill_fleet.STARTS_ON, bill_fleet.ENDS_ON),
                now=bill_fleet.NOW,
                tariffs=tariff_file.standing(),
            )
            connection.commit()
    with database.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE interval_days")


def main() -> None:
    """Close each fleet's month, and some of it without pages; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=4_000, help="usage points of each fleet")
    parser.add_argument("--fleets", nargs="+", choices=FLEETS, default=FLEETS)
    parser.add_argument("--without-pages", action="store_true", help="compose them one by one")
    given = parser.parse_args()
    if given.without_pages:
        setattr(pages, "serves", lambda _: False)  # noqa: B010
    found = {}
    for fleet in given.fleets:
        with scratch.scratch_database(f"bill_{fleet}") as url:
            loaded(url, fleet, given.points)
            found[fleet], _ = closed(url)
            print(f"{given.points} usage points, {fleet}: {found[fleet]}", flush=True)
    least = min(each["usage_points_per_s"] for each in found.values())
    figures = {"usage_points_per_s": least, "usage_points": given.points, "fleets": found}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
