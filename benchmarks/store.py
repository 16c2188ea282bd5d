"""The raw store: blocks in and out, against one row per interval in the same database.

Both sides hold the same intervals of the same meters in tables with the same kind of unique index,
hypertables where TimescaleDB is, and both go by binary COPY of numpy columns. The rows' table is
spared the foreign keys that the blocks' table checks. Each figure is the median of the rounds.

The last line is one JSON object::

    {"ratio_in": …, "ratio_out": …,   intervals per second, blocks ÷ rows
     "ratio_bytes": …,                bytes per interval with indexes, rows ÷ blocks
     "blocks_in_per_s": …, "rows_in_per_s": …, "blocks_out_per_s": …, "rows_out_per_s": …,
     "landed_per_s": …,               in through the head-end's landing, which drops what is known
     "blocks_bytes": …, "rows_bytes": …, "intervals": …}
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import scratch
from headend import landing
from headend.landing_rows import Answer
from mdm import intake_raw
from schemas import binary_copy, binary_fields, database, reading_type
from schemas.binary_fields import Column
from schemas.database import Connection
from schemas.reading import IntervalBlock
from simulators.load_curve import Load

_SLOTS: Final = 96
_STEP: Final = 900
_MICRO: Final = 1_000_000
_START: Final = datetime(2026, 6, 1, tzinfo=UTC)
_NOW: Final = datetime(2026, 7, 1, tzinfo=UTC)
_TYPE: Final = "active_energy_import_interval"
_ROWS: Final = """
CREATE TABLE bench_row (
    end_device_id integer NOT NULL,
    reading_type_id smallint NOT NULL,
    starts_at timestamptz NOT NULL,
    value integer NOT NULL,
    quality smallint NOT NULL,
    collected_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX ON bench_row (end_device_id, reading_type_id, starts_at);
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('bench_row', 'starts_at',
            chunk_time_interval => interval '7 days', create_default_indexes => false);
    END IF;
END $$
"""


def load(meters: int, days: int) -> NDArray[np.int32]:
    """Give real load curves, shifted and scaled for each meter, shape (meters, days, 96) [Wh]."""
    kinds = [
        Load(f"bench/{n}", "uk_hourly", 400 + 13 * n, 1 + n % 4, 0, 0, days * _SLOTS).active
        for n in range(min(meters, 50))
    ]
    chosen = np.arange(meters) % len(kinds)
    return np.stack(kinds)[chosen].reshape(meters, days, _SLOTS).astype(np.int32)


def timed(work: Callable[[], object]) -> float:
    """Give how long some work takes [s]."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def blocks_in(connection: Connection, devices: list[int], values: NDArray[np.int32]) -> None:
    """COPY a block a meter and day."""
    meters, days, _ = values.shape
    rows = meters * days
    starts = int(_START.timestamp()) + 86400 * np.arange(days)
    binary_copy.write(
        connection,
        "raw_interval_block",
        {
            "end_device_id": Column("int4", np.repeat(np.array(devices, np.int32), days)),
            "reading_type_id": binary_fields.constant("int2", reading_type.named(_TYPE).id, rows),
            "starts_at": Column("timestamptz", np.tile(starts, meters) * _MICRO),
            "interval_seconds": binary_fields.constant("int4", _STEP, rows),
            "digest": Column("int8", np.arange(rows)),
            "source": binary_fields.constant("text", "bench", rows),
            "collected_at": binary_fields.constant("timestamptz", _microseconds(_NOW), rows),
            "values": Column("int4[]", values.reshape(rows, _SLOTS)),
        },
    )
    connection.commit()


def rows_in(connection: Connection, devices: list[int], values: NDArray[np.int32]) -> None:
    """COPY a row an interval."""
    meters, days, _ = values.shape
    rows = values.size
    starts = int(_START.timestamp()) + _STEP * np.arange(days * _SLOTS)
    binary_copy.write(
        connection,
        "bench_row",
        {
            "end_device_id": Column("int4", np.repeat(np.array(devices, np.int32), days * _SLOTS)),
            "reading_type_id": binary_fields.constant("int2", reading_type.named(_TYPE).id, rows),
            "starts_at": Column("timestamptz", np.tile(starts, meters) * _MICRO),
            "value": Column("int4", values.ravel()),
            "quality": binary_fields.constant("int2", 0, rows),
            "collected_at": binary_fields.constant("timestamptz", _microseconds(_NOW), rows),
        },
    )
    connection.commit()


def land(connection: Connection, devices: list[int], values: NDArray[np.int32]) -> None:
    """Land the same blocks as the head-end's workers do, 200 meters at a time."""
    for first in range(0, len(devices), 200):
        answers = [
            Answer(
                device,
                blocks=[
                    IntervalBlock(_TYPE, _START + timedelta(days=day), _STEP, day_values)
                    for day, day_values in enumerate(meter_values.astype(np.int64))
                ],
            )
            for device, meter_values in zip(
                devices[first : first + 200], values[first : first + 200], strict=True
            )
        ]
        landing.land(connection, answers, source="bench", now=_NOW)
        connection.commit()


def blocks_out(connection: Connection, devices: list[int], days: int) -> int:
    """Read every block as validation does; give the sum."""
    start, meters = int(_START.timestamp()), np.array(devices, np.int32)
    return int(intake_raw.blocks(connection, meters, start, start + 86400 * days).values.sum())


def rows_out(connection: Connection, devices: list[int]) -> int:
    """Read every row by the same COPY; give the sum."""
    columns = binary_copy.read(
        connection,
        "SELECT end_device_id, reading_type_id, starts_at, value, quality FROM bench_row"
        " WHERE end_device_id = ANY(%(devices)s) AND starts_at >= %(start)s",
        {"devices": devices, "start": _START},
        ("int4", "int2", "timestamptz", "int4", "int2"),
    )
    return int(columns[3].values.sum())


def measure(
    connection: Connection, devices: list[int], values: NDArray[np.int32], rounds: int
) -> dict[str, float]:
    """Time every way in and out, in turns."""
    times: dict[str, list[float]] = {}
    truth, days = int(values.sum()), values.shape[1]
    for _ in range(rounds):
        connection.execute("TRUNCATE raw_interval_block, bench_row, arrival")
        connection.commit()
        ways: dict[str, Callable[[], object]] = {
            "rows_in": lambda: rows_in(connection, devices, values),
            "blocks_in": lambda: blocks_in(connection, devices, values),
            "rows_out": lambda: _same(rows_out(connection, devices), truth),
            "blocks_out": lambda: _same(blocks_out(connection, devices, days), truth),
        }
        for name, way in ways.items():
            times.setdefault(name, []).append(timed(way))
    sizes = {
        "blocks_bytes": scratch.bytes_of(connection, "raw_interval_block"),
        "rows_bytes": scratch.bytes_of(connection, "bench_row"),
    }
    connection.execute("TRUNCATE raw_interval_block")
    connection.commit()
    landed = timed(lambda: land(connection, devices, values))
    rates = {f"{name}_per_s": values.size / statistics.median(t) for name, t in times.items()}
    return {**rates, "landed_per_s": values.size / landed, **sizes}


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--meters", type=int, default=2000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with (
        scratch.scratch_database("store") as url,
        database.connect(url) as connection,
    ):
        devices = scratch.add_meters(connection, given.meters)
        connection.execute(_ROWS)
        connection.commit()
        found = measure(connection, devices, load(given.meters, given.days), given.rounds)
    figures = {
        "ratio_in": found["blocks_in_per_s"] / found["rows_in_per_s"],
        "ratio_out": found["blocks_out_per_s"] / found["rows_out_per_s"],
        "ratio_bytes": found["rows_bytes"] / found["blocks_bytes"],
    }
    print(
        json.dumps(
            {name: round(value, 2) for name, value in figures.items()}
            | {name: round(value) for name, value in found.items()}
            | {"intervals": given.meters * given.days * _SLOTS}
        )
    )


def _same(found: int, truth: int) -> None:
    if found != truth:
        raise ValueError(f"read {found} Wh, stored {truth} Wh")


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * _MICRO


if __name__ == "__main__":
    main()
