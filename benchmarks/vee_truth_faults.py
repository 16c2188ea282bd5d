"""What validation finds of the simulators' labelled faults, through the whole MDM.

Meters on the real curves (``vee_truth.toml``) store what their faults leave; it is landed as a
driver lands it, with daily registers, and validated with the shipped rules. A label is caught by a
rule if one of its findings touches the label's local days, or the day after them: a register tells
at its next reading. Findings on other days are false alarms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import scratch
from drivers.dlms import intervals
from headend import landing
from headend.landing_rows import Answer
from mdm import registry, vee
from schemas import database
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading
from simulators import fleet, stored, truth
from simulators.faults import Fault
from simulators.fleet import Fleet
from simulators.meter import ACTIVE, Meter

_FILE: Final = Path(__file__).with_name("vee_truth.toml")
_INTERVAL: Final = f"{ACTIVE}_interval"
_DAY: Final = 86_400
_SLOTS: Final = 96
# Kinds of which a setting decides what can be seen; the shipped rule wants 12 hours of one value.
_TOLD: Final = ("duplicate", "spike", "stuck_register")
_STUCK: Final = 12 * 3600
_Day = tuple[str, int]
EXPECTED: Final[Mapping[str, tuple[str, ...]]] = {
    "gap": ("gap",),
    "duplicate, different": ("duplicate",),
    "duplicate, same": (),
    "spike, 40": ("spike",),
    "spike, 8": ("sum_check",),
    "stuck_register, register": ("register_misread",),
    "stuck_register, intervals": ("stuck",),
    "stuck_register, intervals, short": ("sum_check",),
    "stuck_register, both": ("short_zero_run",),
    "rollover": ("register_rollover",),
    "clock_drift": (),
    "meter_exchange": (),
}
"""Which rule has to see which fault. The same row twice changes nothing, an exchange is no fault of
the data, and a clock that is some minutes off is seen by comparing clocks, not by values."""


@dataclass(frozen=True)
class Label:
    """A fault that is there, on one usage point."""

    usage_point: str
    kind: str
    days: frozenset[int]
    near: frozenset[int]


@dataclass(frozen=True, slots=True)
class Seen:
    """How one rule did.

    Attributes
    ----------
    labels, caught : faults that the rule has to see, and those that it saw
    alarms, issues : days without a fault that it found something in, and as an issue or worse
    """

    labels: int
    caught: int
    alarms: int
    issues: int


@dataclass(frozen=True)
class Found:
    """What validation made of the fleet.

    Attributes
    ----------
    rules : by name
    kinds : of each kind of fault: labels, those whose days together have the energy that flowed
        in the end, and the mean error of their days' intervals [% of what flowed]
    clean_days : days without a fault, over all meters
    issue_days : of these, days with a finding of severity issue or more
    changed : of these, days whose final values are not the true ones
    """

    rules: Mapping[str, Seen]
    kinds: Mapping[str, tuple[int, int, float]]
    clean_days: int
    issue_days: int
    changed: int


@dataclass(frozen=True, eq=False)
class _Record:
    """Findings as (usage point, rule, severity, days), and final days by usage point and day."""

    findings: Sequence[tuple[str, str, str, frozenset[int]]]
    final: Mapping[tuple[str, int], NDArray[np.int64]]


def found() -> Found:
    """Land the fleet in a database of its own, validate it, and hold the result to the truth."""
    meters = fleet.load(_FILE)
    with scratch.scratch_database("truth") as url, database.connect(url) as connection:
        _land(connection, meters)
        now = meters.period.end + timedelta(days=1)
        while vee.run(connection, now=now).taken:
            connection.commit()
        record = _Record(list(_findings(connection, meters)), _final(connection, meters))
    return _scored(meters, record)


def _land(connection: Connection, meters: Fleet) -> None:
    report = registry.import_rows(connection, meters.registry())
    if report.rejected:
        raise ValueError(f"{_FILE.name}: {report.rejected[0]}")
    ids: dict[str, int] = dict(connection.execute("SELECT mrid, id FROM end_device").fetchall())
    answers = [
        Answer(ids[meter.mrid], list(_blocks(meter)), list(_registers(meter)))
        for meter in meters.meters
    ]
    landing.land(connection, answers, source="dlms", now=meters.period.end)
    connection.execute("ANALYZE")
    connection.commit()


def _blocks(meter: Meter) -> Iterator[IntervalBlock]:
    rows, step = stored.load_profile(meter), meter.interval_seconds
    column = rows.values[ACTIVE]
    whole = Period(_moment(meter.start), _moment(meter.end))
    every = np.arange(len(column))
    series = intervals.Series(_INTERVAL, every, column, np.zeros(len(column), np.int16))
    for piece in intervals.cut(rows.stamps, every, whole, step):
        yield intervals.block(series, piece, _moment(int(rows.stamps[piece[0]]) - step), step)


def _registers(meter: Meter) -> Iterator[RegisterReading]:
    rows = stored.daily_registers(meter)
    for stamp, value in zip(rows.stamps.tolist(), rows.values[ACTIVE].tolist(), strict=True):
        yield RegisterReading(ACTIVE, _moment(stamp), value, modulus=meter.register_modulus)


def _findings(
    connection: Connection, meters: Fleet
) -> Iterator[tuple[str, str, str, frozenset[int]]]:
    rows = connection.execute(
        "SELECT p.mrid, f.rule, f.severity, f.starts_at, f.ends_at FROM finding f"
        " JOIN channel c ON c.id = f.channel_id JOIN usage_point p ON p.id = c.usage_point_id"
        " WHERE f.state <> 'superseded' ORDER BY f.id"
    )
    for point, rule, severity, start, end in rows:
        yield point, rule, severity, _days(meters, start.timestamp(), end.timestamp())


def _final(connection: Connection, meters: Fleet) -> dict[tuple[str, int], NDArray[np.int64]]:
    rows = connection.execute(
        "SELECT DISTINCT ON (p.mrid, b.starts_at) p.mrid, b.starts_at, b.values"
        " FROM interval_block b JOIN channel c ON c.id = b.channel_id"
        " JOIN usage_point p ON p.id = c.usage_point_id"
        " ORDER BY p.mrid, b.starts_at, b.version DESC"
    )
    return {
        (point, min(_days(meters, start.timestamp(), start.timestamp() + 1))): np.array(values)
        for point, start, values in rows
    }


def _labels(meters: Fleet) -> list[Label]:
    labels = []
    for meter in meters.meters:
        for fault in meter.faults:
            # An exchange has no end.
            end = fault.starts_at + 1 if fault.kind == "meter_exchange" else fault.ends_at
            days = _days(meters, fault.starts_at, end)
            near = days | {min(days) - 1, max(days) + 1}
            if fault.kind == "clock_drift":
                # The clock stays off to the end.
                near |= set(range(max(days), 10**3))
            labels.append(Label(meter.usage_point, _kind(fault), days, near))
    return labels


def _kind(fault: Fault) -> str:
    """Name a fault's kind with the setting that decides what can be seen of it."""
    said = [str(each) for each in fault.settings.values() if fault.kind in _TOLD]
    if "intervals" in said and fault.ends_at - fault.starts_at < _STUCK:
        said.append("short")
    return ", ".join([fault.kind, *said])


