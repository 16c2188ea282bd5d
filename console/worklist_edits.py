"""``miqyas worklist``: edits, estimates, approvals, and taking them back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console import show, store, worklist_choice
from console.deciding import Person, Reason, UsagePoint
from console.worklist_choice import (
    AfterBilling,
    DryRun,
    Group,
    Numbers,
    Rule,
    Severity,
    Since,
    Until,
    Wanted,
)
from mdm import edit_approval, editing, usage_points, worklist_bulk, worklist_days
from mdm.editing import Add, Copy, MakeFinal, Operation, Plan, Remove, Restore, Scale
from mdm.worklist_days import WorklistError
from schemas import quality, reading_type
from schemas.database import Connection
from schemas.period import local_day

Point = Annotated[str, typer.Argument(metavar="USAGE_POINT")]
Kind = Annotated[str, typer.Argument(metavar="READING_TYPE")]
Proposals = Annotated[list[int], typer.Argument(metavar="EDIT...", help="From `proposals`.")]
AddAmount = Annotated[int | None, typer.Option("--add", help="To each value [scaled unit].")]
Factor = Annotated[str | None, typer.Option("--scale", help="Times each value, such as 40.")]
CopyFrom = Annotated[
    datetime | None,
    typer.Option("--copy-from", formats=["%Y-%m-%d"], help="Another local day's values."),
]
Missing = Annotated[bool, typer.Option("--missing", help="Mark as missing; raw stays out.")]
Final = Annotated[bool, typer.Option("--final", help="Let estimates stand as final.")]
_SHOWN = 12


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to ``miqyas worklist``."""
    for name, command in (
        ("edit", edit), ("settle", settle), ("estimate", estimate), ("undo", undo),
        ("proposals", proposals), ("approve", approve), ("refuse", refuse),
    ):  # fmt: skip
        app.command(name)(command)


def edit(
    usage_point: Point,
    kind: Kind,
    by: Person,
    reason: Reason,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="TIME=VALUE", help="May be repeated.")
    ] = None,
    since: Since = None,
    until: Until = None,
    add: AddAmount = None,
    scale: Factor = None,
    copy_from: CopyFrom = None,
    *,
    missing: Missing = False,
    final: Final = False,
    after_billing: AfterBilling = False,
    dry_run: DryRun = False,
) -> None:
    """Set interval values by hand, or change all from --from to --to in one way.

    Values are in the reading type's scaled unit, after the multiplier.

    Example: miqyas worklist edit UP00001 active_energy_import_interval \\
    --set 2026-06-10T09:00:00+03:00=412 \\
    --by "Noura" --reason "read off the display"
    """
    wanted = dict(_setting(text) for text in values or ())
    period = worklist_choice.period(since, until)
    if not wanted:
        operation = _operation(add, scale, copy_from, missing=missing, final=final)
        if period is None:
            raise typer.BadParameter("give --set, or --from and --to", param_hint="--from")
    with store.connection() as connection:
        channel = _channel(connection, usage_point, kind)
        if wanted:
            plan = editing.planned_values(connection, channel, wanted)
        elif period is not None:
            plan = editing.planned(connection, channel, period, operation)
        _carry(connection, [plan], by, reason, after_billing=after_billing, dry_run=dry_run)


def settle(
    by: Person,
    reason: Reason,
    numbers: Numbers = None,
    rule: Rule = None,
    severity: Severity = None,
    usage_point: UsagePoint = None,
    billing_group: Group = None,
    since: Since = None,
    until: Until = None,
    add: AddAmount = None,
    scale: Factor = None,
    copy_from: CopyFrom = None,
    *,
    missing: Missing = False,
    final: Final = False,
    after_billing: AfterBilling = False,
    dry_run: DryRun = False,
) -> None:
    """Change the intervals of findings, all in one way, each over its own stretch.

    Example: miqyas worklist settle --rule gap --usage-point UP00001 --final \\
    --by Noura --reason "meter exchanged"
    """
    operation = _operation(add, scale, copy_from, missing=missing, final=final)
    wanted = Wanted(numbers, rule, severity, usage_point, billing_group, since, until)
    with store.connection() as connection:
        planned = worklist_bulk.edits(connection, wanted.items(connection), operation)
        _refused(planned.refused)
        _carry(connection, planned.plans, by, reason, after_billing=after_billing, dry_run=dry_run)


