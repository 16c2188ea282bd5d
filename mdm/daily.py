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

from mdm import readings, readings_columns, spans
from mdm.calendar import Calendar
from mdm.determinants import days
from mdm.determinants.days import Days, Recipe
from schemas import binary_copy, binary_fields, statements
from schemas.binary_fields import Column
from schemas.database import Connection
from schemas.period import Period, local_days

_SQL = statements.load("mdm", "daily.sql")
# PostgreSQL counts microseconds from 2000-01-01, Unix from 1970-01-01.
_EPOCH: Final = 946_684_800
# A row's last day begins less than so many days after its first.
_SPAN: Final = 31
# A row as it is copied out: two fields, a channel of four octets, and a record a day.
_CHANNEL: Final = slice(6, 10)
_FIGURES: Final = slice(14, None)
# So many rows of a channel in a period are put together when another comes.
_ROWS: Final = 7
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
    blocks = _newest(connection, channel_ids, limits, starts)
    channel, records = _stored(connection, "days", recipe, {**limits, "recipe": number})
    keys = _keys(starts, channel, records["start"], records["version"])
    recorded = records["recorded"] <= readings_columns.microseconds(known_at)
    # Mostly they are those days, in their order, and none beside: nothing is to be picked out.
    if not (np.array_equal(keys, blocks) and recorded.all()):
        rows = _chosen(keys, blocks)
        rows = rows[recorded[rows]]
        channel, records = channel[rows], records[rows]
    distinct, first, count = np.unique(channel, return_index=True, return_counts=True)
    # Keys are sorted: a channel's days stand together, and each is there once.
    whole = count == len(starts)
    if not whole.any():
        return None
    if not whole.all():
        records = records[(first[whole, None] + np.arange(len(starts))).ravel()]
    found = records.reshape(-1, len(starts))
    return Days(
        *(recipe, distinct[whole], found["figures"]),
        *(found["version"], found["provenance"], starts),
    )


def _chosen(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """Give where keys stand that are wanted, in the order of those, which ascend."""
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys[order], wanted)
    there = place < len(keys)
    there[there] = keys[order[place[there]]] == wanted[there]
    return order[place[there]]


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
    limits["recipe"] = number
    newest = _newest(connection, channel_ids, limits, starts)
    channel, records = _stored(connection, "days", recipe, limits)
    known = _keys(starts, channel, records["start"], records["version"])
    lacking = np.setdiff1d(newest, known)
    if not len(lacking):
        return 0
    wanted = _parted(lacking, starts)
    found = readings.named(connection, *wanted)
    rows, figures = days.summed(recipe, calendar, found, period)
    if len(rows):
        made = np.zeros(len(rows), _record(recipe))
        made["start"], made["version"] = found.starts_at[rows], found.version[rows]
        made["recorded"] = _recorded(connection, wanted, period)[rows]
        made["provenance"], made["figures"] = found.provenance_id[rows], figures
        channel = found.channel_id[rows]
        _write(connection, recipe, limits, channel=channel, records=made, starts=starts)
    return len(rows)


def _write(
    connection: Connection,
    recipe: Recipe,
    limits: dict[str, object],
    *,
    channel: NDArray[np.int32],
    records: NDArray[Any],
    starts: NDArray[np.int64],
) -> None:
    """COPY days, a row a channel; where there are many rows of a channel, all become one."""
    parameters = {**limits, "channels": np.unique(channel).tolist(), "rows": _ROWS}
    scattered = [row[0] for row in connection.execute(_SQL["scattered"], parameters)]
    if scattered:
        before = _stored(connection, "take", recipe, {**parameters, "channels": scattered})
        channel = np.concatenate([channel, before[0]])
        records = np.concatenate([records, before[1]])
    span = np.searchsorted(starts, records["start"]) // _SPAN
    order = np.lexsort((records["version"], records["start"], span, channel))
    channel, records, span = channel[order], records[order], span[order]
    begins = np.flatnonzero(
        np.concatenate([[True], (channel[1:] != channel[:-1]) | (span[1:] != span[:-1])])
    )
    length = np.diff(np.append(begins, len(channel)))
    # Rows of one length are one table.
    for size in np.unique(length).tolist():
        at = begins[length == size, None] + np.arange(size)
        columns = _columns(limits["recipe"], channel[at[:, 0]], records[at])
        binary_copy.write(connection, "interval_days", columns)


def _columns(
    recipe: object, channel: NDArray[np.int32], records: NDArray[Any]
) -> dict[str, Column]:
    """Give the columns of rows of days, shape (rows, days)."""
    rows, size = records.shape
    second, figures = readings_columns.SECOND, records["figures"]
    counts = figures["counts"].sum(axis=2)
    whole = np.ascontiguousarray(records).view(f"V{size * records.dtype.itemsize}")
    columns = {
        "recipe_id": binary_fields.constant("int4", recipe, rows),
        "channel_id": Column("int4", channel),
        "starts_at": Column("timestamptz", records["start"][:, 0] * second),
        "days": binary_fields.constant("int2", size, rows),
        "day": Column("timestamptz[]", records["start"] * second),
        "version": Column("int4[]", records["version"]),
        "total": Column("int8[]", figures["sums"].sum(axis=2)),
        "figures": Column("raw", whole[:, 0]),
    }
    for index, name in enumerate(("actual", "questionable", "missing", "estimated", "edited")):
        columns[name] = Column("int2[]", counts[..., index])
    return columns


def _record(recipe: Recipe) -> np.dtype[Any]:
    """A day as it is stored: which version of which day, since when, and its figures."""
    head = [("start", "<i8"), ("recorded", "<i8"), ("provenance", "<i8"), ("version", "<i4")]
    return np.dtype([*head, ("figures", recipe.dtype)])


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
    connection: Connection,
    channel_ids: Sequence[int],
    limits: dict[str, object],
    starts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Give the keys of the newest versions of blocks that begin where a day begins, ascending."""
    channels = np.unique(np.array(channel_ids, np.int32))
    limits = limits | spans.limits(channels, spans.LONG_ROWS)
    channel, start, version = _packed(connection, "versions", limits, (">i4", ">i8", ">i4"))
    keys = _keys(starts, channel, start // readings_columns.SECOND + _EPOCH, version)
    keys = np.sort(keys[spans.among(channels, channel)])
    keys = keys[keys >= 0]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] >> _VERSION_BITS != keys[:-1] >> _VERSION_BITS
    return keys[last]


def _stored(
    connection: Connection, statement: str, recipe: Recipe, limits: dict[str, object]
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Read the days of rows: the channel of each, and its record."""
    rows = binary_copy.rows(connection, _SQL[statement], limits)
    dtype = _record(recipe)
    channel = np.frombuffer(b"".join([row[_CHANNEL] for row in rows]), ">i4").astype(np.int32)
    size = np.fromiter(map(len, rows), np.int64, len(rows)) - _FIGURES.start
    records = np.frombuffer(b"".join([row[_FIGURES] for row in rows]), dtype)
    return np.repeat(channel, size // dtype.itemsize), records


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
