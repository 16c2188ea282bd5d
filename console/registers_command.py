"""``miqyas vee registers``: register readings that are not there, estimated."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console import point_choice, show, store
from mdm import register_ends, usage_points
from mdm.register_ends import Report
from schemas.period import local_day

# Usage points that are estimated in one transaction.
_AT_ONCE = 200


def estimate(
    at: Annotated[
        list[datetime],
        typer.Option(
            "--at", formats=["%Y-%m-%d"], help="Midnight that begins this local day; repeatable."
        ),
    ],
    points: point_choice.Names = None,
    group: Annotated[
        str | None, typer.Option("--billing-group", help="Only of this billing group.")
    ] = None,
) -> None:
    """Estimate the register readings that no meter gave, as a closing cycle does.

    What a meter gave stays, and counts in place of an estimate whenever it comes.

    Example: miqyas vee registers --at 2026-07-01
    """
    done = Report()
    with store.connection() as connection, show.out.status("estimating…") as status:
        chosen = point_choice.named(connection, points)
        if chosen is None:
            chosen = usage_points.usage_points(connection, billing_group=group)
        by_zone: dict[str, list[int]] = defaultdict(list)
        for point in chosen:
            if group in (None, point.billing_group):
                by_zone[point.time_zone].append(point.id)
        for zone, ids in by_zone.items():
            moments = [local_day(day.date(), ZoneInfo(zone)).start for day in at]
            for first in range(0, len(ids), _AT_ONCE):
                part, now = ids[first : first + _AT_ONCE], store.now(connection)
                done += register_ends.complete(connection, part, moments, now=now)
                connection.commit()
                status.update(f"{done.wanted:,} register readings were missing so far…")
    show.done(
        f"{show.count(done.wanted, 'register reading')} not there: {done.estimated:,} estimated, "
        f"{done.versions:,} of them new or changed; of {done.declined:,} too little is known."
    )
