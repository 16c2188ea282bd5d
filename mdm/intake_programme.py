"""The programme of a meter's tariff registers: the calendar's periods, and the register of each.

A usage point's tariff declares it (``kind = "time_of_use_register"``): which register counts in
which period of the tariff's calendar. Both are dated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import (
    billing_terms,
    calendar_file,
    intake_beside,
    intake_registers,
    intake_targets,
    readings_columns,
    tariff_file,
)
from mdm.calendar import CalendarError
from mdm.intake_channels import Channels
from mdm.intake_installed import Installed
from mdm.intake_layout import Layout
from mdm.intake_registers import Dials
from mdm.tariff import Tariff, TariffError
from mdm.tariff_declared import REGISTERS
from mdm.tariff_parts import Term
from schemas import binary_copy, reading_type, statements
from schemas.database import Connection
from validation.matrix import Spans
from validation.programme import Programme

if TYPE_CHECKING:
    from mdm.intake_cube import Intake

_SQL = statements.load("mdm", "intake_beside.sql")


def completed(connection: Connection, intake: Intake) -> Intake:
    """Tell a cube when which tariff register counts, where tariff registers were read."""
    _, tariff = intake_beside.owners()
    dials = intake.dials.rows(tariff[intake.dials.reading_type])
    if not len(dials):
        return intake
    channels, installed = intake.channels, intake.installed
    points = readings_columns.distinct(installed.usage_point[dials.installation])
    of, counts = _followed(connection, intake, points)
    if not (of >= 0).any():
        return intake
    layout = intake.layout
    spans = [
        _spans(steps, row, of, kind, layout)
        for kind, steps, row in _steps(dials, installed, channels, layout)
    ]
    columns = np.concatenate(spans, axis=1)
    programme = Programme(of, counts, columns[0].astype(np.int16), *columns[1:])
    return replace(intake, cube=replace(intake.cube, programme=programme))


def reaching(
    total: Spans, dials: Dials, installed: Installed, channels: Channels, layout: Layout
) -> list[Spans]:
    """Give the spans of totals and of each tariff register: in these a reading at the end counts.

    A meter may have no total, or may have it read at other times.
    """
    _, tariff = intake_beside.owners()
    mine = dials.rows(tariff[dials.reading_type])
    return [total] + [
        intake_targets.spans(steps, row, installed, layout)
        for _, steps, row in _steps(mine, installed, channels, layout)
    ]


def _steps(
    dials: Dials, installed: Installed, channels: Channels, layout: Layout
) -> Iterator[tuple[int, intake_registers.Steps, NDArray[np.intp]]]:
    """Give each tariff register's type, its steps, and the row of the channel of each."""
    owner, _ = intake_beside.owners()
    for kind in readings_columns.distinct(dials.reading_type).tolist():
        mine = dials.rows(dials.reading_type == kind)
        own = np.full(len(mine), owner[kind], np.int16)
        steps = intake_registers.steps(replace(mine, interval_type=own), installed, layout)
        row = channels.rows_of(installed.usage_point[steps.installation], steps.interval_type)
        yield kind, steps, row


def _spans(
    steps: intake_registers.Steps,
    row: NDArray[np.intp],
    of: NDArray[np.int64],
    kind: int,
    layout: Layout,
) -> NDArray[np.int64]:
    """Give spans of one register as columns of ``Programme``, by channel and start."""
    inside = (steps.start >= layout.bounds[0]) & (steps.end <= layout.bounds[-1])
    chosen = np.flatnonzero(inside & (row >= 0) & (of[row] >= 0))
    order = chosen[np.lexsort((steps.start[chosen], row[chosen]))]
    return np.stack(
        [
            np.full(len(order), kind, np.int64),
            row[order].astype(np.int64),
            layout.cell(steps.start[order]).astype(np.int64),
            layout.cell(steps.end[order] - layout.interval_seconds).astype(np.int64) + 1,
            steps.energy[order],
        ]
    )


class _Way(NamedTuple):
    """What tells the programmes of usage points apart."""

    tariff: str
    commodity: str
    time_zone: str
    terms: tuple[Term, ...]
    interval_type: int


def _followed(
    connection: Connection, intake: Intake, points: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Give each channel's programme, and when which register counts in each; see ``Programme``."""
    layout, channels = intake.layout, intake.channels
    limits = {"usage_points": binary_copy.array(points)}
    rows = connection.execute(_SQL["tariffs"], limits).fetchall()
    until = layout.first + timedelta(days=layout.count)
    terms = billing_terms.terms(connection, points.tolist(), until)
    own = {row[0]: row[1:] for row in rows}
    ways: dict[_Way, int] = {}
    of = np.full(len(channels), -1, np.int64)
    mine = np.flatnonzero(np.isin(channels.usage_point, points) & (channels.id > 0))
    for row in mine.tolist():
        point = int(channels.usage_point[row])
        tariff, commodity, zone = own[point]
        followed = tuple(terms.get(point, ()))
        way = _Way(tariff, commodity, zone, followed, int(channels.reading_type[row]))
        of[row] = ways.setdefault(way, len(ways))
    tables = [_counts(way, layout) for way in ways]
    counts = np.stack(tables) if tables else np.zeros((0, layout.count, layout.width), np.int16)
    empty = np.array([not table.any() for table in tables], np.bool_)
    of[of >= 0] = np.where(empty[of[of >= 0]], -1, of[of >= 0])
    return of, counts


def _counts(way: _Way, layout: Layout) -> NDArray[np.int16]:
    """Give the register that counts in each slot of a layout's days, 0 for none known."""
    table = np.zeros((layout.count, layout.width), np.int16)
    zone = ZoneInfo(way.time_zone)
    for number in range(layout.count):
        day = layout.first + timedelta(days=number)
        tariff = _tariff(way, day)
        by_period = _registers(tariff, way.interval_type) if tariff else {}
        if not tariff or not by_period:
            continue
        try:
            calendar = calendar_file.named(tariff.calendar)
            periods = calendar.of_day(day, zone, layout.interval_seconds)
        except CalendarError:
            continue
        register = np.array([by_period.get(name, 0) for name in calendar.periods], np.int16)
        table[number, : len(periods)] = register[periods]
    return table


def _tariff(way: _Way, day: date) -> Tariff | None:
    """Give the tariff of a day; None where the usage point has none, or the file has it not."""
    name = next((t.tariff for t in reversed(way.terms) if t.starts_on <= day), way.tariff)
    try:
        return tariff_file.standing().on(name, way.commodity, day)
    except TariffError:
        return None


def _registers(tariff: Tariff, interval_type: int) -> dict[str, int]:
    """Give the id of each period's register, of those that belong to a channel's type."""
    owner, _ = intake_beside.owners()
    declared: Sequence[tuple[str, str]] = [
        pair for of in tariff.declared if of.kind == REGISTERS for pair in of.registers
    ]
    found = {period: reading_type.named(name).id for period, name in declared}
    return {period: number for period, number in found.items() if owner[number] == interval_type}
