"""What the calendar of cycles asks for, done without anybody's typing it.

Looked at often, it does little: it opens cycles that begin, sums their days as they come, computes
those that are over once a local day, estimates and closes them on their closing day, delivers, and
follows them for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from mdm import cycle, cycle_calendar, daily_group, register_ends, usage_points, vee
from mdm.calendar import CalendarError
from mdm.cycle import Cycle, CycleError, Run
from mdm.cycle_plan import Plan, PlanError
from mdm.delivery_files import DeliveryError
from mdm.intake_layout import Weeks
from mdm.tariff import Tariffs
from schemas import statements
from schemas.assets import UsagePoint
from schemas.database import Connection
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "cycle_advance.sql")
# Usage points whose days are estimated in one transaction: each stays locked until its end.
_ESTIMATED: Final = 200
# Once days were summed, others may come for so long before a cycle's days are looked at again.
_SUMMED: Final = timedelta(hours=4)
TROUBLE: Final = ("failed", "unread")
"""Kinds of steps that went wrong."""

Kind = Literal[
    "opened", "summed", "computed", "estimated", "closed", "delivered", "failed", "acknowledged",
    "unread",
]  # fmt: skip
Deliver = Callable[[Cycle, Plan], str]
"""Delivers what may be billed; gives what was done in words, empty if nothing was to be done."""
Collect = Callable[[Cycle], tuple[str, str]]
"""Takes acknowledgements that were left in files; gives what is new and what is wrong with them, in
words, each empty if there is nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done with a cycle; ``subject`` names it, or its group."""

    subject: str
    kind: Kind
    detail: str
    happened_at: datetime

    def __str__(self) -> str:
        return f"{self.subject}: {self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class How:
    """With what the work is done; what is left out is what comes with the program.

    Attributes
    ----------
    deliver : asked on and after the closing day where a plan names a target
    collect : asked each time, for as long as something that was delivered is not acknowledged
    tell : told of progress: the cycle, usage points done, and of how many
    """

    deliver: Deliver | None = None
    collect: Collect | None = None
    tell: Callable[[Cycle, int, int], None] = lambda _cycle, _done, _all: None
    tariffs: Tariffs | None = None
    rule_sets: Sequence[RuleSet] = ()
    weeks: Weeks | None = None


def advance(connection: Connection, how: How, *, now: datetime) -> Iterator[Step]:
    """Do what is due by the calendars of cycles; give each step as it is done.

    Any number of processes may do this: each cycle is taken by one of them.

    Parameters
    ----------
    connection : in autocommit: each step must last before the next is taken

    Raises
    ------
    ValueError
        if the connection is not in autocommit.
    """
    if not connection.autocommit:
        raise ValueError("advance needs a connection in autocommit")
    for plan in cycle_calendar.standing(connection):
        points = usage_points.usage_points(connection, billing_group=plan.group)
        if not points:
            continue
        shift = _Shift(connection, plan, points, how, now)
        try:
            for one in _opened(shift):
                yield _noted(shift, one, "opened", f"closes on {one.closes_on}")
            for one in _planned(shift):
                yield from _taken(shift, one)
        except (CycleError, CalendarError, PlanError) as problem:
            # One group's trouble is not the others'.
            yield Step(f"billing group {plan.group}", "failed", str(problem), now)


def steps(connection: Connection, one: Cycle) -> list[Step]:
    """List what was done with a cycle by itself, oldest first."""
    rows = connection.execute(_SQL["steps"], {"cycle": one.id})
    return [Step(str(one), *row) for row in rows]


@dataclass(frozen=True, slots=True, eq=False)
class _Shift:
    """One group's plan and usage points, at work with a connection."""

    connection: Connection
    plan: Plan
    points: Sequence[UsagePoint]
    how: How
    now: datetime

    @property
    def zones(self) -> list[ZoneInfo]:
        return [ZoneInfo(key) for key in sorted({point.time_zone for point in self.points})]

    def closes(self, one: Cycle) -> datetime:
        """Tell when the closing day has begun everywhere."""
        return max(one.deadline(zone) for zone in self.zones)


