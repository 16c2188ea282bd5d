"""Lays check meters' channels beside the channels that they check."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mdm import readings, readings_columns, virtual_sum
from mdm.intake_channels import Channels
from mdm.intake_layout import Layout
from mdm.virtual_sum import Lines, Unfitting
from schemas import binary_copy, quality, statements
from schemas.database import Connection
from schemas.period import Period

if TYPE_CHECKING:
    from mdm.intake_cube import Intake

_SQL = statements.load("mdm", "intake_references.sql")
# A day of another zone may begin this much before one of the layout that it reaches into.
_REACH = timedelta(hours=26)

_Relation = tuple[int, int, date, date | None]


def completed(connection: Connection, part: Intake, *, known_at: datetime | None = None) -> Intake:
    """Add a row of history for each channel that has a check meter, and say which.

    The row has the check meter's days as the record has them, or as they have just come in with the
    same cube, on the days for which the registry names it. Intervals of another length are brought
    to the cube's: coarse ones are cut into equal parts.

    Parameters
    ----------
    known_at : versions recorded later are left out; None for none
    """
    limits = {"usage_points": binary_copy.array(np.unique(part.channels.usage_point))}
    relations = connection.execute(_SQL["checks"], limits).fetchall()
    if not relations:
        return part
    found = _rows(connection, part, relations, known_at)
    if not found:
        return part
    mains = np.array([main for main, _, _ in found])
    lines = Lines(*(np.concatenate([getattr(line, name) for _, _, line in found])
                    for name in ("values", "quality")))  # fmt: skip
    points = np.array([point for _, point, _ in found], np.int32)
    return _extended(part, mains, points, lines)


def _rows(
    connection: Connection,
    part: Intake,
    relations: list[_Relation],
    known_at: datetime | None,
) -> list[tuple[int, int, Lines]]:
    """Give for each checked channel its row, a check's usage point, and its line on the slots."""
    points = sorted({row[1] for row in relations})
    series = _series(connection, part.layout, points, known_at)
    channels, found = part.channels, []
    for main, (point, kind) in enumerate(
        zip(channels.usage_point.tolist(), channels.reading_type.tolist(), strict=True)
    ):
        mine = [each for each in relations if each[0] == point]
        line = virtual_sum.empty(1, int(part.layout.days.length.sum()))
        for _, other, since, until in mine:
            there = _here(part, other, kind, series.get((other, kind)))
            if there is None:
                continue
            counts = _in_force(part.layout, since, until)
            line = virtual_sum.either(line, Lines(there.values, np.where(
                counts, there.quality, quality.MISSING).astype(np.int16)))  # fmt: skip
        if (line.quality != quality.MISSING).any():
            found.append((main, mine[-1][1], line))
    return found


def _series(
    connection: Connection, layout: Layout, points: list[int], known_at: datetime | None
) -> dict[tuple[int, int], Lines]:
    """Read what the record has of usage points' channels, brought to the layout's slots."""
    rows = connection.execute(
        _SQL["channels_of_checks"], {"usage_points": binary_copy.array(points)}
    ).fetchall()
    start, end = (int(layout.bounds[n]) for n in (0, -1))
    period = Period(readings_columns.moment(start) - _REACH, readings_columns.moment(end))
    blocks = readings.current(connection, [row[0] for row in rows], period, known_at=known_at)
    found: dict[tuple[int, int], Lines] = {}
    for number, point, kind, seconds in rows:
        some = readings_columns.taken(blocks, np.flatnonzero(blocks.channel_id == number))
        place = np.zeros(len(some), np.intp)
        try:
            own = virtual_sum.placed(some, place, 1, start=start, end=end, step=seconds)
            line = virtual_sum.regridded(own, seconds, layout.interval_seconds)
        except Unfitting:
            continue
        if seconds > layout.interval_seconds:
            # How it was cut is no estimate of the check meter's: what it measured, it measured.
            parts = seconds // layout.interval_seconds
            line = Lines(line.values, np.repeat(own.quality, parts, axis=1))
        known = found.get((point, kind))
        found[point, kind] = virtual_sum.either(known, line) if known else line
    return found


def _here(part: Intake, point: int, kind: int, recorded: Lines | None) -> Lines | None:
    """Put what has just come in for a check meter of the same cube over what the record has."""
    (row,) = part.channels.rows_of(np.array([point]), np.array([kind]))
    if row < 0:
        return recorded
    exists = part.layout.days.exists
    came = np.repeat(part.cube.target[row], part.layout.days.length)[None]
    values = part.cube.values[row][exists][None].astype(np.int64)
    codes = part.cube.quality[row][exists][None]
    base = recorded or virtual_sum.empty(*values.shape)
    return Lines(np.where(came, values, base.values), np.where(came, codes, base.quality))


def _in_force(layout: Layout, since: date, until: date | None) -> NDArray[np.bool_]:
    days = [layout.first + timedelta(days=n) for n in range(layout.count)]
    there = [since <= day and (until is None or day < until) for day in days]
    return np.repeat(np.array(there, np.bool_), layout.days.length)


def _extended(
    part: Intake, mains: NDArray[np.intp], points: NDArray[np.int32], lines: Lines
) -> Intake:
    """Add rows to a cube and all that goes with it; they are no target."""
    cube, channels, rows = part.cube, part.channels, len(mains)
    shape = (rows, *cube.shape[1:])
    values, codes = np.zeros(shape, cube.values.dtype), np.full(shape, quality.MISSING, np.int16)
    limits = np.iinfo(cube.values.dtype)
    fits = (lines.values >= limits.min) & (lines.values <= limits.max)
    values[:, part.layout.days.exists] = np.where(fits, lines.values, 0)
    codes[:, part.layout.days.exists] = np.where(fits, lines.quality, quality.MISSING)
    check = np.full(len(cube.values) + rows, -1, np.int64)
    check[mains] = len(cube.values) + np.arange(rows)
    masks = {
        name: _more(getattr(cube, name), rows, False)
        for name in ("duplicate", "misfit", "outside", "outage")
    }
    wider = replace(
        cube,
        values=np.concatenate([cube.values, values]),
        quality=np.concatenate([cube.quality, codes]),
        target=_more(cube.target, rows, False),
        one_way=_more(cube.one_way, rows, True),
        sibling=_more(cube.sibling, rows, -1),
        check=check,
        reading_type=_like(cube.reading_type, mains),
        sector=_like(cube.sector, mains),
        **masks,
    )
    return replace(
        part,
        cube=wider,
        channels=Channels(
            _more(channels.id, rows, 0),
            np.concatenate([channels.usage_point, points]),
            np.concatenate([channels.reading_type, channels.reading_type[mains]]),
        ),
        history=replace(
            part.history,
            values=_more(part.history.values, rows, 0),
            quality=_more(part.history.quality, rows, quality.MISSING),
            recorded=_more(part.history.recorded, rows, False),
        ),
        settled=_more(part.settled, rows, False),
        lost=_more(part.lost, rows, False),
        touched=_more(part.touched, rows, False),
    )


def _more(column: NDArray[Any] | None, rows: int, value: int | bool) -> Any:
    """Give a column with some rows more, all of one value; None stays None."""
    if column is None:
        return None
    return np.concatenate([column, np.full((rows, *column.shape[1:]), value, column.dtype)])


def _like(column: NDArray[Any] | None, rows: NDArray[np.intp]) -> Any:
    """Give a column with copies of some of its rows at the end; None stays None."""
    return None if column is None else np.concatenate([column, column[rows]])
