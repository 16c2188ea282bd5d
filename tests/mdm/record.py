"""What tests of the record share: a small registry, and blocks to put into the record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from mdm import readings, usage_points
from mdm.readings import RegisterTable
from schemas import quality
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable
from validation import ruleset

STATEMENT_FILES = [
    "readings.sql",
    "readings_stretch.sql",
    "intake.sql",
    "intake_beside.sql",
    "vee.sql",
    "vee_late.sql",
    "worklist.sql",
    "billed_days.sql",
    "editing.sql",
    "explain.sql",
    "explain_changes.sql",
    "explain_known.sql",
    "register_checks.sql",
]
NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)

# Rules of the tests' own: the shipped ones may change.
RULES = (
    ruleset.parse(
        """
        name = "electricity"
        effective_from = 2000-01-01
        description = "For tests."
        scale_to_register = true
        [scaling]
        intervals = "estimated"
        negative = "refuse"
        registers = "tariff"
        [rules]
        gap = { severity = "info", action = "estimate" }
        duplicate = { severity = "issue", action = "note" }
        interval_size = { severity = "issue", action = "suspect" }
        sum_check = { severity = "issue", action = "note", tolerance = 0, relative = 0.0 }
        [rules.spike]
        severity = "issue"
        action = "suspect"
        tolerance = 1.8
        minimum_per_hour = 8000
        [[estimators]]
        method = "linear"
        limit_hours = 2
        inclusive = true
        one_anchor = "flat"
        beside_bad = "decline"
        [[estimators]]
        method = "like_day"
        count = 3
        fewest = 1
        like = "kind"
        within_days = 60
        [[estimators]]
        method = "register"
        """,
        "tests",
    ),
)


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


def usage_point(connection: Connection, mrid: str = "UP-1", zone: str = "Asia/Kuwait") -> int:
    row = connection.execute(
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " VALUES (%s, 'electricity', 'residential', %s, 'kw', 'A') RETURNING id",
        [mrid, zone],
    ).fetchone()
    assert row
    return int(row[0])


def channel(
    connection: Connection,
    point: int,
    reading_type: str = "active_energy_import_interval",
    interval_seconds: int = 900,
) -> int:
    key = (point, reading_type, interval_seconds)
    return usage_points.ensure_channels(connection, [key])[key]


def blocks(
    channel_ids: Sequence[int],
    starts_at: Sequence[int],
    values: Sequence[Sequence[int]],
    codes: Sequence[Sequence[int]] | None = None,
    interval_seconds: int = 900,
) -> BlockTable:
    length = np.array([len(row) for row in values], np.int32)
    width = int(max(length, default=0))
    table = np.zeros((len(values), width), np.int32)
    quality_ = np.full((len(values), width), quality.MISSING, np.int16)
    for i, row in enumerate(values):
        table[i, : len(row)] = row
        quality_[i, : len(row)] = codes[i] if codes else 0
    rows = len(values)
    return BlockTable(
        channel_id=np.array(channel_ids, np.int32),
        starts_at=np.array(starts_at, np.int64),
        interval_seconds=np.full(rows, interval_seconds, np.int32),
        version=np.zeros(rows, np.int32),
        provenance_id=np.zeros(rows, np.int64),
        length=length,
        values=table,
        quality=quality_,
    )


def registers(rows: Sequence[tuple[int, int, int, int, int]]) -> RegisterTable:
    """Rows of channel, installation, moment, value, quality."""
    columns = list(zip(*rows, strict=True))
    return RegisterTable(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.int64),
        np.zeros(len(rows), np.int32),
        np.array(columns[3], np.int64),
        np.array(columns[4], np.int16),
    )


def record(connection: Connection, table: BlockTable, when: datetime = NOW) -> int:
    provenance = readings.add_provenance(connection, "vee", recorded_at=when)
    return readings.record(connection, table, provenance_id=provenance, recorded_at=when)


def installation(
    connection: Connection,
    point: int,
    mrid: str,
    *,
    since: datetime = datetime(2025, 1, 1, tzinfo=UTC),
    until: datetime | None = None,
    multiplier: str = "1",
    interval_seconds: int = 900,
    register_modulus: int | None = None,
    protocol: str = "dlms",
) -> int:
    """Install a new meter; give the installation's id."""
    row = connection.execute(
        "WITH d AS (INSERT INTO end_device (mrid, manufacturer, model, protocol, profile,"
        " interval_seconds, register_modulus)"
        " VALUES (%s, 'ACME', 'X1', %s, 'generic', %s, %s) RETURNING id)"
        " INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at, multiplier)"
        " SELECT %s, id, %s, %s, %s FROM d RETURNING id",
        [mrid, protocol, interval_seconds, register_modulus, point, since, until, multiplier],
    ).fetchone()
    assert row
    return int(row[0])


