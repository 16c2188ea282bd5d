"""``miqyas bill calendar``, ``advance``: cycles that come, and what is done without a person."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from console import bill_answers, show, store
from mdm import (
    cycle,
    cycle_advance,
    cycle_calendar,
    cycle_plan,
    cycle_to_date,
    delivery,
    usage_points,
)
from mdm.cycle import Cycle, CycleError
from mdm.cycle_advance import How, Step
from mdm.cycle_plan import Plan, PlanError
from mdm.delivery_access import Access
from schemas import database
from schemas.database import Connection
from schemas.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Put these commands among those of ``miqyas bill``."""
    app.command("calendar")(calendar)
    app.command("advance")(advance)
    app.command("to-date")(to_date)


def calendar(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE.toml", help="Puts it in force; or the name of a shipped one."),
    ] = None,
    coming: Annotated[int, typer.Option(min=1, max=100, help="How many cycles to show.")] = 3,
    end: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Ends the calendar of this group.")
    ] = None,
) -> None:
    """Show when the billing groups' cycles begin, end and close; or put such a calendar in force.

    Nothing is computed here: `miqyas bill advance` does what a calendar asks for.

    Example: miqyas bill calendar cycles.toml
    """
    plans = _plans(file) if file else []
    with store.connection() as connection:
        now = store.now(connection)
        if plans:
            changed = cycle_calendar.keep(connection, plans, now=now)
            show.done(f"In force: {', '.join(changed)}." if changed else "All of it is in force.")
        if end:
            cycle_calendar.end(connection, end, now=now)
            show.done(f"The calendar of {end} is ended; its cycles stay.")
        standing = cycle_calendar.standing(connection)
        for plan in standing:
            _plan(connection, plan, now, coming)
    if not standing:
        names = ", ".join(cycle_plan.shipped())
        show.done(
            "No billing group has a calendar of cycles. Begin with: miqyas bill calendar FILE.toml "
            f"(shipped: {names}); docs/billing.md says what stands in it."
        )


def advance(
    follow: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Go on, looking again after so long."),
    ] = None,
) -> None:
    """Do what the calendars of cycles ask for: open, compute, wait, estimate, close, deliver.

    It takes the acknowledgements, too, that receivers leave in files. Run it beside
    `miqyas vee run --follow`; on the closing day nobody needs to type anything.

    Example: miqyas bill advance --follow 600
    """
    with store.url() as url, database.kept_open(url):
        if follow is None:
            done, failed = _advanced(url, Troubles())
            if not done:
                show.done("Nothing is due; see `miqyas bill calendar`.")
            raise typer.Exit(1 if failed else 0)
        troubles = Troubles()
        with show.until_stopped("Billing by the calendars of cycles."):
            while True:
                _advanced(url, troubles)
                time.sleep(follow)


def to_date(
    usage_point: Annotated[str, typer.Argument(metavar="USAGE_POINT")],
) -> None:
    """Show what a usage point has used in the cycle that is not over: not final, never exported.

    Example: miqyas bill to-date UP00001
    """
    with store.connection() as connection:
        point = usage_points.named(connection, usage_point)
        if point is None:
            raise CycleError(f"there is no usage point {usage_point!r} in the registry")
        found = cycle_to_date.to_date(connection, point, now=store.now(connection))
    if found is None:
        show.done(f"{usage_point}: its cycle began today; the first day is not over.")
        return
    until = f", its cycle ends before {found.ends_on}" if found.ends_on else ""
    show.done(
        f"NOT FINAL: {usage_point} from {found.starts_on} to before {found.until}{until}; "
        f"tariff {found.tariff}"
    )
    rows = [(f"{d.name} {d.part}".rstrip(), d.value, d.unit, d.note)
            for d in found.determinants]  # fmt: skip
    show.table("So far", ["figure", "value #", "unit", "note"], rows)
    counts = found.counts._asdict()
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
    show.done(f"Intervals: {told or 'none'}.")


