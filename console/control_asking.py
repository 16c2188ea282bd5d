"""What all commands of ``miqyas control`` share: whom, who asks, when; and how it is told."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from console import control_words, show, store
from drivers import catalogue
from headend import control_now, controls
from headend.control_kinds import KINDS
from headend.control_rules import Rules
from headend.controls import Control, Requested, Wish
from headend.exchange import Listener, Progress
from schemas.settings import Settings

_FORMATS = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]
_TENTHS = 10

Meter = Annotated[
    str | None, typer.Argument(metavar="METER", help="The meter's mRID; or name a --group.")
]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who asks; else your account's name.")
]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
Later = Annotated[bool, typer.Option("--later", help="Leave it to the workers.")]
At = Annotated[
    datetime | None,
    typer.Option("--at", metavar="TIME", formats=_FORMATS,
                 help="Not before: 2026-07-01T02:00+03:00. Workers do it."),
]  # fmt: skip
Until = Annotated[
    datetime | None,
    typer.Option("--until", metavar="TIME", formats=_FORMATS, help="Not after that."),
]
Group = Annotated[str | None, typer.Option(metavar="NAME", help="A group; workers do it.")]
ActivateAt = Annotated[
    datetime | None,
    typer.Option(metavar="TIME", formats=_FORMATS, help="When it comes into force."),
]


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom a command concerns, who asks, and when; checked."""

    meter: str | None
    group: str | None
    by: str
    reason: str
    later: bool
    at: datetime | None
    until: datetime | None

    @property
    def is_now(self) -> bool:
        """Whether it is carried out by this command, while somebody watches."""
        return self.group is None and self.at is None and not self.later


def asking(
    meter: str | None, by: str | None, reason: str = "", *, later: bool = False,
    at: datetime | None = None, until: datetime | None = None, group: str | None = None,
) -> Asking:  # fmt: skip
    """Take the options that say whom, who, why and when."""
    if (meter is None) == (group is None):
        raise typer.BadParameter("name one meter, or a group with --group", param_hint="METER")
    return Asking(meter, group, by or account(), reason, later, at, until)


def account() -> str:
    """Name the account that this runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise typer.BadParameter("say who you are", param_hint="--by") from None


def carry(kind: str, asked: Asking, parameters: Mapping[str, Any] | None = None) -> Control | None:
    """Ask for a control; carry it out now and tell how it went, or queue it.

    Returns
    -------
    the control, if it was carried out; the exit status is 1 if it did not end well
    """
    wish = Wish(kind, asked.by, parameters or {}, asked.reason, asked.at, asked.until)
    if asked.is_now and asked.meter is not None:
        with store.url() as url, watched(asked.meter) as tell:
            found = control_now.ask(url, wish, asked.meter, listener=tell)
        return told(found)
    with store.connection() as connection:
        made = controls.request(
            connection, wish, drivers=catalogue.polled(), rules=Rules.of(Settings()),
            now=store.now(connection), mrid=asked.meter, group=asked.group,
        )  # fmt: skip
    _queued(made, kind)
    return None


def told(found: Control) -> Control | None:
    """Tell how a control stands; None if it waits for a second person."""
    if found.waits_for_approval:
        show.done(
            f"{found.mrid}: it waits for a second person, because {found.needs_approval}."
            f" They run: miqyas control approve {found.id} --by NAME"
        )
        return None
    for line in control_words.outcome(found):
        show.done(line)
    if found.state != "done":
        show.problem(control_words.trouble(found))
        raise typer.Exit(1)
    return found


@contextmanager
def watched(name: str) -> Iterator[Listener]:
    """Show a conversation's steps as they come; a long transfer tells its tenths."""
    with show.out.status(f"{name}: connecting…") as status:
        last = ""

        def tell(progress: Progress) -> None:
            nonlocal last
            status.update(f"{name}: {progress.step} {progress.detail}".rstrip() + "…")
            line = f"{progress.step} {_tenth(progress.detail)}".rstrip()
            if progress.step not in ("done", "failed") and line != last:
                show.done({"connect": "connecting"}.get(line, line))
                last = line

        yield tell


def _tenth(detail: str) -> str:
    """Give the detail of a transfer only when another tenth of it is done."""
    words = detail.replace(",", "").split()
    if "blocks" not in words or len(words) < 3:
        return detail
    done, total = int(words[0]), max(int(words[2]), 1)
    return f"{done * _TENTHS // total * 100 // _TENTHS} %"


def _queued(made: Requested, kind: str) -> None:
    count = show.count(len(made.controls), "control")
    show.done(f"Request {made.request_id}: {count} wait for the workers ({KINDS[kind].text}).")
    for mrid, why in sorted(made.left_out.items()):
        show.problem(f"{mrid} is left out: {why}")
    if made.needs_approval:
        show.done(
            f"A second person must approve, because {made.needs_approval}:"
            f" miqyas control approve --request {made.request_id} --by NAME"
        )
    show.done(f"See: miqyas control list --request {made.request_id}")
