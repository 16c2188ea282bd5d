"""Many findings settled at once: edited, or estimated again, each over its own stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mdm import edit_approval, editing, worklist_item
from mdm.edit_approval import Done, Limits
from mdm.editing import Operation, Plan
from mdm.intake_layout import Weeks
from mdm.worklist import Item
from mdm.worklist_days import WorklistError
from mdm.worklist_item import Look
from schemas import quality
from schemas.database import Connection
from schemas.period import Period
from validation.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be changed, and the findings for which nothing can be, with why."""

    plans: tuple[Plan, ...]
    refused: tuple[tuple[int, str], ...]


def edits(connection: Connection, items: Sequence[Item], operation: Operation) -> Planned:
    """Plan an operation on the stretches of findings."""
    plans, refused = [], []
    for item in items:
        period = Period(item.starts_at, item.ends_at)
        try:
            plans.append(editing.planned(connection, item.channel_id, period, operation))
        except WorklistError as problem:
            refused.append((item.id, str(problem)))
    return Planned(_apart(plans), tuple(refused))


def estimates(
    connection: Connection,
    items: Sequence[Item],
    *,
    now: datetime,
    weeks: Weeks | None = None,
    rule_sets: Sequence[RuleSet] = (),
) -> Planned:
    """Plan to put the estimates of the rules in force in place of what was found, as final."""
    plans, refused = [], []
    for item in items:
        try:
            seen = worklist_item.look(
                connection, item.id, now=now, weeks=weeks, rule_sets=rule_sets
            )
            plans.append(_estimated(connection, seen))
        except WorklistError as problem:
            refused.append((item.id, str(problem)))
    return Planned(_apart(plans), tuple(refused))


def _estimated(connection: Connection, seen: Look) -> Plan:
    if not seen.estimates:
        raise WorklistError("a read is estimated by `miqyas vee registers`, not from the worklist")
    values = {one.at: one.value for one in seen.estimates if one.value is not None}
    if len(values) < len(seen.estimates):
        raise WorklistError("no estimator can fill all of it; see `miqyas worklist show`")
    return editing.planned_values(
        connection, seen.item.channel_id, values, code=quality.ESTIMATED_FINAL
    )


def carry(
    connection: Connection,
    planned: Planned,
    *,
    person: str,
    reason: str,
    limits: Limits,
    now: datetime,
    after_billing: bool = False,
) -> Done:
    """Make what is planned; what goes beyond the limits together waits for another person."""
    return edit_approval.carry(
        connection, planned.plans, person=person, reason=reason, limits=limits, now=now,
        after_billing=after_billing,
    )  # fmt: skip


def _apart(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """Leave out what an earlier plan of the same channel changes already."""
    seen: set[tuple[int, datetime]] = set()
    kept = []
    for plan in plans:
        keys = {(plan.channel_id, change.at) for change in plan.changes}
        if not keys & seen:
            kept.append(plan)
            seen |= keys
    return tuple(kept)
