"""A profile's columns in the domain's words: interval blocks, register readings, events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import intervals
from drivers.dlms.companion import Companion, EventLog
from drivers.dlms.profile import Channel, Profile
from drivers.dlms.profile_buffer import Clock, Columns
from drivers.errors import NotOffered, RemoteProtocolError
from schemas import quality, reading_type
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

_LOW_OCTET: Final = 0xFF


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a meter gave of a profile, and what the parts of it are."""

    profile: Profile
    columns: Columns
    companion: Companion


def interval_channels(profile: Profile) -> list[Channel]:
    """Give the channels that hold a value of each interval, or a register whose steps do.

    A register is left out where the profile has its interval values, too.

    Raises
    ------
    NotOffered
        if there is none.
    """
    direct = {one.reading_type.name for one in profile.channels if not _is_register(one)}
    found = []
    for one in profile.channels:
        steps = reading_type.interval_of(one.reading_type.name) if _is_register(one) else None
        if not _is_register(one) or (steps is not None and steps.name not in direct):
            found.append(one)
    return _some(found, profile, "intervals")


def interval_names(profile: Profile) -> set[str]:
    """Give the reading types of the intervals that a profile gives.

    Raises
    ------
    NotOffered
        if there is none.
    """
    names = set()
    for one in interval_channels(profile):
        steps = reading_type.interval_of(one.reading_type.name) if _is_register(one) else None
        names.add(one.reading_type.name if steps is None else steps.name)
    return names


def has_steps(profile: Profile) -> bool:
    """Tell whether intervals of a profile are the steps of a register that it captures."""
    return any(_is_register(one) for one in interval_channels(profile))


def register_channels(profile: Profile) -> list[Channel]:
    """Give the channels that hold a register's own value.

    Raises
    ------
    NotOffered
        if there is none.
    """
    found = [one for one in profile.channels if one.reading_type.accumulation != "delta"]
    return _some(found, profile, "registers")


def _is_register(channel: Channel) -> bool:
    return channel.reading_type.accumulation == "cumulative"


def _some(found: list[Channel], profile: Profile, kind: str) -> list[Channel]:
    if not found:
        captured = ", ".join(str(one) for one in profile.captured)
        raise NotOffered(f"profile {profile.buffer.name} has no {kind} that we know: {captured}")
    return found


def interval_blocks(rows: Rows, period: Period, interval_seconds: int) -> list[IntervalBlock]:
    """Give the intervals that start in a period, oldest first.

    A register that the profile captures gives its steps from row to row: none where the row one
    interval before is not there, or where it ran backwards. How many rows had no usable time stands
    in the annotation of every block.
    """
    clock = _placed(rows.columns)
    placed = np.flatnonzero(clock.present)
    whole = intervals.cut(clock.moments, placed, period, interval_seconds)
    blocks: list[IntervalBlock] = []
    for series in _interval_series(rows, clock, interval_seconds):
        pieces = whole
        if len(series.rows) != len(placed):
            pieces = intervals.cut(clock.moments, series.rows, period, interval_seconds)
        for piece in pieces:
            start = datetime.fromtimestamp(int(clock.moments[piece[0]]) - interval_seconds, UTC)
            blocks.append(intervals.block(series, piece, start, interval_seconds))
    blocks.sort(key=lambda block: block.start)
    if len(placed) == rows.columns.rows:
        return blocks
    note = f"{rows.columns.rows - len(placed)} rows without a usable time were left out"
    return [replace(block, annotation=note) for block in blocks]


def register_readings(rows: Rows, period: Period) -> list[RegisterReading]:
    """Give the stored register values of a period, both ends included, oldest first."""
    clock = _placed(rows.columns)
    first, last = (int(moment.timestamp()) for moment in (period.start, period.end))
    readings = []
    for series in _all_series(rows, clock, register_channels(rows.profile)):
        for row in series.rows.tolist():
            at = int(clock.moments[row])
            if first <= at <= last:
                moment = datetime.fromtimestamp(at, UTC)
                value, code = int(series.values[row]), int(series.quality[row])
                readings.append(RegisterReading(series.reading_type, moment, value, code))
    return sorted(readings, key=lambda reading: reading.read_at)


