"""``miqyas vee`` and ``miqyas worklist``: validation runs, and what they leave to people."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Annotated, Literal

import typer

from console import show, store
from mdm import usage_points, vee, worklist
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
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Go on, looking again after so long."),
    ] = None,
) -> None:
    """Take in what has arrived, validate the days it touches and record what changed.

    Example: miqyas vee run --follow 60
    """
    with store.url() as url, database.kept_open(url):
        if follow is None:
            done = _everything(url)
            show.done(_told(done) if done.taken else "Nothing new has arrived.")
            return
        with show.until_stopped("Validating what arrives."):
            while True:
                done = _everything(url)
                if done.taken:
                    show.done(_told(done))
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
    """List open findings, counted by cause first; issues only, unless you ask for more.

    What each rule observes and its limit, and their units, stand in docs/rules.md.

    Example: miqyas worklist list --rule spike --all
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
    columns = ["no. #", "usage point", "rule", "from, UTC", "lasts #", "observed #", "limit #"]
    # One table a reading type: its long name would take the place of the figures.
    for kind in dict.fromkeys(one.reading_type for one in found):
        rows = [
            (f.id, f.usage_point, f.rule, f"{f.starts_at:%Y-%m-%d %H:%M}",
             _lasting(f.ends_at - f.starts_at), _figure(f.observed), _figure(f.limit))
            for f in found if f.reading_type == kind
        ]  # fmt: skip
        show.table(kind, columns, rows)
    if len(found) == limit:
        show.done(f"These are the first {limit}; see --limit, --rule and --usage-point.")


@worklist_app.command("accept")
def accept(numbers: Numbers, by: Person, reason: Reason) -> None:
    """Accept what was found: doubted values stand from now on.

    Example: miqyas worklist accept 12 13 --by Noura --reason "seen on site"
    """
    with store.connection() as connection:
        changed = worklist.accept(
            connection, numbers, person=by, reason=reason, now=store.now(connection)
        )
    show.done(f"{show.count(len(numbers), 'finding')} accepted; {_changed(changed)}.")


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

    Example: miqyas worklist edit UP00001 active_energy_import_interval \\
    --set 2026-06-10T09:00:00+03:00=412 \\
    --by "Noura" --reason "read off the display"
    """
    wanted = dict(_setting(text) for text in values)
    with store.connection() as connection:
        channel = _channel(connection, usage_point, kind)
        changed = worklist.edit(
            connection, channel, wanted, person=by, reason=reason, now=store.now(connection)
        )
    unit = reading_type.named(kind).unit
    show.done(f"{show.count(len(wanted), 'interval')} set [{unit}]; {_changed(changed)}.")


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
            connection, numbers, now=store.now(connection),
            over_people=over_people,
        )  # fmt: skip
    show.done(_told(done))


def _everything(url: str) -> Report:
    """Take batches until nothing is left."""
    done = Report()
    with show.out.status("validating…") as status:
        while (part := _batch(url)).taken:
            done += part
            status.update(f"{done.intervals:,} intervals validated…")
    return done


def _batch(url: str) -> Report:
    with database.connect(url) as connection:
        return vee.run(connection, now=store.now(connection))


def _told(done: Report) -> str:
    said = [
        f"{show.count(done.intervals, 'interval')} validated",
        f"{show.count(done.versions, 'new version')} of {show.count(done.days, 'channel-day')}",
        f"{show.count(done.registers, 'register reading')} recorded",
        f"{show.count(done.opened, 'finding')} opened, {done.closed:,} closed",
    ]
    if done.quarantined:
        said.append(f"{done.quarantined:,} in quarantine")
    if done.deferred:
        said.append(f"the newest data of {show.count(done.deferred, 'meter')} waits: "
                    "its day is not over")  # fmt: skip
    return "\n".join(said)


def _changed(days: int) -> str:
    return f"{show.count(days, 'day')} validated anew" if days else "no day changed"


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


def _lasting(time: timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    if minutes % 60:
        return f"{minutes:,} min"
    return f"{minutes // 60:,} h"


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")
