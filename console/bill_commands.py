"""``miqyas bill``: cycles, their determinants, deliveries and replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from console import (
    bill_answers,
    bill_balances_command,
    bill_corrections,
    bill_cycle_commands,
    bill_daily_commands,
    bill_holds_commands,
    bill_redirect_command,
    bill_strays_command,
    bill_workers,
    show,
    store,
)
from mdm import (
    correction_days,
    correction_log,
    cycle,
    cycle_status,
    delivery,
    delivery_folder,
    delivery_targets,
    replay,
    strays,
)
from mdm.cycle import Cycle, Problem
from mdm.cycle_status import Phase, Status
from mdm.delivery_access import Access
from mdm.export import formats
from schemas import database
from schemas.database import Connection
from schemas.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Billing cycles: compute, hold, deliver, replay.")
bill_cycle_commands.add_to(app)
bill_daily_commands.add_to(app)
bill_balances_command.add_to(app)
bill_strays_command.add_to(app)
bill_redirect_command.add_to(app)
app.add_typer(bill_holds_commands.app, name="holds")

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="Billing group of the registry.")]
First = Annotated[
    datetime,
    typer.Argument(metavar="FIRST_DAY", formats=["%Y-%m-%d"], help="Of the cycle: 2026-06-01."),
]
_NAMED = 5


@app.command("run")
def run(
    group: GroupName,
    first: First,
    until: Annotated[
        datetime,
        typer.Argument(metavar="UNTIL", formats=["%Y-%m-%d"], help="First day not in the cycle."),
    ],
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that compute parts of it at once.")
    ] = 1,
) -> None:
    """Compute a cycle's determinants from the record as it is now; again, as often as you like.

    Example: miqyas bill run monthly 2026-06-01 2026-07-01 --workers 2
    """
    with (
        store.url() as url,
        database.connect(url) as connection,
        show.out.status("computing…") as status,
    ):
        now = store.now(connection)
        opened = cycle.opened(connection, group, first.date(), until.date(), now=now)
        done, number = cycle.Run(), cycle.partitions(connection, opened).usage_points
        for part in bill_workers.runs(connection, url, opened, now, workers):
            done += part
            status.update(f"{done.usage_points:,} of {number:,} usage points computed…")
        show.done(
            f"{opened}: {done.usage_points:,} usage points, {done.written:,} written, "
            f"{done.unchanged:,} unchanged, {done.corrected:,} corrected after billing"
            + (f", {done.logged:,} changed too little" if done.logged else "")
        )
        _status(connection, opened)
    _problems(done.problems)
    if done.problems:
        raise typer.Exit(1)


@app.command("status")
def status(
    group: Annotated[str | None, typer.Argument(metavar="GROUP")] = None,
    holds: Annotated[bool, typer.Option("--holds", help="List what is held, and why.")] = False,
) -> None:
    """Tell how far the cycles are, what is held and why, what was delivered and corrected.

    Example: miqyas bill status monthly --holds
    """
    with store.connection() as connection:
        found = cycle.cycles(connection, billing_group=group)
        for one in found:
            _status(connection, one)
            _exports(connection, one)
            if holds:
                _holds(connection, one)
    if not found:
        what = f"of the billing group {group!r} " if group else ""
        show.done(f"No billing cycles {what}yet. Begin with: miqyas bill run GROUP FIRST_DAY UNTIL")


@app.command("export")
def export(
    group: GroupName,
    first: First,
    to: Annotated[str, typer.Option(help="A folder, or the address of an invoicing system.")],
    file_format: Annotated[
        str | None,
        typer.Option("--format", help=f"One of: {', '.join(formats.FORMATS)}; json unless said."),
    ] = None,
) -> None:
    """Deliver what may be billed; what was delivered before is not delivered again.

    Example: miqyas bill export monthly 2026-06-01 --to http://127.0.0.1:8071
    """
    if file_format is not None and file_format not in formats.FORMATS:
        raise typer.BadParameter(
            f"{file_format!r} is none of {', '.join(formats.FORMATS)}", param_hint="--format"
        )
    file_format = delivery_targets.format_for(to, file_format)
    with (
        _settled(group, first.date()) as (connection, chosen),
        show.out.status("delivering…") as status,
    ):
        done = delivery.deliver(
            connection,
            chosen,
            target=to,
            file_format=file_format,
            now=store.now(connection),
            access=Access.of(Settings()),
            tell=lambda text: status.update(f"{text}…"),
        )
        after = cycle_status.status(connection, chosen)
        zone = cycle_status.zone(connection, group)
        phase = cycle_status.phase(chosen, zone, store.now(connection))
        refused = delivery.refused(
            connection, chosen, file_format=file_format, now=store.now(connection)
        )
        stuck = [one for one in delivery.exports(connection, chosen) if one.state == "prepared"]
    _refused(file_format, refused)
    if not done.exports:
        show.done(_why_nothing(after, phase))
    for one in stuck:
        show.problem(
            f"{one.name} is claimed for {one.target} and has not been delivered"
            f"{f' ({one.problem})' if one.problem else ''}: deliver it there, with"
            f" --to {one.target}, or elsewhere: see `miqyas bill redirect --help`"
        )
    for one in done.exports:
        show.done(
            f"{one.name} to {one.target}: {show.count(one.items, 'usage point')}, "
            f"{one.billed:,} billed, {one.rejected:,} rejected, {one.waiting:,} not acknowledged"
        )
        if one.rejected:
            show.problem(f"{one.name}: see `miqyas bill status {group} --holds` for the reasons")


@app.command("formats")
def list_formats() -> None:
    """List the formats of exports, with what each carries; docs/formats.md says what it lacks.

    Example: miqyas bill formats
    """
    rows = [(name, f".{one.suffix}", one.carries) for name, one in formats.FORMATS.items()]
    show.table("Formats of billing exports", ["format", "files", "carries"], rows)


@app.command("acknowledge")
def acknowledge(
    group: GroupName,
    first: First,
    name: Annotated[
        str | None, typer.Argument(metavar="EXPORT", help="Its name, see `bill status`.")
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Take the acknowledgements and balances that receivers of folders and SFTP left.

    With EXPORT and FILE.csv, those of a file from elsewhere.

    Example: miqyas bill acknowledge monthly 2026-06-01
    """
    if name is not None and file is None:
        raise typer.BadParameter("name the file with its acknowledgements", param_hint="FILE.csv")
    with _settled(group, first.date()) as (connection, chosen):
        if name is None or file is None:
            bill_answers.collect(connection, chosen)
        else:
            bill_answers.take(connection, chosen, name, file)


