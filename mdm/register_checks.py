"""Rules for registers without intervals: what each counted from one reading to the next.

What is counted in intervals is checked where the intervals are; here are registers of which the
record has readings only, such as monthly reads and water meters, or reactive energy beside
intervals of active energy. Findings stand in the worklist like others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import intake_beside, readings, register_findings, usage_points
from mdm.register_findings import Found, Kept
from schemas import quality, reading_type, statements
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass
from validation import ruleset
from validation.dials import DialSteps
from validation.reads import ReadSteps
from validation.rule import Mask
from validation.ruleset import RuleSet, RuleUse

_SQL = statements.load("mdm", "register_checks.sql")
# A year and a month before the reads of the last year.
_BACK: Final = timedelta(days=800)
_DAY: Final = 86_400
# Usage points whose readings of two years are held at a time.
_PART: Final = 5_000
_MILLION: Final = 1_000_000
_MISSING: Final = "read_missing"


@dataclass(frozen=True, slots=True)
class Report:
    """How many registers were checked, and the findings that were opened and closed."""

    registers: int = 0
    opened: int = 0
    closed: int = 0

    def __add__(self, other: Report) -> Report:
        return Report(
            self.registers + other.registers,
            self.opened + other.opened,
            self.closed + other.closed,
        )


class _Register(NamedTuple):
    """A register at one installation; ``micro`` is the multiplier in millionths."""

    channel_id: int
    installation_id: int
    kind: int
    usage_point_id: int
    commodity: str
    sector: str
    time_zone: str
    micro: int
    modulus: int
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Steps between readings as columns, the open ones last of each register."""

    number: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    change: NDArray[np.int64]
    estimated: NDArray[np.bool_]
    open: NDArray[np.bool_]

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> _Steps:
        return _Steps(*(getattr(self, name)[chosen] for name in self.__slots__))


def parts(connection: Connection) -> list[list[int]]:
    """Give the ids of usage points with registers without intervals, some thousands at a time."""
    limits = _families() | {"rules": list(register_findings.NAMES)}
    rows = connection.execute(_SQL["points_with_registers_alone"], limits).fetchall()
    points = [row[0] for row in rows]
    return [points[first : first + _PART] for first in range(0, len(points), _PART)]


def run_locked(connection: Connection, usage_point_ids: Sequence[int], *, now: datetime) -> Report:
    """Check as ``run`` does, and let nobody else validate these usage points meanwhile."""
    usage_points.lock(connection, usage_point_ids)
    return run(connection, usage_point_ids, now=now)


def run(
    connection: Connection,
    usage_point_ids: Iterable[int] | None,
    *,
    now: datetime,
    rule_sets: Sequence[RuleSet] = (),
) -> Report:
    """Check registers of usage points that have no intervals, and keep the worklist in step.

    What was found about a register is closed once its intervals come.

    Parameters
    ----------
    usage_point_ids : None for all
    now : what should have come by then is missing
    rule_sets : empty for the shipped ones
    """
    points = None if usage_point_ids is None else list(usage_point_ids)
    limits = {"usage_points": points, "rules": list(register_findings.NAMES)}
    rows = connection.execute(_SQL["registers_alone"], limits | _families()).fetchall()
    registers = [_Register(*row) for row in rows]
    channels = {row[0] for row in connection.execute(_SQL["channels_found"], limits)}
    channels |= {each.channel_id for each in registers}
    if not channels:
        return Report()
    found: list[Found] = []
    if registers:
        steps = _steps(connection, registers, now)
        for rule_set, mine in _by_rule_set(registers, steps, rule_sets or ruleset.shipped()):
            found += _failing(registers, steps.rows(mine), rule_set, mine, steps)
    kept: Kept = register_findings.keep(
        connection, sorted(channels), found, since=now - _BACK, now=now
    )
    return Report(len(registers), kept.opened, kept.closed)


@cache
def _families() -> dict[str, object]:
    """Name the type of the intervals that each register counts, for those that have one."""
    owner, _ = intake_beside.owners()
    registers = np.flatnonzero(owner)
    return {"registers": registers.tolist(), "intervals": owner[registers].tolist()}


def _steps(connection: Connection, registers: Sequence[_Register], now: datetime) -> _Steps:
    """Give the steps between neighbouring readings of one register, and the time since the last."""
    numbers = {(r.channel_id, r.installation_id): n for n, r in enumerate(registers)}
    channels = np.unique([register.channel_id for register in registers])
    table = readings.registers(connection, channels, Period(now - _BACK, now))
    keys = zip(table.channel_id.tolist(), table.installation_id.tolist(), strict=True)
    number = np.array([numbers.get(key, -1) for key in keys], np.int64)
    kinds = quality.classes(table.quality)
    sound = (kinds != QualityClass.MISSING) & (kinds != QualityClass.QUESTIONABLE) & (number >= 0)
    order = np.flatnonzero(sound)[np.lexsort((table.read_at[sound], number[sound]))]
    number, at, value = number[order], table.read_at[order], table.value[order]
    estimated = kinds[order] == QualityClass.ESTIMATED
    before = np.flatnonzero((number[1:] == number[:-1]) & (at[1:] > at[:-1]))
    after = before + 1
    # An estimate is no sign of life: what is missing is missing since the meter's own reading.
    own = np.flatnonzero(~estimated)
    last = own[np.append(number[own][1:] != number[own][:-1], True)] if len(own) else own
    gone = np.array([each.ends_at is not None for each in registers], np.bool_)
    last = last[~gone[number[last]]]
    many = len(last)
    made = _Steps(
        number=np.concatenate([number[after], number[last]]),
        start=np.concatenate([at[before], at[last]]),
        end=np.concatenate([at[after], np.full(many, int(now.timestamp()), np.int64)]),
        change=np.concatenate([value[after] - value[before], np.zeros(many, np.int64)]),
        estimated=np.concatenate([estimated[after], np.zeros(many, np.bool_)]),
        open=np.concatenate([np.zeros(len(after), np.bool_), np.ones(many, np.bool_)]),
    )
    return made.rows(np.lexsort((made.open, made.start, made.number)))


