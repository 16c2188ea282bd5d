"""``miqyas control``: what an engineer does with a meter beside reading it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

import typer

from console import control_asking, control_files, control_words, show, store
from console.control_asking import At, By, Group, Later, Meter, Reason, Until
from headend import control_now, controls, devices
from headend.control_kinds import ControlError
from headend.controls import Control
from schemas.database import Connection

app = typer.Typer(
    no_args_is_help=True, help="What is done with a meter beside reading it: clock, supply, keys …"
)
control_files.add_to(app)

Number = Annotated[int, typer.Argument(metavar="CONTROL", help="As `miqyas control list` says.")]
_KNOWN_STATES = (
    "requested", "approved", "running", "done", "failed", "expired", "cancelled", "unknown",
)  # fmt: skip
_STATES = ", ".join(_KNOWN_STATES)


def _simple(name: str, kind: str, text: str) -> None:
    """Add a command that needs nothing but a meter."""

    def command(
        meter: Meter = None,
        by: By = None,
        reason: Reason = "",
        *,
        later: Later = False,
        at: At = None,
        until: Until = None,
        group: Group = None,
    ) -> None:
        asked = control_asking.asking(
            meter, by, reason, later=later, at=at, until=until, group=group
        )
        control_asking.carry(kind, asked)

    reason = " --reason 'unpaid since March'" if kind == "disconnect" else ""
    command.__doc__ = f"{text}\n\nExample: miqyas control {name} M00001{reason}"
    app.command(name)(command)


_simple("clock", "read_clock", "Read a meter's clock, and tell by how much it is off.")
_simple("set-clock", "set_clock", "Set a meter's clock to the time here.")
_simple(
    "adjust-clock", "adjust_clock",
    "Shift a meter's clock by what it is off, 15 minutes at most; its intervals keep their order.",
)  # fmt: skip
_simple("switch-state", "read_switch", "Read where the supply switch of a meter stands.")
_simple("connect", "connect", "Switch the supply of a meter on, and read the switch back.")
_simple(
    "disconnect", "disconnect",
    "Switch the supply of a meter off, and read the switch back; needs a reason.\n\n"
    "Some need a second person's approval; they wait for `miqyas control approve`.",
)  # fmt: skip
_simple("arm", "arm", "Make a supply switch ready for the customer's button.")
_simple(
    "channels", "read_channels",
    "Read what a meter offers, and keep it: readings then ask for nothing else.",
)  # fmt: skip


@app.command("billing-registers")
def billing_registers(
    meter: Meter = None,
    days: Annotated[int, typer.Option(min=1, max=1000, help="How many days back.")] = 400,
    by: By = None,
    group: Group = None,
) -> None:
    """Read the registers that a meter stored at the ends of billing periods; they land.

    Example: miqyas control billing-registers M00001 --days 100
    """
    asked = control_asking.asking(meter, by, group=group)
    with store.connection() as connection:
        now = store.now(connection)
    span = {"since": (now - timedelta(days=days)).isoformat(), "until": now.isoformat()}
    control_asking.carry("read_billing_registers", asked, span)


@app.command("list")
def list_controls(
    meter: Annotated[str | None, typer.Argument(metavar="METER", help="Only of this one.")] = None,
    request: Annotated[int | None, typer.Option(help="Only of this request.")] = None,
    state: Annotated[list[str] | None, typer.Option(help=f"Only these: {_STATES}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> None:
    """List controls, newest first: who asked for what, and how far it is.

    Example: miqyas control list --state requested --state unknown
    """
    if wrong := set(state or ()) - set(_KNOWN_STATES):
        raise typer.BadParameter(f"{min(wrong)!r} is none of {_STATES}", param_hint="--state")
    with store.connection() as connection:
        found = controls.listed(
            connection,
            end_device_id=devices.named(connection, meter).id if meter else None,
            request_id=request,
            states=state or None,
            limit=limit,
        )
    control_words.listing("Controls", found)


@app.command("show")
def show_control(number: Number) -> None:
    """Show a control with every state that it was in.

    Example: miqyas control show 12
    """
    with store.connection() as connection:
        found = controls.find(connection, number)
        changes = controls.changes(connection, number)
    for line in control_words.outcome(found):
        show.done(line)
    facts = {
        "request": f"{found.request_id}" + (f", group {found.group}" if found.group else ""),
        "asked by": f"{found.requested_by}, {found.requested_at:%Y-%m-%d %H:%M} UTC",
        "reason": found.reason or None,
        "may be done": f"{found.not_before:%Y-%m-%d %H:%M} … {found.expires_at:%Y-%m-%d %H:%M} UTC",
        "second person": found.needs_approval and (found.approved_by or "not yet"),
        "because": found.needs_approval,
        "progress": found.progress and "{blocks:,} of {of:,} blocks".format(**found.progress),
        "session": found.session_id,
    }
    show.table("Control", ["", ""], [(key, text) for key, text in facts.items() if text])
    rows = [
        (f"{one.at:%Y-%m-%d %H:%M:%S}", one.by, one.state, one.attempts, one.message)
        for one in changes
    ]
    show.table("What happened", ["at, UTC", "by", "state", "attempts #", ""], rows)


@app.command("approve")
def approve_controls(
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="CONTROL...", help="Or name a --request.")
    ] = None,
    request: Annotated[int | None, typer.Option(help="All of this request that wait.")] = None,
    by: By = None,
) -> None:
    """Approve controls as the second person; workers then carry them out.

    Example: miqyas control approve 12 13 --by Salem
    """
    name = by or control_asking.account()
    _each(numbers, request, lambda c, one, now: controls.approve(c, one.id, by=name, now=now),
          "approved")  # fmt: skip


@app.command("cancel")
def cancel_controls(
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="CONTROL...", help="Or name a --request.")
    ] = None,
    request: Annotated[int | None, typer.Option(help="All of this request that wait.")] = None,
    by: By = None,
    reason: Reason = "",
) -> None:
    """Cancel controls that wait; what was sent to a meter already is only not sent again.

    Example: miqyas control cancel 12 --by Salem --reason 'paid at the counter'
    """
    name = by or control_asking.account()

    def cancel(connection: Connection, one: Control, now: datetime) -> None:
        if not controls.cancel(connection, one.id, by=name, now=now, note=reason):
            show.problem(f"Control {one.id} was sent already; it is not sent again.")

    _each(numbers, request, cancel, "cancelled")


@app.command("run")
def run_control(number: Number) -> None:
    """Carry out a control that waits now, and watch it; or find out what became of it.

    Example: miqyas control run 12
    """
    with store.url() as url, control_asking.watched(f"control {number}") as tell:
        found = control_now.run(url, number, listener=tell)
    control_asking.told(found)


@app.command("protect")
def protect(
    usage_point: Annotated[str, typer.Argument(metavar="USAGE_POINT")],
    reason: Annotated[str, typer.Option(help="Why it is critical.")],
    by: By = None,
) -> None:
    """Keep a usage point from being disconnected with a group; alone it needs two persons.

    Example: miqyas control protect UP00001 --reason 'dialysis at home' --by Noura
    """
    with store.connection() as connection:
        controls.mark_critical(
            connection, usage_point, reason=reason, by=by or control_asking.account(),
            now=store.now(connection),
        )  # fmt: skip
    show.done(f"{usage_point} is critical: no group disconnects it.")


@app.command("unprotect")
def unprotect(usage_point: Annotated[str, typer.Argument(metavar="USAGE_POINT")]) -> None:
    """Let a usage point be disconnected like others again.

    Example: miqyas control unprotect UP00001
    """
    with store.connection() as connection:
        controls.unmark_critical(connection, usage_point)
    show.done(f"{usage_point} is as others again.")


def _each(
    numbers: list[int] | None,
    request: int | None,
    do: Callable[[Connection, Control, datetime], None],
    done: str,
) -> None:
    """Do something with controls by number, or with all of a request that wait."""
    if not numbers and request is None:
        raise typer.BadParameter("name controls, or a --request", param_hint="CONTROL")
    with store.connection() as connection:
        found = [controls.find(connection, number) for number in numbers or ()]
        if request is not None:
            waiting = ["requested", "approved"] if done == "cancelled" else ["requested"]
            found += controls.listed(connection, request_id=request, states=waiting)
        if not found:
            raise ControlError(f"request {request} has no control that waits")
        for one in found:
            do(connection, one, store.now(connection))
    show.done(f"{show.count(len(found), 'control')} {done}.")
