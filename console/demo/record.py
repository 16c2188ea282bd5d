"""What the database holds, as tables to be held against the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdm import readings, usage_points
from schemas import quality, reading_type
from schemas.database import Connection
from schemas.period import Period

CLASSES = ("valid", "questionable", "missing", "estimated", "edited")


def intervals(connection: Connection, period: Period) -> pd.DataFrame:
    """List every final interval of a period.

    Returns
    -------
    columns usage_point, reading_type, starts_at (UTC), recorded (int64) [scaled unit],
    quality (code), quality_class (one of ``CLASSES``)
    """
    mrids = {point.id: point.mrid for point in usage_points.usage_points(connection)}
    channels = {c.id: c for c in usage_points.channels(connection) if c.interval_seconds}
    blocks = readings.current(connection, sorted(channels), period)
    width = blocks.values.shape[1] if len(blocks) else 0
    inside = np.arange(width) < blocks.length[:, None]
    starts = blocks.starts_at[:, None] + np.arange(width) * blocks.interval_seconds[:, None]
    codes = blocks.quality[inside]
    owners = np.repeat(blocks.channel_id, blocks.length)
    table = pd.DataFrame(
        {
            "usage_point": pd.Series(owners).map(
                {number: mrids[c.usage_point_id] for number, c in channels.items()}
            ),
            "reading_type": pd.Series(owners).map(
                {number: c.reading_type for number, c in channels.items()}
            ),
            "starts_at": pd.to_datetime(starts[inside], unit="s", utc=True),
            "recorded": blocks.values[inside].astype(np.int64),
            "quality": codes,
            "quality_class": np.array(CLASSES)[quality.classes(codes)],
        }
    )
    return table[table["starts_at"] < pd.Timestamp(period.end)]


def bills(connection: Connection) -> pd.DataFrame:
    """List the newest billed quantities.

    Returns
    -------
    one row a usage point: state, consumption, register_consumption, interval_consumption
    (Decimal or None) and unit
    """
    rows = connection.execute(
        "SELECT usage_point, state, determinant, value, unit FROM billing"
        " WHERE determinant IN ('consumption', 'register_consumption', 'interval_consumption')"
    ).fetchall()
    table = pd.DataFrame(rows, columns=["usage_point", "state", "determinant", "value", "unit"])
    wide = table.pivot_table(
        index=["usage_point", "state", "unit"],
        columns="determinant",
        values="value",
        aggfunc="first",
        dropna=False,
        observed=True,
    )
    names = ["consumption", "register_consumption", "interval_consumption"]
    wide = wide.reindex(columns=names).dropna(how="all").astype(object)
    return wide.where(wide.notna(), None).reset_index()


def raw_of(connection: Connection, end_devices: list[str]) -> pd.DataFrame:
    """List every raw interval of some meters: end_device, reading_type, starts_at, raw."""
    rows = connection.execute(
        "SELECT end_device, reading_type, starts_at, starts_at, value FROM raw_reading"
        " WHERE end_device = ANY(%s) AND value IS NOT NULL",
        [end_devices],
    ).fetchall()
    table = _timed(rows, ["end_device", "reading_type", "starts_at", "ends_at", "raw"])
    return table.drop(columns="ends_at")


def findings(connection: Connection) -> pd.DataFrame:
    """List every finding that ever was: usage_point, rule, starts_at, ends_at, state."""
    rows = connection.execute(
        "SELECT p.mrid, f.rule, f.starts_at, f.ends_at, f.state FROM finding f"
        " JOIN channel c ON c.id = f.channel_id JOIN usage_point p ON p.id = c.usage_point_id"
    ).fetchall()
    return _timed(rows, ["usage_point", "rule", "starts_at", "ends_at", "state"])


def sessions(connection: Connection) -> pd.DataFrame:
    """List every session: end_device, protocol, starts_at, ends_at, error, attempts, seconds."""
    rows = connection.execute(
        "SELECT d.mrid, d.protocol, s.started_at, s.ended_at, s.error, s.attempts, s.seconds"
        " FROM collection_session s JOIN end_device d ON d.id = s.end_device_id"
    ).fetchall()
    columns = ["end_device", "protocol", "starts_at", "ends_at", "error", "attempts", "seconds"]
    return _timed(rows, columns)


def clock_deviations(connection: Connection) -> dict[str, float]:
    """Give the last clock deviation that was measured, by end device [s]."""
    rows = connection.execute(
        "SELECT d.mrid, s.clock_deviation FROM device_status s"
        " JOIN end_device d ON d.id = s.end_device_id WHERE s.clock_deviation IS NOT NULL"
    )
    return {row[0]: float(row[1]) for row in rows}


def raw_counts(connection: Connection) -> dict[str, int]:
    """Count what the raw store holds: interval values read, and register readings."""
    row = connection.execute(
        "SELECT (SELECT coalesce(sum(cardinality(values)), 0) FROM raw_interval_block),"
        " (SELECT count(*) FROM raw_register_reading), (SELECT count(*) FROM quarantine)"
    ).fetchone()
    intervals_, registers, quarantined = row or (0, 0, 0)
    return {
        "intervals": int(intervals_), "registers": registers, "quarantined": quarantined,
    }  # fmt: skip


def unit_of(name: str) -> str:
    """Give a reading type's scaled unit."""
    return reading_type.named(name).unit


def _timed(rows: list[tuple[object, ...]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    for column in ("starts_at", "ends_at"):
        table[column] = pd.to_datetime(table[column], utc=True)
    return table
