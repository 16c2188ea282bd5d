"""Billing cycles: a group's local days, computed, gated, held and released.

A run may be repeated at any time. What is as it was writes nothing; what changed makes a new
version; what changed after it was billed raises a correction beside the billed version.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from mdm import (
    billing_terms,
    calendar_file,
    cycle_drafts,
    cycle_inputs,
    cycle_partitions,
    cycle_sets,
    tariff_file,
    tariff_parts,
    uncollected,
    usage_points,
)
from mdm.calendar import CalendarError
from mdm.cycle_partitions import Partitions
from mdm.cycle_sets import Outcome
from mdm.determinants import batch as batches
from mdm.determinants.batch import Batch
from mdm.determinants.composition import Result
from mdm.tariff import Tariff, TariffError, Tariffs
from mdm.tariff_parts import Term
from schemas import binary_copy, statements
from schemas.assets import UsagePoint
from schemas.database import Connection
from schemas.period import Period, local_day

_SQL = statements.load("mdm", "cycle.sql")
# A month of two thousand quarter-hour channels is 6 M intervals: some 120 MB while it is computed.
_PARTITION = 2000


class CycleError(ValueError):
    """A cycle cannot be opened, run or released; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """A billing group's local days from ``starts_on`` to before ``ends_on``.

    Attributes
    ----------
    closes_on : from this local day on nothing is waited for; None: from the period's end on
    estimates : whether what is missing by then is estimated
    addressee : to whom the bills go, for people and manifests
    """

    id: int
    billing_group: str
    starts_on: date
    ends_on: date
    closes_on: date | None = None
    estimates: bool = False
    addressee: str = ""

    def period(self, zone: ZoneInfo) -> Period:
        """Give the cycle's stretch of time in a time zone."""
        return Period(local_day(self.starts_on, zone).start, local_day(self.ends_on, zone).start)

    def deadline(self, zone: ZoneInfo, wait_days: int | None = None) -> datetime:
        """Tell until when actuals are waited for.

        Parameters
        ----------
        wait_days : after the period's end, where a tariff says so; else the cycle's closing day
        """
        day = self.closes_on or self.ends_on
        if wait_days is not None:
            day = self.ends_on + timedelta(days=wait_days)
        return local_day(day, zone).start

    def __str__(self) -> str:
        return f"cycle {self.billing_group} from {self.starts_on} to before {self.ends_on}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A usage point that could not be computed, and why."""

    usage_point: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did.

    Attributes
    ----------
    written : usage points with a new version that was not billed before
    corrected : with a new version beside the billed one
    unchanged : for which nothing was written
    waiting : that changed while their export awaits its acknowledgement: run again after it
    withdrawn : whose pending correction is void, since the inputs are again as billed
    logged : that changed after billing by less than matters: see ``correction_limit``
    problems : that could not be computed
    held_back : ids of those that wait though their deadline is past, since they were not settled
    """

    usage_points: int = 0
    written: int = 0
    corrected: int = 0
    unchanged: int = 0
    waiting: int = 0
    withdrawn: int = 0
    logged: int = 0
    problems: tuple[Problem, ...] = field(default=())
    held_back: tuple[int, ...] = field(default=())

    def __add__(self, other: Run) -> Run:
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _RUN}
        return Run(**{name: one + two for name, (one, two) in pairs.items()})


_RUN = tuple(entry.name for entry in fields(Run))


def opened(
    connection: Connection,
    billing_group: str,
    starts_on: date,
    ends_on: date,
    *,
    now: datetime,
    closes_on: date | None = None,
    estimates: bool = False,
    addressee: str = "",
) -> Cycle:
    """Open a cycle, or give the one that is there.

    Parameters
    ----------
    ends_on : the first local day that is not in it
    closes_on, estimates, addressee : as of ``Cycle``

    Raises
    ------
    CycleError
        if the days are in no order, no usage point is in the group, or another cycle of the group
        has one of these days.
    """
    if ends_on <= starts_on:
        raise CycleError(f"a cycle from {starts_on} to before {ends_on} has no day")
    if connection.execute(_SQL["in_group"], {"billing_group": billing_group}).fetchone() is None:
        known = [row[0] for row in connection.execute(_SQL["groups"])]
        raise CycleError(
            f"no usage point is in billing group {billing_group!r}; "
            f"the registry has: {', '.join(known) or 'none'}"
        )
    key = {"billing_group": billing_group, "starts_on": starts_on, "ends_on": ends_on}
    more = {"closes_on": closes_on, "estimates": estimates, "addressee": addressee}
    try:
        with connection.transaction():
            connection.execute(_SQL["open"], {**key, **more, "opened_at": now})
    except psycopg.errors.ExclusionViolation as problem:
        raise CycleError(
            f"{problem.diag.message_primary}; see `miqyas bill status {billing_group}`"
        ) from problem
    return cycles(connection, billing_group=billing_group, starts_on=starts_on)[0]


def cycles(
    connection: Connection, *, billing_group: str | None = None, starts_on: date | None = None
) -> list[Cycle]:
    """List cycles, all or those of a group or a first day, by first day and group."""
    parameters = {"billing_group": billing_group, "starts_on": starts_on}
    return [Cycle(*row) for row in connection.execute(_SQL["cycles"], parameters)]


def of_id(connection: Connection, number: int) -> Cycle:
    """Give a cycle by its id.

    Raises
    ------
    CycleError
        if there is none.
    """
    row = connection.execute(_SQL["cycle_of_id"], {"cycle": number}).fetchone()
    if row is None:
        raise CycleError(f"there is no billing cycle {number}")
    return Cycle(*row)


def partitions(connection: Connection, cycle: Cycle, size: int = _PARTITION) -> Partitions:
    """Cut a cycle's usage points into parts that can be run apart, by any number of workers."""
    return cycle_partitions.of_group(connection, cycle.billing_group, size)


