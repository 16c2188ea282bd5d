"""What a meter with a memory stores, with its faults: intervals, daily registers, events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas import period
from simulators.faults import Fault
from simulators.meter import ACTIVE, Meter, Seconds, Values


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a profile in the order of capture.

    Attributes
    ----------
    stamps : by the meter's own clock, shape (n,), never falling [Unix s]
    captured : the same moments by true time, shape (n,) [Unix s]
    values : columns by name, shape (n,) each
    """

    stamps: Seconds
    captured: Seconds
    values: Mapping[str, Values]

    def visible(self, now: int) -> int:
        """Count the rows that are there at a moment of true time [Unix s]."""
        return int(np.searchsorted(self.captured, now, side="right"))

    def between(self, first: int, last: int, now: int) -> slice:
        """Choose rows stamped ``first`` to ``last``, both included, that are there by now."""
        start = int(np.searchsorted(self.stamps, first, side="left"))
        stop = int(np.searchsorted(self.stamps, last, side="right"))
        return slice(start, min(stop, self.visible(now)))


def load_profile(meter: Meter) -> Rows:
    """Give a meter's interval energy as it stores it; stamps are interval ends.

    Returns
    -------
    one column for each of the meter's cumulative reading types [Wh or varh]
    """
    edges = np.arange(meter.start, meter.end + 1, meter.interval_seconds, dtype=np.int64)
    captured = meter.true_time(edges)
    values = {name: np.diff(meter.true_count(name, captured)) for name in meter.reading_types}
    kept = np.ones(len(edges) - 1, dtype=np.int64)
    for fault in meter.faults:
        _alter(fault, edges[:-1], values, kept)
    again = np.repeat(np.arange(len(kept)), kept)
    halved = _halved(meter, edges[:-1][again], np.diff(again, prepend=-1) == 0)
    return Rows(
        stamps=edges[1:][again],
        captured=captured[1:][again],
        values={name: column[again] // halved for name, column in values.items()},
    )


def _alter(
    fault: Fault, starts: Seconds, values: Mapping[str, Values], kept: NDArray[np.int64]
) -> None:
    """Put a fault into stored rows; ``kept`` says how often a row is stored."""
    hit = (starts >= fault.starts_at) & (starts < fault.ends_at)
    mode = fault.text("mode", "register")
    if fault.kind == "gap":
        kept[hit] = 0
    elif fault.kind == "duplicate":
        kept[hit] = 2
    elif fault.kind == "spike":
        mean = max(int(values[ACTIVE].sum()) // len(starts), 1)
        values[ACTIVE][hit] += mean * fault.number("factor")
    elif fault.kind == "stuck_register" and mode == "both":
        for column in values.values():
            column[hit] = 0
    elif fault.kind == "stuck_register" and mode == "intervals" and hit.any():
        before = max(int(np.argmax(hit)) - 1, 0)
        for column in values.values():
            column[hit] = column[before]


def _halved(meter: Meter, starts: Seconds, second: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give what rows are divided by: 2 for the second of two different ones, else 1."""
    divisor = np.ones(len(starts), dtype=np.int64)
    for fault in meter.having("duplicate"):
        if fault.text("value", "same") == "different":
            divisor[second & (starts >= fault.starts_at) & (starts < fault.ends_at)] = 2
    return divisor


def daily_registers(meter: Meter) -> Rows:
    """Give the registers stored at each local midnight, and at installation and removal.

    Returns
    -------
    one column for each of the meter's cumulative reading types [Wh, varh or L]
    """
    zone = ZoneInfo(meter.time_zone)
    whole = period.Period(
        datetime.fromtimestamp(meter.start, UTC), datetime.fromtimestamp(meter.end, UTC)
    )
    midnights = {int(day.start.timestamp()) for _, day in period.local_days(whole, zone)}
    inside = {moment for moment in midnights if moment >= meter.start}
    stamps = np.array(sorted(inside | {meter.start, meter.end}), dtype=np.int64)
    captured = meter.true_time(stamps)
    return Rows(
        stamps, captured, {name: meter.register(name, captured) for name in meter.reading_types}
    )


def billing_registers(meter: Meter) -> Rows:
    """Give the registers stored at the beginning of each local month while it is installed.

    Returns
    -------
    one column for each of the meter's cumulative reading types [Wh, varh or L]
    """
    daily = daily_registers(meter)
    zone = ZoneInfo(meter.time_zone)
    local = [datetime.fromtimestamp(stamp, zone) for stamp in daily.stamps.tolist()]
    first = np.array([at.day == 1 and at.hour == at.minute == 0 for at in local], dtype=np.bool_)
    values = {name: column[first] for name, column in daily.values.items()}
    return Rows(daily.stamps[first], daily.captured[first], values)


def voltages(meter: Meter, seconds: int) -> Rows:
    """Give the voltage stored every so many seconds, column ``voltage_l1`` [0.1 V]."""
    stamps = np.arange(meter.start + seconds, meter.end + 1, seconds, dtype=np.int64)
    captured = meter.true_time(stamps)
    values = [meter.present(moment)["voltage_l1"] for moment in captured.tolist()]
    return Rows(stamps, captured, {"voltage_l1": np.array(values, dtype=np.int64)})


NO_EVENTS: Final = Rows(
    np.zeros(0, np.int64), np.zeros(0, np.int64), {"code": np.zeros(0, np.int64)}
)
"""An event log that has nothing."""

POWER_DOWN, POWER_UP, MEMORY_ERROR, MEASUREMENT_ERROR = 1, 2, 14, 16
"""Event codes of the IDIS standard event log."""


def events(meter: Meter) -> Rows:
    """Give what a meter notices itself, with the column ``code``.

    A gap is a memory error, a stuck measuring system is noticed, an exchange switches power off
    and on; all else goes unnoticed, as it does in the field.
    """
    noticed = sorted(_noticed(meter))
    captured = np.array([moment for moment, _ in noticed], dtype=np.int64)
    offsets = np.array([meter.clock_offset(moment) for moment, _ in noticed], dtype=np.int64)
    codes = np.array([code for _, code in noticed], dtype=np.int64)
    return Rows(captured + offsets, captured, {"code": codes})


def _noticed(meter: Meter) -> Iterator[tuple[int, int]]:
    yield meter.start, POWER_UP
    for fault in meter.faults:
        if fault.kind == "gap":
            yield fault.ends_at, MEMORY_ERROR
        elif fault.kind == "stuck_register" and fault.text("mode", "register") == "both":
            yield fault.starts_at, MEASUREMENT_ERROR
        elif fault.kind == "meter_exchange":
            yield meter.end, POWER_DOWN
