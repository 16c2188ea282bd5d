"""The stored calendars of cycles: the newest of each billing group counts, older ones stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import islice
from typing import Final

from mdm import cycle, cycle_plan, usage_points
from mdm.cycle import Cycle, CycleError
from mdm.cycle_plan import Plan, Span
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle_calendar.sql")
_ENDED: Final = "null"


def keep(connection: Connection, plans: Sequence[Plan], *, now: datetime) -> list[str]:
    """Put plans in force; give the groups whose plan is new or another.

    Raises
    ------
    CycleError
        if no usage point is in a group, or a group has a cycle that the plan cuts through.
    """
    known = {point.billing_group for point in usage_points.usage_points(connection)}
    for plan in plans:
        if plan.group not in known:
            groups = ", ".join(sorted(known)) or "none"
            raise CycleError(
                f"no usage point is in billing group {plan.group!r}; the registry has: {groups}"
            )
        _fits(connection, plan)
    before = {plan.group: plan.definition for plan in standing(connection)}
    changed = [plan for plan in plans if before.get(plan.group) != plan.definition]
    for plan in changed:
        _add(connection, plan.group, plan.definition, now)
    return [plan.group for plan in changed]


def end(connection: Connection, group: str, *, now: datetime) -> None:
    """End a group's plan: no further cycles are opened, and nothing is done by itself.

    Raises
    ------
    CycleError
        if it has none.
    """
    known = {plan.group for plan in standing(connection)}
    if group not in known:
        names = ", ".join(sorted(known)) or "none yet"
        raise CycleError(f"billing group {group!r} has no calendar of cycles; there are: {names}")
    _add(connection, group, _ENDED, now)


def standing(connection: Connection) -> list[Plan]:
    """List the plans in force, by group."""
    rows = connection.execute(_SQL["newest"])
    return [cycle_plan.restored(row[1], f"calendar of {row[0]}") for row in rows]


def coming(plan: Plan, today: date, number: int) -> list[Span]:
    """Give the cycle that a day is in and the next ones, ``number`` in all."""
    spans = (span for span in plan.spans(date.max) if span.ends_on > today)
    return list(islice(spans, number))


def opened(connection: Connection, plan: Plan, span: Span, *, now: datetime) -> Cycle:
    """Open a cycle as its plan says, or give the one that is there.

    Raises
    ------
    CycleError
        as ``cycle.opened`` does.
    """
    return cycle.opened(
        connection, plan.group, span.starts_on, span.ends_on, now=now,
        closes_on=span.closes_on, estimates=plan.estimate, addressee=plan.addressee,
    )  # fmt: skip


def _add(connection: Connection, group: str, definition: str, now: datetime) -> None:
    connection.execute(_SQL["add"], {"group": group, "definition": definition, "now": now})


def _fits(connection: Connection, plan: Plan) -> None:
    """Refuse a plan whose cycles overlap one that is there with other days."""
    there = cycle.cycles(connection, billing_group=plan.group)
    if not there:
        return
    planned = {(s.starts_on, s.ends_on) for s in plan.spans(max(one.ends_on for one in there))}
    for one in there:
        if (one.starts_on, one.ends_on) in planned:
            continue
        if any(start < one.ends_on and one.starts_on < end_ for start, end_ in planned):
            raise CycleError(
                f"the plan of {plan.group} cuts through {one}, which is there; "
                f"begin it with from = {one.ends_on} or later"
            )