def events(rows: Rows, log: EventLog, period: Period) -> list[EndDeviceEvent]:
    """Give the entries of an event log in a period, oldest first.

    Raises
    ------
    NotOffered
        if the log has no column of event codes, and not a single other one that it could be.
    """
    place = rows.profile.column(log.code)
    if place is None and len(rows.columns.others) == 1:
        place = 0
    if place is None:
        raise NotOffered(f"event log {rows.profile.buffer.name} captures no event code")
    clock, codes = _placed(rows.columns), rows.columns.others[place]
    present = clock.present & codes.present
    found = []
    for at, code in zip(clock.moments[present], codes.values[present].tolist(), strict=True):
        moment = datetime.fromtimestamp(int(at), UTC)
        if moment in period:
            found.append(_event(log, moment, code))
    return sorted(found, key=lambda event: event.occurred_at)


def _event(log: EventLog, moment: datetime, code: object) -> EndDeviceEvent:
    if not isinstance(code, int):
        return EndDeviceEvent(moment, "unknown", 0, f"Event {code!r}")
    category, description = log.events.get(code, ("unknown", f"Event {code}"))
    return EndDeviceEvent(moment, category, code, description)


def _placed(columns: Columns) -> Clock:
    """Give the clock column, once it is clear that some row, or no row, has a place in time."""
    clock = columns.clock
    if clock is None or (columns.rows and not clock.present.any()):
        raise RemoteProtocolError(
            f"none of {columns.rows} rows has a time that can be placed; if the meter does not "
            "write its deviation from UTC, register it: address deviation=-180"
        )
    return clock


def _interval_series(rows: Rows, clock: Clock, interval_seconds: int) -> Iterator[intervals.Series]:
    """Give the values of each interval, by channel."""
    for series in _all_series(rows, clock, interval_channels(rows.profile)):
        steps = reading_type.interval_of(series.reading_type)
        if steps is None:
            yield series
        else:
            yield intervals.differenced(series, steps.name, clock.moments, interval_seconds)


def _all_series(rows: Rows, clock: Clock, wanted: Sequence[Channel]) -> Iterator[intervals.Series]:
    """Give each channel's values, scaled, with their quality."""
    doubts = _doubts(rows, clock)
    for channel in wanted:
        column = rows.columns.others[channel.column]
        values, codes = channel.scale.column(column)
        present = np.flatnonzero(clock.present & column.present)
        quality_codes = np.where(codes == quality.VALID, doubts, codes)
        yield intervals.Series(channel.reading_type.name, present, values, quality_codes)


def _doubts(rows: Rows, clock: Clock) -> NDArray[np.int16]:
    """Give what the status captured beside each row, or else its clock's status, says of it."""
    by_clock = rows.companion.clock_quality[clock.status]
    places = (rows.profile.column(status) for status in rows.companion.statuses)
    place = next((one for one in places if one is not None), None)
    if place is None:
        return by_clock
    status = rows.columns.others[place]
    if status.values.dtype != np.int64:
        return by_clock
    octets = np.where(status.present, status.values & _LOW_OCTET, 0)
    captured = rows.companion.status_quality[octets]
    return np.where(captured != quality.VALID, captured, by_clock)


def text(value: object) -> str:
    """Give an identity's text: what a person can read, else the octets in hexadecimal."""
    if isinstance(value, bytes):
        stripped = value.strip(b"\x00 ")
        value = stripped.decode("ascii") if stripped.isascii() else value.hex()
        return value if value.isprintable() else stripped.hex()
    return "" if value is None else str(value).strip("\x00 ")
