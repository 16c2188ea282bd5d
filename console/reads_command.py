"""``miqyas vee reads``: the readings of meters that have registers only."""

from __future__ import annotations

from console import point_choice, show, store
from mdm import register_checks


def check(points: point_choice.Names = None) -> None:
    """Check the reads of meters without intervals, also those that should have come by now.

    What fails is in the worklist. Run it once a day: nothing arrives for a read that is missing.

    Example: miqyas vee reads
    """
    with store.connection() as connection:
        chosen = point_choice.named(connection, points)
        ids = None if chosen is None else [point.id for point in chosen]
        done = register_checks.run(connection, ids, now=store.now(connection))
        connection.commit()
    show.done(
        f"{show.count(done.registers, 'register')} without intervals checked: "
        f"{show.count(done.opened, 'finding')} opened, {done.closed:,} closed."
    )
