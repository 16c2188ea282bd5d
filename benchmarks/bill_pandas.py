"""The same determinants as ``benchmarks.bill``, by pandas over one row an interval."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from benchmarks import bill_fleet, phases
from mdm import calendar_file
from schemas import database
from schemas.database import Connection
from schemas.period import Period

_ZONE: Final = ZoneInfo("Asia/Kuwait")
_ROWS: Final = """
SELECT r.usage_point, r.starts_at, r.value, c.class
FROM reading r JOIN quality_code c ON c.code = r.quality
WHERE r.channel_id = ANY(%s) AND r.starts_at >= %s AND r.starts_at < %s
"""
_STORED: Final = """
SELECT usage_point, determinant, part, value, actual, estimated FROM billing
WHERE usage_point = ANY(%s) AND determinant <> 'consumption'
"""
_KWH: Final = 1000


def compared(url: str, points: int) -> tuple[float, bool]:
    """Compute some usage points; give the CPU time of each [s], and whether all is as stored."""
    with database.connect(url) as connection:
        backend = connection.info.backend_pid
        before = time.process_time() + phases.cpu_of(backend)
        found = _computed(connection, points)
        cpu = time.process_time() + phases.cpu_of(backend) - before
        mrids = sorted({key[0] for key in found})
        stored = {
            (row[0], row[1], row[2]): tuple(row[3:]) for row in connection.execute(_STORED, [mrids])
        }
    return cpu / points, len(mrids) == points and found == stored


def _computed(connection: Connection, points: int) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    """Give value and counts of actual and estimated intervals, by usage point and determinant."""
    first = connection.execute("SELECT id FROM channel ORDER BY id LIMIT %s", [points])
    start = pd.Timestamp(bill_fleet.START, unit="s", tz="UTC")
    end = start + pd.Timedelta(days=bill_fleet.DAYS)
    period = Period(start.to_pydatetime(), end.to_pydatetime())
    rows = connection.execute(_ROWS, [[row[0] for row in first], start, end]).fetchall()
    table: Any = pd.DataFrame(rows, columns=["point", "at", "value", "class"])
    table = table.sort_values(["point", "at"], ignore_index=True)
    calendar = calendar_file.named("four_rates")
    numbers = calendar.of_period(period, _ZONE, 900)
    slot: Any = ((table["at"] - start) // pd.Timedelta(seconds=900)).astype(int)
    table["part"] = pd.Categorical([calendar.periods[n] for n in numbers[slot]])
    table["block"] = slot // 2
    found: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    counts = table.groupby(["point", "part", "class"], observed=True).size()
    for (point, part), value in (
        table.groupby(["point", "part"], observed=True)["value"].sum().items()
    ):
        found[point, "time_of_use_consumption", part] = (_kwh(value), *_of(counts[point, part]))
    blocks = table.groupby(["point", "block"])["value"].sum()
    highest, hours = blocks.groupby("point").idxmax(), bill_fleet.DAYS * 24
    totals, classes = (
        table.groupby("point")["value"].sum(),
        table.groupby(["point", "class"]).size(),
    )
    rolling = table.groupby("point")["value"].rolling(4).sum()
    by_point = table.groupby("point")["class"]
    for point, place in highest.items():
        block, moved = int(blocks[place]), rolling[point]
        kinds = by_point.get_group(point)
        at = 2 * place[1]
        found[point, "block_demand", "30 min"] = (_kwh(2 * block), *_tally(kinds.iloc[at : at + 2]))
        last = int(moved.argmax())
        window = kinds.iloc[last - 3 : last + 1]
        found[point, "rolling_demand", "60 min"] = (_kwh(int(moved.max())), *_tally(window))
        factor = Decimal(int(totals[point])) / (Decimal(2 * block) * hours)
        rounded = factor.quantize(Decimal("0.0001"), "ROUND_HALF_UP")
        found[point, "load_factor", ""] = (rounded, *_of(classes[point]))
    return found


def _kwh(watt_hours: int) -> Decimal:
    return (Decimal(int(watt_hours)) / _KWH).quantize(Decimal("0.001"))


def _of(counts: Any) -> tuple[int, int]:
    return int(counts.get("valid", 0)), int(counts.get("estimated", 0))


def _tally(classes: Any) -> tuple[int, int]:
    return int((classes == "valid").sum()), int((classes == "estimated").sum())
