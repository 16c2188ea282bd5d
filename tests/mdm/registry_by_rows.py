"""The registry import as it is meant: row after row, each in a transaction of its own.

Slow (up to nine statements a row), written apart from the import by batches, which is held against
it. The database alone decides here what overlaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from mdm.registry import Report
from mdm.registry_row import RegistryRow, Rejected, parse
from schemas.database import Connection

_SEGMENT = """
INSERT INTO network_segment (code) VALUES (%(segment)s)
ON CONFLICT (code) DO UPDATE SET code = excluded.code RETURNING id
"""
_POINT = """
INSERT INTO usage_point AS p (mrid, commodity, sector, time_zone, tariff, billing_group)
VALUES (%(usage_point)s, %(commodity)s, %(sector)s, %(time_zone)s, %(tariff)s, %(billing_group)s)
ON CONFLICT (mrid) DO UPDATE SET
    sector = excluded.sector, time_zone = excluded.time_zone, tariff = excluded.tariff,
    billing_group = excluded.billing_group
WHERE (p.sector, p.time_zone, p.tariff, p.billing_group)
    IS DISTINCT FROM (excluded.sector, excluded.time_zone, excluded.tariff, excluded.billing_group)
RETURNING (xmax = 0) AS added
"""
_DEVICE = """
INSERT INTO end_device AS d (mrid, manufacturer, model, protocol, profile, interval_seconds,
    register_modulus, segment_id, host, port, address, security)
VALUES (%(end_device)s, %(manufacturer)s, %(model)s, %(protocol)s, %(profile)s,
    %(interval_seconds)s, %(register_modulus)s, %(segment_id)s, %(host)s, %(port)s, %(address)s,
    %(security)s)
ON CONFLICT (mrid) DO UPDATE SET
    manufacturer = excluded.manufacturer, model = excluded.model, protocol = excluded.protocol,
    profile = excluded.profile, interval_seconds = excluded.interval_seconds,
    register_modulus = excluded.register_modulus, segment_id = excluded.segment_id,
    host = excluded.host, port = excluded.port, address = excluded.address,
    security = excluded.security
WHERE (d.manufacturer, d.model, d.protocol, d.profile, d.interval_seconds, d.register_modulus,
       d.segment_id, d.host, d.port, d.address, d.security)
    IS DISTINCT FROM (excluded.manufacturer, excluded.model, excluded.protocol, excluded.profile,
       excluded.interval_seconds, excluded.register_modulus, excluded.segment_id, excluded.host,
       excluded.port, excluded.address, excluded.security)
RETURNING (xmax = 0) AS added
"""
_FOUND = """
SELECT i.id, i.ends_at, i.multiplier FROM installation i
JOIN usage_point p ON p.id = i.usage_point_id JOIN end_device d ON d.id = i.end_device_id
WHERE p.mrid = %(usage_point)s AND d.mrid = %(end_device)s AND i.starts_at = %(installed_from)s
"""
_ADD = """
INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at, multiplier)
SELECT p.id, d.id, %(installed_from)s, %(installed_until)s, %(multiplier)s
FROM usage_point p, end_device d WHERE p.mrid = %(usage_point)s AND d.mrid = %(end_device)s
"""
_CHANGE = """
UPDATE installation SET ends_at = %(installed_until)s, multiplier = %(multiplier)s
WHERE id = %(installation)s
"""


def import_rows(connection: Connection, rows: Iterable[Mapping[str, str]]) -> Report:
    """Take rows one after another; they count from line 2."""
    report = Report()
    for line, cells in enumerate(rows, start=2):
        report.lines += 1
        row = parse(line, cells)
        problem = row if isinstance(row, Rejected) else _take(connection, row, report)
        if problem:
            report.rejected.append(problem)
            report.refused += 1
    return report


def _take(connection: Connection, row: RegistryRow, report: Report) -> Rejected | None:
    outcome = Report()
    problem = None
    try:
        with connection.transaction():
            problem = _store(connection, row, outcome)
            if problem:
                raise psycopg.Rollback
    except psycopg.errors.ExclusionViolation as conflict:
        elsewhere = conflict.diag.constraint_name == "installation_one_place_at_a_time"
        taken = "the meter is already installed" if elsewhere else "the usage point already has a"
        reason = f"{taken}{'' if elsewhere else ' meter'} at that time; end the other installation"
        return Rejected(
            row.line, "installed_from", row.installed_from.isoformat(),
            f"{reason} first (installed_until)",
        )  # fmt: skip
    if not problem:
        report.added += outcome.added
        report.changed += outcome.changed
        report.unchanged += outcome.unchanged
    return problem


def _store(connection: Connection, row: RegistryRow, outcome: Report) -> Rejected | None:
    values: dict[str, Any] = asdict(row) | {"address": Jsonb(row.address), "segment_id": None}
    if row.segment:
        (values["segment_id"],) = connection.execute(_SEGMENT, values).fetchone() or (None,)
    _count(connection.execute(_POINT, values).fetchone(), "usage_point", outcome)
    query = "SELECT commodity FROM usage_point WHERE mrid = %(usage_point)s"
    (commodity,) = connection.execute(query, values).fetchone() or ("",)
    if commodity != row.commodity:
        reason = f"usage point {row.usage_point} is already one of {commodity}; it cannot change"
        return Rejected(row.line, "commodity", row.commodity, reason)
    _count(connection.execute(_DEVICE, values).fetchone(), "end_device", outcome)
    found = connection.execute(_FOUND, values).fetchone()
    if found is None:
        connection.execute(_ADD, values)
        outcome.added["installation"] += 1
    elif found[1:] != (row.installed_until, row.multiplier):
        connection.execute(_CHANGE, values | {"installation": found[0]})
        outcome.changed["installation"] += 1
    else:
        outcome.unchanged["installation"] += 1
    return None


def _count(row: tuple[Any, ...] | None, table: str, outcome: Report) -> None:
    tally = outcome.unchanged if row is None else outcome.added if row[0] else outcome.changed
    tally[table] += 1
