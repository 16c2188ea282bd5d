"""``miqyas meter``, ``read``, ``worker``, ``scheduler``: collection at work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console import control_words, show, store
from drivers import catalogue
from headend import engineering, jobs, on_demand, overview, scheduler
from headend.capacity import Limits
from headend.exchange import Progress
from headend.on_demand import Read
from headend.overview import MeterStatus, Value
from schemas import database, quality, reading_type

Meter = Annotated[str, typer.Argument(metavar="METER", help="The meter's mRID in the registry.")]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0.1, help="Longest wait for one answer of a meter."),
]
_LIMITS = Limits()
_MOST_PERIODS = 12


def meter(
    name: Meter,
    arabic: Annotated[bool, typer.Option("--arabic", help="Verdict and advice in Arabic.")] = False,
) -> None:
    """Tell how a meter is: does it talk, since when not, why, last values, missing periods.

    It also tells where the supply switch stands, what the meter offers, and what was done with it.

    Example: miqyas meter M00001
    """
    with store.connection() as connection:
        found = overview.status(connection, name, now=store.now(connection))
        known = engineering.of_device(connection, found.device.id)
    _verdict(found, arabic=arabic)
    for line in control_words.engineering(known):
        show.done(line)
    _values(found.values)
    _missing(found)
    rows = [
        (f"{s.started_at:%Y-%m-%d %H:%M}", s.outcome, s.error, s.attempts, s.intervals, s.registers)
        for s in found.sessions
    ]
    columns = ["started, UTC", "outcome", "error", "attempts #", "intervals #", "registers #"]
    show.table("Last sessions", columns, rows)
    if known.controls:
        control_words.listing("Last controls", known.controls)


def read(
    name: Meter,
    now: Annotated[bool, typer.Option("--now", help="Read at once, whatever the schedule.")] = True,
    reads: Annotated[
        list[str] | None,
        typer.Option("--read", help=f"Only this: {', '.join(on_demand.EVERYTHING)}."),
    ] = None,
    timeout: Timeout = _LIMITS.timeout,
) -> None:
    """Read a meter now and show what it says, step by step.

    What it gives lands by the same path as every poll. The exit status is 1 if it does not answer.

    Example: miqyas read M00001 --now
    """
    if not now:
        raise typer.BadParameter("later is what `miqyas schedule` is for", param_hint="--no-now")
    unknown = sorted(set(reads or ()) - set(on_demand.EVERYTHING))
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r} is none of {', '.join(on_demand.EVERYTHING)}", param_hint="--read"
        )
    with store.url() as url, show.out.status(f"{name}: connecting…") as status:

        def tell(progress: Progress) -> None:
            status.update(f"{name}: {progress.step}…")
            if progress.step == "connect":
                show.done("connecting")
            elif progress.step == "retry":
                show.done(f"once more: {progress.detail}")
            elif progress.step not in ("done", "failed"):
                step = f"{progress.step} {progress.detail}".rstrip()
                show.done(f"{progress.done + 1}/{progress.total} {step}")

        done = on_demand.read(url, name, reads=reads or on_demand.EVERYTHING, listener=tell,
                              limits=replace(_LIMITS, timeout=timeout))  # fmt: skip
    _told(done)
    _values(done.values)
    if done.outcome == "failed":
        raise typer.Exit(1)


def _told(done: Read) -> None:
    """Say how a reading went, and how much of what it gave is new."""
    if done.message:
        # Drivers name the meter themselves where they know it.
        known = done.message.startswith(f"{done.mrid}:")
        show.problem(done.message if known else f"{done.mrid}: {done.message}")
    landed = done.landed
    lost = f" ({landed.missing:,} of them the meter does not have)" if landed.missing else ""
    show.done(
        f"{done.mrid}: {done.outcome} after {done.seconds:.1f} s; "
        f"new: {show.count(landed.intervals, 'interval')}{lost}, "
        f"{show.count(landed.registers, 'register reading')}, {show.count(landed.events, 'event')}"
        + ("; more is missing: read again" if done.remaining else "")
    )


def worker(
    *,
    with_scheduler: Annotated[
        bool, typer.Option("--with-scheduler", help="Also turn schedules into work here.")
    ] = False,
    timeout: Timeout = _LIMITS.timeout,
    on_time: Annotated[
        float,
        typer.Option(
            min=0,
            help="How far from its time a sample still counts as taken then, s; at most a"
            " twentieth of the interval.",
        ),
    ] = _LIMITS.on_time.total_seconds(),
) -> None:
    """Read meters as the schedules ask, until stopped (Ctrl-C). Run as many as you like.

    One process at least must run the scheduler: `miqyas scheduler`, or a worker with
    --with-scheduler.

    Example: miqyas worker --with-scheduler
    """

    limits = replace(_LIMITS, timeout=timeout, on_time=timedelta(seconds=on_time))

    async def run(url: str) -> None:
        clock = (
            # The worker takes the signals, and stops both.
            asyncio.create_task(scheduler.run_scheduler(url, signals=False))
            if with_scheduler
            else None
        )
        try:
            await jobs.run_worker(url, catalogue.polled(), limits=limits)
        finally:
            if clock:
                clock.cancel()

    show.log_events()
    with store.url() as url, database.kept_open(url), show.until_stopped("Working."):
        asyncio.run(run(url))


def run_scheduler() -> None:
    """Turn schedules into work for the workers, until stopped (Ctrl-C).

    Example: miqyas scheduler
    """
    show.log_events()
    with store.url() as url, database.kept_open(url), show.until_stopped("Scheduling."):
        asyncio.run(scheduler.run_scheduler(url))


def _verdict(found: MeterStatus, *, arabic: bool) -> None:
    device, verdict = found.device, found.verdict
    words = verdict.words
    text, advice = (words.text_ar, words.advice_ar) if arabic else (words.text_en, words.advice_en)
    word = "منذ" if arabic else "since"
    since = f" ({word} {verdict.since:%Y-%m-%d %H:%M} UTC)" if verdict.since else ""
    style = {"good": "green", "warning": "yellow", "bad": "red"}.get(words.level, "")
    show.out.print(f"{device.mrid}: {text}{since}", style=style, markup=False, highlight=False)
    for line in (verdict.detail, advice and f"→ {advice}"):
        if line:
            show.done(line)


def _values(values: tuple[Value, ...]) -> None:
    rows = []
    for one in values:
        kind = reading_type.named(one.reading_type)
        shown = f"{kind.shown(one.value):,} {kind.display_unit}"
        rows.append((kind.description_en, shown, f"{one.at:%Y-%m-%d %H:%M}",
                     quality.name_of(one.quality)))  # fmt: skip
    show.table("Last values", ["quantity", "value [unit]", "at, UTC", "quality"], rows)


def _missing(found: MeterStatus) -> None:
    if not found.missing:
        show.done("Nothing is missing.")
        return
    seconds = found.device.interval_seconds
    zone = ZoneInfo("UTC")
    rows = [
        (f"{p.start.astimezone(zone):%Y-%m-%d %H:%M}", f"{p.end.astimezone(zone):%Y-%m-%d %H:%M}",
         int(p.duration.total_seconds()) // seconds)
        for p in found.missing[:_MOST_PERIODS]
    ]  # fmt: skip
    show.table("Missing periods", ["from, UTC", "to, UTC", "intervals #"], rows)
    if len(found.missing) > _MOST_PERIODS:
        show.done(f"… and {len(found.missing) - _MOST_PERIODS} more")