def estimate(
    by: Person,
    reason: Reason,
    numbers: Numbers = None,
    rule: Rule = None,
    severity: Severity = None,
    usage_point: UsagePoint = None,
    billing_group: Group = None,
    since: Since = None,
    until: Until = None,
    *,
    after_billing: AfterBilling = False,
    dry_run: DryRun = False,
) -> None:
    """Put the rules' estimates in place of what was found, as final; see `worklist show`.

    Example: miqyas worklist estimate --rule spike --billing-group monthly \\
    --by Noura --reason "no such load"
    """
    wanted = Wanted(numbers, rule, severity, usage_point, billing_group, since, until)
    with store.connection() as connection:
        now = store.now(connection)
        planned = worklist_bulk.estimates(connection, wanted.items(connection), now=now)
        _refused(planned.refused)
        _carry(connection, planned.plans, by, reason, after_billing=after_billing, dry_run=dry_run)


def undo(
    usage_point: Point,
    kind: Kind,
    day: Annotated[
        datetime, typer.Argument(metavar="DAY", formats=["%Y-%m-%d"], help="A local day.")
    ],
    version: Annotated[int, typer.Option("--to-version", help="As `miqyas explain` lists them.")],
    by: Person,
    reason: Reason,
    *,
    after_billing: AfterBilling = False,
    dry_run: DryRun = False,
) -> None:
    """Bring a former version of a day back, as a new version; what it had settled is open again.

    Example: miqyas worklist undo UP00001 active_energy_import_interval \\
    2026-06-10 --to-version 1 --by Noura --reason "wrong meter"
    """
    with store.connection() as connection:
        channel = _channel(connection, usage_point, kind)
        zone = ZoneInfo(worklist_days.channel_of(connection, channel).time_zone)
        plan = editing.planned(connection, channel, local_day(day.date(), zone), Restore(version))
        _carry(connection, [plan], by, reason, after_billing=after_billing, dry_run=dry_run)


def proposals(
    *, everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False
) -> None:
    """List edits that wait for another person's approval.

    Example: miqyas worklist proposals
    """
    with store.connection() as connection:
        found = edit_approval.proposals(connection, everything=everything)
    states = {None: "waits", True: "approved", False: "refused"}
    for p in found:
        kind = reading_type.named(p.reading_type)
        show.done(
            f"{p.id}: {p.usage_point}, {p.reading_type}, {show.count(len(p.moments), 'interval')} "
            f"from {p.moments[0]:%Y-%m-%d %H:%M} UTC, {p.amount:f} {kind.display_unit}"
            f"{', after billing' if p.after_billing else ''}; by {p.person}: {p.reason}; "
            f"{states[p.approved]}{f' by {p.decided_by}' if p.decided_by else ''}"
        )
    if not found:
        show.done("No edit waits for approval.")


def approve(edits: Proposals, by: Person, reason: Reason) -> None:
    """Make proposed edits, as the second person.

    Example: miqyas worklist approve 3 --by Salem --reason "agreed"
    """
    with store.connection() as connection:
        now = store.now(connection)
        days = sum(
            edit_approval.approve(connection, number, person=by, reason=reason, now=now)
            for number in edits
        )
    show.done(f"{show.count(len(edits), 'edit')} approved; {show.count(days, 'day')} changed.")


