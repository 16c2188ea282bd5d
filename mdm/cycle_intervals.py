"""The intervals that a run is computed from: summed days where they will do, else blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from mdm import daily, readings
from mdm.determinants import days
from mdm.determinants.batch import Batch
from mdm.determinants.days import Days
from mdm.determinants.registers import Span
from mdm.tariff import BILLING_REGISTER
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable


def read(
    connection: Connection, batch: Batch, *, known_at: datetime
) -> tuple[list[Days], BlockTable]:
    """Read the days and the blocks of a batch's channels.

    Parameters
    ----------
    batch : with its channels and spans
    known_at : versions recorded later are left out

    Returns
    -------
    days of the channels that go by them, and the blocks of all; those of the days without
    intervals
    """
    found = []
    for seconds, numbers in plain(batch).items():
        recipe = days.recipe(batch.tariff, batch.calendar, batch.zone, seconds)
        if recipe is None:
            continue
        summed = daily.current(connection, recipe, numbers, batch.period, known_at=known_at)
        if summed is not None:
            found.append(summed)
    done = {number for each in found for number in each.channel_id.tolist()}
    left = sorted(
        channel.id
        for point in batch.usage_points
        for channel in batch.every_channel(point)
        if channel.id not in done
    )
    table = readings.current(connection, left, batch.period, known_at=known_at)
    return found, _joined(table, [each.blocks() for each in found])


def plain(batch: Batch) -> dict[int, list[int]]:
    """Give the channels that days may stand for, by interval length [s].

    A usage point with several channels, or whose meter came or went in the period, is looked at
    interval by interval.
    """
    numbers: dict[int, list[int]] = defaultdict(list)
    if batch.tariff.gates.looks_at_intervals:
        return numbers
    for point in batch.usage_points:
        several = batch.channels.get(point, ())
        if len(several) == 1 and all(
            _steady(spans, batch.period) for spans in _registers(batch, point)
        ):
            numbers[several[0].interval_seconds].append(several[0].id)
    return numbers


def _registers(batch: Batch, point: int) -> Iterator[Sequence[Span]]:
    """Give a usage point's installations for each register that intervals may have to bridge."""
    yield batch.spans.get(point, ())
    for kind, spans in batch.dials.get(point, {}).items():
        if kind != BILLING_REGISTER:
            yield spans


def _steady(spans: Sequence[Span], period: Period) -> bool:
    """Tell whether one meter, or none that is known, was there all the time.

    What a register that was reset does not say, single intervals do.
    """
    if len(spans) != 1:
        return not spans
    (span,), bounds = spans, (int(period.start.timestamp()), int(period.end.timestamp()))
    ends = zip((span.start, span.end), bounds, strict=True)
    return (span.stretch.starts_at, span.stretch.ends_at) == bounds and all(
        reading is None or reading.read_at == moment for reading, moment in ends
    )


def _joined(table: BlockTable, others: Sequence[BlockTable]) -> BlockTable:
    """Put blocks without intervals beside those with."""
    if not others:
        return table
    parts = [table, *others]
    names = ("channel_id", "starts_at", "interval_seconds", "version", "provenance_id", "length")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    rows, width = len(columns["channel_id"]), table.values.shape[1]
    values, codes = np.zeros((rows, width), np.int32), np.zeros((rows, width), np.int16)
    values[: len(table)], codes[: len(table)] = table.values, table.quality
    return replace(table, **columns, values=values, quality=codes)