@app.command("release")
def release(
    group: GroupName,
    first: First,
    usage_point: Annotated[str, typer.Argument(metavar="USAGE_POINT")],
    by: Annotated[str, typer.Option("--by", help="Who decides.")],
    reason: Annotated[str, typer.Option(help="Why it may be billed as it is.")],
) -> None:
    """Have a held usage point billed as it is.

    Example: miqyas bill release monthly 2026-06-01 UP00031 \\
    --by "Noura" --reason "agreed by phone"
    """
    with store.connection() as connection:
        chosen = cycle_status.chosen(connection, group, first.date())
        cycle.release(
            connection, chosen, usage_point, person=by, reason=reason, now=store.now(connection)
        )
    show.done(f"{usage_point} is released in {chosen}; the next export takes it along.")


@app.command("corrections")
def corrections(group: GroupName, first: First) -> None:
    """List the figures that changed after they were billed: corrected, or logged as too small.

    Example: miqyas bill corrections monthly 2026-06-01
    """
    with store.connection() as connection:
        chosen = cycle_status.chosen(connection, group, first.date())
        bill_corrections.shown(
            cycle_status.corrections(connection, chosen),
            correction_log.logged(connection, chosen.id),
            correction_days.days(connection, chosen.id),
        )


@app.command("replay")
def replay_sets(
    group: GroupName,
    first: First,
    usage_point: Annotated[
        str | None, typer.Argument(metavar="USAGE_POINT", help="All that were exported, if none.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Of its determinants; the newest.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the files of all exports, made again.")
    ] = None,
) -> None:
    """Compute determinants again from the versions they name; say whether every bit is the same.

    Without a usage point the files of all exports are made again, too, and compared.

    Example: miqyas bill replay monthly 2026-06-01 UP00001
    """
    files = 0
    with store.connection() as connection:
        chosen = cycle_status.chosen(connection, group, first.date())
        if usage_point:
            found = [replay.of_usage_point(connection, chosen, usage_point, version)]
        else:
            sent = delivery.exports(connection, chosen)
            found = [one for export in sent for one in replay.of_export(connection, export)]
            files = sum(_made_again(connection, chosen, export, out) for export in sent)
    if not found:
        show.done(f"{chosen}: nothing was exported yet, so there is nothing to replay.")
        return
    for one in found:
        for difference in one.differences:
            show.problem(f"{one.usage_point}, version {one.version}: {difference}")
    same = sum(one.identical for one in found)
    show.done(
        f"{same} of {len(found)} replayed bit-identical, from "
        f"{sum(one.versions for one in found):,} named versions"
    )
    if files:
        show.done(f"{show.count(files, 'file')} made again, every bit as delivered")
    if same < len(found):
        raise typer.Exit(1)


