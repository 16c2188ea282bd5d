"""Where people's changes go: interval channels, their days, and the slots of a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from schemas import statements
from schemas.database import Connection
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "worklist.sql")


class WorklistError(ValueError):
    """A decision cannot be taken; the message says about what, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Channel:
    """An interval channel, and where it is."""

    usage_point: str
    reading_type: str
    time_zone: str
    interval_seconds: int

    def __str__(self) -> str:
        return f"{self.usage_point}, {self.reading_type}"


def channel_of(connection: Connection, channel_id: int) -> Channel:
    """Give an interval channel by its id.

    Raises
    ------
    WorklistError
        if there is none, or it is a register.
    """
    row = connection.execute(_SQL["channel"], {"channel": channel_id}).fetchone()
    if row is None:
        raise WorklistError(f"there is no channel {channel_id}")
    if row[3] == 0:
        raise WorklistError(f"{row[0]}, {row[1]} is a register: it has no intervals to edit")
    return Channel(*row)


def slot(days: BlockTable, channel: Channel, moment: datetime) -> tuple[int, int]:
    """Find the recorded day and slot that start at a moment."""
    since = int(moment.timestamp()) - days.starts_at
    inside = (since >= 0) & (since < days.length * channel.interval_seconds)
    if not inside.any():
        raise WorklistError(
            f"{channel}: the day of {utc(moment)} is not in the record; validate it first"
        )
    row = int(np.flatnonzero(inside)[0])
    place, rest = divmod(int(since[row]), channel.interval_seconds)
    if rest or moment.microsecond:
        raise WorklistError(
            f"{channel}: no interval starts at {utc(moment)}; they are "
            f"{channel.interval_seconds} s long, from local midnight on"
        )
    return row, place


def inside(days: BlockTable, channel_id: int, start: datetime, end: datetime) -> NDArray[np.bool_]:
    """Mark the slots of a channel that start in a stretch."""
    step = days.interval_seconds.astype(np.int64)
    moment = days.starts_at[:, None] + np.arange(days.values.shape[1]) * step[:, None]
    chosen = (moment >= int(start.timestamp())) & (moment < int(end.timestamp()))
    return np.asarray(chosen & (days.channel_id == channel_id)[:, None])


def utc(moment: datetime) -> str:
    """Write a moment to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S%z}"