def parted(points: Sequence[UsagePoint], size: int = _PARTITION) -> list[list[UsagePoint]]:
    """Cut usage points into parts that are computed at once."""
    return [list(points[first : first + size]) for first in range(0, len(points), size)]


def run(
    connection: Connection,
    cycle: Cycle,
    *,
    now: datetime,
    tariffs: Tariffs | None = None,
    partition: int = _PARTITION,
    tell: Callable[[Run, int], None] = lambda _done, _all: None,
) -> Run:
    """Compute a cycle's determinant sets from the final record as it is now.

    All of it is in the caller's transaction, so all usage points are locked before the first is
    computed: whoever else computes some of them waits for it, and never in a circle.

    Parameters
    ----------
    tariffs : those that come with the program unless given
    partition : usage points computed at once; memory grows with it, results do not change
    tell : told of progress: what was done, and of how many usage points

    Raises
    ------
    CycleError
        if the cycle's period is not over.
    """
    parts = partitions(connection, cycle, partition)
    total = Run()
    _lock(connection, cycle, [number for ids in parts.ids for number in ids])
    for points in parts:
        total += run_partition(connection, cycle, points, now=now, tariffs=tariffs)
        tell(total, parts.usage_points)
    return total


@uncollected.uncollected()
def run_partition(
    connection: Connection,
    cycle: Cycle,
    points: Sequence[UsagePoint],
    *,
    now: datetime,
    tariffs: Tariffs | None = None,
    settle: bool = True,
) -> Run:
    """Compute the determinant sets of some of a cycle's usage points.

    Any number of processes may do this at once: a usage point is computed by one after the other.

    What is incomplete waits until its deadline; then it is held, or ready if its gates let it pass.

    Parameters
    ----------
    settle : whether what is past its deadline goes on; else it waits, too

    Raises
    ------
    CycleError
        if the cycle's period is not over.
    """
    for zone in {point.time_zone for point in points}:
        _refuse_unfinished(cycle, ZoneInfo(zone), now)
    ids = [point.id for point in points]
    _lock(connection, cycle, ids)
    terms = billing_terms.terms(connection, ids, cycle.ends_on)
    days = cycle.starts_on, cycle.ends_on
    groups, problems = grouped(points, days, tariffs or tariff_file.standing(), terms)
    outcomes: Counter[Outcome] = Counter()
    held_back: list[int] = []
    for tariff, members in groups:
        period = cycle.period(ZoneInfo(members[0].time_zone))
        calendar = calendar_file.named(tariff.calendar)
        batch = cycle_inputs.gathered(connection, tariff, calendar, members, period, known_at=now)
        found, wrong = results(batch, members)
        problems += wrong
        late = now >= cycle.deadline(batch.zone, tariff.wait_days)
        drafts = cycle_drafts.drafts(connection, batch, found, waits=not (late and settle))
        outcomes += cycle_sets.write(connection, cycle.id, batch, drafts, now)
        if late:
            key = {"cycle": cycle.id, "usage_points": binary_copy.array(found)}
            if settle:
                connection.execute(_SQL["settle"], key)
            else:
                held_back += [row[0] for row in connection.execute(_SQL["waiting"], key)]
    counts = {str(name): count for name, count in outcomes.items()}
    return Run(len(points), problems=tuple(problems), held_back=tuple(held_back), **counts)


