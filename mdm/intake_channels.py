"""The channels of a batch, and what the record has of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from mdm import intake_place, readings, readings_columns, spans
from mdm.intake import Work
from mdm.intake_layout import NOWHERE, Layout
from mdm.intake_raw import RawBlocks
from mdm.intake_registers import Steps
from mdm.readings_stretch import Stretches
from schemas import binary_copy, binary_fields, quality, statements
from schemas.binary_fields import Column
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass

_SQL = statements.load("mdm", "intake.sql")


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Channels as columns, shape (c,), by usage point and reading type."""

    id: NDArray[np.int32]
    usage_point: NDArray[np.int32]
    reading_type: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.id)

    def rows_of(self, usage_point: NDArray[Any], reading_type_: NDArray[Any]) -> NDArray[np.intp]:
        """Give the row of each (usage point, reading type), −1 where there is none."""
        return readings_columns.places(
            (self.usage_point, self.reading_type), (usage_point, reading_type_)
        )


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What the record has of a layout's days; MISSING where it has nothing.

    Attributes
    ----------
    values, quality : shape (c, d, n)
    recorded : shape (c, d), True where the record has the day
    """

    values: NDArray[np.int32]
    quality: NDArray[np.int16]
    recorded: NDArray[np.bool_]

    def part(self, start: int, end: int) -> History:
        """Give the days from ``start`` to the one before ``end``."""
        chosen = np.s_[:, start:end]
        return History(self.values[chosen], self.quality[chosen], self.recorded[chosen])

    def settled(self) -> NDArray[np.bool_]:
        """Tell which values a person has edited, accepted or removed, shape (c, d, n)."""
        return np.asarray(_decisions()[self.quality])

    def open(self) -> NDArray[np.bool_]:
        """Tell which slots are doubtful and not on the line between good ones, shape (c, d, n)."""
        table = _doubts().copy()
        table[[quality.ESTIMATED_LINEAR, quality.ESTIMATED_SCALED_LINEAR]] = False
        return np.asarray(table[self.quality])

    def doubtful(self) -> NDArray[np.bool_]:
        """Tell which slots are missing, estimated or suspect, shape (c, d, n)."""
        return np.asarray(_doubts()[self.quality])


def channels(
    connection: Connection, work: Work, raw: RawBlocks, steps: Steps, *, add: bool = True
) -> Channels:
    """Give the interval channels of a work's usage points; those that are new are made.

    Parameters
    ----------
    add : whether they are; what came for them is left out otherwise
    """
    installed = work.installed
    block, row, _ = intake_place.at_installations(raw, installed)
    sampled = installed.sampled[steps.installation]
    came = keys(
        np.concatenate(
            [installed.usage_point[row], installed.usage_point[steps.installation[sampled]]]
        ),
        np.concatenate([raw.reading_type[block], steps.interval_type[sampled]]),
    )
    known = of_points(
        connection, readings_columns.distinct(installed.usage_point), work.interval_seconds
    )
    return with_new(connection, known, came, work.interval_seconds) if add else known


def of_points(
    connection: Connection, usage_point: NDArray[np.int32], interval_seconds: int
) -> Channels:
    """Give usage points' channels of an interval length, 0 for registers."""
    limits = spans.limits(usage_point, spans.SHORT_ROWS) | {"interval": interval_seconds}
    columns = {"id": "int4", "usage_point_id": "int4", "reading_type_id": "int2"}
    number, point, kind = binary_copy.read_together(
        connection, _SQL["channels_of"], limits, columns
    )
    wanted = spans.among(usage_point, point)
    return _ordered(number[wanted], point[wanted], kind[wanted])


def with_new(
    connection: Connection, known: Channels, wanted: NDArray[np.int64], interval_seconds: int
) -> Channels:
    """Make the channels that are wanted and not known; give all.

    Parameters
    ----------
    wanted : shape (k,), ``keys``
    """
    have = keys(known.usage_point, known.reading_type)
    new = wanted[readings_columns.places((have,), (wanted,)) < 0]
    if not len(new):
        return known
    point, kind = (new >> 16).astype(np.int32), (new & 0xFFFF).astype(np.int16)
    try:
        with connection.transaction():
            number = _made(connection, point, kind, interval_seconds)
    except psycopg.errors.UniqueViolation:
        # Somebody else made some of them in the meantime.
        limits = {"usage_points": binary_copy.array(point), "reading_types": kind.tolist()}
        connection.execute(_SQL["add_channels"], limits | {"interval": interval_seconds})
        points = np.union1d(known.usage_point, point)
        return of_points(connection, points, interval_seconds)
    return _ordered(
        np.concatenate([known.id, number]),
        np.concatenate([known.usage_point, point]),
        np.concatenate([known.reading_type, kind]),
    )


