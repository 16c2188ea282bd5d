"""Back-tests: a changed rule set over past days, held against the one in force.

Both run over the same raw readings, in a transaction that can write nothing. What differs is told
three ways: findings, days of intervals, and the determinants that a bill would have.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from mdm import (
    backtest_changes,
    calendar_file,
    cycle,
    cycle_inputs,
    intake,
    intake_cube,
    tariff_file,
    usage_points,
    vee,
    vee_findings,
    vee_rule_sets,
    vee_weeks,
)
from mdm.backtest_changes import DayChange, DeterminantChange, FindingChange, Names, RuleCount, Side
from mdm.intake_cube import Intake
from mdm.intake_layout import Weeks
from mdm.tariff import Tariffs
from schemas.assets import UsagePoint
from schemas.database import Connection
from schemas.period import Period, local_day
from validation import engine, ruleset
from validation.ruleset import RuleSet

# Usage points looked at together, at most, and their days; memory grows with both, results do not
# change.
_PART: Final = 500
_PART_DAYS: Final = 16_000

Change = FindingChange | DayChange | DeterminantChange
Tell = Callable[[Sequence[Any]], None]


class BacktestError(ValueError):
    """A back-test cannot be made; the message says why and what to do."""


@dataclass(slots=True)
class Backtest:
    """What a changed rule set would have done.

    Attributes
    ----------
    usage_points, channel_days, intervals : that were looked at
    rules : findings by rule and severity
    findings, days, determinants : what differs, or the first of it; ``differing`` counts all
    problems : usage points whose determinants cannot be computed, and why
    """

    usage_points: int = 0
    channel_days: int = 0
    intervals: int = 0
    rules: tuple[RuleCount, ...] = ()
    findings: list[FindingChange] = field(default_factory=list)
    days: list[DayChange] = field(default_factory=list)
    determinants: list[DeterminantChange] = field(default_factory=list)
    differing: Counter[str] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, changes: Sequence[Change], keep: int | None) -> None:
        """Count what differs; keep it as long as there is room."""
        self.differing[kind] += len(changes)
        kept: list[Any] = getattr(self, kind)
        kept += changes if keep is None else changes[: max(0, keep - len(kept))]


def backtest(
    connection: Connection,
    changed: Sequence[RuleSet],
    first: date,
    end: date,
    *,
    now: datetime,
    points: Sequence[UsagePoint] | None = None,
    in_force: Sequence[RuleSet] = (),
    weeks: Weeks | None = None,
    tariffs: Tariffs | None = None,
    progress: Callable[[int, int], None] | None = None,
    keep: int | None = None,
    tell: Mapping[str, Tell] | None = None,
) -> Backtest:
    """Run changed rule sets over past local days, and compare with the rule sets in force.

    The caller's transaction can write nothing from here on.

    Parameters
    ----------
    changed : each takes the place of all versions of its name, whatever its ``effective_from``
    first, end : local days, half-open
    points : all usage points when None
    in_force : to compare with; empty for those that come with the program
    progress : is told how many usage points of how many are done
    keep : most differences of a kind in the result, all when None
    tell : is told all differences, some at a time, by kind: findings, days, determinants

    Raises
    ------
    BacktestError
        if there is no day, a day is not over, or a changed rule set has a name that none has.
    """
    known = tuple(in_force or ruleset.shipped())
    _check(changed, known, first, end)
    connection.execute("SET TRANSACTION READ ONLY")
    others = [each for each in known if each.name not in {one.name for one in changed}]
    look = _Look(
        connection=connection,
        first=first,
        end=end,
        sets=(known, (*others, *(replace(each, effective_from=date.min) for each in changed))),
        weeks=weeks or vee_weeks.shipped(),
        tariffs=tariffs or tariff_file.standing(),
        now=now,
    )
    told = Backtest()
    counts: Counter[tuple[str, str, int]] = Counter()
    every = usage_points.usage_points(connection) if points is None else list(points)
    for part in _parts(every, (end - first).days):
        found = look.sides(part)
        names = _names(connection, part)
        told.channel_days += sum(len(table) for table in found[0].blocks)
        told.intervals += sum(int(table.length.sum()) for table in found[0].blocks)
        counts += backtest_changes.counted(found)
        changes: dict[str, Sequence[Change]] = {
            "findings": backtest_changes.finding_changes(found, names),
            "days": backtest_changes.day_changes(found, names, ZoneInfo(part[0].time_zone)),
            "determinants": look.bills(part, found, told.problems),
        }
        for kind, members in changes.items():
            told.add(kind, members, keep)
            if tell:
                tell[kind](members)
        told.usage_points += len(part)
        if progress:
            progress(told.usage_points, len(every))
    kinds = sorted({key[:2] for key in counts})
    told.rules = tuple(RuleCount(*key, counts[*key, 0], counts[*key, 1]) for key in kinds)
    return told


def _check(changed: Sequence[RuleSet], known: Sequence[RuleSet], first: date, end: date) -> None:
    if end <= first:
        raise BacktestError(f"from {first} to before {end} there is no day; give a later end")
    names = sorted({each.name for each in known})
    for each in changed:
        if each.name not in names:
            raise BacktestError(
                f"no rule set in force is named {each.name!r}; write name = one of "
                f"{', '.join(names)} in the file"
            )


def _parts(points: Sequence[UsagePoint], days: int) -> Iterator[list[UsagePoint]]:
    """Part usage points by time zone, fewer at a time the more days they have."""
    size = max(1, min(_PART, _PART_DAYS // days))
    zones: dict[str, list[UsagePoint]] = defaultdict(list)
    for point in points:
        zones[point.time_zone].append(point)
    for members in zones.values():
        for start in range(0, len(members), size):
            yield members[start : start + size]


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked at, and how."""

    connection: Connection
    first: date
    end: date
    sets: tuple[Sequence[RuleSet], Sequence[RuleSet]]
    weeks: Weeks
    tariffs: Tariffs
    now: datetime

    def period(self, zone: str) -> Period:
        """Give the days' stretch of time in a zone."""
        place = ZoneInfo(zone)
        period = Period(local_day(self.first, place).start, local_day(self.end, place).start)
        if self.now < period.end:
            raise BacktestError(
                f"in {zone} the days before {self.end} are not over; only past days are compared"
            )
        return period

    def sides(self, part: Sequence[UsagePoint]) -> tuple[Side, Side]:
        """Run both rule sets over the same cubes of usage points of one zone."""
        sides = (Side(), Side())
        period = self.period(part[0].time_zone)
        ids = [point.id for point in part]
        taken = intake.seen_days(self.connection, ids, period, now=self.now)
        for work in intake.works(taken):
            for cube in intake_cube.intakes(
                self.connection, work, weeks=self.weeks, now=self.now, add_channels=False
            ):
                for side, sets in zip(sides, self.sets, strict=True):
                    for rule_set, chosen in vee_rule_sets.by_rule_set(cube, work.commodity, sets):
                        _add(side, chosen, rule_set)
        return sides

    def bills(
        self, part: Sequence[UsagePoint], sides: tuple[Side, Side], problems: dict[str, str]
    ) -> list[DeterminantChange]:
        """Compute the determinants of the days with both sides' intervals, and compare them."""
        groups, wrong = cycle.grouped(part, (self.first, self.end), self.tariffs)
        changes: list[DeterminantChange] = []
        for tariff, members in groups:
            batch = cycle_inputs.gathered(
                self.connection,
                tariff,
                calendar_file.named(tariff.calendar),
                members,
                self.period(members[0].time_zone),
                known_at=self.now,
            )
            made = []
            for side in sides:
                blocks = backtest_changes.over(
                    batch.blocks, backtest_changes.joined(side.blocks), batch.channels
                )
                results, failed = cycle.results(replace(batch, blocks=blocks), members)
                wrong += failed
                made.append(results)
            for point in members:
                if point.id in made[0] and point.id in made[1]:
                    changes += backtest_changes.figures(
                        point.mrid, made[0][point.id], made[1][point.id]
                    )
        problems.update({each.usage_point: each.reason for each in wrong})
        return changes


def _add(side: Side, chosen: Intake, rule_set: RuleSet) -> None:
    outcome = engine.run(chosen.cube, rule_set)
    side.blocks.append(vee.blocks(chosen, outcome))
    side.findings.append(vee_findings.table(outcome.findings, chosen))


def _names(connection: Connection, part: Sequence[UsagePoint]) -> Names:
    """Give usage point and reading type by channel."""
    mrid = {point.id: point.mrid for point in part}
    found = usage_points.channels(connection, sorted(mrid))
    return {one.id: (mrid[one.usage_point_id], one.reading_type) for one in found}
