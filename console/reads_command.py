"""``miqyas vee reads``: the readings of meters that have registers only."""

from __future__ import annotations

from console import point_choice, show, store
from mdm import register_checks
from mdm.register_checks import Report
from schemas import database


def check(points: point_choice.Names = None) -> None:
    """Check the reads of meters without intervals, also those that should have come by now.

    What fails is in the worklist. `miqyas vee run --follow` does this once a day by itself: nothing
    arrives for a read that is missing.

    Example: miqyas vee reads
    """
    with store.url() as url:
        with database.connect(url) as connection:
            chosen = point_choice.named(connection, points)
        done = checked(url, None if chosen is None else [[point.id for point in chosen]])
    show.done(told(done))


def checked(url: str, parts: list[list[int]] | None = None) -> Report:
    """Check usage points, each part in a transaction of its own; all that have registers only."""
    if parts is None:
        with database.connect(url) as connection:
            parts = register_checks.parts(connection)
    done = Report()
    with show.out.status("checking reads…") as status:
        for part in parts:
            with database.connect(url) as connection:
                now = store.now(connection)
                done += register_checks.run_locked(connection, part, now=now)
            status.update(f"{done.registers:,} registers checked…")
    return done


def told(done: Report) -> str:
    """Say what a check of reads did."""
    return (
        f"{show.count(done.registers, 'register')} without intervals checked: "
        f"{show.count(done.opened, 'finding')} opened, {done.closed:,} closed."
    )
