"""Validation runs: what has landed becomes versions of the final record, and findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import (
    intake,
    intake_cube,
    intake_light,
    intake_shares,
    readings,
    readings_columns,
    vee_findings,
    vee_late,
    vee_light,
    vee_registers,
    vee_rule_sets,
    vee_weeks,
)
from mdm.intake import Claim
from mdm.intake_cube import Intake
from mdm.intake_layout import Weeks
from mdm.intake_shares import Share
from schemas import reading_type, statements
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable
from validation import engine, ruleset
from validation.engine import Outcome
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "vee.sql")
_UNINSTALLED: Final = "the end device is installed nowhere; import its installation, then run again"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did.

    Attributes
    ----------
    taken : arrivals that were taken in
    channels, days, intervals : channels, channel-days and intervals that were validated
    versions : days that got a new version
    registers : register readings that were recorded
    opened, closed : findings
    quarantined : raw blocks and end devices that could not be placed, each noted once
    deferred : end devices whose newest data waits for the end of their day
    late : channel-days that were validated again because something came late for them
    again : channel-days that were validated again in all: also beside those, where they depend
    again_seconds : what that took, by the clock that the run was given [s]
    looked : usage points that were looked at for what came late beside readings
    """

    taken: int = 0
    channels: int = 0
    days: int = 0
    intervals: int = 0
    versions: int = 0
    registers: int = 0
    opened: int = 0
    closed: int = 0
    quarantined: int = 0
    deferred: int = 0
    late: int = 0
    again: int = 0
    again_seconds: float = 0.0
    looked: int = 0

    def __add__(self, other: Report) -> Report:
        return Report(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Report)))


def run(
    connection: Connection,
    *,
    now: datetime,
    weeks: Weeks | None = None,
    rule_sets: Sequence[RuleSet] = (),
    limit: int = 10_000,
    clock: Callable[[], float] | None = None,
) -> Report:
    """Take in what has arrived, validate the days it touches and record what changed.

    One call is one batch in the caller's transaction; nothing is left to do when ``taken`` and
    ``looked`` are 0. What came late beside readings is looked at when nothing else is due. Any
    number of workers may do this at the same time: each takes usage points of its own.

    Parameters
    ----------
    weeks : weekends and holidays by time zone; None for the shipped ones
    rule_sets : versions of rule sets, named like commodities; empty for the shipped ones
    limit : arrivals to start a batch from
    clock : tells the cost of what is done again, such as ``time.perf_counter`` [s]; None for none
    """
    taken, looked = intake.claim(connection, now=now, limit=limit), 0
    if taken is None:
        found = vee_late.reopen(connection, now=now)
        looked = found.points
        if found.arrivals:
            taken = intake.claim(connection, now=now, limit=limit)
    if taken is None:
        return Report(looked=looked)
    how = _How(now, weeks or vee_weeks.shipped(), rule_sets or ruleset.shipped(), clock=clock)
    report = _validate(connection, taken, how)
    names = intake.names(connection, taken.unknown)
    lost = intake.quarantine(
        connection,
        (
            (f"end device {names[device]}", {"end_device": names[device]}, _UNINSTALLED)
            for device in taken.unknown
        ),
        now=now,
    )
    intake.settle(connection, taken, now=now)
    done = Report(taken=len(taken.arrivals), deferred=len(taken.touched.later), quarantined=lost)
    return report + done + Report(looked=looked)


def validate(
    connection: Connection,
    usage_point_ids: Sequence[int],
    period: Period,
    *,
    now: datetime,
    weeks: Weeks | None = None,
    rule_sets: Sequence[RuleSet] = (),
    over_people: bool = False,
) -> Report:
    """Validate days again, whether or not something has arrived; also days without any data.

    Parameters
    ----------
    period : every local day that overlaps it and is over
    over_people : whether edited and accepted values give way to what was read
    """
    taken = intake.claim_days(connection, usage_point_ids, period, now=now)
    how = _How(now, weeks or vee_weeks.shipped(), rule_sets or ruleset.shipped(), over_people)
    return _validate(connection, taken, how)


@dataclass(frozen=True, slots=True)
class _How:
    """How a run validates."""

    now: datetime
    weeks: Weeks
    rule_sets: Sequence[RuleSet]
    over_people: bool = False
    clock: Callable[[], float] | None = None

    def seconds(self) -> float:
        """Read the clock; 0 without one."""
        return self.clock() if self.clock else 0.0


