"""The demonstration's acts, one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from console import show
from console.demo import billing, collecting, rating, reconciliation, record, stage
from console.demo.billing import Billed
from console.demo.collecting import Tally
from console.demo.reconciliation import Reconciliation
from console.demo.stage import Stage
from drivers import catalogue
from mdm import vee
from mdm.vee import Report
from schemas import database
from schemas.period import Period
from simulators import fleet as fleets
from simulators.fleet import Fleet

FLEET: Final = "demo"
ZONE: Final = ZoneInfo("Asia/Kuwait")
FIRST: Final = date(2026, 6, 1)
UNTIL: Final = date(2026, 7, 1)
_VALIDATE_EVERY_DAYS: Final = 7
_LAST_MESSAGES_SECONDS: Final = 60.0
# The last night's poll is at 00:20 of the day after.
_AFTERWARDS: Final = timedelta(hours=2)


@dataclass(eq=False)
class Outcome:
    """Everything that the demonstration saw.

    Attributes
    ----------
    database, broker : what it ran on, in words
    charges : what was invoiced beside what the truth costs, by sector
    phases : seconds by name
    problems : what must not be; empty when all is well
    """

    database: str
    broker: str
    fleet: Fleet
    installations: int
    tally: Tally
    validated: Report
    raw: dict[str, int]
    billed: Billed
    reconciliation: Reconciliation
    charges: pd.DataFrame
    phases: dict[str, float]
    problems: list[str] = field(default_factory=list)


def run(output: Path) -> Outcome:
    """Run the whole demonstration.

    Parameters
    ----------
    output : folder for the files that it delivers and writes
    """
    output.mkdir(exist_ok=True)
    phases: dict[str, float] = {}
    fleet = fleets.load(FLEET)
    with _phase(phases, "set up"), _quietly("starting database, broker and meters…"):
        set_up = stage.set_up(fleet)
        ready = set_up.__enter__()
    try:
        return _acts(fleet, ready, phases, output)
    finally:
        set_up.__exit__(None, None, None)


def _acts(fleet: Fleet, ready: Stage, phases: dict[str, float], output: Path) -> Outcome:
    show.done(f"Database: {stage.describe(ready)}")
    show.done(f"MQTT broker: {ready.broker.kind}")
    with _phase(phases, "registry"):
        installations = stage.import_fleet(ready, fleet)
        with database.connect(ready.url) as connection:
            collecting.arrange(connection, now=fleet.period.start, zone=ZONE.key)
    show.done(f"Registry: {installations} installations, keys sealed, 2 schedules")
    validated, spent = Report(), [0.0]
    with _phase(phases, "collect"):
        tally = _collect(fleet, ready, validated_into := [validated], spent)
    phases["collect"] -= spent[0]
    with _phase(phases, "validate"), _quietly("validating what is left…"):
        validated_into.append(_validate(ready, ready.watch.now))
    phases["validate"] += spent[0]
    total = sum(validated_into, Report())
    with _phase(phases, "bill"), _quietly("computing, delivering and replaying bills…"):
        billed = billing.bill(ready.url, FIRST, UNTIL, now=ready.watch.now, output=output)
    with (
        _phase(phases, "reconcile"),
        _quietly("holding everything against the truth…"),
        database.connect(ready.url) as connection,
    ):
        raw = record.raw_counts(connection)
        found = reconciliation.reconcile(connection, fleet, billing.period(FIRST, UNTIL, ZONE))
        sectors = {meter.usage_point: meter.sector for meter in fleet.meters}
        charges, wrong = rating.charged(billed.invoices, found.bills, sectors)
    return Outcome(
        database=stage.describe(ready),
        broker=ready.broker.kind,
        fleet=fleet,
        installations=installations,
        tally=tally,
        validated=total,
        raw=raw,
        billed=billed,
        reconciliation=found,
        charges=charges,
        phases=phases,
        problems=[*found.violations, *wrong, *billed.problems],
    )


def _collect(fleet: Fleet, ready: Stage, validated: list[Report], spent: list[float]) -> Tally:
    """Step the clock through all days; validate every week, as an operator would every night."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[told]}"), TimeElapsedColumn(),
    )  # fmt: skip
    collected = Period(fleet.period.start, fleet.period.end + _AFTERWARDS)
    hours = int(collected.duration.total_seconds() // 3600) + 1
    with Progress(*columns, console=show.out) as progress:
        task = progress.add_task("Collecting 35 days", total=hours, told="")

        def after_step(now: datetime, tally: Tally) -> None:
            ready.watch.now = now
            told = f"{now.astimezone(ZONE):%d %b %H:%M}  {tally.intervals:,} intervals read"
            progress.update(task, advance=1, told=told)
            day = (now - fleet.period.start).days
            if now.astimezone(ZONE).hour == 2 and day and day % _VALIDATE_EVERY_DAYS == 0:
                began = time.monotonic()
                validated.append(_validate(ready, now))
                spent[0] += time.monotonic() - began

        tally = collecting.collect(
            ready.url,
            ready.fleet.control,
            collected,
            catalogue.polled(),
            taken_down=collecting.removals(fleet),
            after_step=after_step,
        )
        heard = ready.listener.wait_for(tally.published, seconds=_LAST_MESSAGES_SECONDS)
    if not heard:
        show.problem(f"only {ready.listener.counts.messages} of {tally.published} messages came")
    return tally


def _validate(ready: Stage, now: datetime) -> Report:
    done = Report()
    while True:
        with database.connect(ready.url) as connection:
            part = vee.run(connection, now=now)
        if not part.taken:
            return done
        done += part


@contextmanager
def _phase(phases: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    phases[name] = round(time.monotonic() - began, 1)


@contextmanager
def _quietly(text: str) -> Iterator[None]:
    with show.out.status(text):
        yield
