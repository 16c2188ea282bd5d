"""What the raw store has of each end device, and so what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headend import gaps
from headend.devices import Device
from schemas import parameters, reading_type, statements
from schemas.database import Connection
from schemas.period import Period

_SQL = statements.load("headend", "coverage.sql")
# How far back meters are asked: the load profiles of the field hold 30 to 60 days.
HORIZON = timedelta(days=45)
# These have no memory: what was not sampled then is gone.
SAMPLED = ("modbus", "mqtt")


@dataclass(frozen=True, slots=True)
class Coverage:
    """An end device's missing periods, oldest first, and the interval types seen from it."""

    missing: tuple[Period, ...]
    reading_types: tuple[str, ...]

    def duration(self) -> timedelta:
        """Time that is missing in all."""
        return sum((period.duration for period in self.missing), timedelta())


def coverage(
    connection: Connection,
    devices: Sequence[Device],
    *,
    now: datetime,
    horizon: timedelta = HORIZON,
) -> dict[int, Coverage]:
    """Tell what is missing of each end device, by its id.

    Missing is every whole interval since installation, up to the last complete one, that the raw
    store has no answer for; "the meter has none" is an answer. Meters without a memory are covered
    by the register samples of their grid.
    """
    window = Period(now - horizon, now)
    sampled = [device.id for device in devices if device.protocol in SAMPLED]
    stored = [device.id for device in devices if device.protocol not in SAMPLED]
    have = {
        **_covered(connection, "covered_by_intervals", stored, window),
        **_covered(connection, "covered_by_samples", sampled, window),
    }
    return {device.id: _coverage(device, have.get(device.id), now, horizon) for device in devices}


def _coverage(
    device: Device, have: tuple[list[Period], list[str]] | None, now: datetime, horizon: timedelta
) -> Coverage:
    covered, names = have or ([], [])
    wanted = gaps.expected(
        device.installed, now=now, horizon=horizon, interval_seconds=device.interval_seconds
    )
    found = gaps.missing(wanted, covered, device.interval_seconds)
    return Coverage(tuple(found), tuple(names))


def _covered(
    connection: Connection, statement: str, ids: list[int], window: Period
) -> dict[int, tuple[list[Period], list[str]]]:
    if not ids:
        return {}
    rows = connection.execute(
        _SQL[statement],
        {"ids": parameters.numbers(ids), "since": window.start, "until": window.end},
    )
    return {device: (_periods(stretches), _names(types)) for device, stretches, types in rows}


def _periods(stretches: Any) -> list[Period]:
    return [Period(one.lower, one.upper) for one in stretches]


def _names(types: list[int]) -> list[str]:
    return [reading_type.of_id(number).name for number in types]
