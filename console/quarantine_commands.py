"""``miqyas quarantine``: what could not be placed, why, and trying it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from console import show, store
from headend import clock, quarantine, replayers
from headend.quarantine import Row
from headend.replayers import Replayed
from schemas import database

app = typer.Typer(no_args_is_help=True, help="What came in and could not be placed, with reasons.")

Subject = Annotated[
    str | None, typer.Option(help="Only subjects (topics) that fit; * stands for anything.")
]
Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER]...", help="From `quarantine list`.")
]
_PREVIEW = 2000
_FATES = {
    "landed": "landed", "known": "had landed before", "repeated": "came twice",
    "dismissed": "dismissed",
}  # fmt: skip


@app.command("list")
def list_rows(
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as mqtt.")] = None,
    subject: Subject = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved rows too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """List what waits in the quarantine, counted by reason first.

    Example: miqyas quarantine list --subject 'tele/*'
    """
    with store.connection() as connection:
        causes = quarantine.causes(connection)
        rows = quarantine.rows(
            connection, kind=kind, subject=subject, everything=everything, limit=limit
        )
    show.table(
        "Open rows by reason",
        ["kind", "source", "reason", "rows #", "last, UTC"],
        [(c.kind, c.source, c.reason, c.rows, f"{c.last:%Y-%m-%d %H:%M}") for c in causes],
    )
    show.table(
        "Rows",
        ["no. #", "received, UTC", "kind", "subject", "fate", "reason"],
        [
            (r.id, f"{r.received_at:%Y-%m-%d %H:%M}", r.kind, r.subject,
             _FATES[r.fate] if r.fate else "open", r.latest_reason or r.reason)
            for r in rows
        ],
    )  # fmt: skip


@app.command("show")
def show_row(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="From `quarantine list`.")],
) -> None:
    """Show one row whole: what came, when, why it is here and what became of it.

    Example: miqyas quarantine show 12
    """
    with store.connection() as connection:
        row = quarantine.row(connection, number)
    for name, value in _told(row):
        show.done(f"{name}: {value}")
    show.done(_payload(row.payload))


@app.command("replay")
def replay(
    numbers: Numbers = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as mqtt.")] = None,
    subject: Subject = None,
) -> None:
    """Try open rows again, once the meter is registered or a decoder exists.

    What they say lands as if it had just come, once: what had landed before changes nothing. What
    still cannot be placed stays, with today's reason. The exit status is 1 if something stays.

    Example: miqyas quarantine replay --subject 'wmbusmeters/*'
    """
    if kind is not None and kind not in replayers.REPLAYERS:
        known = ", ".join(replayers.REPLAYERS)
        raise typer.BadParameter(
            f"{kind!r} cannot be tried again; can: {known}", param_hint="--kind"
        )
    with store.url() as url, show.out.status("trying again…") as status:
        with database.connect(url) as connection:
            now = clock.now(connection)
        done = replayers.replay(
            url, now=lambda: now, kinds=[kind] if kind else list(replayers.REPLAYERS),
            ids=numbers or None, subject=subject,
            progress=lambda upto: status.update(f"{upto.tried:,} rows tried…"),
        )  # fmt: skip
    _tell(done)
    if done.staying:
        raise typer.Exit(1)


@app.command("dismiss")
def dismiss(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="From the list.")],
    person: Annotated[str, typer.Option("--by", help="Who decides; stands in the record.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the record.")],
) -> None:
    """Resolve rows that nobody needs; they stay for the record, and are deleted by age.

    Example: miqyas quarantine dismiss 12 13 --by Noura --reason "a test device"
    """
    with store.connection() as connection:
        gone = quarantine.dismiss(
            connection, numbers, person=person, reason=reason, now=store.now(connection)
        )
    show.done(f"{show.count(len(gone), 'row')} dismissed")
    left = sorted(set(numbers) - set(gone))
    if left:
        raise quarantine.UnknownRow(f"not open: {', '.join(map(str, left))}")


@app.command("prune")
def prune() -> None:
    """Delete rows by age: resolved 90 days ago, or received 400 days ago. The listener does too.

    Example: miqyas quarantine prune
    """
    with store.connection() as connection:
        gone = quarantine.prune(connection, now=store.now(connection))
    show.done(f"{show.count(gone, 'row')} deleted")


def _told(row: Row) -> list[tuple[str, object]]:
    said: list[tuple[str, object]] = [
        ("number", row.id),
        ("kind", row.kind),
        ("source", row.source),
        ("subject", row.subject),
        ("received", f"{row.received_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("reason", row.reason),
    ]
    if row.context:
        said.append(("context", json.dumps(row.context, ensure_ascii=False)))
    if row.replayed_at:
        said.append(("tried again", f"{row.replays}×, last {row.replayed_at:%Y-%m-%d %H:%M} UTC"))
    if row.latest_reason:
        said.append(("then", row.latest_reason))
    if row.fate and row.resolved_at:
        who = f" by {row.resolved_by}" if row.resolved_by else ""
        why = f": {row.resolution}" if row.resolution else ""
        said.append(("fate", f"{_FATES[row.fate]}{who}, {row.resolved_at:%Y-%m-%d %H:%M} UTC{why}"))
    return said


def _payload(payload: bytes) -> str:
    """Show a payload as text where it is, else in hexadecimal."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or not all(mark.isprintable() or mark in "\t\n\r" for mark in text):
        text = payload.hex(" ")
    cut = f"… ({len(payload):,} bytes)" if len(text) > _PREVIEW else ""
    return f"payload, {len(payload):,} bytes:\n{text[:_PREVIEW]}{cut}"


def _tell(done: Replayed) -> None:
    show.done(
        f"{show.count(done.tried, 'row')} tried: {done.fates['landed']:,} landed, "
        f"{done.fates['known']:,} had landed before, {done.staying.total():,} stay"
    )
    _reasons(done.staying.most_common(20))


def _reasons(staying: Sequence[tuple[str, int]]) -> None:
    if staying:
        show.table("Why they stay", ["reason", "rows #"], staying)
