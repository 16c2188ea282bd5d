"""A fleet whose month is over, put straight into the final record, and the tariff that bills it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import scratch
from benchmarks.store import load
from mdm import readings, readings_columns, tariff_file, usage_points
from mdm.tariff import Tariffs, collected
from schemas import binary_copy, binary_fields, database, quality
from schemas.binary_fields import Column
from schemas.database import Connection

GROUP: Final = "A"
STARTS_ON: Final = date(2026, 5, 1)
ENDS_ON: Final = date(2026, 6, 1)
DAYS: Final = 31
SLOTS: Final = 96
START: Final = int(datetime(2026, 4, 30, 21, tzinfo=UTC).timestamp())
"""The first local midnight of the month in Kuwait [s since 1970-01-01 UTC]."""
RECORDED: Final = datetime(2026, 6, 1, 3, tzinfo=UTC)
NOW: Final = datetime(2026, 6, 1, 6, tzinfo=UTC)

_TYPE: Final = "active_energy_import_interval"
_DAY: Final = 86_400
# Usage points that are loaded together: a multiple of the 50 different load curves.
_LOADED: Final = 2_000
# Slots in a row that are estimated, as often as meters of the field lose them.
_RUNS: Final = (1, 1, 1, 2, 2, 4, 12)
_TARIFF: Final = """
[[tariff]]
name = "kw"
commodity = "electricity"
effective_from = 2020-01-01
calendar = "four_rates"
interval = "active_energy_import_interval"
sources = ["interval"]
unit = "kWh"
determinants = ["consumption", "time_of_use_consumption", "block_demand", "rolling_demand",
    "load_factor"]
[tariff.rounding]
quantity = { places = 3 }
demand = { places = 3 }
ratio = { places = 4 }
[tariff.demand]
block_minutes = 30
rolling_minutes = [60]
[tariff.gates]
missing = 0.5
estimated = 25
"""


def tariffs() -> Tariffs:
    """Give the fleet's tariff: energy in four periods, block and rolling demand, load factor."""
    return collected(tariff_file.parse(_TARIFF, "benchmark.toml"))


def loaded(url: str, points: int) -> None:
    """Make the usage points and their month: real load curves, 2 % of the intervals estimated."""
    with database.connect(url) as connection:
        scratch.add_meters(connection, points)
        ids = [point.id for point in usage_points.usage_points(connection)]
        keys = [(point, _TYPE, 900) for point in ids]
        known = usage_points.ensure_channels(connection, keys)
        channels = np.array([known[key] for key in keys], np.int32)
        provenance = readings.add_provenance(
            connection, "vee", recorded_at=RECORDED, rule_set="bench", rule_set_digest="0"
        )
        values = load(min(points, _LOADED), DAYS)
        for first in range(0, points, _LOADED):
            part = channels[first : first + _LOADED]
            _record(connection, part, values[: len(part)], first, provenance)
        connection.commit()
    with database.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def estimated(channels: int, seed: int) -> NDArray[np.bool_]:
    """Choose about 2 % of all slots in runs, shape (channels, 31, 96)."""
    random = np.random.default_rng(seed)
    mask = np.zeros((channels, DAYS * SLOTS), np.bool_)
    runs = int(0.02 * mask.size / np.mean(_RUNS))
    row, first = random.integers(0, channels, runs), random.integers(0, mask.shape[1], runs)
    length = random.choice(_RUNS, runs)
    for i in range(max(_RUNS)):
        chosen = (i < length) & (first + i < mask.shape[1])
        mask[row[chosen], first[chosen] + i] = True
    return mask.reshape(channels, DAYS, SLOTS)


def _record(
    connection: Connection,
    channels: NDArray[np.int32],
    values: NDArray[np.int32],
    seed: int,
    provenance: int,
) -> None:
    """COPY a month's blocks, day after day, as validation would have made them."""
    codes = np.where(
        estimated(len(channels), seed), np.int16(quality.ESTIMATED_LINEAR), np.int16(0)
    )
    rows = len(channels)
    for day in range(DAYS):
        columns = {
            "channel_id": Column("int4", channels),
            "starts_at": _moment(START + _DAY * day, rows),
            "version": binary_fields.constant("int4", 1, rows),
            "recorded_at": _moment(int(RECORDED.timestamp()), rows),
            "provenance_id": binary_fields.constant("int8", provenance, rows),
            "values": Column("int4[]", values[:, day]),
            "quality": Column("int2[]", codes[:, day], null=(codes[:, day] == 0).all(axis=1)),
        }
        binary_copy.write(connection, "interval_block", columns)


def _moment(second: int, rows: int) -> Column:
    return binary_fields.constant("timestamptz", second * readings_columns.SECOND, rows)
