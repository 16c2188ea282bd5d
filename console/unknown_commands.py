"""``miqyas unknown``: devices that push and that no registry has."""

from __future__ import annotations

from typing import Annotated

import typer

from console import show, store
from headend import unknown_devices

app = typer.Typer(no_args_is_help=True, help="Devices that push and await registration.")


@app.command("list")
def list_devices(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """List devices that push and that the registry does not have, who was heard last first.

    Import them with `miqyas import registry` and `miqyas import keys`; what is kept of their
    pushes lands then by itself while `miqyas listen` runs, else with `miqyas quarantine replay`.

    Example: miqyas unknown list
    """
    with store.connection() as connection:
        found = unknown_devices.awaiting(connection, limit=limit)
        total = unknown_devices.count(connection)
    show.table(
        "Unknown, awaiting registration",
        ["device", "pushed from", "last, UTC", "pushes #", "kept #"],
        [
            (f"{one.kind.replace('_', ' ')} {one.identity}", f"{one.transport} {one.host}",
             f"{one.last_seen:%Y-%m-%d %H:%M}", f"{one.pushes:,}", one.kept)
            for one in found
        ],
    )  # fmt: skip
    for one in found[:3]:
        show.done(f"{one.identity}: {one.reason}")
    if total > len(found):
        show.done(f"… and {total - len(found):,} more")