def _plans(file: str) -> list[Plan]:
    """Read a file, or a calendar of cycles that comes with the program."""
    if Path(file).is_file():
        try:
            return cycle_plan.parse(Path(file).read_text("utf-8"), file)
        except UnicodeDecodeError as error:
            raise PlanError(f"{file} is not text in UTF-8; save it so") from error
    shipped = cycle_plan.shipped()
    if file not in shipped:
        raise PlanError(f"{file} is no file, and none of the shipped ones: {', '.join(shipped)}")
    return cycle_plan.parse(shipped[file], f"cycles/{file}.toml")


def _plan(connection: Connection, plan: Plan, now: datetime, number: int) -> None:
    points = usage_points.usage_points(connection, billing_group=plan.group)
    zone = ZoneInfo(points[0].time_zone if points else "UTC")
    there = cycle.cycles(connection, billing_group=plan.group)
    known = {(one.starts_on, one.ends_on) for one in there}
    rows = [
        (span.starts_on, span.ends_on, span.closes_on,
         "open" if (span.starts_on, span.ends_on) in known else "to come")
        for span in cycle_calendar.coming(plan, now.astimezone(zone).date(), number)
    ]  # fmt: skip
    title = f"{plan.group}: {show.count(len(points), 'usage point')}"
    title += f", to {plan.addressee}" if plan.addressee else ""
    title += f", delivered to {plan.target} as {plan.format}" if plan.target else ""
    show.table(title, ["from", "to before", "closes on", "cycle"], rows)


class Troubles:
    """What goes wrong again and again, so that hours of it are not a page each."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, datetime, int]] = {}

    def told(self, step: Step) -> str:
        """Give a step in words: in full, or how often the same went wrong and since when."""
        key = step.subject, step.kind
        detail, since, times = self._known.get(key, ("", step.happened_at, 0))
        if detail != step.detail:
            self._known[key] = step.detail, step.happened_at, 1
            return str(step)
        self._known[key] = detail, since, times + 1
        return (
            f"{step.subject}: still {step.kind}, {times + 1} times since "
            f"{since:%Y-%m-%d %H:%M} UTC: {detail}"
        )

    def over(self, step: Step) -> None:
        """Forget what went wrong with what now went well."""
        for kind in _CURED.get(step.kind, ()):
            self._known.pop((step.subject, kind), None)


_CURED: Final = {"delivered": ("failed",), "acknowledged": ("unread",)}


def _advanced(url: str, troubles: Troubles) -> tuple[int, int]:
    """Do what is due; give how many steps there were and how many failed."""
    done = failed = 0
    with (
        database.connect(url, autocommit=True) as connection,
        show.out.status("billing…") as status,
    ):
        now = store.now(connection)

        def tell(one: Cycle, so_far: int, of: int) -> None:
            status.update(f"{one}: {so_far:,} of {of:,} usage points computed…")

        def deliver(one: Cycle, plan: Plan) -> str:
            return _delivered(connection, one, plan, now, lambda text: status.update(f"{text}…"))

        def collect(one: Cycle) -> tuple[str, str]:
            return bill_answers.collected(connection, one, now)

        how = How(deliver=deliver, collect=collect, tell=tell)
        for step in cycle_advance.advance(connection, how, now=now):
            done += 1
            if step.kind in cycle_advance.TROUBLE:
                failed += 1
                show.problem(f"{now:%Y-%m-%d %H:%M} {troubles.told(step)}")
            else:
                troubles.over(step)
                show.done(f"{now:%Y-%m-%d %H:%M} {step}")
    return done, failed


def _delivered(
    connection: Connection, one: Cycle, plan: Plan, now: datetime, tell: Callable[[str], None]
) -> str:
    """Deliver what may be billed; say how it went."""
    done = delivery.deliver(
        connection,
        one,
        target=plan.target or "",
        file_format=plan.format,
        now=now,
        access=Access.of(Settings()),
        tell=tell,
    )
    if not done.exports:
        return ""
    return (
        f"{show.count(done.items, 'usage point')} to {plan.target}, {done.billed:,} billed, "
        f"{done.rejected:,} rejected"
    )
