"""``miqyas group`` and ``miqyas schedule``: who is read together, when, and what is read."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console import show, store
from headend import groups, schedule, schedules
from headend.schedule import Schedule

group_app = typer.Typer(no_args_is_help=True, help="Groups of meters that are read together.")
app = typer.Typer(no_args_is_help=True, help="When meters are read, and what is read.")

Name = Annotated[str, typer.Argument(metavar="NAME")]


@group_app.command("put")
def put_group(
    name: Name,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help=f"Keys: {', '.join(groups.SELECTORS)}."),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(metavar="METER", help="In it whatever --select says.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every meter of the registry.")] = False,
) -> None:
    """Make a group, or give an existing one another content.

    Values of the same key are alternatives; different keys must all match.

    Example: miqyas group put north --select protocol=dlms --select segment=north
    """
    if everything == bool(select or member):
        raise typer.BadParameter("say who is in it: --select KEY=VALUE, --member METER, or --all")
    selector: dict[str, list[str]] = defaultdict(list)
    for pair in select or []:
        key, mark, value = pair.partition("=")
        if not mark or not value:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE, such as protocol=dlms")
        selector[key].append(value)
    with store.connection() as connection:
        chosen = selector if everything or selector else None
        made = groups.put(connection, name, selector=chosen, members=member or [])
    show.done(f"Group {made.name}: {show.count(made.end_devices, 'meter')}.")


@group_app.command("list")
def list_groups() -> None:
    """List the groups with the number of their meters.

    Example: miqyas group list
    """
    with store.connection() as connection:
        found = groups.groups(connection)
    rows = [(one.name, _selector(one), one.end_devices) for one in found]
    show.table("Groups", ["group", "selects", "meters #"], rows)


@group_app.command("remove")
def remove_group(name: Name) -> None:
    """Remove a group that no schedule reads; its meters stay in the registry.

    Example: miqyas group remove cell-7
    """
    with store.connection() as connection:
        groups.remove(connection, name)
    show.done(f"Group {name} is removed.")


@app.command("add")
def add_schedule(
    name: Name,
    group: Annotated[str, typer.Option(help="Whom to read; see `miqyas group list`.")],
    reads: Annotated[
        list[str],
        typer.Option("--read", help=f"What to read, may be repeated: {', '.join(schedule.READS)}."),
    ],
    cron: Annotated[str | None, typer.Option(help="Five fields: '20 0 * * *' is 00:20.")] = None,
    every: Annotated[int | None, typer.Option(metavar="SECONDS", help="Instead of --cron.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the cron fields.")] = "UTC",
    stagger: Annotated[int, typer.Option(metavar="SECONDS", help="Spread the starts.")] = 0,
    misfire: Annotated[
        str, typer.Option(help=f"What to do with missed times: {', '.join(schedule.MISFIRES)}.")
    ] = "once",
    keep_clock: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=1, help="Put clocks right that are further off."),
    ] = None,
) -> None:
    """Add a schedule; it fires from now on.

    --keep-clock wants --read clock. Up to 15 minutes a clock is shifted, up to a day it is set;
    each is kept as a control.

    Example: miqyas schedule add nightly --group cell-7 --read intervals \\
    --read register_history --cron '20 0 * * *' --zone Asia/Kuwait --stagger 900
    """
    if (cron is None) == (every is None):
        raise typer.BadParameter("say when: either --cron '20 0 * * *' or --every SECONDS")
    with store.connection() as connection:
        made = schedules.add(
            connection,
            name,
            group=group,
            reads=reads,
            now=store.now(connection),
            cron=cron,
            interval_seconds=every,
            time_zone=zone,
            stagger_seconds=stagger,
            misfire=misfire,
            keep_clock_seconds=keep_clock,
        )
        _preview(made, store.now(connection), 3)


@app.command("list")
def list_schedules() -> None:
    """List the schedules with the next time of each.

    Example: miqyas schedule list
    """
    with store.connection() as connection:
        now = store.now(connection)
        rows = [
            (
                one.name,
                one.group,
                _when(one),
                _reads(one),
                _local(one, now),
                "" if one.enabled else "off",
            )
            for one in schedules.schedules(connection)
        ]
    show.table("Schedules", ["schedule", "group", "when", "reads", "next", ""], rows)


@app.command("preview")
def preview_schedule(
    name: Name, count: Annotated[int, typer.Option(min=1, max=200, help="How many times.")] = 5
) -> None:
    """Show when a schedule will fire, in its own time zone and in UTC.

    Example: miqyas schedule preview nightly --count 10
    """
    with store.connection() as connection:
        _preview(_found(schedules.find(connection, name), name), store.now(connection), count)


@app.command("enable")
def enable_schedule(name: Name) -> None:
    """Switch a schedule on again, from now.

    Example: miqyas schedule enable nightly
    """
    with store.connection() as connection:
        schedules.enable(connection, name, enabled=True, now=store.now(connection))
    show.done(f"Schedule {name} is on.")


@app.command("disable")
def disable_schedule(name: Name) -> None:
    """Switch a schedule off; what falls due meanwhile stays unread.

    Example: miqyas schedule disable nightly
    """
    with store.connection() as connection:
        schedules.enable(connection, name, enabled=False, now=store.now(connection))
    show.done(f"Schedule {name} is off.")


@app.command("remove")
def remove_schedule(name: Name) -> None:
    """Remove a schedule; what it has queued is still read.

    Example: miqyas schedule remove nightly
    """
    with store.connection() as connection:
        schedules.remove(connection, name)
    show.done(f"Schedule {name} is removed.")


def _found(one: Schedule | None, name: str) -> Schedule:
    if one is None:
        raise schedules.ScheduleError(f"there is no schedule {name!r}; see `miqyas schedule list`")
    return one


def _preview(one: Schedule, now: datetime, count: int) -> None:
    zone = ZoneInfo(one.time_zone)
    rows = [
        (f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M:%S}", f"{moment:%Y-%m-%d %H:%M:%S}")
        for moment in schedule.preview(one, now, count)
    ]
    show.table(f"Schedule {one.name} ({_when(one)})", [one.time_zone, "UTC"], rows)


def _local(one: Schedule, now: datetime) -> str:
    following = schedule.preview(one, now, 1) if one.enabled else []
    zone = ZoneInfo(one.time_zone)
    return f"{following[0].astimezone(zone):%Y-%m-%d %H:%M}" if following else "–"


def _reads(one: Schedule) -> str:
    kept = f", clocks kept within {one.keep_clock_seconds} s" if one.keep_clock_seconds else ""
    return ", ".join(one.reads) + kept


def _when(one: Schedule) -> str:
    return one.cron or f"every {one.interval_seconds} s"


def _selector(one: groups.Group) -> str:
    if one.selector is None:
        return "named meters"
    pairs = (f"{key}={'|'.join(values)}" for key, values in one.selector.items())
    return " and ".join(pairs) or "all meters"