def prepare(connection: Connection, name: str, body: str) -> None:
    """Let the server parse and plan a named statement; its placeholders become parameters."""
    names: dict[str, int] = {}
    text = re.sub(
        r"%\((\w+)\)s", lambda found: f"${names.setdefault(found[1], len(names) + 1)}", body
    )
    connection.execute(f"PREPARE {name} AS {text.replace('%%', '%')}".encode())


def land(
    connection: Connection,
    mrid: str,
    starts_at: datetime,
    values: Sequence[int],
    codes: Sequence[int] | None = None,
    *,
    reading_type_id: int = 11,
    interval_seconds: int = 900,
    collected_at: datetime = NOW,
) -> None:
    """Put intervals into the raw store as the head-end does: cut at 00:00 UTC, with an arrival."""
    first = int(starts_at.timestamp())
    stamps = [first + interval_seconds * i for i in range(len(values))]
    days = sorted({stamp // 86400 for stamp in stamps})
    for day in days:
        chosen = [i for i, stamp in enumerate(stamps) if stamp // 86400 == day]
        part = [values[i] for i in chosen]
        marks = [codes[i] for i in chosen] if codes else None
        connection.execute(
            "INSERT INTO raw_interval_block SELECT id, %s, %s, %s, %s, 'test', %s, NULL, %s, %s"
            " FROM end_device WHERE mrid = %s",
            [
                reading_type_id,
                datetime.fromtimestamp(stamps[chosen[0]], UTC),
                interval_seconds,
                hash((tuple(part), tuple(marks or ()))) % 2**62,
                collected_at,
                part,
                marks if marks and any(marks) else None,
                mrid,
            ],
        )
    arrive(connection, mrid, first, stamps[-1] + interval_seconds)


def land_registers(
    connection: Connection,
    mrid: str,
    readings_: Sequence[tuple[datetime, int]],
    *,
    reading_type_id: int = 1,
    code: int = 0,
    collected_at: datetime = NOW,
) -> None:
    """Put register readings into the raw store, with an arrival."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO raw_register_reading SELECT id, %s, %s, %s, %s, 'test', %s"
            " FROM end_device WHERE mrid = %s",
            [
                [reading_type_id, read_at, value, code, collected_at, mrid]
                for read_at, value in readings_
            ],
        )
    moments = [int(read_at.timestamp()) for read_at, _ in readings_]
    arrive(connection, mrid, min(moments), max(moments))


def arrive(connection: Connection, mrid: str, start: int, end: int) -> None:
    connection.execute(
        "INSERT INTO arrival (end_device_id, starts_at, ends_at, landed_at)"
        " SELECT id, %s, %s, %s FROM end_device WHERE mrid = %s",
        [datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC), NOW, mrid],
    )


def findings(connection: Connection, state: str = "open") -> list[tuple[str, datetime, datetime]]:
    rows = connection.execute(
        "SELECT rule, starts_at, ends_at FROM finding WHERE state = %s ORDER BY rule, starts_at",
        [state],
    )
    return [(rule, start, end) for rule, start, end in rows]


def final(
    connection: Connection, reading_type: str = "active_energy_import_interval"
) -> BlockTable:
    """All current days of all channels of a reading type."""
    ids = [
        each.id
        for each in usage_points.channels(connection)
        if each.reading_type == reading_type and each.interval_seconds
    ]
    ever = Period(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    return readings.current(connection, ids, ever, origins=True)
