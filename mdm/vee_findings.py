"""Keeps the worklist in step with a run: what is found again stays, what is not is closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns, spans
from mdm.intake_cube import Intake
from schemas import binary_copy, binary_fields, statements
from schemas.binary_fields import Column
from schemas.database import Connection
from validation.finding import Action, Findings, Severity

_SQL = statements.load("mdm", "vee.sql")
_KNOWN: Final = (
    "int8", "int4", "timestamptz", "timestamptz", "timestamptz", "text", "float8", "float8", "bool",
)  # fmt: skip
_OTHER_SIZE: Final = "interval_size"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Findings in the words of the database, one row a finding.

    Times are int64 [s]; ``row`` is the channel's in the cube and ``rule`` the name as bytes.
    """

    row: NDArray[np.intp]
    channel_id: NDArray[np.int32]
    day: NDArray[np.int64]
    starts_at: NDArray[np.int64]
    ends_at: NDArray[np.int64]
    rule: NDArray[Any]
    severity: NDArray[np.int8]
    action: NDArray[np.int8]
    observed: NDArray[np.float64]
    limit: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    def rows(self, chosen: NDArray[Any]) -> Table:
        """Choose rows."""
        return Table(*(getattr(self, name)[chosen] for name in self.__slots__))


def table(findings: Findings, intake: Intake) -> Table:
    """Give a run's findings, but for those about slots that a person has settled; and what came
    with another interval length.
    """
    layout, ids = intake.layout, intake.channels.id
    names = np.array([name.encode() for name in findings.names] or [b""])
    own = Table(
        findings.channel.astype(np.intp),
        ids[findings.channel],
        layout.bounds[findings.day],
        layout.moment(findings.day, findings.first_slot),
        layout.moment(findings.last_day, findings.last_slot + 1),
        names[findings.rule],
        findings.severity,
        findings.action,
        findings.observed,
        findings.limit,
    )
    if intake.settled is not None and len(own):
        own = own.rows(~_wholly_in(own, intake.settled, intake))
    return own if intake.lost is None else _joined(own, _lost(intake.lost, intake))


@dataclass(frozen=True, slots=True)
class Kept:
    """How many findings a run opened and closed."""

    opened: int
    closed: int


