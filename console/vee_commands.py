"""``miqyas vee``: validation runs."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Annotated

import typer

from console import reads_command, show, store
from mdm import daily_due, vee, virtual
from mdm.vee import Report
from schemas import database
from schemas.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Validate, estimate and record what has arrived.")


@app.command("run")
def run(
    follow: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.1, help="Go on, looking again after so long."),
    ] = None,
) -> None:
    """Take in what has arrived, validate the days it touches and record what changed.

    Days of virtual channels that this touches are computed then, and days are summed for billing
    (unless MIQYAS_SUM_DAYS is false). With --follow, reads that did not come are looked for, too,
    once a day, as `miqyas vee reads` does.

    Example: miqyas vee run --follow 60
    """
    with store.url() as url, database.kept_open(url):
        if follow is None:
            done, computed = _everything(url), virtual_days(url)
            show.done(told(done) if done.taken else "Nothing new has arrived.")
            _tell_virtual(computed)
            _tell_summed(sum_days(url))
            return
        looked: datetime | None = None
        before = ""
        with show.until_stopped("Validating what arrives."):
            while True:
                done = _everything(url)
                if done.taken and (said := told(done)) != before:
                    show.done(said)
                    before = said
                _tell_virtual(virtual_days(url))
                _tell_summed(sum_days(url))
                looked = look_for_reads(url, looked)
                time.sleep(follow)


def _everything(url: str) -> Report:
    """Take batches until nothing is left."""
    done = Report()
    with show.out.status("validating…") as status:
        while (part := _batch(url)).taken or part.looked:
            done += part
            status.update(f"{done.intervals:,} intervals validated…")
    return done


def _batch(url: str) -> Report:
    with database.connect(url) as connection:
        return vee.run(connection, now=store.now(connection), clock=time.perf_counter)


def virtual_days(url: str) -> virtual.Report:
    """Compute the days of virtual channels whose inputs have changed, until none is left."""
    done, part = virtual.Report(), virtual.Report(taken=1)
    while part.taken:
        with database.connect(url) as connection:
            part = virtual.run(connection, now=store.now(connection))
        done += part
    return done


def sum_days(url: str) -> int:
    """Sum days that got a new version, for billing; give how many. None if settings say so."""
    days, wanted = 0, Settings().sum_days
    while True:
        with database.connect(url) as connection:
            if not wanted:
                daily_due.forget(connection)
                return 0
            part = daily_due.step(connection, now=store.now(connection))
        if not part.taken:
            return days
        days += part.days


def look_for_reads(url: str, looked: datetime | None) -> datetime:
    """Look for reads that did not come, unless that was done less than a day ago; give when."""
    with database.connect(url) as connection:
        now = store.now(connection)
    if looked is not None and now - looked < timedelta(days=1):
        return looked
    done = reads_command.checked(url)
    if done.opened or done.closed:
        show.done(reads_command.told(done))
    return now


def _tell_summed(days: int) -> None:
    if days:
        show.done(f"{show.count(days, 'day')} summed for billing")


def _tell_virtual(done: virtual.Report) -> None:
    if done.days:
        days = show.count(done.days, "day")
        show.done(f"{show.count(done.versions, 'new version')} of {days} of virtual channels")


def told(done: Report) -> str:
    """Say what a validation run did."""
    said = [
        f"{show.count(done.intervals, 'interval')} validated",
        f"{show.count(done.versions, 'new version')} of {show.count(done.days, 'channel-day')}",
        f"{show.count(done.registers, 'register reading')} recorded",
        f"{show.count(done.opened, 'finding')} opened, {done.closed:,} closed",
    ]
    if done.again:
        said.append(f"{show.count(done.again, 'channel-day')} validated again, "
                    f"{done.late:,} for late data, in {done.again_seconds:.2f} s")  # fmt: skip
    if done.quarantined:
        said.append(f"{done.quarantined:,} in quarantine")
    if done.deferred:
        said.append(f"the newest data of {show.count(done.deferred, 'meter')} waits: "
                    "its day is not over")  # fmt: skip
    return "\n".join(said)