def _opened(shift: _Shift) -> list[Cycle]:
    """Open the cycles that have begun somewhere and are not there yet."""
    plan = shift.plan
    today = max(shift.now.astimezone(zone).date() for zone in shift.zones)
    known = cycle.cycles(shift.connection, billing_group=plan.group)
    there = {(one.starts_on, one.ends_on) for one in known}
    return [
        cycle_calendar.opened(shift.connection, plan, span, now=shift.now)
        for span in plan.spans(today + timedelta(days=1))
        if (span.starts_on, span.ends_on) not in there
    ]


def _planned(shift: _Shift) -> list[Cycle]:
    """Give the group's cycles that its plan has; what a person opened otherwise is theirs."""
    there = cycle.cycles(shift.connection, billing_group=shift.plan.group)
    last = max((one.starts_on for one in there), default=shift.plan.first)
    spans = {(s.starts_on, s.ends_on) for s in shift.plan.spans(last + timedelta(days=1))}
    return [one for one in there if (one.starts_on, one.ends_on) in spans]


@dataclass(frozen=True, slots=True)
class _Done:
    """What was done with a cycle so far: when last computed, closed, summed; a failed delivery."""

    computed_at: datetime | None
    closed_at: datetime | None
    failed: bool
    summed_at: datetime | None


def _due(shift: _Shift, one: Cycle, done: _Done) -> bool:
    """Tell whether a cycle is to be computed now: once a local day, and when it closes."""
    zone, now = shift.zones[0], shift.now
    if now < max(one.period(each).end for each in shift.zones):
        return False
    closes, today = shift.closes(one), now.astimezone(zone).date()
    if done.closed_at is None and now >= closes:
        return True
    if done.closed_at and not _followed(shift, one):
        return False
    return done.computed_at is None or done.computed_at.astimezone(zone).date() < today


def _followed(shift: _Shift, one: Cycle) -> bool:
    """Tell whether what comes late for a cycle is still looked at."""
    zone = shift.zones[0]
    last = shift.closes(one).astimezone(zone).date() + timedelta(days=shift.plan.follow_days)
    return shift.now.astimezone(zone).date() <= last


def _taken(shift: _Shift, one: Cycle) -> Iterator[Step]:
    """Do a cycle's due work, unless another process is at it."""
    with _locked(shift.connection, one) as mine:
        if not mine:
            return
        (row,) = shift.connection.execute(_SQL["done"], {"cycle": one.id})
        done = _Done(*row)
        for kind, detail in _collected(shift, one):
            yield _noted(shift, one, kind, detail)
        if days := _summed(shift, one, done):
            yield _noted(shift, one, "summed", f"{days:,} days")
        due = _due(shift, one, done)
        if due:
            for kind, detail in _worked(shift, one, done):
                yield _noted(shift, one, kind, detail)
        if (due or done.failed) and shift.plan.target and shift.now >= shift.closes(one):
            for kind, detail in _delivered(shift, one, done):
                yield _noted(shift, one, kind, detail)


def _summed(shift: _Shift, one: Cycle, done: _Done) -> int:
    """Sum a cycle's days that are over and were not summed yet; give how many.

    What keeps a usage point's days from being summed is told when it is computed.
    """
    recently = done.summed_at and shift.now < done.summed_at + _SUMMED
    if recently or not _followed(shift, one):
        return 0
    days = 0
    for part in cycle.parted(shift.points):
        with shift.connection.transaction():
            days += daily_group.add(
                *(shift.connection, part, one.starts_on, one.ends_on),
                now=shift.now,
                tariffs=shift.how.tariffs,
            ).days
    return days


