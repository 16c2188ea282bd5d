"""``miqyas bill aggregate``: days summed as they come, so that closing day is short."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from console import show, store
from mdm import daily_group

_DAY = ["%Y-%m-%d"]


def add_to(app: typer.Typer) -> None:
    """Put this command among those of ``miqyas bill``."""
    app.command("aggregate")(aggregate)


def aggregate(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="Billing group of the registry.")],
    first: Annotated[
        datetime,
        typer.Argument(metavar="FIRST_DAY", formats=_DAY, help="Of the cycle: 2026-06-01."),
    ],
    until: Annotated[
        datetime, typer.Argument(metavar="UNTIL", formats=_DAY, help="First day not summed.")
    ],
) -> None:
    """Sum the days that are over and new, so that closing day is short; figures stay the same.

    Example: miqyas bill aggregate monthly 2026-06-01 2026-07-01
    """
    with store.connection() as connection, show.out.status("summing days…") as status:
        now, done = store.now(connection), daily_group.Summed()
        for points in daily_group.partitions(connection, group):
            done += daily_group.add(connection, points, first.date(), until.date(), now=now)
            connection.commit()
            status.update(f"{done.usage_points:,} usage points, {done.days:,} days summed…")
    show.done(f"{group}: {done.usage_points:,} usage points, {done.days:,} days summed")
    for reason, number in Counter(problem.reason for problem in done.problems).items():
        show.problem(f"{number:,} usage points: {reason}")
    if done.problems:
        raise typer.Exit(1)