def _validate(connection: Connection, taken: Claim, how: _How) -> Report:
    report = Report()
    light = intake_light.able(how.rule_sets)
    for work in intake.works(taken):
        for share in intake_shares.shares(connection, work, how.weeks, how.now, light=light):
            report += _share(connection, share, how)
    return report


def _share(connection: Connection, share: Share, how: _How) -> Report:
    """Validate a share; of a light one, what needs more history once more with it."""
    since = how.seconds()
    made, news = vee_registers.record(connection, share.work, share.dials, now=how.now)
    news = news if share.news is None else np.concatenate([share.news, news], axis=1)
    share = replace(share, news=news)
    part = intake_cube.intake(connection, share, over_people=how.over_people)
    opened, closed = vee_registers.checked(connection, news, part, how.now, how.rule_sets)
    read = Report(registers=made, opened=opened, closed=closed)
    if part is None:
        return read
    found, lack = _outcomes(connection, share, part, how)
    runs, done = read, list[BlockTable]()
    for each in found:
        done.append(blocks(each.part, each.outcome))
        runs += _record(connection, each, done[-1], how, joined=share.light is not None)
    if share.light is None:
        vee_light.keep(connection, share, part, done, how.now)
    runs += Report(quarantined=_quarantine(connection, part, how.now))
    if runs.again:
        spent = (how.seconds() - since) * runs.again / runs.days
        runs = replace(runs, again_seconds=spent)
    if lack.any():
        points = readings_columns.distinct(part.channels.usage_point[lack])
        for more in intake_shares.heavier(connection, share, points, weeks=how.weeks, now=how.now):
            runs += _share(connection, more, how)
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """A rule set, the days that it validates, and what came of it."""

    rule_set: RuleSet
    part: Intake
    outcome: Outcome


def _outcomes(
    connection: Connection, share: Share, part: Intake, how: _How
) -> tuple[list[_Run], NDArray[np.bool_]]:
    """Run the engine by rule set; give also which channels of a light share need more history."""
    chosen = list(vee_rule_sets.by_rule_set(part, share.work.commodity, how.rule_sets))
    lack = np.zeros(len(part.channels), np.bool_)
    light = share.light
    if light is None:
        found = _without(chosen, lack)
        if share.work.reach or not any(vee_light.asks_last_year(each.outcome) for each in found):
            return found, lack
        lack = vee_light.asking_last_year(connection, chosen)
        return _without(chosen, lack) if lack.any() else found, lack
    for rules, mine in chosen:
        lack |= vee_light.lacking(connection, mine, light, rules, share)
    lack = vee_light.with_siblings(part, lack)
    for rules, mine in chosen:
        left = replace(mine.cube, target=mine.cube.target & ~lack[:, None])
        lack |= vee_light.differing(replace(mine, cube=left), light, rules)
    lack = vee_light.with_siblings(part, lack)
    return _without(chosen, lack), lack


def _without(chosen: Sequence[tuple[RuleSet, Intake]], lack: NDArray[np.bool_]) -> list[_Run]:
    """Run the engine over what is left without some channels."""
    found = []
    for rules, part in chosen:
        cube = replace(part.cube, target=part.cube.target & ~lack[:, None])
        if cube.target.any():
            lost = None if part.lost is None else part.lost & cube.target[:, :, None]
            found.append(_Run(rules, replace(part, cube=cube, lost=lost), engine.run(cube, rules)))
    return found


def _record(
    connection: Connection, done: _Run, days: BlockTable, how: _How, *, joined: bool
) -> Report:
    """Write a run's versions, its findings and itself down."""
    part, rule_set, outcome = done.part, done.rule_set, done.outcome
    before = _before(connection, part)
    changed = readings_columns.taken(days, np.flatnonzero(readings.differing(days, before)))
    found = vee_findings.table(outcome.findings, part)
    provenance = _provenance(connection, rule_set, outcome, how.now) if len(changed) else None
    number = _add_run(connection, rule_set, provenance, (part, days, outcome), how.now)
    kept = vee_findings.keep(connection, found, part, run=number, now=how.now)
    versions = 0
    if provenance is not None:
        versions = readings.record(
            connection,
            changed,
            provenance_id=provenance,
            recorded_at=how.now,
            previous=before,
            joined=joined,
        )
    connection.execute(_SQL["finish_run"], {"id": number, "versions": versions, **asdict(kept)})
    again = part.cube.target & part.history.recorded
    return Report(
        channels=int(part.cube.target.any(axis=1).sum()),
        days=len(days),
        intervals=int(days.length.sum()),
        versions=versions,
        opened=kept.opened,
        closed=kept.closed,
        late=int((again & part.touched).sum()),
        again=int(again.sum()),
    )


