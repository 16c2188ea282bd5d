"""``miqyas bill holds``: bills that wait for a person, whose they are, and decisions on them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

import typer

from console import show, store
from console.deciding import AssignedTo, Assignee, Assigner, Limit, Person, Reason, UsagePoint
from mdm import cycle_holds
from mdm.cycle import CycleError
from mdm.cycle_holds import Item, Wanted
from schemas.database import Connection

app = typer.Typer(no_args_is_help=True, help="Bills that wait for a person, and decisions on them.")

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER...]", help="From `bill holds list`.")
]
Group = Annotated[str | None, typer.Option("--group", help="Only of this billing group.")]
First = Annotated[
    datetime | None,
    typer.Option("--first-day", formats=["%Y-%m-%d"], help="Only of cycles from this day on."),
]
Gate = Annotated[
    str | None, typer.Option(help="Only what this gate holds; `rejected`, `refused` are gates, too")
]

_DAY = timedelta(days=1)


@app.command("list")
def list_holds(
    group: Group = None,
    first: First = None,
    usage_point: UsagePoint = None,
    gate: Gate = None,
    assigned_to: AssignedTo = None,
    limit: Limit = 50,
) -> None:
    """List what is held or was rejected, by cause first, then one by one with its reasons.

    Example: miqyas bill holds list --group monthly --gate missing
    """
    wanted = replace(_wanted(group, first, usage_point, gate), assigned_to=assigned_to)
    with store.connection() as connection:
        now = store.now(connection)
        causes = cycle_holds.causes(connection, group)
        found = cycle_holds.items(connection, wanted, limit=limit)
    show.table(
        "Held and rejected, by cause",
        ["gate", "usage points #", "oldest"],
        [(one.gate, f"{one.sets:,}", _age(now - one.oldest)) for one in causes],
    )
    for cycle in dict.fromkeys((one.billing_group, one.starts_on) for one in found):
        rows = [
            (one.id, one.usage_point, one.state, _age(now - one.since), one.assigned_to or "",
             "; ".join(one.details))
            for one in found if (one.billing_group, one.starts_on) == cycle
        ]  # fmt: skip
        columns = ["no. #", "usage point", "state", "age", "who", "reasons"]
        show.table(f"{cycle[0]} from {cycle[1]}", columns, rows)
    if len(found) == limit:
        show.done(f"These are the first {limit}; see --limit, --gate and --group.")


@app.command("show")
def show_hold(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="From `bill holds list`.")],
) -> None:
    """Show why a usage point is held, and what people did with it.

    Example: miqyas bill holds show 12
    """
    with store.connection() as connection:
        now = store.now(connection)
        states = ("held", "rejected", "released", "exported", "billed")
        found = cycle_holds.items(connection, ids=[number], states=states)
        events = cycle_holds.history(connection, number)
    if not found:
        raise CycleError(f"there is no held usage point {number}; see `miqyas bill holds list`")
    (one,) = found
    figure = "no consumption" if one.value is None else f"{one.value:,f} {one.unit}"
    show.done(
        f"{one.usage_point}, {one.billing_group} from {one.starts_on} to before {one.ends_on}, "
        f"version {one.version}: {one.state}, {figure}, {_age(now - one.since)} old"
    )
    show.table("Reasons", ["gate", "reason"], one.reasons)
    show.table(
        "What was done with it",
        ["at, UTC", "what", "by", "to", "reason"],
        [(f"{e.happened_at:%Y-%m-%d %H:%M}", e.kind, e.person, e.assignee, e.reason)
         for e in events],
    )  # fmt: skip


@app.command("assign")
def assign(
    numbers: Numbers = None,
    to: Assignee = None,
    group: Group = None,
    first: First = None,
    usage_point: UsagePoint = None,
    gate: Gate = None,
    by: Assigner = None,
) -> None:
    """Give held usage points to somebody.

    Example: miqyas bill holds assign --gate missing --to Noura
    """
    with store.connection() as connection:
        ids = _chosen(connection, numbers, _wanted(group, first, usage_point, gate))
        now = store.now(connection)
        cycle_holds.assign(connection, ids, to, person=by or getpass.getuser(), now=now)
    show.done(f"{show.count(len(ids), 'usage point')} assigned to {to or 'nobody'}.")


@app.command("release")
def release(
    by: Person,
    reason: Reason,
    numbers: Numbers = None,
    group: Group = None,
    first: First = None,
    usage_point: UsagePoint = None,
    gate: Gate = None,
) -> None:
    """Have what is held or was rejected billed as it is; the next export takes it along.

    Example: miqyas bill holds release --group monthly --gate estimated \\
    --by Noura --reason "storm in June"
    """
    wanted = _wanted(group, first, usage_point, gate)
    _decided(cycle_holds.release, numbers, wanted, by, reason, said="released")


@app.command("reject")
def reject(
    by: Person,
    reason: Reason,
    numbers: Numbers = None,
    group: Group = None,
    first: First = None,
    usage_point: UsagePoint = None,
    gate: Gate = None,
) -> None:
    """Have what is held not billed as it is; new data make a new version all the same.

    Example: miqyas bill holds reject 12 --by Noura --reason "wrong multiplier"
    """
    wanted = _wanted(group, first, usage_point, gate)
    held = ("held",)
    _decided(cycle_holds.reject, numbers, wanted, by, reason, said="rejected", states=held)


@app.command("undo")
def undo(
    by: Person,
    reason: Reason,
    numbers: Numbers = None,
    group: Group = None,
    first: First = None,
    usage_point: UsagePoint = None,
    gate: Gate = None,
) -> None:
    """Take decisions back: what was released and has not gone out, or rejected, is held again.

    Example: miqyas bill holds undo 12 --by Noura --reason "wrong line"
    """
    wanted = _wanted(group, first, usage_point, gate)
    decided = ("released", "rejected")
    _decided(cycle_holds.undo, numbers, wanted, by, reason, said="held again", states=decided)


def _wanted(
    group: str | None, first: datetime | None, usage_point: str | None, gate: str | None
) -> Wanted:
    if gate is not None and gate not in cycle_holds.REASONS:
        known = ", ".join(cycle_holds.REASONS)
        raise typer.BadParameter(f"{gate!r} is no gate; known: {known}", param_hint="--gate")
    return Wanted(group, first.date() if first else None, usage_point, gate)


def _chosen(
    connection: Connection,
    numbers: Sequence[int] | None,
    wanted: Wanted,
    states: Sequence[str] = ("held", "rejected"),
) -> list[int]:
    """Give the sets that a command is about: by number, or all that fit."""
    if numbers:
        return list(dict.fromkeys(numbers))
    if wanted == Wanted():
        raise CycleError(
            "which of them? give numbers from `miqyas bill holds list`, or --group, --first-day, "
            "--usage-point and --gate"
        )
    found: list[Item] = cycle_holds.items(connection, wanted, states=states)
    if not found:
        raise CycleError(f"nothing that is {' or '.join(states)} fits; see `miqyas bill status`")
    return [one.id for one in found]


def _decided(
    decide: Callable[..., None],
    numbers: Sequence[int] | None,
    wanted: Wanted,
    by: str,
    reason: str,
    *,
    said: str,
    states: Sequence[str] = ("held", "rejected"),
) -> None:
    with store.connection() as connection:
        ids = _chosen(connection, numbers, wanted, states)
        decide(connection, ids, person=by, reason=reason, now=store.now(connection))
    listed = " ".join(map(str, ids[:5])) + (" …" if len(ids) > 5 else "")
    show.done(f"{show.count(len(ids), 'usage point')} {said}: no. {listed}")


def _age(length: timedelta) -> str:
    """Write how long something waits, in days or hours."""
    if length >= _DAY:
        return f"{length // _DAY} d"
    return f"{max(length, timedelta(0)) // timedelta(hours=1)} h"
