"""The page of a meter: does it talk, since when not, why, what to do; and all that it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from console import store
from console.pages import interval_chart
from console.pages.interval_chart import Chart
from console.pages.language import Language
from console.pages.refusal import Refusal
from console.pages.showing import Reader
from headend import engineering, overview
from headend.devices import UnknownDevice
from headend.overview import MeterStatus
from mdm import bill, cycle_to_date, places, readings, usage_points, worklist
from mdm.calendar import CalendarError
from mdm.cycle import CycleError
from mdm.cycle_to_date import ToDate
from mdm.places import Place
from mdm.tariff import TariffError
from schemas import reading_type
from schemas.database import Connection
from schemas.period import Period, local_day, slots
from schemas.reading import BlockTable
from schemas.reading_type import ReadingType

_CHART_DAYS = 7
_MISSING_SHOWN = 10
_FINDINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a reader sees it [``unit``]."""

    kind: ReadingType
    at: datetime
    value: Decimal
    quality: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """A meter's missing periods: the oldest few, and how much there is in all."""

    first: tuple[tuple[Period, int], ...]
    periods: int
    intervals: int


def content(connection: Connection, mrid: str, language: Language) -> tuple[Reader, dict[str, Any]]:
    """Ask for everything that the page shows.

    Raises
    ------
    Refusal
        if there is no meter of that name.
    """
    now = store.now(connection)
    try:
        # PostgreSQL has no text with a NUL in it, so no meter has such a name.
        status = overview.status(connection, mrid.replace("\0", "\ufffd"), now=now)
    except UnknownDevice as problem:
        raise Refusal(404, "no_meter", mrid) from problem
    installed = places.history(connection, mrid)
    place = installed[0] if installed else None
    reader = Reader(language, ZoneInfo(place.time_zone if place else "UTC"), now)
    return reader, {
        "status": status,
        "place": place,
        "places": installed,
        "in_use": place is not None and (place.ends_at is None or place.ends_at > now),
        "values": _values(status),
        "gaps": _gaps(status),
        "known": engineering.of_device(connection, status.device.id),
        **(_of_usage_point(connection, place, reader) if place else _NOTHING),
    }


def at_usage_point(connection: Connection, mrid: str) -> str:
    """Name the meter that is installed at a usage point, or was there last.

    Raises
    ------
    Refusal
        if there is none.
    """
    device = places.newest(connection, mrid.replace("\0", "\ufffd"))
    if device is None:
        raise Refusal(404, "no_usage_point", mrid)
    return device


_NOTHING: dict[str, Any] = {
    "charts": (),
    "findings": (),
    "more_findings": False,
    "bill": None,
    "to_date": None,
    "to_date_problem": None,
}


def _of_usage_point(connection: Connection, place: Place, reader: Reader) -> dict[str, Any]:
    found = worklist.findings(connection, usage_point=place.usage_point, limit=_FINDINGS_SHOWN + 1)
    so_far, problem = _to_date(connection, place, reader)
    return {
        "charts": _charts(connection, place, reader),
        "findings": found[:_FINDINGS_SHOWN],
        "more_findings": len(found) > _FINDINGS_SHOWN,
        "bill": bill.last(connection, place.usage_point_id),
        "to_date": so_far,
        "to_date_problem": problem,
    }


def _to_date(
    connection: Connection, place: Place, reader: Reader
) -> tuple[ToDate | None, str | None]:
    """Compute the running cycle so far; or tell why that cannot be done."""
    point = usage_points.named(connection, place.usage_point)
    if point is None:
        return None, None
    try:
        return cycle_to_date.to_date(connection, point, now=reader.now), None
    except (CycleError, TariffError, CalendarError) as problem:
        return None, str(problem)


def _values(status: MeterStatus) -> list[Shown]:
    return [
        Shown(kind, value.at, kind.shown(value.value), value.quality)
        for value in status.values
        for kind in [reading_type.named(value.reading_type)]
    ]


def _gaps(status: MeterStatus) -> Gaps:
    length = status.device.interval_seconds
    counted = tuple((period, slots(period, length)) for period in status.missing)
    return Gaps(counted[:_MISSING_SHOWN], len(counted), sum(count for _, count in counted))


def _charts(connection: Connection, place: Place, reader: Reader) -> list[Chart]:
    """Draw the last whole local days of every interval channel that the record has."""
    today = reader.now.astimezone(reader.zone).date()
    first = local_day(today - timedelta(days=_CHART_DAYS), reader.zone)
    period = Period(first.start, local_day(today, reader.zone).start)
    channels = [
        channel
        for channel in usage_points.channels(connection, [place.usage_point_id])
        if channel.interval_seconds
    ]
    blocks = readings.current(connection, [channel.id for channel in channels], period)
    drawn = [
        interval_chart.chart(
            _of_channel(blocks, channel.id),
            reading_type.named(channel.reading_type),
            channel.interval_seconds,
            period,
            reader.zone,
        )
        for channel in channels
    ]
    return sorted(_with_days(drawn), key=lambda one: one.reading_type.id)


def _with_days(charts: Sequence[Chart]) -> list[Chart]:
    return [one for one in charts if any(day.recorded for day in one.days)]


def _of_channel(blocks: BlockTable, channel_id: int) -> BlockTable:
    mine = blocks.channel_id == channel_id
    return BlockTable(
        channel_id=blocks.channel_id[mine],
        starts_at=blocks.starts_at[mine],
        interval_seconds=blocks.interval_seconds[mine],
        version=blocks.version[mine],
        provenance_id=blocks.provenance_id[mine],
        length=blocks.length[mine],
        values=blocks.values[mine],
        quality=blocks.quality[mine],
    )
