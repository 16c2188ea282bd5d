"""Edits of the final record: planned, shown, then made, or kept until another person approves.

A plan says which intervals would change, by how much, and which of their days were billed. Nothing
is overwritten: an edit is a new version, and so is taking one back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from mdm import billed_days, readings, readings_columns, worklist_days
from mdm.billed_days import Billed
from mdm.worklist_days import Channel, WorklistError
from schemas import quality, reading_type
from schemas.database import Connection
from schemas.period import Period, local_day
from schemas.quality import QualityClass
from schemas.reading import BlockTable

_SCALED: Final = Decimal(1)
Slots = dict[datetime, tuple[int, int]]
"""Value [scaled unit] and quality code of intervals, by start."""


@dataclass(frozen=True, slots=True)
class Add:
    """Add to each value that there is [scaled unit]."""

    amount: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply each value that there is, rounded half up."""

    factor: Decimal


@dataclass(frozen=True, slots=True)
class Copy:
    """Take the values of another local day at the same local times."""

    day: date


@dataclass(frozen=True, slots=True)
class Remove:
    """Mark as missing: what was read does not come back by itself."""


@dataclass(frozen=True, slots=True)
class MakeFinal:
    """Let estimates stand as final: what is read later does not take their place."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Bring a former version of the day back."""

    version: int


Operation = Add | Scale | Copy | Remove | MakeFinal | Restore


@dataclass(frozen=True, slots=True)
class Change:
    """An interval before and after; a value is None where it is missing [scaled unit]."""

    at: datetime
    old: int | None
    new: int | None
    old_code: int
    new_code: int


@dataclass(frozen=True, slots=True)
class Plan:
    """An edit that nobody has made yet.

    Attributes
    ----------
    changes : the intervals that would differ, oldest first
    days : start and version of each day that it is planned upon
    billed : those of the days that a bill was made from
    restores : whether it takes an earlier edit back
    """

    channel_id: int
    channel: Channel
    changes: tuple[Change, ...]
    days: tuple[tuple[datetime, int], ...]
    billed: tuple[Billed, ...]
    restores: bool = False

    @property
    def amount(self) -> Decimal:
        """What changes, without its sign [the reading type's display unit]."""
        moved = sum(abs((each.new or 0) - (each.old or 0)) for each in self.changes)
        return reading_type.named(self.channel.reading_type).shown(moved)

    def slots(self) -> Slots:
        """Give what it would write."""
        return {each.at: (each.new or 0, each.new_code) for each in self.changes}


def planned(connection: Connection, channel_id: int, period: Period, operation: Operation) -> Plan:
    """Plan an operation on the intervals of a channel that start in a period.

    Raises
    ------
    WorklistError
        if the record lacks the days, a day to copy or a version, or nothing would change.
    """
    channel = worklist_days.channel_of(connection, channel_id)
    before = _days(connection, channel_id, channel, period)
    current = {at: slot for at, slot in _slots(before).items() if at in period}
    if isinstance(operation, Restore):
        new = _former(connection, before, operation.version)
    elif isinstance(operation, Copy):
        new = _copied(connection, channel_id, channel, current, operation.day)
    else:
        new = _changed(current, operation)
    restores = isinstance(operation, Restore)
    return _plan(connection, channel_id, channel, before, new, restores=restores)


def planned_values(
    connection: Connection,
    channel_id: int,
    values: Mapping[datetime, int],
    *,
    code: int = quality.EDITED,
) -> Plan:
    """Plan to set intervals, each by its start [scaled unit].

    Raises
    ------
    WorklistError
        if no value is given, an interval does not exist, or nothing would change.
    """
    if not values:
        raise WorklistError("no values given: name at least one interval by its start")
    channel = worklist_days.channel_of(connection, channel_id)
    step = timedelta(seconds=channel.interval_seconds)
    before = _days(connection, channel_id, channel, Period(min(values), max(values) + step))
    for moment, value in values.items():
        worklist_days.slot(before, channel, moment)
        if abs(value) >= 2**31:
            raise WorklistError(
                f"{channel}: {value} at {worklist_days.utc(moment)} does not fit into 32 bits"
            )
    # Whoever gives a time with another offset is shown it in UTC, like all others.
    new = {moment.astimezone(UTC): (value, code) for moment, value in values.items()}
    return _plan(connection, channel_id, channel, before, new)


