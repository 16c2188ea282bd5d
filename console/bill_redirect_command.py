"""``miqyas bill redirect``: an export that was claimed for a wrong target goes elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from console import show, store
from mdm import cycle_status, delivery_redirect


def add_to(app: typer.Typer) -> None:
    """Put this command among those of ``miqyas bill``."""
    app.command("redirect")(redirect)


def redirect(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="Billing group of the registry.")],
    first: Annotated[
        datetime,
        typer.Argument(metavar="FIRST_DAY", formats=["%Y-%m-%d"], help="Of the cycle: 2026-06-01."),
    ],
    export: Annotated[str, typer.Argument(metavar="EXPORT", help="Its name, see `bill status`.")],
    to: Annotated[str, typer.Option(help="A folder, or the address of an invoicing system.")],
    by: Annotated[str, typer.Option("--by", help="Who decides.")],
    reason: Annotated[str, typer.Option(help="Why it goes elsewhere.")],
) -> None:
    """Send an export elsewhere that was claimed for a wrong target, as long as nobody acknowledged.

    Example: miqyas bill redirect monthly 2026-06-01 monthly-2026-06-01-1-0001 \\
    --to bills --by "Noura" --reason "mistyped"
    """
    with store.connection() as connection:
        chosen = cycle_status.chosen(connection, group, first.date())
        sent, former = delivery_redirect.redirect(
            *(connection, chosen, export, to), person=by, reason=reason, now=store.now(connection)
        )
    show.done(
        f"{sent.name} goes to {sent.target}, no longer to {former}. "
        f"Deliver it: miqyas bill export {group} {first:%Y-%m-%d} --to {sent.target}"
    )
    show.problem(f"If {former} has it, take it away there: it would be billed in both places.")
