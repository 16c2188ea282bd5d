"""Readings of a usage point as a file: of a period, as they were known at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from mdm import cycle_sets, delivery_series, usage_points
from mdm.export import formats, readings_table
from mdm.export.formats import Format
from mdm.export.record import Head, LeftOut, Record
from schemas.database import Connection
from schemas.period import Period

FORMATS: Final = {
    "csv": Format(
        *("csv", "text/csv", readings_table.render_csv, "a row a reading"),
        refusal=readings_table.refusal,
    ),
    "parquet": Format(
        *("parquet", "application/vnd.apache.parquet", readings_table.render_parquet),
        "a row a reading, as typed columns",
        refusal=readings_table.refusal,
    ),
    **{name: one for name, one in formats.FORMATS.items() if one.series},
}
"""Formats in which readings can be written: two of their own, and those of bills that have them."""

# Of bills; there are none in an export of readings.
_OF_BILLS: Final = {"determinants", "what was billed before"}


class ReadingsExportError(ValueError):
    """Readings cannot be written; the message says what and why."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file of readings, with what the format has no place for."""

    content: bytes
    intervals: int
    registers: int
    left_out: tuple[LeftOut, ...]


def written(
    connection: Connection,
    usage_point: str,
    period: Period,
    *,
    file_format: str,
    known_at: datetime,
) -> Written:
    """Write the readings of a usage point; the same moment of knowledge gives the same bytes.

    Parameters
    ----------
    period : intervals that begin in it; registers read in it, both ends included

    Raises
    ------
    ReadingsExportError
        if there is no such usage point or format, or the format cannot say it.
    """
    if file_format not in FORMATS:
        raise ReadingsExportError(f"no format {file_format!r}; known: {', '.join(FORMATS)}")
    kind = FORMATS[file_format]
    head, record = _record(connection, usage_point, period, known_at)
    why = kind.refusal(record)
    if why is not None:
        raise ReadingsExportError(
            f"{usage_point} from {period} cannot be written as {file_format}: {why}"
        )
    return Written(
        content=kind.render(head, [record]),
        intervals=sum(int(one.known.sum()) for one in record.series.intervals),
        registers=len(record.series.dials),
        left_out=tuple(one for one in kind.omissions(record) if one.what not in _OF_BILLS),
    )


def _record(
    connection: Connection, usage_point: str, period: Period, known_at: datetime
) -> tuple[Head, Record]:
    point = usage_points.named(connection, usage_point)
    if point is None:
        raise ReadingsExportError(f"no usage point is named {usage_point!r} in the registry")
    zone = ZoneInfo(point.time_zone)
    first = period.start.astimezone(zone).date()
    until = (period.end.astimezone(zone) - timedelta(microseconds=1)).date() + timedelta(days=1)
    key = f"{usage_point}/{period.start:%Y%m%dT%H%M%SZ}/{period.end:%Y%m%dT%H%M%SZ}"
    head = Head(key, point.billing_group, first, until, known_at, cycle_sets.SOFTWARE)
    series = delivery_series.of_usage_point(connection, point.id, period, known_at=known_at)
    return head, Record(
        key=key,
        usage_point=usage_point,
        commodity=point.commodity,
        sector=point.sector,
        tariff=point.tariff,
        time_zone=point.time_zone,
        starts_at=period.start,
        ends_at=period.end,
        version=1,
        corrects=None,
        digest="",
        lines=(),
        series=series,
    )