def _made(
    connection: Connection,
    usage_point: NDArray[np.int32],
    kind: NDArray[np.int16],
    interval_seconds: int,
) -> NDArray[np.int32]:
    """COPY channels in: 10 µs each; with RETURNING and ON CONFLICT it was 15."""
    rows = len(usage_point)
    (number,) = binary_copy.read_together(
        connection, _SQL["channel_numbers"], {"rows": rows}, {"id": "int4"}
    )
    columns = {
        "id": Column("int4", number),
        "usage_point_id": Column("int4", usage_point),
        "reading_type_id": Column("int2", kind),
        "interval_seconds": binary_fields.constant("int4", interval_seconds, rows),
    }
    binary_copy.write(connection, "channel", columns)
    return np.asarray(number, np.int32)


def keys(usage_point: NDArray[Any], kind: NDArray[Any]) -> NDArray[np.int64]:
    """Give the different (usage point, reading type's id) among rows, as one number each."""
    return readings_columns.distinct(usage_point.astype(np.int64) << 16 | kind.astype(np.int64))


def _ordered(
    number: NDArray[np.int32], point: NDArray[np.int32], kind: NDArray[np.int16]
) -> Channels:
    order = np.lexsort((kind, point))
    return Channels(number[order], point[order], kind[order])


def recorded(
    connection: Connection, channels_: Channels, layout: Layout, stretches: Stretches
) -> NDArray[np.int32]:
    """Give the usage points of which the record has some of a layout's days, ascending.

    Those with a stretch are among them; the others are asked for.
    """
    open_ = channels_.id[stretches.rows_of(channels_.id) < 0]
    if not len(open_):
        return readings_columns.distinct(channels_.usage_point)
    limits = {
        "channels": binary_copy.array(open_),
        "start": _moment(layout.bounds[0]),
        "end": _moment(layout.bounds[-1]),
    }
    (found,) = binary_copy.read_together(
        connection, _SQL["recorded_channels"], limits, {"id": "int4"}
    )
    some = np.isin(channels_.id, found) | ~np.isin(channels_.id, open_)
    return readings_columns.distinct(channels_.usage_point[some])


def nothing(channels_: Channels, layout: Layout) -> History:
    """Give a history without any day."""
    shape = (len(channels_), layout.count, layout.width)
    return History(
        np.zeros(shape, np.int32),
        np.full(shape, quality.MISSING, np.int16),
        np.zeros(shape[:2], np.bool_),
    )


def history(
    connection: Connection, channels_: Channels, layout: Layout, known_at: datetime | None = None
) -> History:
    """Read a layout's days from the record, as it is or as it was known at a moment."""
    period = Period(_moment(layout.bounds[0]), _moment(layout.bounds[-1]))
    table = readings.current(connection, channels_.id, period, known_at=known_at)
    empty = nothing(channels_, layout)
    values, codes, recorded = empty.values, empty.quality, empty.recorded
    day = layout.day_of(table.starts_at)
    # A day of another shape was recorded before the usage point's time zone was corrected.
    fits = (day != NOWHERE) & (layout.bounds[day] == table.starts_at)
    fits &= table.length == layout.days.length[day]
    order = np.argsort(channels_.id)
    row = order[np.searchsorted(channels_.id, table.channel_id[fits], sorter=order)]
    width = min(layout.width, table.values.shape[1])
    values[row, day[fits], :width] = table.values[fits, :width]
    codes[row, day[fits], :width] = table.quality[fits, :width]
    recorded[row, day[fits]] = True
    return History(values, codes, recorded)


@cache
def _doubts() -> NDArray[np.bool_]:
    """Give which quality codes are doubtful, as a table."""
    kinds = quality.class_table()
    table = (kinds == QualityClass.MISSING) | (kinds == QualityClass.ESTIMATED)
    table[quality.SUSPECT] = True
    return np.asarray(table)


@cache
def _decisions() -> NDArray[np.bool_]:
    """Give which quality codes a person has decided, as a table."""
    table = quality.class_table() == QualityClass.EDITED
    table[list(quality.BY_PEOPLE)] = True
    return np.asarray(table)


def _moment(second: np.int64) -> datetime:
    return datetime.fromtimestamp(int(second), UTC)
