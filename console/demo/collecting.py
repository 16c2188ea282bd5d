"""The demonstration's collection: the real head-end, by a clock that is stepped hour by hour."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from urllib.parse import urlsplit

from drivers.driver import Driver
from headend import clock, groups, jobs, on_demand, schedules
from headend.capacity import Limits
from headend.collector import Collected
from schemas import database
from schemas.database import Connection
from schemas.period import Period
from simulators.control import FleetError
from simulators.fleet import Fleet

# On loopback an answer that takes longer than this is not coming.
_LIMITS = Limits(sessions=16, timeout=0.4, lease_wait=1.0, budget=timedelta(seconds=20))
_STEP = timedelta(hours=1)
_FLEET_SECONDS = 60


@dataclass(slots=True)
class Tally:
    """What was collected so far; sessions by outcome, values that were new, messages published."""

    sessions_ok: int = 0
    sessions_partial: int = 0
    sessions_failed: int = 0
    intervals: int = 0
    registers: int = 0
    published: int = 0

    def add(self, done: Collected) -> None:
        """Add what one step collected."""
        self.sessions_ok += done.ok
        self.sessions_partial += done.partial
        self.sessions_failed += done.failed
        self.intervals += done.intervals
        self.registers += done.registers


def arrange(connection: Connection, *, now: datetime, zone: str) -> None:
    """Make the demonstration's groups and schedules, as an engineer would."""
    groups.put(connection, "dlms", selector={"protocol": ["dlms"]})
    groups.put(connection, "modbus", selector={"protocol": ["modbus"]})
    schedules.add(
        connection,
        "dlms daily",
        group="dlms",
        reads=["clock", "registers", "register_history", "intervals", "events"],
        now=now,
        cron="20 0 * * *",
        time_zone=zone,
    )
    schedules.add(
        connection,
        "modbus hourly",
        group="modbus",
        reads=["registers"],
        now=now,
        interval_seconds=3600,
        time_zone=zone,
    )


@dataclass(frozen=True, slots=True)
class Removal:
    """A meter that a technician takes down, and what is read of it last."""

    at: datetime
    mrid: str
    reads: tuple[str, ...]


def removals(fleet: Fleet) -> list[Removal]:
    """List the meters that are polled and taken down before the fleet's end."""
    reads = {"dlms": ("register_history", "intervals"), "modbus": ("registers",)}
    end = int(fleet.period.end.timestamp())
    return [
        Removal(datetime.fromtimestamp(meter.end, UTC), meter.mrid, reads[meter.protocol])
        for meter in fleet.meters
        if meter.end < end and meter.protocol in reads
    ]


def collect(
    url: str,
    control: str,
    period: Period,
    drivers: Mapping[str, Driver],
    *,
    taken_down: Sequence[Removal],
    after_step: Callable[[datetime, Tally], None],
) -> Tally:
    """Run the collection of a period, hour by hour.

    Parameters
    ----------
    control : address of the fleet's control API
    taken_down : meters that a technician reads for the last time when he takes them down
    after_step : told of each step's end, with the simulated time
    """
    return asyncio.run(_collect(url, control, period, drivers, taken_down, after_step))


async def _collect(
    url: str,
    control: str,
    period: Period,
    drivers: Mapping[str, Driver],
    taken_down: Sequence[Removal],
    after_step: Callable[[datetime, Tally], None],
) -> Tally:
    tally = Tally()
    async with jobs.opened(url, drivers, limits=_LIMITS) as pool:
        now = period.start
        while now <= period.end:
            # Messages are on their way while the other meters are read; the last are waited for.
            last = now + _STEP > period.end
            tally.published, _ = await asyncio.gather(
                asyncio.to_thread(_move, control, now, wait=last),
                asyncio.to_thread(set_clock, url, now),
            )
            tally.add(await pool.drain(now))
            for taken in taken_down:
                if now - _STEP < taken.at <= now:
                    await on_demand.read_async(url, taken.mrid, drivers, reads=taken.reads)
            await asyncio.to_thread(after_step, now, tally)
            now += _STEP
    return tally


def _move(control: str, now: datetime, *, wait: bool) -> int:
    """Move the fleet's clock; give how many messages it has published so far."""
    asked = json.dumps({"now": now.isoformat(), "wait": wait})
    # A connection for each: the fleet closes one that rests while a step takes its time.
    with closing(HTTPConnection(urlsplit(control).netloc, timeout=_FLEET_SECONDS)) as fleet:
        fleet.request("POST", "/clock", asked, {"Content-Type": "application/json"})
        answer = fleet.getresponse()
        said = answer.read()
    if answer.status != HTTPStatus.OK:
        raise FleetError(f"the fleet's clock did not move to {now}: {said.decode()}")
    return int(json.loads(said)["published"])


def set_clock(url: str, now: datetime) -> None:
    """Put a simulated time in force for every program that works on the database."""
    with database.connect(url) as connection:
        clock.simulate(connection, now)