def _lock(connection: Connection, cycle: Cycle, ids: Sequence[int]) -> None:
    """Keep usage points for ourselves; the order of locks is: cycle, usage points, the rest."""
    connection.execute(_SQL["lock"], {"cycle": cycle.id})
    usage_points.lock(connection, ids)


def refuse_unfinished(connection: Connection, cycle: Cycle, now: datetime) -> None:
    """Refuse a cycle that is not over for all of its usage points.

    Raises
    ------
    CycleError
        naming the time zone in which it is not.
    """
    for (zone,) in connection.execute(_SQL["zones"], {"billing_group": cycle.billing_group}):
        _refuse_unfinished(cycle, ZoneInfo(zone), now)


def release(
    connection: Connection,
    cycle: Cycle,
    usage_point: str,
    *,
    person: str,
    reason: str,
    now: datetime,
) -> int:
    """Let a person have a held or rejected usage point billed as it is; give its set's id.

    Raises
    ------
    CycleError
        if it is neither held nor rejected, or person or reason is empty.
    """
    if not person.strip() or not reason.strip():
        raise CycleError("a release needs a person and a reason")
    key = {"cycle": cycle.id, "usage_point": usage_point}
    row = connection.execute(_SQL["releasable"], key).fetchone()
    if row is None:
        raise CycleError(f"{usage_point} has no determinants in {cycle}; run the cycle first")
    if row[1] not in ("held", "rejected"):
        raise CycleError(f"{usage_point} is {row[1]} in {cycle}; only what is held can be released")
    who = {"set": row[0], "released_at": now, "person": person, "reason": reason}
    connection.execute(_SQL["add_release"], who)
    connection.execute(_SQL["mark_released"], {"set": row[0]})
    return int(row[0])


def _refuse_unfinished(cycle: Cycle, zone: ZoneInfo, now: datetime) -> None:
    end = cycle.period(zone).end
    if now < end:
        raise CycleError(
            f"{cycle} is not over in {zone.key} before {end:%Y-%m-%d %H:%M} UTC; "
            f"it is {now:%Y-%m-%d %H:%M} UTC: run it then"
        )


def grouped(
    points: Sequence[UsagePoint],
    days: tuple[date, date],
    tariffs: Tariffs,
    terms: Mapping[int, Sequence[Term]] | None = None,
) -> tuple[list[tuple[Tariff, list[UsagePoint]]], list[Problem]]:
    """Put usage points of one tariff and time zone together.

    Parameters
    ----------
    days : the period's first local day, and the first that is not in it
    terms : of usage points whose tariff or consumer changes; the others have the registry's tariff
    """
    groups: dict[tuple[str, str], list[UsagePoint]] = defaultdict(list)
    found: dict[str, Tariff] = {}
    # A digest is made once for all that have the tariff.
    usual: dict[tuple[str, str], str] = {}
    problems = []
    for point in points:
        own, key = (terms or {}).get(point.id, ()), (point.tariff, point.commodity)
        digest = None if own else usual.get(key)
        if digest is None:
            try:
                tariff = tariff_parts.during(tariffs, *key, days=days, terms=own)
            except (TariffError, CalendarError) as problem:
                problems.append(Problem(point.mrid, str(problem)))
                continue
            digest = tariff.digest
            found[digest] = tariff
            if not own:
                usual[key] = digest
        groups[digest, point.time_zone].append(point)
    return [(found[digest], members) for (digest, _), members in groups.items()], problems


def results(batch: Batch, points: Sequence[UsagePoint]) -> tuple[dict[int, Result], list[Problem]]:
    """Compute a batch; where one usage point's data are wrong, the others go on without it."""
    try:
        return batches.results(batch), []
    except ValueError:
        found: dict[int, Result] = {}
        problems = []
        for point in points:
            try:
                found |= batches.results(replace(batch, usage_points=[point.id]))
            except ValueError as problem:
                problems.append(Problem(point.mrid, str(problem)))
        return found, problems
