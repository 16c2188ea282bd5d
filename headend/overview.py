"""What people ask of collection: how is this meter, how is the fleet, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headend import coverage, devices, diagnosis, dispatch, meter_profiles
from headend.devices import Device
from headend.diagnosis import Condition, Verdict
from headend.dispatch import Queue
from schemas import reading_type, statements
from schemas.database import Connection
from schemas.event import EndDeviceEvent
from schemas.period import Period

_SQL = statements.load("headend", "overview.sql")
_SESSIONS = 10
_EVENTS = 20


@dataclass(frozen=True, slots=True)
class Value:
    """The last value of a reading type: of a register, or of an interval by its start."""

    reading_type: str
    at: datetime
    value: int
    quality: int


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation as it was written down; ``seconds`` is how long it really took [s]."""

    started_at: datetime
    ended_at: datetime
    reads: tuple[str, ...]
    outcome: str
    error: str | None
    message: str | None
    attempts: int
    intervals: int
    registers: int
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class MeterStatus:
    """How one meter is doing; sessions and events newest first, missing periods oldest first."""

    device: Device
    verdict: Verdict
    condition: Condition
    identity: Mapping[str, str] | None
    missing: tuple[Period, ...]
    values: tuple[Value, ...]
    sessions: tuple[Session, ...]
    events: tuple[EndDeviceEvent, ...]


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One meter in the overview of the fleet."""

    end_device_id: int
    mrid: str
    protocol: str
    segment: str | None
    verdict: Verdict
    condition: Condition


@dataclass(frozen=True, slots=True)
class Fleet:
    """All meters that are installed now and are read by machine.

    ``verdicts`` and ``levels`` count them by name; ``queue`` is the work that waits.
    """

    devices: tuple[DeviceLine, ...]
    verdicts: Mapping[str, int]
    levels: Mapping[str, int]
    queue: Queue


def status(connection: Connection, mrid: str, *, now: datetime) -> MeterStatus:
    """Tell how a meter is doing: does it talk, since when not, why, last values, what is missing.

    Raises
    ------
    headend.devices.UnknownDevice
    """
    device = devices.named(connection, mrid)
    place = {"id": device.id, "limit": _SESSIONS}
    row = connection.execute(_SQL["condition"], place).fetchone()
    condition = _condition(row[:11]) if row else Condition()
    sessions = [Session(*r) for r in connection.execute(_SQL["last_sessions"], place)]
    events = connection.execute(_SQL["last_events"], {**place, "limit": _EVENTS})
    interval = timedelta(seconds=device.interval_seconds)
    return MeterStatus(
        device=device,
        verdict=diagnosis.verdict(condition, now=now, interval=interval),
        condition=condition,
        identity=row[11] if row else None,
        missing=missing(connection, mrid, now=now),
        values=last_values(connection, device.id, now=now),
        sessions=tuple(sessions),
        events=tuple(EndDeviceEvent(*event) for event in events),
    )


def missing(connection: Connection, mrid: str, *, now: datetime) -> tuple[Period, ...]:
    """List a meter's missing periods, oldest first; none of a meter that stores no intervals.

    Raises
    ------
    headend.devices.UnknownDevice
    """
    device = devices.named(connection, mrid)
    known = meter_profiles.newest(connection, device.id)
    if known is not None and not meter_profiles.has(known.offers, "intervals"):
        return ()
    return coverage.coverage(connection, [device], now=now)[device.id].missing


def last_values(connection: Connection, end_device_id: int, *, now: datetime) -> tuple[Value, ...]:
    """Give the last value of every reading type that the raw store has of a meter."""
    window = {"id": end_device_id, "since": now - coverage.HORIZON, "now": now}
    rows = [
        row
        for name in ("last_registers", "last_intervals")
        for row in connection.execute(_SQL[name], window)
    ]
    return tuple(
        Value(reading_type.of_id(number).name, at, value, code)
        for number, at, value, code in sorted(rows)
    )


def fleet(connection: Connection, *, now: datetime) -> Fleet:
    """Tell how all meters are doing."""
    lines = tuple(_line(row, now) for row in connection.execute(_SQL["conditions"], {"now": now}))
    return Fleet(
        devices=lines,
        verdicts=Counter(line.verdict.name for line in lines),
        levels=Counter(line.verdict.words.level for line in lines),
        queue=dispatch.queue(connection),
    )


def _line(row: tuple[Any, ...], now: datetime) -> DeviceLine:
    condition = _condition(row[5:])
    interval = timedelta(seconds=row[4])
    judged = diagnosis.verdict(condition, now=now, interval=interval)
    return DeviceLine(row[0], row[1], row[2], row[3], judged, condition)


def _condition(row: tuple[Any, ...]) -> Condition:
    deviation = None if row[8] is None else timedelta(seconds=row[8])
    values = [*row[:8], deviation, *row[9:11]]
    return Condition(*values)