def _worked(shift: _Shift, one: Cycle, done: _Done) -> Iterator[tuple[Kind, str]]:
    """Compute a cycle; estimate what is missing where the waiting is over, and compute that."""
    run = _run(shift, one, shift.points, settle=not one.estimates)
    held_back = set(run.held_back)
    late = [point for point in shift.points if point.id in held_back]
    if late:
        days, registers = _estimated(shift, one, late)
        detail = (
            f"{len(late):,} incomplete; of these {days:,} days changed "
            f"and {registers:,} register readings estimated"
        )
        yield "estimated", detail
        _run(shift, one, late, settle=True)
    closing = done.closed_at is None and shift.now >= shift.closes(one)
    yield "closed" if closing else "computed", _told(run)


def _run(shift: _Shift, one: Cycle, points: Sequence[UsagePoint], *, settle: bool) -> Run:
    how, done = shift.how, Run()
    for part in cycle.parted(points):
        with shift.connection.transaction():
            done += cycle.run_partition(
                shift.connection, one, part, now=shift.now, tariffs=how.tariffs, settle=settle
            )
        how.tell(one, done.usage_points, len(points))
    return done


def _estimated(shift: _Shift, one: Cycle, points: Sequence[UsagePoint]) -> tuple[int, int]:
    """Have validation go over the cycle's days again, then estimate registers at its ends.

    Returns
    -------
    days that changed, also those without any data; register readings that were estimated
    """
    days = registers = 0
    for zone in sorted({point.time_zone for point in points}):
        ids = [point.id for point in points if point.time_zone == zone]
        for first in range(0, len(ids), _ESTIMATED):
            part, period = ids[first : first + _ESTIMATED], one.period(ZoneInfo(zone))
            with shift.connection.transaction():
                report = vee.validate(
                    shift.connection,
                    part,
                    period,
                    now=shift.now,
                    weeks=shift.how.weeks,
                    rule_sets=shift.how.rule_sets,
                )
                ends = (period.start, period.end)
                dials = register_ends.complete(shift.connection, part, ends, now=shift.now)
            days, registers = days + report.versions, registers + dials.versions
    return days, registers


def _delivered(shift: _Shift, one: Cycle, done: _Done) -> Iterator[tuple[Kind, str]]:
    if shift.how.deliver is None:
        return
    try:
        detail = shift.how.deliver(one, shift.plan)
    except DeliveryError as problem:
        yield "failed", str(problem)
        return
    if detail or done.failed:
        yield "delivered", detail or "nothing was left to deliver"


def _collected(shift: _Shift, one: Cycle) -> Iterator[tuple[Kind, str]]:
    """Take what receivers left in files; before computing, so that what is billed is known."""
    if shift.how.collect is None:
        return
    new, wrong = shift.how.collect(one)
    if new:
        yield "acknowledged", new
    if wrong:
        yield "unread", wrong


def _told(run: Run) -> str:
    parts = [f"{run.usage_points:,} computed"]
    parts += [
        f"{number:,} {what}"
        for what, number in (
            ("new", run.written), ("corrected", run.corrected), ("under way", run.waiting),
            ("not computed", len(run.problems)),
        )
        if number
    ]  # fmt: skip
    if run.problems:
        first = run.problems[0]
        parts.append(f"such as {first.usage_point}: {first.reason}")
    return ", ".join(parts)


def _noted(shift: _Shift, one: Cycle, kind: Kind, detail: str) -> Step:
    """Write a step down; what goes wrong in the same way again and again is written once."""
    fields = {"cycle": one.id, "kind": kind, "detail": detail, "now": shift.now}
    last = shift.connection.execute(_SQL["last_step"], {"cycle": one.id}).fetchone()
    if kind not in TROUBLE or last != (kind, detail):
        shift.connection.execute(_SQL["add_step"], fields)
    return Step(str(one), kind, detail, shift.now)


@contextmanager
def _locked(connection: Connection, one: Cycle) -> Iterator[bool]:
    """Tell whether a cycle is ours for the length of a block; nobody waits for it."""
    row = connection.execute(_SQL["lock"], {"cycle": one.id}).fetchone()
    mine = bool(row and row[0])
    try:
        yield mine
    finally:
        if mine:
            connection.execute(_SQL["unlock"], {"cycle": one.id})
