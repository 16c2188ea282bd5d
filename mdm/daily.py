"""Days of channels, summed beforehand for bills, and never stale.

A day's record belongs to one version of the block that it was made from, and says so. Whoever
reads days asks the final record which versions are the newest: where a day of that very version
is missing, or was recorded later than is to be known, the channel goes by its intervals. So it
makes no difference to a bill whether days were summed, only to how long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import readings, readings_columns
from mdm.calendar import Calendar
from mdm.determinants import days
from mdm.determinants.days import Days, Recipe
from schemas import binary_copy, binary_fields, statements
from schemas.binary_fields import Column
from schemas.database import Connection
from schemas.period import Period, local_days
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "daily.sql")
# PostgreSQL counts microseconds from 2000-01-01, Unix from 1970-01-01.
_EPOCH: Final = 946_684_800
# A key is a channel (31 bits), a day of the period (12) and a version (20).
_DAY_BITS: Final = 12
_VERSION_BITS: Final = 20


def current(
    connection: Connection,
    recipe: Recipe,
    channel_ids: Sequence[int],
    period: Period,
    *,
    known_at: datetime,
) -> Days | None:
    """Give the days of the channels of which every day of a period was summed and is the newest.

    Parameters
    ----------
    known_at : as in ``readings.current``
    """
    number = _recipe_id(connection, recipe)
    starts = _starts(recipe, period)
    if number is None or not channel_ids:
        return None
    limits = _limits(channel_ids, period)
    blocks = _newest(connection, limits, starts)
    channel, start, version, recorded, provenance, records = _days(
        connection, recipe, {**limits, "recipe": number}
    )
    keys = _keys(starts, channel, start, version)
    order = np.argsort(keys)
    place = np.searchsorted(keys[order], blocks)
    there = place < len(keys)
    there[there] = keys[order[place[there]]] == blocks[there]
    rows = order[place[there]]
    rows = rows[recorded[rows] <= readings_columns.microseconds(known_at)]
    distinct, first, count = np.unique(channel[rows], return_index=True, return_counts=True)
    # Keys are sorted: a channel's days stand together, and each is there once.
    whole = count == len(starts)
    if not whole.any():
        return None
    at = rows[first[whole, None] + np.arange(len(starts))]
    return Days(recipe, distinct[whole], records[at], version[at], provenance[at], starts)


def add(
    connection: Connection,
    recipe: Recipe,
    calendar: Calendar,
    channel_ids: Sequence[int],
    period: Period,
) -> int:
    """Sum the newest versions of days that were not summed yet; give how many.

    Raises
    ------
    CalendarError
        if the calendar begins later than the period.
    """
    connection.execute(_SQL["add_recipe"], {"definition": recipe.definition})
    number = _recipe_id(connection, recipe)
    connection.execute(_SQL["lock"], {"recipe": number})
    starts, limits = _starts(recipe, period), _limits(channel_ids, period)
    newest = _newest(connection, limits, starts)
    channel, start, version, *_ = _days(connection, recipe, {**limits, "recipe": number})
    lacking = np.setdiff1d(newest, _keys(starts, channel, start, version))
    if not len(lacking):
        return 0
    wanted = _parted(lacking, starts)
    found = readings.named(connection, *wanted)
    rows, records = days.summed(recipe, calendar, found, period)
    if len(rows):
        recorded = _recorded(connection, wanted, period)
        _write(connection, number, readings_columns.taken(found, rows), recorded[rows], records)
    return len(rows)


def _write(
    connection: Connection,
    recipe: int | None,
    table: BlockTable,
    recorded: NDArray[np.int64],
    records: NDArray[Any],
) -> None:
    rows = len(table)
    total = records["counts"].sum(axis=1)
    columns = {
        "recipe_id": binary_fields.constant("int4", recipe, rows),
        "channel_id": Column("int4", table.channel_id),
        "starts_at": Column("timestamptz", table.starts_at * readings_columns.SECOND),
        "version": Column("int4", table.version),
        "recorded_at": Column("timestamptz", recorded),
        "provenance_id": Column("int8", table.provenance_id),
        "total": Column("int8", records["sums"].sum(axis=1)),
        "figures": Column("raw", records.view(f"V{records.dtype.itemsize}")),
    }
    for index, name in enumerate(("actual", "questionable", "missing", "estimated", "edited")):
        columns[name] = Column("int2", total[:, index])
    binary_copy.write(connection, "interval_day", columns)


def _recipe_id(connection: Connection, recipe: Recipe) -> int | None:
    row = connection.execute(_SQL["recipe"], {"definition": recipe.definition}).fetchone()
    return int(row[0]) if row else None


def _starts(recipe: Recipe, period: Period) -> NDArray[np.int64]:
    whole = local_days(period, ZoneInfo(recipe.time_zone))
    return np.array([int(day.start.timestamp()) for _, day in whole], np.int64)


def _limits(channel_ids: Sequence[int], period: Period) -> dict[str, object]:
    return {
        "channels": binary_copy.array(channel_ids),
        "start": period.start,
        "end": period.end,
    }


def _newest(
    connection: Connection, limits: dict[str, object], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give the keys of the newest versions of blocks that begin where a day begins, ascending."""
    channel, start, version = _packed(connection, "versions", limits, (">i4", ">i8", ">i4"))
    keys = np.sort(_keys(starts, channel, start // readings_columns.SECOND + _EPOCH, version))
    keys = keys[keys >= 0]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] >> _VERSION_BITS != keys[:-1] >> _VERSION_BITS
    return keys[last]


def _days(
    connection: Connection, recipe: Recipe, limits: dict[str, object]
) -> tuple[NDArray[Any], ...]:
    """Read days: channel, start [s], version, recorded at [µs], provenance, record."""
    channel, start, version, recorded, provenance, records = _packed(
        connection, "days", limits, (">i4", ">i8", ">i4", ">i8", ">i8", recipe.dtype)
    )
    micro = readings_columns.SECOND
    return channel, start // micro + _EPOCH, version, recorded + _EPOCH * micro, provenance, records


def _packed(
    connection: Connection, statement: str, limits: dict[str, object], types: Sequence[Any]
) -> list[NDArray[Any]]:
    """Read packed columns; integers come as the machine has them."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(_SQL[statement], limits).fetchone()
    assert row is not None  # noqa: S101  # an aggregate without groups has one row
    found = [np.frombuffer(part or b"", type_) for part, type_ in zip(row, types, strict=True)]
    return [part.astype(part.dtype.newbyteorder("=")) if part.dtype.kind == "i" else part
            for part in found]  # fmt: skip


def _keys(
    starts: NDArray[np.int64],
    channel: NDArray[np.int32],
    start: NDArray[np.int64],
    version: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Give sortable keys; −1 where a block does not begin with a day."""
    day = np.minimum(np.searchsorted(starts, start), len(starts) - 1)
    key = ((channel.astype(np.int64) << _DAY_BITS) + day << _VERSION_BITS) + version
    return np.where(starts[day] == start, key, -1)


def _parted(
    keys: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Give channels, starts [s] and versions of keys."""
    version = keys & (1 << _VERSION_BITS) - 1
    day = keys >> _VERSION_BITS & (1 << _DAY_BITS) - 1
    return keys >> _VERSION_BITS + _DAY_BITS, starts[day], version


def _recorded(
    connection: Connection,
    wanted: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    period: Period,
) -> NDArray[np.int64]:
    """Give when versions were recorded, in their order [µs since 1970-01-01 UTC]."""
    channel, start, version = wanted
    columns = binary_copy.read_together(
        connection,
        _SQL["recorded"],
        {
            "channels": binary_copy.array(channel),
            "starts": [readings_columns.moment(second) for second in start],
            "versions": binary_copy.array(version),
            "start": period.start,
            "end": period.end,
        },
        {"channel_id": "int4", "starts_at": "timestamptz", "version": "int4",
         "recorded_at": "timestamptz"},
    )  # fmt: skip
    found = (columns[0], columns[1] // readings_columns.SECOND, columns[2])
    return np.asarray(columns[3][readings_columns.places(found, wanted)], np.int64)