def _by_rule_set(
    registers: Sequence[_Register], steps: _Steps, known: Sequence[RuleSet]
) -> Iterable[tuple[RuleSet, NDArray[np.bool_]]]:
    """Part steps by rule set, and its version in force on the local day on which each ends."""
    chosen: dict[str, tuple[RuleSet, list[int]]] = {}
    names = {each.name for each in known}

    @cache
    def in_force(name: str, end: int, zone: str) -> RuleSet | None:
        """Choose by the local day; most registers are read at the same moments."""
        try:
            return ruleset.select(known, name, _local(end, zone))
        except LookupError:
            return None

    for row, (number, end) in enumerate(
        zip(steps.number.tolist(), steps.end.tolist(), strict=True)
    ):
        register = registers[number]
        own = f"{register.commodity}_export"
        export = reading_type.of_id(register.kind).export and own in names
        rule_set = in_force(own if export else register.commodity, end, register.time_zone)
        if rule_set is not None:
            chosen.setdefault(rule_set.digest, (rule_set, []))[1].append(row)
    for rule_set, rows in chosen.values():
        mine = np.zeros(len(steps.number), np.bool_)
        mine[rows] = True
        yield rule_set, mine


def _local(second: int, zone: str) -> date:
    return datetime.fromtimestamp(second, ZoneInfo(zone)).date()


def _failing(
    registers: Sequence[_Register],
    mine: _Steps,
    rule_set: RuleSet,
    chosen: NDArray[np.bool_],
    every: _Steps,
) -> Iterable[Found]:
    """Run a set's rules about registers; only what fails in its own days counts.

    Parameters
    ----------
    mine : the steps that the set is in force for, those of ``chosen`` among ``every``
    """
    dials, closed = _dials(registers, every)
    reads = _reads(every, dials, closed)
    for use in rule_set.rules:
        if use.rule.view is ReadSteps:
            found, rows = use.rule(reads, **use.parameters), np.arange(len(every.number))
        elif use.rule.view is DialSteps and len(dials):
            found, rows = use.rule(dials, **use.parameters), closed
        else:
            continue
        yield from _found(registers, every, use, (found, rows), chosen)


def _dials(registers: Sequence[_Register], steps: _Steps) -> tuple[DialSteps, NDArray[np.int64]]:
    """Give the closed steps as the rules about registers see them, and their rows."""
    owner, tariff = intake_beside.owners()
    families: dict[tuple[int, int], int] = defaultdict(lambda: len(families))
    family = np.array(
        [families[each.usage_point_id, int(owner[each.kind]) or -each.kind] for each in registers],
        np.int64,
    )
    closed = np.flatnonzero(~steps.open)
    number = steps.number[closed]
    kind = np.array([each.kind for each in registers], np.int16)[number]
    # By family and register, as the rules ask for.
    order = np.lexsort((steps.start[closed], kind, family[number]))
    closed, number, kind = closed[order], number[order], kind[order]
    return (
        DialSteps(
            channel=family[number],
            register=kind,
            first=closed,
            last=closed,
            start=steps.start[closed],
            end=steps.end[closed],
            change=steps.change[closed],
            modulus=np.array([each.modulus for each in registers], np.int64)[number],
            multiplier=np.array([each.micro for each in registers], np.int64)[number] / _MILLION,
            tariff=tariff[kind],
        ),
        closed,
    )


def _reads(steps: _Steps, dials: DialSteps, closed: NDArray[np.int64]) -> ReadSteps:
    energy = np.full(len(steps.number), np.nan)
    energy[closed] = dials.energy
    return ReadSteps(steps.number, steps.start, steps.end, energy, steps.estimated, steps.open)


def _found(
    registers: Sequence[_Register],
    steps: _Steps,
    use: RuleUse,
    mask: tuple[Mask, NDArray[np.int64]],
    chosen: NDArray[np.bool_],
) -> Iterable[Found]:
    failed, rows = mask
    for place, observed, limit in zip(
        failed.cells.tolist(), failed.observed.tolist(), failed.limit.tolist(), strict=True
    ):
        row = int(rows[place])
        register = registers[int(steps.number[row])]
        if not chosen[row] or not _applies(use, register):
            continue
        start, end = int(steps.start[row]), int(steps.end[row])
        if use.rule.name == _MISSING:
            # When it was due: the same every day on which it is still missing.
            end = start + max(int(limit * _DAY), 1)
        yield Found(
            register.channel_id,
            ZoneInfo(register.time_zone),
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(end, UTC),
            use.rule.name,
            use.response.severity,
            observed,
            limit,
        )


def _applies(use: RuleUse, register: _Register) -> bool:
    """Tell whether a rule's condition holds; what is not known of registers does not."""
    when = use.when
    if when.interval_seconds or when.months or when.days or when.only_if:
        return False
    if when.above_per_day is not None:
        return False
    owner, _ = intake_beside.owners()
    kinds = {reading_type.of_id(register.kind).name}
    if owner[register.kind]:
        kinds.add(reading_type.of_id(int(owner[register.kind])).name)
    if when.reading_types and not kinds & set(when.reading_types):
        return False
    if kinds & set(when.other_reading_types):
        return False
    return not when.sectors or register.sector in when.sectors
