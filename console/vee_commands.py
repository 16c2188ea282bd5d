"""``miqyas vee`` and ``miqyas worklist``: validation runs, and what they leave to people."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Literal

import typer

from console import show, store
from mdm import usage_points, vee, weeks, worklist
from mdm.vee import Report
from schemas import database, reading_type

app = typer.Typer(no_args_is_help=True, help="Validate, estimate and record what has arrived.")
worklist_app = typer.Typer(no_args_is_help=True, help="What validation leaves for people.")

Person = Annotated[str, typer.Option("--by", help="Who decides; stands in the record for ever.")]
Reason = Annotated[str, typer.Option(help="Why; stands in the record for ever.")]
Numbers = Annotated[list[int], typer.Argument(metavar="NUMBER...", help="From `worklist list`.")]


@app.command("run")
def run(
    follow: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Go on, looking again after so long.")
    ] = None,
) -> None:
    """Take in what has arrived, validate the days it touches and record what changed.

    Example: miqyas vee run
    """
    with store.url() as url, database.kept_open(url), show.out.status("validating…") as status:
        while True:
            done = Report()
            while (part := _batch(url)).taken:
                done += part
                status.update(f"{done.intervals:,} intervals validated…")
            show.done(_told(done))
            if follow is None:
                return
            time.sleep(follow)


@worklist_app.command("list")
def list_findings(
    usage_point: Annotated[str | None, typer.Option(help="Only this usage point.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only findings of this rule.")] = None,
    severity: Annotated[
        Literal["info", "issue", "terminate"] | None, typer.Option(help="Only these.")
    ] = "issue",
    everything: Annotated[bool, typer.Option("--all", help="Of every severity.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """List open findings, grouped by cause first.

    Example: miqyas worklist list --rule spike
    """
    with store.connection() as connection:
        causes = worklist.groups(connection, usage_point=usage_point)
        found = worklist.findings(
            connection, rule=rule, severity=None if everything else severity,
            usage_point=usage_point, limit=limit,
        )  # fmt: skip
    show.table(
        "Open findings by cause",
        ["rule", "severity", "done", "findings #", "usage points #"],
        [(g.rule, g.severity, g.action, g.findings, g.usage_points) for g in causes],
    )
    rows = [
        (f.id, f.usage_point, f.reading_type, f.rule, f"{f.starts_at:%Y-%m-%d %H:%M}",
         f"{f.ends_at:%Y-%m-%d %H:%M}", _figure(f.observed), _figure(f.limit))
        for f in found
    ]  # fmt: skip
    columns = ["no. #", "usage point", "reading type", "rule", "from, UTC", "to, UTC",
               "observed #", "limit #"]  # fmt: skip
    show.table(f"The first {len(found)}", columns, rows)


@worklist_app.command("accept")
def accept(numbers: Numbers, by: Person, reason: Reason) -> None:
    """Accept what was found: doubted values stand from now on.

    Example: miqyas worklist accept 12 13 --by "Noura" --reason "irrigation pump, seen on site"
    """
    with store.connection() as connection:
        changed = worklist.accept(
            connection, numbers, person=by, reason=reason, now=store.now(connection)
        )
    show.done(f"{len(numbers)} findings accepted; {changed} days have a new version.")


@worklist_app.command("edit")
def edit(
    usage_point: Annotated[str, typer.Argument(metavar="USAGE_POINT")],
    kind: Annotated[str, typer.Argument(metavar="READING_TYPE")],
    values: Annotated[
        list[str], typer.Option("--set", metavar="TIME=VALUE", help="May be repeated.")
    ],
    by: Person,
    reason: Reason,
) -> None:
    """Set interval values by hand, in the reading type's scaled unit, after the multiplier.

    Example: miqyas worklist edit UP00001 active_energy_import_interval
    --set 2026-06-10T09:00:00+03:00=412 --by "Noura" --reason "read off the display"
    """
    wanted = dict(_setting(text) for text in values)
    with store.connection() as connection:
        channel = _channel(connection, usage_point, kind)
        changed = worklist.edit(
            connection, channel, wanted, person=by, reason=reason, now=store.now(connection)
        )
    unit = reading_type.named(kind).unit
    show.done(f"{len(wanted)} intervals set [{unit}]; {changed} days have a new version.")


@worklist_app.command("rerun")
def rerun(
    numbers: Numbers,
    over_people: Annotated[
        bool, typer.Option("--over-people", help="Edited and accepted values give way too.")
    ] = False,
) -> None:
    """Validate the days of findings again, such as after a change of the rules.

    Example: miqyas worklist rerun 12
    """
    with store.connection() as connection:
        done = worklist.rerun(
            connection, numbers, now=store.now(connection), weeks=weeks.standing(),
            over_people=over_people,
        )  # fmt: skip
    show.done(_told(done))


def _batch(url: str) -> Report:
    with database.connect(url) as connection:
        return vee.run(connection, now=store.now(connection), weeks=weeks.standing())


def _told(done: Report) -> str:
    return (
        f"{done.intervals:,} intervals in {done.days:,} channel-days validated, "
        f"{done.versions:,} new versions, {done.registers:,} register readings recorded, "
        f"{done.opened} findings opened, {done.closed} closed, {done.quarantined} in quarantine, "
        f"{done.deferred} meters wait for the end of their day"
    )


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


def _channel(connection: database.Connection, usage_point: str, kind: str) -> int:
    point = usage_points.named(connection, usage_point)
    if point is None:
        raise worklist.WorklistError(f"no usage point {usage_point!r} in the registry")
    found = [
        channel.id
        for channel in usage_points.channels(connection, [point.id])
        if channel.reading_type == kind and channel.interval_seconds
    ]
    if len(found) != 1:
        raise worklist.WorklistError(
            f"{usage_point} has {len(found)} interval channels of {kind!r}; nothing to edit"
        )
    return found[0]


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")