def _days(meters: Fleet, start: float, end: float) -> frozenset[int]:
    """Give the fleet's local days, counted from 0, that a stretch of time [s] touches."""
    first = meters.period.start.timestamp()
    return frozenset(range(int((start - first) // _DAY), int(-(-(end - first) // _DAY))))


def _scored(meters: Fleet, record: _Record) -> Found:
    labels, true = _labels(meters), _true_days(meters)
    clean = set(true) - {(each.usage_point, day) for each in labels for day in each.near}
    touched: dict[str, set[_Day]] = {}
    issues: dict[str, set[_Day]] = {}
    for point, rule, severity, days in record.findings:
        mine = {(point, day) for day in days}
        touched.setdefault(rule, set()).update(mine)
        issues.setdefault(rule, set()).update(mine if severity != "info" else ())
    rules = {name: _seen(name, labels, touched, issues, clean) for name in _rules(touched)}
    return Found(
        rules=rules,
        kinds=_restored(labels, record, true),
        clean_days=len(clean),
        issue_days=len(set().union(*issues.values()) & clean),
        changed=sum(not np.array_equal(record.final[key], true[key]) for key in clean),
    )


def _rules(touched: Mapping[str, object]) -> list[str]:
    return sorted({*touched, *(rule for rules in EXPECTED.values() for rule in rules)})


def _seen(
    rule: str,
    labels: Sequence[Label],
    touched: Mapping[str, set[_Day]],
    issues: Mapping[str, set[_Day]],
    clean: set[_Day],
) -> Seen:
    mine = [each for each in labels if rule in EXPECTED[each.kind]]
    found = touched.get(rule, set())
    caught = [each for each in mine if found & {(each.usage_point, day) for day in each.near}]
    return Seen(len(mine), len(caught), len(found & clean), len(issues.get(rule, set()) & clean))


def _true_days(meters: Fleet) -> dict[_Day, NDArray[np.int64]]:
    """Give the true intervals by usage point and local day; a meter exchange joins two meters."""
    table = truth.intervals(meters)
    table = table[table["reading_type"] == _INTERVAL].sort_values(["usage_point", "starts_at"])
    found = {}
    for point, values in table.groupby("usage_point", observed=True)["value"]:
        for day, each in enumerate(values.to_numpy().reshape(-1, _SLOTS)):
            found[str(point), day] = each
    return found


def _restored(
    labels: Sequence[Label], record: _Record, true: Mapping[tuple[str, int], NDArray[np.int64]]
) -> dict[str, tuple[int, int, float]]:
    """Hold the final values of the days with a fault against what flowed."""
    found: dict[str, list[float]] = {}
    for label in labels:
        count = found.setdefault(label.kind, [0, 0, 0, 0])
        keys = [(label.usage_point, day) for day in sorted(label.days)]
        flowed = np.concatenate([true[key] for key in keys if key in true])
        final = np.concatenate([record.final[key] for key in keys if key in true])
        count[0] += 1
        count[1] += int(final.sum()) == int(flowed.sum())
        count[2] += int(np.abs(final - flowed).sum())
        count[3] += int(flowed.sum())
    return {
        kind: (int(total), int(exact), 100 * error / max(flowed, 1))
        for kind, (total, exact, error, flowed) in found.items()
    }


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