def _made_again(
    connection: Connection, chosen: Cycle, export: delivery.Export, out: Path | None
) -> int:
    """Make an export's files again, compare them with what was delivered; give how many."""
    whole = delivery.package(connection, chosen, export)
    if out is not None:
        delivery_folder.put(out, export.name, whole)
    return len(whole.files)


@contextmanager
def _settled(group: str, first: date) -> Iterator[tuple[Connection, Cycle]]:
    """Give a connection whose every step lasts, and the cycle."""
    with store.url() as url, database.connect(url, autocommit=True) as connection:
        yield connection, cycle_status.chosen(connection, group, first)


def _status(connection: Connection, one: Cycle) -> None:
    now = cycle_status.status(connection, one)
    rows = [
        ("not computed", now.absent), ("waiting for data", now.waiting), ("held", now.held),
        ("ready", now.ready), ("released", now.released),
        ("exported, not acknowledged", now.exported), ("billed", now.billed),
        ("rejected", now.rejected), ("all", now.usage_points),
    ]  # fmt: skip
    show.table(str(one), ["state", "usage points #"], rows)
    if now.corrections:
        show.done(f"corrections raised: {now.corrections:,}; see `miqyas bill corrections`")
    for total in now.sums:
        show.done(f"{total.commodity}: {total.billed:,} of {total.total:,} {total.unit} are billed")


def _why_nothing(now: Status, phase: Phase) -> str:
    """Say why a cycle has nothing to deliver."""
    if phase == "open":
        return (
            f"Nothing to deliver: {now.cycle} is not over, and nothing of it is final; "
            "see `miqyas bill to-date` for what was used so far."
        )
    waiting = [
        f"{number:,} {what}"
        for what, number in (
            ("not computed", now.absent),
            ("waiting for data", now.waiting),
            ("held", now.held),
        )
        if number
    ]
    if not waiting:
        return "Nothing to deliver: all that may be billed was delivered before."
    return (
        f"Nothing to deliver: {now.billed + now.exported:,} were delivered before, "
        f"{' and '.join(waiting)}; see `miqyas bill status --holds`."
    )


def _problems(found: Sequence[Problem]) -> None:
    """Show what could not be computed, by reason: one wrong tariff may concern a whole town."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        reasons.setdefault(one.reason, []).append(one.usage_point)
    for reason, points in reasons.items():
        more = f" and {len(points) - _NAMED:,} more" if len(points) > _NAMED else ""
        show.problem(f"{', '.join(points[:_NAMED])}{more}: {reason}")


def _refused(file_format: str, refused: Sequence[str]) -> None:
    """Show what stays to be delivered in another format."""
    for reason in refused[:_NAMED]:
        show.problem(f"not in {file_format}: {reason}")
    if refused:
        show.problem(
            f"{show.count(len(refused), 'usage point')} cannot be written as {file_format} and "
            "stay to be delivered: choose another --format for them"
        )


def _exports(connection: Connection, one: Cycle) -> None:
    # Lines and no table: the names are needed whole, for `bill acknowledge`.
    for sent in delivery.exports(connection, one):
        show.done(
            f"export {sent.name}: {sent.state}, {sent.format} to {sent.target}, "
            f"{show.count(sent.items, 'usage point')}, {sent.billed:,} billed, "
            f"{sent.rejected:,} rejected"
        )
        if sent.problem:
            show.problem(f"export {sent.name}: {sent.problem}")
    stray = strays.standing(connection, one.billing_group)
    if stray.number:
        show.problem(
            f"{show.count(stray.number, 'stray acknowledgement')}, the oldest of "
            f"{stray.oldest:%Y-%m-%d}: see `miqyas bill strays`"
        )


def _holds(connection: Connection, one: Cycle) -> None:
    rows = [(h.usage_point, h.sector, h.state, h.gate, h.detail)
            for h in cycle_status.holds(connection, one)]  # fmt: skip
    show.table("Held", ["usage point", "sector", "state", "gate", "reason"], rows)
