"""``miqyas export``: what is in the record, as files for others."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console import show, store, writing
from mdm import readings_export, usage_points
from mdm.readings_export import ReadingsExportError
from schemas.period import Period

app = typer.Typer(no_args_is_help=True, help="Readings as files for others.")

_TIME = "a local day or time of the place, 2026-06-01 or 2026-06-01T06:00, or ISO with its offset"


@app.command("readings")
def readings(
    usage_point: Annotated[str, typer.Argument(metavar="USAGE_POINT")],
    begin: Annotated[str, typer.Option("--from", help=f"Begin: {_TIME}.")],
    until: Annotated[str, typer.Option("--to", help="End, which is not in it: as --from.")],
    out: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)],
    file_format: Annotated[
        str, typer.Option("--format", help=f"One of: {', '.join(readings_export.FORMATS)}.")
    ] = "csv",
    known_at: Annotated[
        str | None, typer.Option(help="Versions recorded later are left out; as --from.")
    ] = None,
) -> None:
    """Write the intervals and registers of a usage point to a file.

    Example: miqyas export readings UP00001 --from 2026-06-01 \\
    --to 2026-07-01 --format nem12 --out june.csv
    """
    with store.connection() as connection:
        point = usage_points.named(connection, usage_point)
        if point is None:
            raise ReadingsExportError(f"no usage point is named {usage_point!r} in the registry")
        zone = ZoneInfo(point.time_zone)
        start, end = _moment(begin, zone, "--from"), _moment(until, zone, "--to")
        if end <= start:
            raise typer.BadParameter(f"{until} is not after {begin}", param_hint="--to")
        known = _moment(known_at, zone, "--known-at") if known_at else store.now(connection)
        done = readings_export.written(
            connection, usage_point, Period(start, end), file_format=file_format, known_at=known
        )
    with writing.whole(out) as file:
        file.write(done.content)
    show.done(
        f"{out}: {show.count(done.intervals, 'interval')}, "
        f"{show.count(done.registers, 'register reading')} as {file_format}"
    )
    for one in done.left_out:
        show.done(f"  not in it: {one.what} ({one.why})")


def _moment(text: str, zone: ZoneInfo, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: {_TIME}", param_hint=option) from None
    if moment.tzinfo is None:
        return datetime.combine(moment.date(), moment.time() or time.min, zone)
    return moment