def keep(connection: Connection, found: Table, intake: Intake, *, run: int, now: datetime) -> Kept:
    """Write findings down: new ones are opened, those found again keep their identity.

    An open one that the run should have found and did not is resolved; superseded where the same
    rule found another stretch over it. What a person has decided is not opened again while the
    same is observed.
    """
    known = _known(connection, intake)
    place = readings_columns.places(
        (known.table.channel_id, known.table.starts_at, known.table.rule),
        (found.channel_id, found.starts_at, found.rule),
    )
    again = place >= 0
    at = place[again]
    decided = ~known.open[at]
    same = (known.table.observed[at] == found.observed[again]) & (
        known.table.ends_at[at] == found.ends_at[again]
    )
    _see_again(
        connection, found.rows(again).rows(~decided & ~same), known.id[at[~decided & ~same]], run
    )
    fresh = ~again
    fresh[np.flatnonzero(again)[decided & ~same]] = True
    _open(connection, found.rows(fresh), run=run, now=now)
    stale = known.open & _in_targets(known.table, intake)
    stale[at] = False
    closed = _close(connection, known.id[stale], known.table.rows(stale), found, run=run, now=now)
    return Kept(int(fresh.sum()), closed)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Findings that the database has and that reach into target days; one a key."""

    id: NDArray[np.int64]
    table: Table
    open: NDArray[np.bool_]


def _known(connection: Connection, intake: Intake) -> _Known:
    bounds, ids = intake.layout.bounds, intake.channels.id
    days = np.flatnonzero(intake.cube.target.any(axis=0))
    limits = spans.limits(ids, spans.SHORT_ROWS) | {
        "start": readings_columns.moment(bounds[0]),
        "end": readings_columns.moment(bounds[days[-1] + 1]),
        "reached": readings_columns.moment(bounds[days[0]]),
    }
    columns = binary_copy.read(connection, _SQL["findings_of_days"], limits, _KNOWN)
    wanted = spans.among(ids, columns[1].values)
    number, channel, day, starts, ends, rule, observed, limit, is_open = (
        column.values[wanted] for column in columns
    )
    # The newest decision counts among several; an open one is always the newest.
    kept = readings_columns.newest(channel, starts, rule, version=number)
    row = readings_columns.places((ids,), (channel[kept],))
    second = readings_columns.SECOND
    none = np.zeros(len(kept), np.int8)
    return _Known(
        number[kept],
        Table(
            row,
            channel[kept],
            day[kept] // second,
            starts[kept] // second,
            ends[kept] // second,
            rule[kept],
            none,
            none,
            observed[kept],
            limit[kept],
        ),
        is_open[kept],
    )


def _see_again(connection: Connection, found: Table, ids: NDArray[np.int64], run: int) -> None:
    if not len(found):
        return
    connection.execute(
        _SQL["see_findings_again"],
        {
            "ids": ids.tolist(),
            "ends": [readings_columns.moment(second) for second in found.ends_at],
            "observed": found.observed.tolist(),
            "limits": found.limit.tolist(),
            "severities": [Severity(code).name.lower() for code in found.severity],
            "actions": [Action(code).name.lower() for code in found.action],
            "run": run,
        },
    )


def _open(connection: Connection, found: Table, *, run: int, now: datetime) -> None:
    if not len(found):
        return
    rows, second = len(found), readings_columns.SECOND
    severities = np.array([each.name.lower().encode() for each in Severity])
    actions = np.array([each.name.lower().encode() for each in Action])
    columns = {
        "channel_id": Column("int4", found.channel_id),
        "day": Column("timestamptz", found.day * second),
        "starts_at": Column("timestamptz", found.starts_at * second),
        "ends_at": Column("timestamptz", found.ends_at * second),
        "rule": Column("text", found.rule),
        "severity": Column("text", severities[found.severity]),
        "action": Column("text", actions[found.action]),
        "observed": Column("float8", found.observed),
        "limit": Column("float8", found.limit),
        "found_at": binary_fields.constant("timestamptz", readings_columns.microseconds(now), rows),
        "vee_run_id": binary_fields.constant("int8", run, rows),
    }
    binary_copy.write(connection, "finding", columns)


def _close(
    connection: Connection,
    ids: NDArray[np.int64],
    stale: Table,
    found: Table,
    *,
    run: int,
    now: datetime,
) -> int:
    if not len(ids):
        return 0
    states, reasons = [], []
    for i in range(len(stale)):
        same_rule = (found.channel_id == stale.channel_id[i]) & (found.rule == stale.rule[i])
        over = (
            same_rule & (found.starts_at < stale.ends_at[i]) & (found.ends_at > stale.starts_at[i])
        )
        states.append("superseded" if over.any() else "resolved")
        words = "found another stretch over it" if over.any() else "no longer found it"
        reasons.append(f"validation run {run} {words}")
    connection.execute(
        _SQL["close_findings"],
        {"ids": ids.tolist(), "states": states, "reasons": reasons, "now": now},
    )
    return len(ids)


def _in_targets(known: Table, intake: Intake) -> NDArray[np.bool_]:
    """Tell which findings reach into a target day."""
    target, layout = intake.cube.target, intake.layout
    counted = np.zeros((len(target), layout.count + 1), np.int32)
    np.cumsum(target, axis=1, out=counted[:, 1:])
    first = layout.day_of(known.starts_at)
    last = layout.day_of(np.minimum(known.ends_at, layout.bounds[-1]) - 1)
    return np.asarray(counted[known.row, last + 1] > counted[known.row, first])


def _wholly_in(found: Table, mask: NDArray[np.bool_], intake: Intake) -> NDArray[np.bool_]:
    """Tell which findings lie wholly in marked slots."""
    layout = intake.layout
    first = layout.cell(found.starts_at)
    last = layout.cell(found.ends_at - layout.interval_seconds)
    flat = (mask | ~layout.days.exists).reshape(len(mask), -1)
    counted = np.zeros((len(flat), flat.shape[1] + 1), np.int32)
    np.cumsum(flat, axis=1, out=counted[:, 1:])
    return np.asarray(counted[found.row, last + 1] - counted[found.row, first] == last + 1 - first)


def _lost(lost: NDArray[np.bool_], intake: Intake) -> Table:
    """Give the stretches whose values came with another interval length, day by day."""
    layout = intake.layout
    edge = np.diff(lost.astype(np.int8), axis=2, prepend=0, append=0)
    row, day, first = np.nonzero(edge == 1)
    after = np.nonzero(edge == -1)[2]
    rows = len(row)
    return Table(
        row,
        intake.channels.id[row],
        layout.bounds[day],
        layout.moment(day, first),
        layout.moment(day, after),
        np.full(rows, _OTHER_SIZE.encode()),
        np.full(rows, Severity.ISSUE, np.int8),
        np.full(rows, Action.ESTIMATE, np.int8),
        (after - first).astype(np.float64),
        np.full(rows, float(layout.interval_seconds)),
    )


def _joined(first: Table, second: Table) -> Table:
    return Table(
        *(np.concatenate([getattr(first, name), getattr(second, name)]) for name in Table.__slots__)
    )