def refuse(edits: Proposals, by: Person, reason: Reason) -> None:
    """End proposed edits without making them.

    Example: miqyas worklist refuse 3 --by Salem --reason "ask the customer first"
    """
    with store.connection() as connection:
        for number in edits:
            edit_approval.refuse(
                connection, number, person=by, reason=reason, now=store.now(connection)
            )
    show.done(f"{show.count(len(edits), 'edit')} refused.")


def _carry(
    connection: Connection,
    plans: Sequence[Plan],
    by: str,
    reason: str,
    *,
    after_billing: bool,
    dry_run: bool,
) -> None:
    """Show what would change, and what was billed; then do it."""
    if not plans:
        show.done("Nothing to change.")
        return
    for plan in plans[:_SHOWN]:
        _show(plan)
    if len(plans) > _SHOWN:
        show.done(f"… and {len(plans) - _SHOWN} more.")
    intervals = sum(len(plan.changes) for plan in plans)
    show.done(f"{show.count(intervals, 'interval')} to change.")
    for day in dict.fromkeys(str(day) for plan in plans for day in plan.billed):
        show.done(f"{day}: the next run of that cycle raises a correction.")
    if dry_run:
        return
    worklist_choice.tell(
        edit_approval.carry(
            connection, plans, person=by, reason=reason, limits=worklist_choice.limits(),
            now=store.now(connection), after_billing=after_billing,
        )
    )  # fmt: skip


def _show(plan: Plan) -> None:
    kind = reading_type.named(plan.channel.reading_type)
    rows = [
        (f"{c.at:%Y-%m-%d %H:%M}", c.old, c.new, quality.name_of(c.old_code),
         quality.name_of(c.new_code))
        for c in plan.changes[:_SHOWN]
    ]  # fmt: skip
    show.table(
        f"{plan.channel}: {plan.amount:f} {kind.display_unit} in "
        f"{show.count(len(plan.changes), 'interval')}",
        ["from, UTC", f"was [{kind.unit}]", f"becomes [{kind.unit}]", "was", "becomes"],
        rows,
    )


def _refused(refused: Sequence[tuple[int, str]]) -> None:
    for number, why in refused:
        show.problem(f"finding {number} is left: {why}")


def _operation(
    add: int | None,
    scale: str | None,
    copy_from: datetime | None,
    *,
    missing: bool,
    final: bool,
) -> Operation:
    """Make the one operation that the options ask for."""
    asked: list[Operation] = []
    if add is not None:
        asked.append(Add(add))
    if scale is not None:
        asked.append(Scale(_factor(scale)))
    if copy_from is not None:
        asked.append(Copy(copy_from.date()))
    if missing:
        asked.append(Remove())
    if final:
        asked.append(MakeFinal())
    if len(asked) != 1:
        raise typer.BadParameter(
            "give one of --add, --scale, --copy-from, --missing, --final", param_hint="edit"
        )
    return asked[0]


def _factor(text: str) -> Decimal:
    try:
        factor = Decimal(text)
    except InvalidOperation:
        factor = Decimal("NaN")
    if not factor.is_finite():
        raise typer.BadParameter(f"{text!r} is not a number, such as 1.5", param_hint="--scale")
    return factor


def _setting(text: str) -> tuple[datetime, int]:
    moment, mark, value = text.rpartition("=")
    try:
        at = datetime.fromisoformat(moment)
        number = int(value)
    except ValueError:
        at, number = None, 0
    if not mark or at is None or at.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is not TIME=VALUE, such as 2026-06-10T09:00:00+03:00=412", param_hint="--set"
        )
    return at, number


def _channel(connection: Connection, usage_point: str, kind: str) -> int:
    point = usage_points.named(connection, usage_point)
    if point is None:
        raise WorklistError(f"no usage point {usage_point!r} in the registry")
    found = [
        channel.id
        for channel in usage_points.channels(connection, [point.id])
        if channel.reading_type == kind and channel.interval_seconds
    ]
    if len(found) != 1:
        raise WorklistError(
            f"{usage_point} has {len(found)} interval channels of {kind!r}; nothing to edit"
        )
    return found[0]
