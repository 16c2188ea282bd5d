"""Puts end devices into a test's registry."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.database import Connection

INSTALLED = datetime(2026, 5, 1, tzinfo=UTC)


def segment(connection: Connection, code: str, limit: int = 200) -> int:
    row = connection.execute(
        "INSERT INTO network_segment (code, max_sessions) VALUES (%s, %s) RETURNING id",
        [code, limit],
    ).fetchone()
    assert row
    return int(row[0])


def end_device(
    connection: Connection,
    mrid: str,
    *,
    protocol: str = "dlms",
    host: str | None = "127.9.0.1",
    port: int | None = None,
    security: str = "none",
    segment_id: int | None = None,
    interval_seconds: int = 900,
    address: str = "{}",
    profile: str = "line",
    installed_from: datetime = INSTALLED,
    installed_until: datetime | None = None,
    billing_group: str = "monthly",
) -> int:
    """Add a meter and the usage point where it is installed; give the meter's id."""
    row = connection.execute(
        "INSERT INTO end_device (mrid, manufacturer, model, protocol, profile, interval_seconds,"
        " host, port, address, security, segment_id)"
        " VALUES (%s, 'Line', 'L1', %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [mrid, protocol, profile, interval_seconds, host, port, address, security, segment_id],
    ).fetchone()
    point = connection.execute(
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " VALUES (%s, 'electricity', 'residential', 'Asia/Kuwait', 'flat', %s) RETURNING id",
        [f"UP-{mrid}", billing_group],
    ).fetchone()
    assert row
    assert point
    connection.execute(
        "INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at)"
        " VALUES (%s, %s, %s, %s)",
        [point[0], row[0], installed_from, installed_until],
    )
    return int(row[0])


def count(connection: Connection, table: str, condition: str = "true") -> int:
    row = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()
    assert row
    return int(row[0])