def blocks(part: Intake, outcome: Outcome) -> BlockTable:
    """Give the target days as they came out; a person's decision stands."""
    row, day = np.nonzero(part.cube.target)
    values, codes = outcome.values[row, day], outcome.quality[row, day]
    if part.settled is not None:
        settled = part.settled[row, day]
        values[settled] = part.history.values[row, day][settled]
        codes[settled] = part.history.quality[row, day][settled]
    rows = len(row)
    return BlockTable(
        channel_id=part.channels.id[row],
        starts_at=part.layout.bounds[day],
        interval_seconds=np.full(rows, part.layout.interval_seconds, np.int32),
        version=np.zeros(rows, np.int32),
        provenance_id=np.zeros(rows, np.int64),
        length=part.layout.days.length[day],
        values=values.astype(np.int32),
        quality=codes,
    )


def _before(connection: Connection, part: Intake) -> BlockTable:
    """Read the versions that the target days have, with their origins."""
    known = part.cube.target & part.history.recorded
    days = np.flatnonzero(known.any(axis=0))
    bounds = part.layout.bounds
    first, end = (bounds[days[0]], bounds[days[-1] + 1]) if len(days) else (0, 0)
    period = Period(readings_columns.moment(first), readings_columns.moment(end))
    ids = part.channels.id[known.any(axis=1)]
    return readings.current(connection, ids, period, origins=True)


def _provenance(connection: Connection, rule_set: RuleSet, outcome: Outcome, now: datetime) -> int:
    connection.execute(
        _SQL["keep_rule_set"],
        {"digest": rule_set.digest, "name": rule_set.name, "definition": rule_set.text},
    )
    return readings.add_provenance(
        connection,
        "vee",
        recorded_at=now,
        rule_set=rule_set.name,
        rule_set_digest=rule_set.digest,
        reason=_scaled_to(outcome),
    )


def _scaled_to(outcome: Outcome) -> str | None:
    """Name the registers that estimates were brought to, where tariff registers are among them."""
    to = outcome.counters.scaled_to
    if not set(to) - {"total"}:
        return None
    return f"scaled to: {', '.join(f'{name} ({count})' for name, count in sorted(to.items()))}"


def _add_run(
    connection: Connection,
    rule_set: RuleSet,
    provenance: int | None,
    done: tuple[Intake, BlockTable, Outcome],
    now: datetime,
) -> int:
    part, days, outcome = done
    (row,) = connection.execute(
        _SQL["add_run"],
        {
            "ran_at": now,
            "rule_set": rule_set.name,
            "rule_set_digest": rule_set.digest,
            "provenance_id": provenance,
            "channels": int(part.cube.target.any(axis=1).sum()),
            "days": len(days),
            "counters": json.dumps(asdict(outcome.counters)),
        },
    )
    return int(row[0])


def _quarantine(connection: Connection, part: Intake, now: datetime) -> int:
    """Note raw blocks that could not be placed, by end device, type and start."""
    raw = part.raw
    lost = [raw.end_device[each.block] for each in part.unplaced]
    mrid = intake.names(connection, np.unique(np.concatenate(lost)).tolist()) if lost else {}

    def rows() -> Iterator[tuple[str, dict[str, object], str]]:
        for each in part.unplaced:
            for block in each.block.tolist():
                device = mrid[int(raw.end_device[block])]
                kind = reading_type.of_id(int(raw.reading_type[block])).name
                start = readings_columns.moment(raw.starts_at[block])
                payload: dict[str, object] = {
                    "end_device": device,
                    "reading_type": kind,
                    "starts_at": start.isoformat(),
                    "interval_seconds": int(raw.interval_seconds[block]),
                    "intervals": int(raw.length[block]),
                }
                subject = f"end device {device}, {kind}, block of {start:%Y-%m-%d %H:%M:%S} UTC"
                yield subject, payload, each.reason

    return intake.quarantine(connection, rows(), now=now)
