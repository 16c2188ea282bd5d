"""The channels of a batch, and what the record has of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm import intake_place, readings, readings_columns, usage_points
from mdm.intake import Work
from mdm.intake_layout import NOWHERE, Layout
from mdm.intake_raw import RawBlocks
from mdm.intake_registers import Steps
from schemas import quality, reading_type, statements
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
        """Tell which values a person has edited or accepted, shape (c, d, n)."""
        edited = quality.classes(self.quality) == QualityClass.EDITED
        return np.asarray(edited | (self.quality == quality.ACCEPTED))

    def doubtful(self) -> NDArray[np.bool_]:
        """Tell which slots are missing, estimated or suspect, shape (c, d, n)."""
        kinds = quality.classes(self.quality)
        doubtful = (kinds == QualityClass.MISSING) | (kinds == QualityClass.ESTIMATED)
        return np.asarray(doubtful | (self.quality == quality.SUSPECT))


def channels(
    connection: Connection, work: Work, raw: RawBlocks, steps: Steps, *, add: bool = True
) -> Channels:
    """Give the interval channels of a work's usage points; those that are new are made.

    Parameters
    ----------
    add : whether they are; what came for them is left out otherwise
    """
    installed, interval = work.installed, work.interval_seconds
    block, row, _ = intake_place.at_installations(raw, installed)
    sampled = installed.sampled[steps.installation]
    came = {
        *pairs(installed.usage_point[row], raw.reading_type[block]),
        *pairs(installed.usage_point[steps.installation[sampled]], steps.interval_type[sampled]),
    }
    known = ids(connection, installed.usage_point, interval, came if add else set())
    rows = sorted(known.items())
    return Channels(
        np.array([number for _, number in rows], np.int32),
        np.array([point for (point, _), _ in rows], np.int32),
        np.array([kind for (_, kind), _ in rows], np.int16),
    )


def ids(
    connection: Connection,
    usage_point: NDArray[np.int32],
    interval_seconds: int,
    wanted: set[tuple[int, int]],
) -> dict[tuple[int, int], int]:
    """Give usage points' channels of an interval length by (usage point, reading type's id).

    Parameters
    ----------
    interval_seconds : 0 for registers
    wanted : those that are made if they are not there
    """
    limits = {"usage_points": np.unique(usage_point).tolist(), "interval": interval_seconds}
    rows = connection.execute(_SQL["channels_of"], limits)
    known = {(point, kind): number for number, point, kind in rows}
    new = [
        (point, reading_type.of_id(kind).name, interval_seconds)
        for point, kind in sorted(wanted - known.keys())
    ]
    if new:
        made = usage_points.ensure_channels(connection, new)
        known |= {(key[0], reading_type.named(key[1]).id): number for key, number in made.items()}
    return known


def pairs(usage_point: NDArray[Any], kind: NDArray[Any]) -> set[tuple[int, int]]:
    """Give the different (usage point, reading type's id) among rows."""
    # np.unique first: there are far fewer pairs than blocks.
    distinct = np.unique(usage_point.astype(np.int64) << 16 | kind.astype(np.int64))
    return {(int(key >> 16), int(key & 0xFFFF)) for key in distinct}


def history(connection: Connection, channels_: Channels, layout: Layout) -> History:
    """Read a layout's days from the record."""
    period = Period(_moment(layout.bounds[0]), _moment(layout.bounds[-1]))
    table = readings.current(connection, channels_.id.tolist(), period)
    shape = (len(channels_), layout.count, layout.width)
    values = np.zeros(shape, np.int32)
    codes = np.full(shape, quality.MISSING, np.int16)
    recorded = np.zeros(shape[:2], np.bool_)
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


def _moment(second: np.int64) -> datetime:
    return datetime.fromtimestamp(int(second), UTC)