def _days(connection: Connection, channel_id: int, channel: Channel, period: Period) -> BlockTable:
    """Read the days that a period touches; nobody else changes them until the transaction ends."""
    readings.lock(connection, [channel_id])
    zone = ZoneInfo(channel.time_zone)
    first = local_day(period.start.astimezone(zone).date(), zone)
    found = readings.current(connection, [channel_id], Period(first.start, period.end))
    if not len(found):
        raise WorklistError(f"{channel}: nothing is in the record of {period}; validate it first")
    return found


def _slots(days: BlockTable, row: int | None = None) -> Slots:
    rows = range(len(days)) if row is None else [row]
    return {
        readings_columns.moment(int(days.starts_at[n]) + i * int(days.interval_seconds[n])): (
            int(days.values[n, i]),
            int(days.quality[n, i]),
        )
        for n in rows
        for i in range(int(days.length[n]))
    }


def _changed(current: Slots, operation: Add | Scale | Remove | MakeFinal) -> Slots:
    new: Slots = {}
    for at, (value, code) in current.items():
        kind = QualityClass(int(quality.class_table()[code]))
        if isinstance(operation, Remove):
            new[at] = (0, quality.REMOVED)
        elif isinstance(operation, MakeFinal):
            if kind == QualityClass.ESTIMATED:
                new[at] = (value, quality.ESTIMATED_FINAL)
        elif kind != QualityClass.MISSING:
            new[at] = (_moved(value, operation), quality.EDITED)
    return new


def _moved(value: int, operation: Add | Scale) -> int:
    if isinstance(operation, Add):
        moved = value + operation.amount
    else:
        exact = value * operation.factor
        moved = int(exact.quantize(_SCALED, ROUND_HALF_UP)) if abs(exact) < 2**31 else 2**31
    if abs(moved) >= 2**31:
        raise WorklistError(f"{value} would become a value that does not fit into 32 bits")
    return moved


def _copied(
    connection: Connection, channel_id: int, channel: Channel, current: Slots, day: date
) -> Slots:
    """Give the values of another day, by local time; where it has none, nothing changes."""
    zone = ZoneInfo(channel.time_zone)
    source = readings.current(connection, [channel_id], local_day(day, zone))
    if not len(source):
        raise WorklistError(f"{channel}: the record has no day {day} to copy from")
    by_time = {
        at.astimezone(zone).time(): value
        for at, (value, code) in _slots(source).items()
        if quality.class_table()[code] != QualityClass.MISSING
    }
    clock = {at: at.astimezone(zone).time() for at in current}
    return {at: (by_time[time], quality.EDITED) for at, time in clock.items() if time in by_time}


def _former(connection: Connection, days: BlockTable, version: int) -> Slots:
    """Give a version of one day."""
    newest = int(days.version[0])
    if len(days) != 1 or not 0 < version < newest:
        raise WorklistError(
            f"version {version} cannot be restored: name one day, and a version from 1 to "
            f"{newest - 1} (see `miqyas explain`)"
        )
    former = readings.named(
        connection, days.channel_id, days.starts_at, np.array([version], np.int32)
    )
    return _slots(former)


def _plan(
    connection: Connection,
    channel_id: int,
    channel: Channel,
    before: BlockTable,
    new: Slots,
    *,
    restores: bool = False,
) -> Plan:
    old = _slots(before)
    changes = tuple(
        Change(at, _value(old[at]), _value(new[at]), old[at][1], new[at][1])
        for at in sorted(new)
        if at in old and new[at] != old[at]
    )
    if not changes:
        raise WorklistError(f"{channel}: nothing would change")
    moments = np.array([int(each.at.timestamp()) for each in changes])
    ends = before.starts_at + before.length * before.interval_seconds
    touched = np.flatnonzero(
        ((moments >= before.starts_at[:, None]) & (moments < ends[:, None])).any(axis=1)
    )
    days = readings_columns.taken(before, touched)
    versions = tuple(
        (readings_columns.moment(start), int(version))
        for start, version in zip(days.starts_at, days.version, strict=True)
    )
    billed = tuple(billed_days.of(connection, days))
    return Plan(channel_id, channel, changes, versions, billed, restores)


def _value(slot: tuple[int, int]) -> int | None:
    value, code = slot
    return None if quality.class_table()[code] == QualityClass.MISSING else value
