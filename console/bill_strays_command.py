"""``miqyas bill strays``: acknowledgements that fit no bill, and closing them."""

from __future__ import annotations

from typing import Annotated

import typer

from console import show, store
from mdm import strays

_SHOWN = 50


def add_to(app: typer.Typer) -> None:
    """Put this command among those of ``miqyas bill``."""
    app.command("strays")(list_or_close)


def list_or_close(
    close: Annotated[
        list[int] | None, typer.Option("--close", help="Take it off the list; may be repeated.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who closes it.")] = "",
    reason: Annotated[str, typer.Option(help="What was made of it.")] = "",
    group: Annotated[str | None, typer.Option(help="Only of this billing group.")] = None,
) -> None:
    """List acknowledgements that fit no bill or contradict an earlier one; close those seen to.

    Example: miqyas bill strays --close 7 --by Noura --reason "an old test"
    """
    with store.connection() as connection:
        if close:
            now = store.now(connection)
            strays.close(connection, close, person=by, reason=reason, now=now)
            show.done(f"{show.count(len(close), 'stray acknowledgement')} closed.")
        found = strays.unclosed(connection, group, limit=_SHOWN)
        standing = strays.standing(connection, group)
    for one in found:
        because = f" ({one.reason})" if one.reason else ""
        show.done(
            f"{one.id}: {one.bill} was said to be {one.outcome}{because} on "
            f"{one.first_at:%Y-%m-%d} in {one.export or 'an unknown export'}, and {one.why}"
        )
    if not found:
        show.done("No stray acknowledgements.")
    elif standing.number > len(found):
        show.done(f"These are the first {_SHOWN} of {standing.number:,}.")
